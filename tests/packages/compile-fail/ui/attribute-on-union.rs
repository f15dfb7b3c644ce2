use grad_runtime::prelude::*;

#[no_grad]
pub union Word {
    pub bits: u32,
}

fn main() {}
