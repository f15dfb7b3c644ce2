fn share<T: Sync>(_: &T) {}

fn main() {
    let guard = grad_runtime::no_grad();
    share(&guard);
}
