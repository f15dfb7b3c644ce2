#[macro_use]
extern crate grad_runtime;

pub struct Tensor;

fn main() {
    let _tensor = no_grad!(detach { Tensor });
}
