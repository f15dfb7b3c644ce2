//! Reductions of float16 and bfloat16 accumulate in float32.

use crate::on_every_backend;
use grad_runtime::{Array, Dtype};
use support::arrays::elements;

const LENGTH: usize = 4096;

/// Returns `LENGTH` equal elements.
fn equal<A: Array>(value: f32, dtype: Dtype) -> A {
    A::full(&[LENGTH], value, dtype).unwrap()
}

on_every_backend! {
    fn softmax_of_equal_elements_sums_to_one<A>() {
        for dtype in [Dtype::Float16, Dtype::BFloat16] {
            let softmax = equal::<A>(1.0, dtype).softmax(0).unwrap();
            assert_eq!(softmax.dtype(), dtype);
            let sum: f32 = elements(&softmax).iter().sum();
            assert!((sum - 1.0).abs() < 1e-2, "{dtype}: {sum}");
        }
    }

    fn mean_of_large_elements_is_finite<A>() {
        for dtype in [Dtype::Float16, Dtype::BFloat16] {
            let x = equal::<A>(60_000.0, dtype);
            let element = elements(&x)[0];
            assert_eq!(elements(&x.mean(&[0], false).unwrap()), [element], "{dtype}");
            assert_eq!(elements(&x.mean_all().unwrap()), [element], "{dtype}");
        }
    }

    fn sums_count_every_element<A>() {
        for dtype in [Dtype::Float16, Dtype::BFloat16] {
            let ones = equal::<A>(1.0, dtype);
            assert_eq!(elements(&ones.sum_all().unwrap()), [4096.0], "{dtype}");
            let logsumexp = elements(&ones.logsumexp(&[0], false).unwrap())[0];
            assert!((logsumexp - (1.0 + 4096.0_f32.ln())).abs() < 0.05, "{dtype}: {logsumexp}");
        }
    }
}
