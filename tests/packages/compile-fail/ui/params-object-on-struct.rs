use grad_runtime::{Array, params};

#[params::object]
struct Layer<A: Array> {
    weight: A,
}

fn main() {}
