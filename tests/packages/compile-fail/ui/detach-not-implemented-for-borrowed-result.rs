use grad_runtime::prelude::*;

#[no_grad(detach)]
pub fn first(list: &[f32]) -> &f32 {
    &list[0]
}

fn main() {
    first(&[1.0]);
}
