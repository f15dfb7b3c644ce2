// use grad_runtime::prelude::*;

fn spawn<F: Future + Send>(_: F) {}

async fn future() {}

// #[no_grad]
async fn embed() {
    let shared = std::rc::Rc::new(1);
    future().await;
    drop(shared);
}

fn main() {
    spawn(embed());
}
