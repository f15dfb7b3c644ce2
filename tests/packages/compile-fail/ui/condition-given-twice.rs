use grad_runtime::prelude::*;

#[inference_mode(true, false)]
pub fn embed(x: f32) -> f32 {
    x
}

fn main() {
    embed(1.0);
}
