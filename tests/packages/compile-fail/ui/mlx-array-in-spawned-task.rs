use std::future::{Future, ready};

use grad_runtime::mlx::Array;

fn spawn<F: Future + Send + 'static>(_: F) {}

fn main() {
    spawn(async {
        let x = Array::scalar(1.0_f32).unwrap();
        ready(()).await;
        x.eval()
    });
}
