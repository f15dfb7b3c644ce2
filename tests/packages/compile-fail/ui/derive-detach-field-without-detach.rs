use grad_runtime::Detach;

pub struct Tensor;

#[derive(Detach)]
pub struct Output {
    pub hidden: Vec<f32>,
    pub last: Tensor,
}

fn main() {}
