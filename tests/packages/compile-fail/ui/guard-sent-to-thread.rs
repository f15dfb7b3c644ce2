fn spawn<F: FnOnce() + Send>(_: F) {}

fn main() {
    let guard = grad_runtime::no_grad();
    spawn(move || drop(guard));
}
