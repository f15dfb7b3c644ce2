use grad_runtime::{Array, params};

#[params::object(Send)]
trait Layer<A: Array> {
    fn forward(&self, x: &A);
}

fn main() {}
