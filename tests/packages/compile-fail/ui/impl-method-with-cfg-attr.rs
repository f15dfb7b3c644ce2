use grad_runtime::prelude::*;

pub struct Model;

#[no_grad]
impl Model {
    #[cfg_attr(test, enable_grad)]
    pub fn forward(&self) -> f32 {
        1.0
    }
}

fn main() {
    Model.forward();
}
