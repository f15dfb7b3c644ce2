use grad_runtime::prelude::*;

#[no_grad(crate = grad_runtime, crate = ::grad_runtime)]
pub fn embed(x: f32) -> f32 {
    x
}

fn main() {
    embed(1.0);
}
