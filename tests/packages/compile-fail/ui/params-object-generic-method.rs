use grad_runtime::{Array, Result, params};

#[params::object]
trait Layer<A: Array> {
    fn forward<T: Clone>(&self, x: &A, context: T) -> Result<A>;
}

fn main() {}
