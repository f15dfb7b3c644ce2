fn main() {
    grad_runtime::__private::block! { 1 + 1 };
}
