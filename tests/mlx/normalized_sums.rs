//! The layer norm of a sum, which on CUDA is one kernel: the same as of a sum that was computed before, in a scope and with gradients.

use grad_runtime::mlx::{self, Array};
use grad_runtime::{Dtype, Result, no_grad};
use support::arrays::assert_close;

/// Numbers that all differ, in the order of magnitude of 1.
fn spread(shape: &[usize], seed: f32, dtype: Dtype) -> Array {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let numbers = (0..shape.iter().product()).map(|at: usize| (at as f32 * 0.7 + seed).sin());
    Array::from_slice(&numbers.collect::<Vec<_>>(), shape).unwrap().astype(dtype).unwrap()
}

fn numbers(array: &Array) -> Vec<f32> {
    array.astype(Dtype::Float32).unwrap().to_vec().unwrap()
}

#[test]
fn the_norm_of_a_sum_is_that_of_the_computed_sum() {
    for shape in [&[3, 384][..], &[2, 3, 128], &[1, 2048], &[5, 96], &[2, 4096], &[384], &[0, 384]] {
        for (dtype, tolerance) in [(Dtype::Float32, 1e-5), (Dtype::Float16, 4e-3), (Dtype::BFloat16, 3e-2)] {
            let length = *shape.last().unwrap();
            let (x, y) = (spread(shape, 0.0, dtype), spread(shape, 1.0, dtype));
            let (weight, bias) = (spread(&[length], 2.0, dtype), spread(&[length], 3.0, dtype));
            let sum = x.add(&y).unwrap();
            sum.eval().unwrap();
            let expected = numbers(&sum.layer_norm(&weight, &bias, 1e-5).unwrap());
            let of_a_sum = || x.add(&y)?.layer_norm(&weight, &bias, 1e-5);
            assert_close(&numbers(&of_a_sum().unwrap()), &expected, tolerance);
            assert_close(&numbers(&no_grad!(of_a_sum()).unwrap()), &expected, tolerance);
            let compiled = mlx::compile(|inputs| {
                Ok(vec![inputs[0].add(&inputs[1])?.layer_norm(&inputs[2], &inputs[3], 1e-5)?])
            });
            let inputs = [x.clone(), y.clone(), weight.clone(), bias.clone()];
            let outputs = no_grad!(compiled.call(&inputs)).unwrap();
            assert_close(&numbers(&outputs[0]), &expected, tolerance);
        }
    }
}

/// A row and a column that are broadcast, a transposed operand, and a sum that is used twice.
#[test]
fn summands_may_be_views() {
    let (x, y) = (spread(&[4, 128], 0.0, Dtype::Float32), spread(&[128, 4], 1.0, Dtype::Float32));
    let (weight, bias) = (spread(&[128], 2.0, Dtype::Float32), spread(&[128], 3.0, Dtype::Float32));
    for y in [y.transpose(&[1, 0]).unwrap(), y.slice(&[0, 0], &[1, 1]).unwrap(), weight.clone()] {
        let sum = no_grad!(x.add(&y)).unwrap();
        let norm = no_grad!(sum.layer_norm(&weight, &bias, 1e-5)).unwrap();
        let both = norm.add(&sum).unwrap();
        sum.eval().unwrap();
        let expected = sum.layer_norm(&weight, &bias, 1e-5).unwrap();
        assert_close(&numbers(&norm), &numbers(&expected), 1e-5);
        assert_close(&numbers(&both), &numbers(&expected.add(&sum).unwrap()), 1e-5);
    }
}

#[test]
fn the_norm_of_a_sum_has_gradients() {
    let operands = [
        spread(&[3, 128], 0.0, Dtype::Float32),
        spread(&[3, 128], 1.0, Dtype::Float32),
        spread(&[128], 2.0, Dtype::Float32),
        spread(&[128], 3.0, Dtype::Float32),
    ];
    let weights = spread(&[3, 128], 4.0, Dtype::Float32);
    let loss = |sum: Array, of: &[Array]| -> Result<Array> {
        sum.layer_norm(&of[2], &of[3], 1e-5)?.multiply(&weights)?.sum_all()
    };
    let gradients = Array::grad(|of| loss(of[0].add(&of[1])?, of), &operands).unwrap();
    // The same sum as one operand.
    let sum = [operands[0].add(&operands[1]).unwrap(), operands[2].clone(), operands[3].clone()];
    let of_sum = |of: &[Array]| of[0].layer_norm(&of[1], &of[2], 1e-5)?.multiply(&weights)?.sum_all();
    let expected = Array::grad(of_sum, &sum).unwrap();
    for (gradient, expected) in gradients.iter().zip([&expected[0], &expected[0], &expected[1], &expected[2]]) {
        assert_close(&numbers(gradient), &numbers(expected), 1e-5);
    }
    // An outer summand of a scope is a constant, also where the norm is recorded.
    let mixed = |of: &[Array]| loss(of[0].add(&no_grad!(of[1].multiply(2.0)?))?, of);
    let gradients = Array::grad(mixed, &operands).unwrap();
    assert!(numbers(&gradients[0]).iter().any(|slope| slope.abs() > 1e-3));
    assert!(numbers(&gradients[1]).iter().all(|slope| *slope == 0.0));
}
