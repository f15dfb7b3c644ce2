use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use grad_runtime::{Detach, attr, no_grad};

#[derive(Module, Debug)]
struct Critic {
    weight: Param<Tensor<2>>,
}

impl Critic {
    fn forward(&self, x: &Tensor<2>) -> Tensor<2> {
        x.clone().matmul(self.weight.val())
    }

    /// The result is detached by burn's own function.
    #[attr::no_grad(detach = Tensor::detach)]
    fn target(&self, x: &Tensor<2>) -> Tensor<2> {
        self.forward(x)
    }
}

/// Wraps burn's tensor in a type of this crate, which can implement `Detach` for it.
struct Value(Tensor<2>);

impl Detach for Value {
    fn detach_in_place(&mut self) {
        self.0 = self.0.clone().detach();
    }
}

/// Detached field by field.
#[derive(Detach)]
struct Estimate {
    mean: Value,
    samples: Vec<Value>,
}

#[attr::no_grad(detach)]
fn estimate(critic: &Critic, x: &Tensor<2>) -> Result<Estimate, String> {
    let samples = vec![Value(critic.forward(x))];
    Ok(Estimate { mean: Value(critic.forward(x)), samples })
}

/// Detaches a module with burn's `valid()`, which returns it without gradients.
impl Detach for Critic {
    fn detach_in_place(&mut self) {
        *self = self.valid();
    }
}

/// In this function `critic` is a detached copy, and nothing is recorded.
#[attr::no_grad(detach(critic))]
fn evaluate(critic: &Critic, x: &Tensor<2>) -> Tensor<2> {
    let output = critic.forward(x);
    assert!(!output.is_tracked());
    output
}

#[test]
fn results_of_a_scope_are_constants() -> Result<(), String> {
    let device = Device::default().autodiff();
    let critic = Critic { weight: Param::from_data([[1.0], [1.0]], &device) };
    let x = Tensor::from_floats([[2.0, 3.0]], &device);

    // d/dw of y · target, where y is x · w, which is 5.
    let gradient = |target: Tensor<2>| {
        let gradients = (critic.forward(&x) * target).sum().backward();
        critic.weight.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap()
    };
    let of_a_constant = [10.0, 15.0]; // 5 · x
    let of_the_square = [20.0, 30.0]; // 2 · 5 · x: gradient flows through the target too.

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
    assert!(critic.weight.val().is_require_grad(), "the caller's module is unchanged");
    Ok(())
}
