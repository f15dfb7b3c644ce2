use std::future::Future;

fn spawn<F: Future + Send + 'static>(_: F) {}

async fn future() {}

fn main() {
    spawn(async {
        let _guard = grad_runtime::no_grad();
        future().await;
    });
}
