use grad_runtime::mlx::Array;

fn main() {
    let x = Array::scalar(1.0_f32).unwrap();
    std::thread::spawn(move || x.eval());
}
