use grad_runtime::Params;

#[derive(Params)]
pub enum Layer {
    #[params(skip)]
    Scale(f32),
    Nothing,
}

fn main() {}
