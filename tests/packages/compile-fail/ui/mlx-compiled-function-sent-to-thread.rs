fn main() {
    let square = grad_runtime::mlx::compile(|x| Ok(vec![x[0].square()?]));
    std::thread::spawn(move || drop(square));
}
