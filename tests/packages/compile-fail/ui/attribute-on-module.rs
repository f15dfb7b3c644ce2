use grad_runtime::prelude::*;

#[no_grad]
pub mod layers {}

fn main() {}
