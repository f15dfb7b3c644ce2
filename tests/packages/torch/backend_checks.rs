//! The checks of `grad_runtime::testing`, on libtorch.

use grad_runtime::testing::assert_backend;
use grad_runtime::{Backend, GradMode, Torch};

/// `Torch` under another name, since its own is taken.
struct Libtorch;

impl Backend for Libtorch {
    fn name(&self) -> &'static str {
        "libtorch"
    }

    fn grad_mode(&self) -> GradMode {
        Torch.grad_mode()
    }

    fn set_grad_mode(&self, mode: GradMode) {
        Torch.set_grad_mode(mode);
    }
}

#[test]
fn libtorch_keeps_the_guarantees() {
    assert!(tch::Tensor::ones(&[1], tch::kind::FLOAT_CPU).set_requires_grad(true).requires_grad());
    assert_eq!(Torch::check_available(), Ok(()), "libtorch is loaded");
    assert_backend(&Libtorch);
}
