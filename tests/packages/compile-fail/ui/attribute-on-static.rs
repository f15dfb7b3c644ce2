use grad_runtime::prelude::*;

#[no_grad]
pub static WIDTH: usize = 384;

fn main() {}
