use grad_runtime::prelude::*;

#[no_grad]
pub use std::fmt::Debug;

fn main() {}
