#[macro_use]
extern crate grad_runtime;

async fn future() {}

pub async fn step() {
    no_grad! {
        let inner = async { future().await };
        inner.await;
    }
}

fn main() {}
