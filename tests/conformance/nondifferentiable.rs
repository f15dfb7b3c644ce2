//! Indices, conditions and integers have no gradient, on any backend.

use crate::on_every_backend;
use grad_runtime::{Array, Dtype, Error, Result};
use support::arrays::{array, elements};
use support::gradients;

/// Returns the gradient of the sum of `function` at `x`.
fn gradient<A: Array>(function: impl FnOnce(&A) -> Result<A>, x: &A) -> Vec<f32> {
    gradients::gradient(|x| function(&x[0])?.sum_all(), std::slice::from_ref(x)).unwrap()
}

on_every_backend! {
    fn indices_are_constants<A>() {
        let x: A = array(&[1.0, 3.0, 2.0], &[3]);
        assert_eq!(gradient(|x| x.take(&x.argmax(0, true)?, 0)?.square(), &x), [0.0, 6.0, 0.0]);
    }

    fn integers_are_constants<A>() {
        let x: A = array(&[1.5, -2.5], &[2]);
        for dtype in [Dtype::Int32, Dtype::Bool] {
            assert_eq!(gradient(|x| x.astype(dtype)?.astype(Dtype::Float32), &x), [0.0, 0.0], "{dtype}");
            // A factor beside it has its gradient all the same.
            let factor = elements(&x.astype(dtype).unwrap());
            assert_eq!(gradient(|x| x.astype(dtype)?.astype(Dtype::Float32)?.multiply(x), &x), factor, "{dtype}");
        }
    }

    fn conversions_between_floats_keep_the_gradient<A>() {
        let x: A = array(&[1.5, -2.5], &[2]);
        for dtype in [Dtype::Float16, Dtype::BFloat16] {
            assert_eq!(gradient(|x| x.astype(dtype)?.astype(Dtype::Float32)?.square(), &x), [3.0, -5.0], "{dtype}");
        }
    }

    fn conditions_are_bool<A>() {
        let x: A = array(&[1.0, 0.0], &[2]);
        let error = x.where_cond(&x, &x).unwrap_err();
        assert!(matches!(&error, Error::Operation { op: "where_cond", .. }), "{error}");
        assert!(error.to_string().contains("the condition"), "{error}");
        let condition = x.greater(&A::scalar(0.5_f32).unwrap()).unwrap();
        assert_eq!(gradient(|x| condition.where_cond(x, &x.square()?), &x), [1.0, 0.0]);
    }
}
