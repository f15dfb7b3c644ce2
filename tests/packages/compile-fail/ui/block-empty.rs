#[macro_use]
extern crate grad_runtime;

fn main() {
    set_grad_enabled!();
}
