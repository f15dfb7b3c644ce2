use grad_runtime::{mlx, params};

#[params::object]
trait Layer {
    fn forward(&self, x: &mlx::Array);
}

fn main() {}
