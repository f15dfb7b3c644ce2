use grad_runtime::prelude::*;

#[no_grad]
pub fn name() -> &'static str {
    let name = String::new();
    &name
}

fn main() {}
