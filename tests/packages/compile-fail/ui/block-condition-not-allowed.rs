#[macro_use]
extern crate grad_runtime;

fn main() {
    no_grad!(true, { 1 });
}
