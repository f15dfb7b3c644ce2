use grad_runtime::prelude::*;

#[set_grad_enabled()]
pub fn embed(x: f32) -> f32 {
    x
}

fn main() {
    embed(1.0);
}
