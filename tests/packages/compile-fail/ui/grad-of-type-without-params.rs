use grad_runtime::{mlx, params};

pub struct Linear {
    pub weight: mlx::Array,
}

fn main() {
    let linear = Linear { weight: mlx::Array::scalar(1.0_f32).unwrap() };
    let _ = params::grad(|linear: &Linear| linear.weight.square(), &linear);
}
