use grad_runtime::prelude::*;

pub struct Model {
    training: bool,
}

#[set_grad_enabled(self.training)]
impl Model {
    pub fn new() -> Self {
        Self { training: true }
    }

    pub fn forward(&self) {}
}

fn main() {
    Model::new().forward();
}
