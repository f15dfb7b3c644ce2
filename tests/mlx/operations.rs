//! Every operation of the list in ops.rs: its values, its gradient, and the errors of invalid calls.

mod invalid_calls;
mod mapped_operations;
mod operation_gradients;
mod operation_values;

use grad_runtime::mlx::Array as Mlx;
use grad_runtime::{Dtype, Element};
use support::arrays::{assert_close, elements};

/// Where an operation is: `shared` by both backends, one of the `methods` or `functions`, or in a module.
macro_rules! place {
    ($kind:ident $section:ident shared $($flag:ident)*) => {
        "shared"
    };
    (module $section:ident $($flag:ident)*) => {
        stringify!($section)
    };
    ($kind:ident $section:ident $($flag:ident)*) => {
        stringify!($kind)
    };
}

macro_rules! names {
    ($($(#[$about:meta])* $kind:ident $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $(, $flag:ident)*;
    )*})*) => {
        /// The place and name of each operation.
        const NAMES: &[(&str, &str)] = &[$($((place!($kind $section $($flag)*), stringify!($name)),)*)*];
    };
}
grad_mlx_sys::for_each_op!(names);

/// Operations that take no array.
const WITHOUT_OPERANDS: &[(&str, &str)] = &[
    ("functions", "arange"),
    ("functions", "linspace"),
    ("functions", "eye"),
    ("functions", "identity"),
    ("functions", "tri"),
    ("functions", "hanning"),
    ("functions", "hamming"),
    ("functions", "blackman"),
    ("functions", "bartlett"),
    ("fft", "fftfreq"),
    ("fft", "rfftfreq"),
    ("random", "key"),
];

/// Returns an array of float32.
fn floats<const N: usize>(shape: &[usize], elements: [f32; N]) -> Mlx {
    Mlx::from_slice(&elements, shape).unwrap()
}

/// Returns a vector of float32.
fn v<const N: usize>(elements: [f32; N]) -> Mlx {
    floats(&[N], elements)
}

/// Returns a vector of the dtype of its elements.
fn vector<T: Element, const N: usize>(elements: [T; N]) -> Mlx {
    Mlx::from_slice(&elements, &[N]).unwrap()
}

fn scalar<T: Element>(value: T) -> Mlx {
    Mlx::scalar(value).unwrap()
}

/// Asserts that shape, dtype and elements are the same, floats to a few units in their last place. NaN is the same as NaN.
#[track_caller]
fn assert_same(found: &Mlx, expected: &Mlx) {
    assert_eq!((found.shape(), found.dtype()), (expected.shape(), expected.dtype()), "of {found:?}");
    if found.dtype() == Dtype::Complex64 {
        assert_same(&found.real().unwrap(), &expected.real().unwrap());
        return assert_same(&found.imag().unwrap(), &expected.imag().unwrap());
    }
    let tolerance = match found.dtype() {
        Dtype::Float32 => 2e-5,
        Dtype::Float16 => 2e-3,
        Dtype::BFloat16 => 2e-2,
        _ => {
            assert_eq!(found.to_buffer().unwrap(), expected.to_buffer().unwrap());
            return;
        }
    };
    let (found, expected) = (elements(found), elements(expected));
    assert_eq!(found.len(), expected.len(), "number of elements");
    for (at, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        if found.is_finite() && expected.is_finite() {
            assert_close(&[found], &[expected], tolerance);
        } else {
            let is_same = found.total_cmp(&expected).is_eq() || found.is_nan() && expected.is_nan();
            assert!(is_same, "element {at}: found {found}, expected {expected}");
        }
    }
}
