#[macro_use]
extern crate grad_runtime;

async fn future() {}

pub async fn step() {
    set_grad_enabled!(true, {
        future().await;
    });
}

fn main() {}
