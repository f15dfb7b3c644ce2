use grad_runtime::prelude::*;

pub struct Model;

#[no_grad]
#[enable_grad]
impl Model {
    pub fn forward(&self) -> f32 {
        1.0
    }
}

fn main() {
    Model.forward();
}
