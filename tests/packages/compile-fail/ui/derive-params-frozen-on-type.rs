use grad_runtime::Params;

#[derive(Params)]
#[params(frozen)]
pub struct Norm {
    pub eps: f32,
}

fn main() {}
