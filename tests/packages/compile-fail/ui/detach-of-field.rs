use grad_runtime::prelude::*;

pub struct Model(f32);

impl Model {
    #[no_grad(detach(self.0))]
    pub fn embed(self) -> f32 {
        self.0
    }
}

fn main() {
    Model(1.0).embed();
}
