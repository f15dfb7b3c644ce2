use grad_runtime::prelude::*;

fn main() {
    #[no_grad]
    println!("hello");
}
