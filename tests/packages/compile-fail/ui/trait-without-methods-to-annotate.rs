use grad_runtime::prelude::*;

#[no_grad]
pub trait Layer {
    fn forward(&self);
}

fn main() {}
