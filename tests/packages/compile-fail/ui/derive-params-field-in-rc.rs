use std::rc::Rc;

use grad_runtime::{Array, Params};

#[derive(Params)]
pub enum Layer<A: Array> {
    Tied(Rc<A>),
    Relu,
}

fn main() {}
