use grad_runtime::prelude::*;

#[no_grad]
pub fn embed(x: f32) -> f32 {
    let y: i32 = x;
    x
}

fn main() {
    embed(1.0);
}
