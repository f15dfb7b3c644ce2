use grad_runtime::{Array, params};

#[params::object]
trait Layer<A: Array> {
    fn forward(&self, x: &A);
}

struct Linear<A>(A);

impl<A: Array> Layer<A> for Linear<A> {
    fn forward(&self, _x: &A) {}
}

fn main() {}
