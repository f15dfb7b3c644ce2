use std::sync::Mutex;

use grad_runtime::{Params, mlx, params};

#[derive(Params)]
pub struct Linear {
    pub weight: mlx::Array,
    pub calls: Mutex<u32>,
}

fn main() {
    let weight = mlx::Array::scalar(1.0_f32).unwrap();
    let linear = Linear { weight, calls: Mutex::new(0) };
    let _ = params::grad(|linear: &Linear| linear.weight.square(), &linear);
}
