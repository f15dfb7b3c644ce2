#[macro_use]
extern crate grad_runtime;

async fn future() {}

fn main() {
    no_grad! {
        future().await;
    }
}
