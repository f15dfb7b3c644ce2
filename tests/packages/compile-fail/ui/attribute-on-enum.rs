use grad_runtime::prelude::*;

#[no_grad]
pub enum Loss {
    L1,
}

fn main() {}
