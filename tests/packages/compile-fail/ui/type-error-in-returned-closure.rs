use grad_runtime::prelude::*;

#[no_grad]
pub fn length() -> impl Fn(&str) -> usize {
    |text| text.is_empty()
}

fn main() {
    length()("a");
}
