use grad_runtime::prelude::*;

#[no_grad(eager = true)]
pub fn embed(x: f32) -> f32 {
    x
}

fn main() {
    embed(1.0);
}
