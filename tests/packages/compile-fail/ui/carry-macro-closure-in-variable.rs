fn main() {
    let job = || 1;
    grad_runtime::carry!(job);
}
