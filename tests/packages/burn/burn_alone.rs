//! The statements of the guide about burn itself: burn's own ways to make a constant.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};

#[derive(Module, Debug)]
struct Critic {
    weight: Param<Tensor<1>>,
}

fn critic() -> Critic {
    Critic { weight: Param::from_data([3.0], &Device::default().autodiff()) }
}

/// Returns the derivatives of weight · target with respect to the weight and, if it requires a gradient, to the target.
fn gradients(weight: &Tensor<1>, target: &Tensor<1>) -> (Vec<f32>, Option<Vec<f32>>) {
    let gradients = (weight.clone() * target.clone()).sum().backward();
    let elements = |gradient: Tensor<1>| gradient.into_data().try_to_vec().unwrap();
    (elements(weight.grad(&gradients).unwrap()), target.grad(&gradients).map(elements))
}

#[test]
fn each_of_burns_ways_makes_a_result_constant() {
    let weight = critic().weight.val();
    let square = || weight.clone() * weight.clone();
    assert_eq!(gradients(&weight, &square()), (vec![27.0], None), "3w²");
    for constant in [square().detach(), square().inner(), square().set_require_grad(false)] {
        assert_eq!(gradients(&weight, &constant), (vec![9.0], None), "w²");
        assert!(!(constant * 2.0).is_tracked());
    }
}

/// A detached weight is a new weight: it requires a gradient, and operations on it are recorded.
#[test]
fn detach_leaves_a_weight_a_weight() {
    let weight = critic().weight.val();
    let detached = weight.clone().detach();
    assert_eq!(gradients(&weight, &detached), (vec![3.0], Some(vec![3.0])));
    assert!((detached * 2.0).is_tracked());
    for constant in [weight.clone().inner(), weight.clone().set_require_grad(false)] {
        assert_eq!(gradients(&weight, &constant), (vec![3.0], None));
        assert!(!(constant * 2.0).is_tracked());
    }
}

#[test]
fn a_module_records_nothing_once_it_is_valid_or_has_no_grad() {
    let critic = critic();
    assert!((critic.weight.val() * 2.0).is_tracked());
    for without in [critic.valid(), critic.clone().no_grad()] {
        assert!(!(without.weight.val() * 2.0).is_tracked());
    }
    assert!(critic.weight.val().is_require_grad());
}

/// Returns whether dropout is active: it then sets about half of the ones to zero.
fn drops(dropout: &Dropout) -> bool {
    let ones = Tensor::<1>::ones([100], &Device::default().autodiff());
    dropout.forward(ones.clone()).into_data() != ones.into_data()
}

#[test]
fn valid_switches_dropout_off_and_no_grad_does_not() {
    let dropout = DropoutConfig::new(0.5).init();
    assert!(drops(&dropout) && drops(&dropout.clone().no_grad()) && !drops(&dropout.valid()));
}
