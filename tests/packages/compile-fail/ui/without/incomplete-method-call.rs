// use grad_runtime::prelude::*;

// #[no_grad]
pub async fn embed(x: f32) -> f32 {
    x.
}

fn main() {
    let _ = embed(1.0);
}
