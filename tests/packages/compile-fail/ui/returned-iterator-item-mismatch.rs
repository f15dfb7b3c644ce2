use grad_runtime::prelude::*;

#[no_grad]
pub fn names() -> impl Iterator<Item = String> {
    ["a", "b"].into_iter()
}

fn main() {
    names().count();
}
