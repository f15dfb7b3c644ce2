//! `Display`: the elements as NumPy 2.4 prints them, `np.array2string(x, separator=", ", prefix="array(")`.

use grad_runtime::{Array, Dtype, bf16, f16, no_grad};
use support::arrays::array;

use crate::on_every_backend;

#[allow(clippy::needless_pass_by_value, reason = "each array is made for the call")]
#[track_caller]
fn check<A: Array>(array: grad_runtime::Result<A>, elements: &str) {
    let array = array.unwrap();
    let expected = format!("array({elements}, shape={:?}, dtype={})", array.shape(), array.dtype());
    assert_eq!(array.to_string(), expected, "found\n{array}");
}

on_every_backend! {
    fn floats_as_in_numpy<A>() {
        let v = |elements: &[f32]| A::from_slice(elements, &[elements.len()]);
        check(v(&[1.0, 2.0, 3.0]), "[1., 2., 3.]");
        check(v(&[1.5, -2.25, 3.0]), "[ 1.5 , -2.25,  3.  ]");
        check(v(&[0.1, 0.2, 0.3]), "[0.1, 0.2, 0.3]");
        check(v(&[1e7, 1.0]), "[1.e+07, 1.e+00]");
        check(v(&[2e6, 1.5]), "[2.0e+06, 1.5e+00]");
        check(v(&[123_456.7]), "[123456.7]");
        check(v(&[1e-5, 1.0]), "[1.e-05, 1.e+00]");
        check(v(&[0.001, 1.5]), "[1.0e-03, 1.5e+00]");
        check(v(&[1e10, 1e-10]), "[1.e+10, 1.e-10]");
        check(v(&[f32::NAN, 1.5, f32::INFINITY]), "[nan, 1.5, inf]");
        check(v(&[f32::NEG_INFINITY, 0.0]), "[-inf,   0.]");
        check(v(&[0.0, 0.0]), "[0., 0.]");
        check(v(&[1.0 / 3.0, 2.0 / 3.0]), "[0.33333334, 0.6666667 ]");
        check(v(&[f32::NAN, 1e10]), "[   nan, 1.e+10]");
        check(A::scalar(3.25_f32), "3.25");
        check(A::zeros(&[0, 3], Dtype::Float32), "[]");
        check(A::from_slice(&[0.1_f64, 1.0 / 3.0], &[2]), "[0.1       , 0.33333333]");
        check(A::from_slice(&[1e7_f64, 1.5], &[2]), "[1.0e+07, 1.5e+00]");
        check(A::from_slice(&[f16::from_f32(0.1), f16::from_f32(2.0)], &[2]), "[0.1, 2. ]");
        check(A::scalar(f16::from_f32(1000.5)), "1.0005e+03");
        check(A::scalar(bf16::from_f32(0.1)), "0.1");
    }

    /// Digits come from the value, not from its shortest text, and thresholds are those of the dtype.
    fn digits_and_thresholds_as_in_numpy<A>() {
        let v = |elements: &[f32]| A::from_slice(elements, &[elements.len()]);
        let halves = |elements: [f32; 2]| A::from_slice(&elements.map(f16::from_f32), &[2]);
        check(v(&[0.1, 1.234_567_8, 1e-5]), "[1.0000000e-01, 1.2345678e+00, 9.9999997e-06]");
        check(halves([1.001, 6e-8]), "[1.001e+00, 5.960e-08]");
        check(v(&[1e-4, 0.0]), "[0.0001, 0.    ]");
        check(v(&[-0.0, 1e-45]), "[-0.e+00,  1.e-45]");
        check(A::from_slice(&[1e-300, -1e20, f64::INFINITY], &[3]), "[ 1.e-300, -1.e+020,      inf]");
        let text = |array: grad_runtime::Result<A>, digits: usize| {
            let text = format!("{:.digits$}", array.unwrap());
            text.split(", shape").next().unwrap().to_owned()
        };
        // With `precision=5` or 2.
        assert_eq!(text(v(&[99_999.99, 1e8]), 5), "array([1.e+05, 1.e+08]");
        assert_eq!(text(v(&[54.466_125]), 5), "array([54.46613]");
        assert_eq!(text(halves([0.675, -1.325]), 2), "array([ 0.67, -1.33]");
        assert_eq!(text(v(&[0.5, 3.0]), 65_535), "array([0.5, 3. ]");
    }

    fn integers_and_bools<A>() {
        check(A::from_slice(&[1, -20, 300], &[3]), "[  1, -20, 300]");
        check(A::from_slice(&[1_i64, 2, 3, 4, 5, 6], &[2, 3]), "[[1, 2, 3],\n       [4, 5, 6]]");
        check(A::from_slice(&[0_u8, 255], &[1, 2]), "[[  0, 255]]");
        // Rust's names, and as wide as the longest of them that is shown.
        check(A::from_slice(&[true, false], &[2]), "[ true, false]");
        check(A::from_slice(&[true], &[1]), "[true]");
    }

    fn axes_lines_and_abbreviations<A>() {
        let count = |shape: &[usize]| A::arange(0.0, 1200.0, 1.0, Dtype::Float32).and_then(|x| x.reshape(shape));
        let cube = array::<A>(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &[2, 2, 2]);
        check(Ok(cube), "[[[1., 2.],\n        [3., 4.]],\n\n       [[5., 6.],\n        [7., 8.]]]");
        check(count(&[1200]), "[0.000e+00, 1.000e+00, 2.000e+00, ..., 1.197e+03, 1.198e+03,\n       1.199e+03]");
        check(count(&[40, 30]), "[[0.000e+00, 1.000e+00, 2.000e+00, ..., 2.700e+01, 2.800e+01,\n        2.900e+01],\n       [3.000e+01, 3.100e+01, 3.200e+01, ..., 5.700e+01, 5.800e+01,\n        5.900e+01],\n       [6.000e+01, 6.100e+01, 6.200e+01, ..., 8.700e+01, 8.800e+01,\n        8.900e+01],\n       ...,\n       [1.110e+03, 1.111e+03, 1.112e+03, ..., 1.137e+03, 1.138e+03,\n        1.139e+03],\n       [1.140e+03, 1.141e+03, 1.142e+03, ..., 1.167e+03, 1.168e+03,\n        1.169e+03],\n       [1.170e+03, 1.171e+03, 1.172e+03, ..., 1.197e+03, 1.198e+03,\n        1.199e+03]]");
        let sevenths: Vec<f32> = (0..12_u8).map(|at| f32::from(at) / 7.0).collect();
        check(A::from_slice(&sevenths, &[12]), "[0.        , 0.14285715, 0.2857143 , 0.42857143, 0.5714286 ,\n       0.71428573, 0.85714287, 1.        , 1.1428572 , 1.2857143 ,\n       1.4285715 , 1.5714285 ]");
    }

    fn a_precision_limits_the_digits<A>() {
        let x = array::<A>(&[1.0 / 3.0, 2.5], &[2]);
        assert_eq!(format!("{x:.2}"), "array([0.33, 2.5 ], shape=[2], dtype=float32)");
        assert_eq!(format!("{:.0}", array::<A>(&[2.75], &[1])), "array([3.], shape=[1], dtype=float32)");
    }

    /// Printing is no part of the computation: not in a transform, nor in a scope.
    fn printing_in_a_transform<A>() {
        let x = array::<A>(&[2.0], &[1]);
        let gradients = A::grad(
            |x| {
                let y = x[0].square()?;
                assert_eq!(y.to_string(), "array([4.], shape=[1], dtype=float32)");
                assert_eq!(no_grad!(y.exp()?.log()?).ndim(), 1);
                y.sum_all()
            },
            &[x],
        );
        assert_eq!(gradients.unwrap()[0].to_string(), "array([4.], shape=[1], dtype=float32)");
    }
}

#[cfg(feature = "mlx")]
#[test]
fn complex_numbers_and_arrays_that_cannot_be_computed() {
    use grad_runtime::{Complex32, mlx};
    let z = mlx::Array::from_slice(&[Complex32::new(1.0, -2.0), Complex32::new(-0.5, 3.25)], &[2]);
    check(z, "[ 1. -2.j  , -0.5+3.25j]");
    let z = mlx::Array::from_slice(
        &[Complex32::new(1.0, -20.0), Complex32::new(0.5, 3.25), Complex32::new(0.0, f32::NAN)],
        &[3],
    );
    check(z, "[1. -20.j  , 0.5 +3.25j, 0.   +nanj]");
    mlx::vmap(
        |x| {
            assert!(x[0].to_string().starts_with("array(<cannot to_buffer float32[]: "), "{}", x[0]);
            Ok::<_, grad_runtime::Error>(x.to_vec())
        },
        &[array::<mlx::Array>(&[1.0, 2.0], &[2])],
        &[Some(0)],
        &[0],
    )
    .unwrap();
}
