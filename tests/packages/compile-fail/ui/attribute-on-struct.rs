use grad_runtime::prelude::*;

#[no_grad]
pub struct Model;

fn main() {}
