use std::sync::Mutex;

use grad_runtime::{Array, Params};

#[derive(Params)]
pub struct Linear<A: Array> {
    pub weight: A,
    pub calls: Mutex<u32>,
}

fn main() {}
