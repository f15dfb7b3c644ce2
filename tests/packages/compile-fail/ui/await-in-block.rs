#[macro_use]
extern crate grad_runtime;

async fn future() {}

pub async fn step() {
    no_grad! {
        future().await;
    }
}

fn main() {}
