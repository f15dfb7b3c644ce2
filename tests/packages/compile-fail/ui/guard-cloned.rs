fn main() {
    let guard = grad_runtime::no_grad();
    let _second = guard.clone();
}
