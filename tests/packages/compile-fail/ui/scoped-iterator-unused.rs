#![deny(unused_must_use)]

use grad_runtime::prelude::*;

fn main() {
    (0..3).with_grad_mode(GradMode::NoGrad);
}
