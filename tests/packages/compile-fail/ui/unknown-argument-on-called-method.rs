use grad_runtime::prelude::*;

pub struct Model;

impl Model {
    #[no_grad(bakend = Mlx)]
    pub async fn forward(&self) -> i32 {
        1
    }
}

pub async fn step(model: &Model) -> i32 {
    model.forward().await + 1
}

fn main() {}
