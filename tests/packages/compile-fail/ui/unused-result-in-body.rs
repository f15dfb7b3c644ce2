#![deny(unused_must_use)]
use grad_runtime::prelude::*;

#[no_grad]
pub fn embed(x: f32) {
    x.sqrt();
}

fn main() {
    embed(1.0);
}
