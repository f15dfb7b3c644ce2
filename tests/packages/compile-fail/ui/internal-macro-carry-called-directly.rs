fn main() {
    grad_runtime::__private::carry! { |x: u8| x };
}
