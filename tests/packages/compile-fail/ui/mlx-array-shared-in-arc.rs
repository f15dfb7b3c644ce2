use std::sync::Arc;

use grad_runtime::mlx::Array;

struct Model {
    weight: Array,
}

fn main() {
    let model = Arc::new(Model { weight: Array::scalar(1.0_f32).unwrap() });
    std::thread::spawn(move || model.weight.eval());
}
