use grad_runtime::{Array, Params};

#[derive(Params)]
pub struct Norm<A: Array> {
    pub weight: A,
    #[params(freeze)]
    pub running_mean: A,
}

fn main() {}
