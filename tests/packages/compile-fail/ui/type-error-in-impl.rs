use grad_runtime::prelude::*;

pub struct Model;

#[no_grad]
impl Model {
    pub fn forward(&self) -> usize {
        "one"
    }
}

fn main() {
    Model.forward();
}
