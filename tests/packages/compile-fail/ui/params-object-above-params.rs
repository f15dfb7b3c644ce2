use grad_runtime::{Array, Params, Result, params};

#[params::object]
trait Layer<A: Array>: Params<A> {
    fn forward(&self, x: &A) -> Result<A>;
}

fn main() {}
