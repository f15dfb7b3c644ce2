use grad_runtime::prelude::*;

#[no_grad]
pub fn embed(x: f32) -> f32 {
    let _ = x;
    "one"
}

fn main() {
    embed(1.0);
}
