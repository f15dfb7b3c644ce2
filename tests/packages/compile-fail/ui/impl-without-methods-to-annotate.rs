use grad_runtime::prelude::*;

pub struct Model;

#[no_grad]
impl Model {
    pub const LAYERS: usize = 6;

    pub const fn layers() -> usize {
        Self::LAYERS
    }

    #[enable_grad]
    pub fn forward(&self) {}
}

fn main() {
    Model.forward();
}
