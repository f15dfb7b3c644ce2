#[macro_use]
extern crate grad_runtime;

async fn future() {}

pub async fn step() {
    no_grad! {
        let x = future().await
        let y = x;
    }
}

fn main() {}
