#[macro_use]
extern crate grad_runtime;

fn main() {
    no_grad! { <Mlx::> println!("hello") }
}
