// use grad_runtime::prelude::*;

// #[no_grad]
pub fn embed() -> f32 {
    let x =
}

fn main() {
    embed();
}
