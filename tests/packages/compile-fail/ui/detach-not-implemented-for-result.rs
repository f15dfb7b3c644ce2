use grad_runtime::prelude::*;

pub struct Tensor;

#[no_grad(detach)]
pub fn embed(x: f32) -> Option<Tensor> {
    (x > 0.0).then_some(Tensor)
}

fn main() {
    embed(1.0);
}
