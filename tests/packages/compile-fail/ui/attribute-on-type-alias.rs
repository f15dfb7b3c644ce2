use grad_runtime::prelude::*;

#[no_grad]
pub type Width = usize;

fn main() {}
