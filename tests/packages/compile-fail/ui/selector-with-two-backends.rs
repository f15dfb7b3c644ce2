#[macro_use]
extern crate grad_runtime;

use grad_runtime::{Cpu, Mlx};

fn main() {
    no_grad! { <Cpu, Mlx> println!("hello") }
}
