use grad_runtime::{Array, Params};

#[derive(Params)]
struct Model<A: Array> {
    #[params(frozen)]
    #[params(buffer)]
    weight: A,
    #[params(skip, frozen)]
    bias: A,
}

fn main() {}
