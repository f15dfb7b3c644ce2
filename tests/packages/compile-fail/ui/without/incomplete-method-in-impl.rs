// use grad_runtime::prelude::*;

pub struct Model;

// #[no_grad]
impl Model {
    pub fn forward(&self) -> f32 {
        let x = ;
        x
    }

    pub fn backward(&self) -> f32 {
        2.0
    }
}

fn main() {
    let _ = Model.forward() + Model.backward();
}
