use grad_runtime::prelude::*;

pub struct Model;

#[no_grad(detach(inptu))]
impl Model {
    pub fn embed(&self, input: f32) -> f32 {
        input
    }
}

fn main() {
    Model.embed(1.0);
}
