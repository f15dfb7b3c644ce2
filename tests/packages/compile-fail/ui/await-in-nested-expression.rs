#[macro_use]
extern crate grad_runtime;

async fn future() {}

pub async fn step() {
    let _value = inference_mode! {
        if true { Some(future().await) } else { None }
    };
}

fn main() {}
