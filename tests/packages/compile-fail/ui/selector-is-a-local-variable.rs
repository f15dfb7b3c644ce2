#[macro_use]
extern crate grad_runtime;

use grad_runtime::Cpu;

fn main() {
    let backend = Cpu;
    no_grad! { <backend> println!("hello") }
}
