use grad_runtime::Detach;

#[derive(Detach)]
pub struct Output {
    #[detach(ignore)]
    pub hidden: Vec<f32>,
}

fn main() {}
