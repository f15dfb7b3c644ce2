fn main() {
    grad_runtime::carry!();
}
