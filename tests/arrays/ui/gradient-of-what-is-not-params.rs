use grad_runtime::{Array, cpu, params};

pub struct Linear {
    pub weight: cpu::Array,
}

fn main() {
    let linear = Linear { weight: cpu::Array::scalar(1.0_f32).unwrap() };
    let _ = params::grad(|linear: &Linear| linear.weight.square(), &linear);
}
