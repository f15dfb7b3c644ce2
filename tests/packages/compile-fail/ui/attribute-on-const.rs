use grad_runtime::prelude::*;

#[no_grad]
pub const WIDTH: usize = 384;

fn main() {}
