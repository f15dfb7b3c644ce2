use grad_runtime::prelude::*;

#[no_grad]
unsafe extern "C" {
    pub safe fn abs(x: i32) -> i32;
}

fn main() {}
