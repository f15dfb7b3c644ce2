#[macro_use]
extern crate grad_runtime;

async fn future() {}

pub async fn step() {
    no_grad! {
        let inner = async |_: u8| future().await;
        inner(1).await;
    }
}

fn main() {}
