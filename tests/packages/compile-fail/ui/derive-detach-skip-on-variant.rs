use grad_runtime::Detach;

#[derive(Detach)]
pub enum Output {
    #[detach(skip)]
    Hidden(Vec<f32>),
    Nothing,
}

fn main() {}
