use grad_runtime::prelude::*;

unsafe extern "C" {
    #[no_grad]
    pub safe fn abs(x: i32) -> i32;
}

fn main() {}
