use grad_runtime::prelude::*;

pub struct Tensor;

#[no_grad(detach)]
pub fn embeddings() -> impl Iterator<Item = Tensor> {
    std::iter::once(Tensor)
}

fn main() {
    embeddings().next();
}
