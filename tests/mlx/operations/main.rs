//! Every operation of the list in ops.rs: what it computes, its gradient, and that a wrong call is an error.

mod fuzzed;
mod gradients;
mod values;

use grad_runtime::mlx::Array as Mlx;
use grad_runtime::{Dtype, Element};

macro_rules! names {
    ($($(#[$about:meta])* mod $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty;
    )*})*) => {
        /// The section and name of each operation.
        const NAMES: &[(&str, &str)] = &[$($((stringify!($section), stringify!($name)),)*)*];
    };
}
include!("../../../grad-runtime/src/mlx/ops.rs");
for_each_op!(names);

/// An array of float32.
fn floats<const N: usize>(shape: &[usize], elements: [f32; N]) -> Mlx {
    Mlx::from_slice(&elements, shape).unwrap()
}

/// A vector of float32.
fn v<const N: usize>(elements: [f32; N]) -> Mlx {
    floats(&[N], elements)
}

/// A vector of its elements' dtype.
fn vector<T: Element, const N: usize>(elements: [T; N]) -> Mlx {
    Mlx::from_slice(&elements, &[N]).unwrap()
}

fn scalar<T: Element>(value: T) -> Mlx {
    Mlx::scalar(value).unwrap()
}

fn elements(array: &Mlx) -> Vec<f32> {
    array.astype(Dtype::Float32).unwrap().to_vec().unwrap()
}

/// Shape, dtype and elements; those of a float dtype to a few of its last digits.
#[track_caller]
fn assert_same(found: &Mlx, expected: &Mlx) {
    assert_eq!((found.shape(), found.dtype()), (expected.shape(), expected.dtype()), "of {found:?}");
    let tolerance = match found.dtype() {
        Dtype::Float32 => 2e-5,
        Dtype::Float16 => 2e-3,
        Dtype::BFloat16 => 2e-2,
        _ => {
            assert_eq!(found.to_buffer().unwrap(), expected.to_buffer().unwrap());
            return;
        }
    };
    assert_close(&elements(found), &elements(expected), tolerance);
}

/// Elementwise, to a tolerance relative to the larger magnitude.
#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let close = |(found, expected): (&f32, &f32)| {
        if !found.is_finite() || !expected.is_finite() {
            return found.total_cmp(expected).is_eq() || found.is_nan() && expected.is_nan();
        }
        (found - expected).abs() <= tolerance * found.abs().max(expected.abs()).max(1.0)
    };
    assert!(found.iter().zip(expected).all(close), "found {found:?}, expected {expected:?}");
}
