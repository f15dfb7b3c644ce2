//! The checks for backends of one's own, on the real libtorch.

use grad_runtime::testing::assert_backend;
use grad_runtime::{Backend, GradMode, Torch};

/// `Torch` as somebody else's: its own name is taken.
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
fn libtorch_keeps_the_law() {
    assert!(tch::Tensor::ones(&[1], tch::kind::FLOAT_CPU).set_requires_grad(true).requires_grad());
    Torch::available().expect("this is about the real one");
    assert_backend(&Libtorch);
}
