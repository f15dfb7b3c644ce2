#![deny(unused_variables)]
// use grad_runtime::prelude::*;

// #[no_grad]
pub fn embed(x: f32) {}

fn main() {
    embed(1.0);
}
