#![deny(unused_must_use)]

fn main() {
    grad_runtime::Scope::NoGrad.enter();
}
