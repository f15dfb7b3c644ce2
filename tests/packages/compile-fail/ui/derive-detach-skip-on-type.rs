use grad_runtime::Detach;

#[derive(Detach)]
#[detach(skip)]
pub struct Output {
    pub hidden: Vec<f32>,
}

fn main() {}
