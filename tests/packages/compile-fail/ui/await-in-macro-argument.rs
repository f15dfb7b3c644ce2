#[macro_use]
extern crate grad_runtime;

async fn future() {}

pub async fn step() {
    no_grad! {
        println!("{:?}", future().await);
    }
}

fn main() {}
