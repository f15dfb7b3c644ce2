use grad_runtime::prelude::*;

#[no_grad]
pub const fn width() -> usize {
    384
}

fn main() {
    let _: usize = width();
}
