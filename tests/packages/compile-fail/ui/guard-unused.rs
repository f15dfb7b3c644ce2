#![deny(unused_must_use)]

fn main() {
    grad_runtime::no_grad();
}
