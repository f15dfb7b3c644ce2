use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use grad_runtime::prelude::*;
use grad_runtime::{Detach, no_grad};

#[derive(Module, Debug)]
struct Critic {
    weight: Param<Tensor<2>>,
}

impl Critic {
    fn forward(&self, x: &Tensor<2>) -> Tensor<2> {
        x.clone().matmul(self.weight.val())
    }

    /// What comes out goes through burn's own function.
    #[no_grad(detach = Tensor::detach)]
    fn target(&self, x: &Tensor<2>) -> Tensor<2> {
        self.forward(x)
    }
}

/// burn's tensor as a type of this crate, for which it can implement `Detach`.
struct Value(Tensor<2>);

impl Detach for Value {
    fn detach_in_place(&mut self) {
        self.0 = self.0.clone().detach();
    }
}

/// And what is made of such: field by field.
#[derive(Detach)]
struct Estimate {
    mean: Value,
    samples: Vec<Value>,
}

#[no_grad(detach)]
fn estimate(critic: &Critic, x: &Tensor<2>) -> Result<Estimate, String> {
    let samples = vec![Value(critic.forward(x))];
    Ok(Estimate { mean: Value(critic.forward(x)), samples })
}

/// A module without gradients is what burn's `valid()` makes of it.
impl Detach for Critic {
    fn detach_in_place(&mut self) {
        *self = self.valid();
    }
}

/// In here `critic` is a detached copy, and nothing is recorded at all.
#[no_grad(detach(critic))]
fn evaluate(critic: &Critic, x: &Tensor<2>) -> Tensor<2> {
    let output = critic.forward(x);
    assert!(!output.is_tracked());
    output
}

#[test]
fn what_leaves_a_scope_is_a_constant() -> Result<(), String> {
    let device = Device::default().autodiff();
    let critic = Critic { weight: Param::from_data([[1.0], [1.0]], &device) };
    let x = Tensor::from_floats([[2.0, 3.0]], &device);

    // d/dw of y · target, where y is x · w, which is 5.
    let gradient = |target: Tensor<2>| {
        let gradients = (critic.forward(&x) * target).sum().backward();
        critic.weight.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap()
    };
    let of_a_constant = [10.0, 15.0]; // 5 · x
    let of_the_square = [20.0, 30.0]; // 2 · 5 · x: gradient flows through the target as well.

    assert_eq!(gradient(critic.forward(&x)), of_the_square);
    assert_eq!(gradient(no_grad! { critic.forward(&x) }), of_the_square); // burn has no switch.

    assert_eq!(gradient(critic.target(&x)), of_a_constant);
    let Value(block) = no_grad!(detach { Value(critic.forward(&x)) });
    assert_eq!(gradient(block), of_a_constant);
    let estimate = estimate(&critic, &x)?;
    assert_eq!(gradient(estimate.mean.0), of_a_constant);
    for Value(sample) in estimate.samples {
        assert_eq!(gradient(sample), of_a_constant);
    }
    assert_eq!(gradient(evaluate(&critic, &x)), of_a_constant);
    assert!(critic.weight.val().is_require_grad(), "the caller's own is as it was");
    Ok(())
}
