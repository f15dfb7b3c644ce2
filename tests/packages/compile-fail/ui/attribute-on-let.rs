use grad_runtime::prelude::*;

fn main() {
    #[no_grad]
    let _x = 1;
}
