use grad_runtime::prelude::*;

#[no_grad]
pub fn embed(x: f32) -> f32 {
    let y = ;
    x
}

fn main() {
    let _: f32 = embed(1.0);
}
