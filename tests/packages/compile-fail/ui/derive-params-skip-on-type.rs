use grad_runtime::Params;

#[derive(Params)]
#[params(skip)]
pub struct Norm {
    pub eps: f32,
}

fn main() {}
