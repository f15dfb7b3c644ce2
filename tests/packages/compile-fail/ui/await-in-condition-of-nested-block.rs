#[macro_use]
extern crate grad_runtime;

async fn future() {}

pub async fn step() {
    no_grad! {
        set_grad_enabled!(std::future::ready(true).await, {});
    }
}

fn main() {}
