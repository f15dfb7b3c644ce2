use grad_runtime::prelude::*;

#[no_grad]
pub fn embed(x: f32) -> f32 {
    x + bias
}

fn main() {
    embed(1.0);
}
