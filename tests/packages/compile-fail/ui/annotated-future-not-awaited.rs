#![deny(unused_must_use)]
use grad_runtime::prelude::*;

#[no_grad]
async fn embed() {}

fn main() {
    embed();
}
