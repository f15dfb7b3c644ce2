//! The documentation of the [`Array`](crate::Array) methods, written once for the trait and for each array type.

/// Defines `array_doc!` from one entry for each method: its text, an example and, where the text of the trait does not
/// say enough, its errors.
macro_rules! array_docs {
    (($dollar:tt) $($name:ident {
        $(#[doc = $text:literal])*
        example
        $(#[doc = $example:literal])*
        $(errors $(#[doc = $errors:literal])*)?
    })*) => {
        /// Expands to the documentation of a method, with an example that uses the `Array` of the given module:
        /// `#[doc = array_doc!(abs, "cpu")]`. Without a module, it is that of the first backend that is compiled in.
        macro_rules! array_doc {
            $(($name, $dollar module:literal) => {
                concat!(
                    $($text, "\n",)*
                    "\n ```\n use grad_runtime::prelude::*;\n use grad_runtime::", $dollar module, "::Array;\n\n",
                    $($example, "\n",)*
                    " # Ok::<(), grad_runtime::Error>(())\n ```\n",
                    $("\n # Errors\n\n", $($errors, "\n",)*)?
                )
            };)*
            ($dollar name:ident) => {
                array_doc_of_first_backend!($dollar name)
            };
        }
        pub(crate) use array_doc;
    };
}

#[cfg(feature = "cpu")]
macro_rules! array_doc_of_first_backend {
    ($name:ident) => {
        array_doc!($name, "cpu")
    };
}
#[cfg(not(feature = "cpu"))]
macro_rules! array_doc_of_first_backend {
    ($name:ident) => {
        array_doc!($name, "mlx")
    };
}
pub(crate) use array_doc_of_first_backend;

array_docs! { ($)
    // Creation

    from_slice {
        /// Creates an array of `shape` from elements in row-major order.
        example
        /// let x = Array::from_slice(&[1_i32, 2, 3, 4, 5, 6], &[2, 3])?;
        /// assert_eq!((x.shape(), x.dtype()), (vec![2, 3], Dtype::Int32));
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `shape` does not hold as many elements, or is too large.
    }
    from_buffer {
        /// Creates an array of `shape` from a buffer of elements in row-major order. The array has the buffer's dtype, which
        /// need not be known when the program is compiled.
        example
        /// use grad_runtime::Buffer;
        ///
        /// let x = Array::from_buffer(Buffer::Bool(vec![true, false].into()), &[2])?;
        /// assert_eq!(x.dtype(), Dtype::Bool);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `shape` does not hold as many elements, or is too large.
    }
    scalar {
        /// Creates an array of shape `[]` from one element.
        example
        /// let x = Array::scalar(2.5_f32)?;
        /// assert_eq!((x.ndim(), x.item::<f32>()?), (0, 2.5));
    }
    full {
        /// Creates an array of `shape` whose elements are all `value`, converted to `dtype` as [`astype`](Self::astype) does.
        example
        /// let x = Array::full(&[2], 7.5, Dtype::Int32)?;
        /// assert_eq!(x.to_vec::<i32>()?, [7, 7]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `shape` is too large.
    }
    zeros {
        /// Creates an array of `shape` whose elements are all 0.
        example
        /// assert_eq!(Array::zeros(&[3], Dtype::Float32)?.to_vec::<f32>()?, [0.0; 3]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `shape` is too large.
    }
    ones {
        /// Creates an array of `shape` whose elements are all 1.
        example
        /// assert_eq!(Array::ones(&[3], Dtype::Float32)?.to_vec::<f32>()?, [1.0; 3]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `shape` is too large.
    }
    arange {
        /// Creates the vector `start`, `start + step` and so on, up to but without `stop`, in `dtype`.
        example
        /// assert_eq!(Array::arange(0.0, 6.0, 2.0, Dtype::Int32)?.to_vec::<i32>()?, [0, 2, 4]);
        /// assert_eq!(Array::arange(1.0, 0.0, -0.5, Dtype::Float32)?.to_vec::<f32>()?, [1.0, 0.5]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `dtype` is bool or complex64, a bound is not finite, `step` is 0, or there
        /// would be too many elements.
    }
    eye {
        /// Creates an `[n, m]` matrix with ones on the diagonal `k`, which is above the main one if it is positive, and zeros elsewhere.
        example
        /// assert_eq!(Array::eye(2, 2, 0, Dtype::Float32)?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
        /// assert_eq!(Array::eye(2, 2, 1, Dtype::Int32)?.to_vec::<i32>()?, [0, 1, 0, 0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the matrix is too large.
    }

    // Inspection

    shape {
        /// Returns the length of each axis.
        example
        /// assert_eq!(Array::zeros(&[2, 3], Dtype::Float32)?.shape(), [2, 3]);
    }
    ndim {
        /// Returns the number of axes.
        example
        /// assert_eq!(Array::zeros(&[2, 3], Dtype::Float32)?.ndim(), 2);
    }
    size {
        /// Returns the number of elements.
        example
        /// assert_eq!(Array::zeros(&[2, 3], Dtype::Float32)?.size(), 6);
    }
    dtype {
        /// Returns the type of the elements.
        example
        /// assert_eq!(Array::scalar(true)?.dtype(), Dtype::Bool);
    }
    is_traced {
        /// Returns whether a transform that is running differentiates, maps or compiles this array: whether it depends on what the
        /// transform's function was called with, and was not made a constant on the way.
        example
        /// let x = Array::scalar(2.0_f32)?;
        /// assert!(!x.is_traced());
        /// Array::grad(
        ///     |x| {
        ///         assert!(x[0].square()?.is_traced());
        ///         assert!(!grad_runtime::no_grad!(x[0].square()?).is_traced());
        ///         x[0].square()
        ///     },
        ///     &[x],
        /// )?;
    }
    to_vec {
        /// Returns a copy of the elements in row-major order. A lazy backend computes them first.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0], &[2, 1])?;
        /// assert_eq!(x.square()?.to_vec::<f32>()?, [1.0, 4.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `T` is not the element type: convert the array with
        /// [`astype`](Self::astype) first.
    }
    item {
        /// Returns the element of an array of size 1. A lazy backend computes it first.
        example
        /// let x = Array::from_slice(&[3.0_f32], &[1, 1])?;
        /// assert_eq!(x.item::<f32>()?, 3.0);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the array has another size, or `T` is not the element type.
    }
    to_buffer {
        /// Returns a copy of the elements in row-major order, whatever their type. A lazy backend computes them first.
        example
        /// use grad_runtime::Buffer;
        ///
        /// let Buffer::UInt32(elements) = Array::from_slice(&[1_u32, 2], &[2])?.to_buffer()? else { panic!() };
        /// assert_eq!(*elements, [1, 2]);
    }
    eval {
        /// Computes the elements if the backend is lazy and has not computed them yet.
        example
        /// let y = Array::scalar(2.0_f32)?.square()?;
        /// y.eval()?;
        /// assert_eq!(y.item::<f32>()?, 4.0);
    }
    backend {
        /// Returns the backend whose grad mode decides whether operations on these arrays are recorded.
        example
        /// assert_eq!(Array::backend().grad_mode(), GradMode::Enabled);
    }

    // Elementwise functions

    abs {
        /// Computes the absolute value of each element.
        example
        /// let x = Array::from_slice(&[-1.5_f32, 2.0], &[2])?;
        /// assert_eq!(x.abs()?.to_vec::<f32>()?, [1.5, 2.0]);
    }
    negative {
        /// Computes the negative of each element.
        example
        /// let x = Array::from_slice(&[-1.5_f32, 2.0], &[2])?;
        /// assert_eq!(x.negative()?.to_vec::<f32>()?, [1.5, -2.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the dtype is bool.
    }
    exp {
        /// Computes the exponential of each element.
        example
        /// let y = Array::from_slice(&[0.0_f32, 1.0], &[2])?.exp()?.to_vec::<f32>()?;
        /// assert!(y[0] == 1.0 && (y[1] - 2.7183).abs() < 1e-4);
    }
    log {
        /// Computes the natural logarithm of each element.
        example
        /// let y = Array::from_slice(&[1.0_f32, 2.0], &[2])?.log()?.to_vec::<f32>()?;
        /// assert!(y[0] == 0.0 && (y[1] - 0.6931).abs() < 1e-4);
    }
    sqrt {
        /// Computes the square root of each element.
        example
        /// let x = Array::from_slice(&[0.25_f32, 9.0], &[2])?;
        /// assert_eq!(x.sqrt()?.to_vec::<f32>()?, [0.5, 3.0]);
    }
    square {
        /// Computes the square of each element.
        example
        /// let x = Array::from_slice(&[0.5_f32, -3.0], &[2])?;
        /// assert_eq!(x.square()?.to_vec::<f32>()?, [0.25, 9.0]);
    }
    sin {
        /// Computes the sine of each element, in radians.
        example
        /// let y = Array::scalar(std::f32::consts::FRAC_PI_6)?.sin()?;
        /// assert!((y.item::<f32>()? - 0.5).abs() < 1e-6);
    }
    cos {
        /// Computes the cosine of each element, in radians.
        example
        /// let y = Array::scalar(std::f32::consts::FRAC_PI_3)?.cos()?;
        /// assert!((y.item::<f32>()? - 0.5).abs() < 1e-6);
    }
    tanh {
        /// Computes the hyperbolic tangent of each element.
        example
        /// let y = Array::scalar(1.0_f32)?.tanh()?;
        /// assert!((y.item::<f32>()? - 0.7616).abs() < 1e-4);
    }
    erf {
        /// Computes the error function of each element.
        example
        /// let y = Array::scalar(1.0_f32)?.erf()?;
        /// assert!((y.item::<f32>()? - 0.8427).abs() < 1e-4);
    }
    sigmoid {
        /// Computes `1 / (1 + exp(-x))` of each element.
        example
        /// assert_eq!(Array::scalar(0.0_f32)?.sigmoid()?.item::<f32>()?, 0.5);
    }
    relu {
        /// Computes `max(x, 0)` of each element.
        example
        /// let x = Array::from_slice(&[-1.5_f32, 2.0], &[2])?;
        /// assert_eq!(x.relu()?.to_vec::<f32>()?, [0.0, 2.0]);
    }
    gelu {
        /// Computes `x · Φ(x)` of each element, where Φ is the distribution function of the normal distribution: the exact
        /// form, as in BERT, not the approximation by `tanh`.
        example
        /// let y = Array::scalar(1.0_f32)?.gelu()?;
        /// assert!((y.item::<f32>()? - 0.8413).abs() < 1e-4);
    }
    sign {
        /// Computes the sign: 1 for a positive element, -1 for a negative one, else 0. Its gradient is 0.
        example
        /// let x = Array::from_slice(&[-1.5_f32, 0.0, 2.0], &[3])?;
        /// assert_eq!(x.sign()?.to_vec::<f32>()?, [-1.0, 0.0, 1.0]);
    }
    floor {
        /// Rounds down to an integer. The gradient is 0.
        example
        /// let x = Array::from_slice(&[-1.5_f32, 1.5], &[2])?;
        /// assert_eq!(x.floor()?.to_vec::<f32>()?, [-2.0, 1.0]);
    }
    ceil {
        /// Rounds up to an integer. The gradient is 0.
        example
        /// let x = Array::from_slice(&[-1.5_f32, 1.5], &[2])?;
        /// assert_eq!(x.ceil()?.to_vec::<f32>()?, [-1.0, 2.0]);
    }
    reciprocal {
        /// Computes `1 / x`.
        example
        /// let x = Array::from_slice(&[2.0_f32, -4.0], &[2])?;
        /// assert_eq!(x.reciprocal()?.to_vec::<f32>()?, [0.5, -0.25]);
    }
    rsqrt {
        /// Computes `1 / sqrt(x)`.
        example
        /// let x = Array::from_slice(&[4.0_f32, 0.25], &[2])?;
        /// let found = x.rsqrt()?.to_vec::<f32>()?;
        /// assert!(found.iter().zip([0.5, 2.0]).all(|(found, expected): (&f32, f32)| (found - expected).abs() < 1e-4));
    }
    expm1 {
        /// Computes `exp(x) - 1`, precise for small `x`.
        example
        /// let x = Array::from_slice(&[0.0_f32, 1.0], &[2])?;
        /// let found = x.expm1()?.to_vec::<f32>()?;
        /// assert!(found.iter().zip([0.0, 1.7183]).all(|(found, expected): (&f32, f32)| (found - expected).abs() < 1e-4));
    }
    log1p {
        /// Computes `log(1 + x)`, precise for small `x`.
        example
        /// let x = Array::from_slice(&[0.0_f32, 1.0], &[2])?;
        /// let found = x.log1p()?.to_vec::<f32>()?;
        /// assert!(found.iter().zip([0.0, 0.6931]).all(|(found, expected): (&f32, f32)| (found - expected).abs() < 1e-4));
    }
    silu {
        /// Computes `x · sigmoid(x)`, also called swish.
        example
        /// let x = Array::from_slice(&[0.0_f32, 1.0], &[2])?;
        /// let found = x.silu()?.to_vec::<f32>()?;
        /// assert!(found.iter().zip([0.0, 0.7311]).all(|(found, expected): (&f32, f32)| (found - expected).abs() < 1e-4));
    }

    // Arithmetic

    add {
        /// Computes the sum of each pair of elements, broadcast.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 2.0], &[2])?, Array::scalar(0.5_f32)?);
        /// assert_eq!(x.add(&y)?.to_vec::<f32>()?, [1.5, 2.5]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    subtract {
        /// Computes the difference of each pair of elements, broadcast.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 2.0], &[2])?, Array::scalar(0.5_f32)?);
        /// assert_eq!(x.subtract(&y)?.to_vec::<f32>()?, [0.5, 1.5]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    multiply {
        /// Computes the product of each pair of elements, broadcast.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 2.0], &[2])?, Array::scalar(0.5_f32)?);
        /// assert_eq!(x.multiply(&y)?.to_vec::<f32>()?, [0.5, 1.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    divide {
        /// Computes the quotient of each pair of elements, broadcast. That of integers or bools is float32.
        example
        /// let (x, y) = (Array::from_slice(&[1_i32, 3], &[2])?, Array::scalar(2_i32)?);
        /// assert_eq!(x.divide(&y)?.to_vec::<f32>()?, [0.5, 1.5]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    maximum {
        /// Computes the larger of each pair of elements, broadcast: NaN if either is NaN.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 3.0], &[2])?, Array::scalar(2.0_f32)?);
        /// assert_eq!(x.maximum(&y)?.to_vec::<f32>()?, [2.0, 3.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    minimum {
        /// Computes the smaller of each pair of elements, broadcast: NaN if either is NaN.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 3.0], &[2])?, Array::scalar(2.0_f32)?);
        /// assert_eq!(x.minimum(&y)?.to_vec::<f32>()?, [1.0, 2.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    power {
        /// Computes the first element of each pair to the power of the second, broadcast.
        example
        /// let (x, y) = (Array::from_slice(&[2.0_f32, 3.0], &[2])?, Array::scalar(2.0_f32)?);
        /// assert_eq!(x.power(&y)?.to_vec::<f32>()?, [4.0, 9.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    clip {
        /// Limits each element to `min..=max`, which broadcast. Where both are numbers, `x.clip(0.0, 1.0)` keeps the dtype. For one bound,
        /// use [`maximum`](Self::maximum) or [`minimum`](Self::minimum), by which the gradient is that of the bound at a tie, and NaN stays
        /// NaN.
        example
        /// let x = Array::from_slice(&[-0.5_f32, 0.25, 2.0], &[3])?;
        /// assert_eq!(x.clip(0.0, 1.0)?.to_vec::<f32>()?, [0.0, 0.25, 1.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }

    // Comparison and selection

    equal {
        /// Computes whether the elements of each pair are equal, broadcast. The dtype is bool.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?, Array::scalar(2.0_f32)?);
        /// assert_eq!(x.equal(&y)?.to_vec::<bool>()?, [false, true, false]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    greater {
        /// Computes whether the first element of each pair is greater, broadcast. The dtype is bool.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?, Array::scalar(2.0_f32)?);
        /// assert_eq!(x.greater(&y)?.to_vec::<bool>()?, [false, false, true]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    less {
        /// Computes whether the first element of each pair is less, broadcast. The dtype is bool.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?, Array::scalar(2.0_f32)?);
        /// assert_eq!(x.less(&y)?.to_vec::<bool>()?, [true, false, false]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    where_cond {
        /// Selects the element of `on_true` where this bool array is true, else that of `on_false`. All three are broadcast.
        /// It is `where` in MLX and NumPy.
        example
        /// let x = Array::from_slice(&[-1.0_f32, 4.0], &[2])?;
        /// assert_eq!(x.less(0.0)?.where_cond(0.0, x.sqrt()?)?.to_vec::<f32>()?, [0.0, 2.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if this array is not bool, or the shapes do not broadcast.
    }
    not_equal {
        /// Returns whether each pair of elements differs, as an array of bools.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?;
        /// assert_eq!(x.not_equal(2.0)?.to_vec::<bool>()?, [true, false, true]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    greater_equal {
        /// Returns whether each element is greater than or equal to the other, as an array of bools.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?;
        /// assert_eq!(x.greater_equal(2.0)?.to_vec::<bool>()?, [false, true, true]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    less_equal {
        /// Returns whether each element is less than or equal to the other, as an array of bools.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?;
        /// assert_eq!(x.less_equal(2.0)?.to_vec::<bool>()?, [true, true, false]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    logical_and {
        /// Returns whether both elements are true. Numbers other than zero are true.
        example
        /// let (x, y) = (Array::from_slice(&[true, true, false], &[3])?, Array::from_slice(&[true, false, false], &[3])?);
        /// assert_eq!(x.logical_and(&y)?.to_vec::<bool>()?, [true, false, false]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    logical_or {
        /// Returns whether either element is true. Numbers other than zero are true.
        example
        /// let (x, y) = (Array::from_slice(&[true, true, false], &[3])?, Array::from_slice(&[true, false, false], &[3])?);
        /// assert_eq!(x.logical_or(&y)?.to_vec::<bool>()?, [true, true, false]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the shapes do not broadcast.
    }
    logical_not {
        /// Returns whether each element is false. Numbers other than zero are true.
        example
        /// let x = Array::from_slice(&[0.0_f32, 2.0], &[2])?;
        /// assert_eq!(x.logical_not()?.to_vec::<bool>()?, [true, false]);
    }
    isnan {
        /// Returns whether each element is NaN.
        example
        /// let x = Array::from_slice(&[f32::NAN, 1.0], &[2])?;
        /// assert_eq!(x.isnan()?.to_vec::<bool>()?, [true, false]);
    }

    // Reductions

    sum {
        /// Computes the sum over `axes`. With `keepdims` they stay, with length 1. The sum of bools is int32.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// assert_eq!(x.sum(&[0], false)?.to_vec::<f32>()?, [4.0, 6.0]);
        /// assert_eq!(x.sum(&[-1], true)?.shape(), [2, 1]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range or given twice.
    }
    sum_all {
        /// Computes the sum of all elements. The shape is `[]`.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// assert_eq!(x.sum_all()?.item::<f32>()?, 10.0);
    }
    mean {
        /// Computes the mean over `axes`. With `keepdims` they stay, with length 1. The mean of integers or bools is float32.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// assert_eq!(x.mean(&[1], false)?.to_vec::<f32>()?, [1.5, 3.5]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range or given twice.
    }
    mean_all {
        /// Computes the mean of all elements. The shape is `[]`.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// assert_eq!(x.mean_all()?.item::<f32>()?, 2.5);
    }
    max {
        /// Computes the largest element over `axes`. With `keepdims` they stay, with length 1. Where several are largest, each
        /// receives an equal part of the gradient.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// assert_eq!(x.max(&[0], false)?.to_vec::<f32>()?, [3.0, 4.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range, given twice or empty.
    }
    min {
        /// Computes the smallest element over `axes`. With `keepdims` they stay, with length 1. Where several are smallest, each
        /// receives an equal part of the gradient.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// assert_eq!(x.min(&[0], false)?.to_vec::<f32>()?, [1.0, 2.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range, given twice or empty.
    }
    logsumexp {
        /// Computes `log(sum(exp(x)))` over `axes` without overflow. With `keepdims` they stay, with length 1.
        example
        /// let x = Array::from_slice(&[1000.0_f32, 1000.0], &[2])?;
        /// assert!((x.logsumexp(&[0], false)?.item::<f32>()? - 1000.6931).abs() < 1e-3);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range, given twice or empty.
    }
    argmax {
        /// Computes the index of the largest element along `axis`, the first where several are largest. The dtype is uint32.
        example
        /// let x = Array::from_slice(&[1.0_f32, 5.0, 5.0], &[3])?;
        /// assert_eq!(x.argmax(0, false)?.item::<u32>()?, 1);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axis` is out of range or empty.
    }
    var {
        /// Computes the variance over `axes`: the sum of the squared deviations from the mean, divided by the number of elements less `ddof`.
        /// PyTorch divides by one less by default: `ddof` is 1.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?;
        /// assert_eq!(x.var(&[0], false, 1)?.item::<f32>()?, 1.0);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range or given twice.
    }
    std {
        /// Computes the standard deviation over `axes`: the square root of [`var`](Self::var).
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?;
        /// assert_eq!(x.std(&[0], false, 1)?.item::<f32>()?, 1.0);
        errors
        /// As [`var`](Self::var).
    }
    argmin {
        /// Returns the index of the smallest element along `axis`, uint32; of several, the first.
        example
        /// let x = Array::from_slice(&[3.0_f32, 1.0, 2.0], &[3])?;
        /// assert_eq!(x.argmin(0, false)?.item::<u32>()?, 1);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axis` is out of range or empty.
    }
    all {
        /// Returns whether all elements over `axes` are true. Numbers other than zero are true.
        example
        /// let x = Array::from_slice(&[true, false, true, true], &[2, 2])?;
        /// assert_eq!(x.all(&[1], false)?.to_vec::<bool>()?, [false, true]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range or given twice.
    }
    any {
        /// Returns whether any element over `axes` is true. Numbers other than zero are true.
        example
        /// let x = Array::from_slice(&[true, false, false, false], &[2, 2])?;
        /// assert_eq!(x.any(&[1], false)?.to_vec::<bool>()?, [true, false]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range or given twice.
    }

    // Linear algebra and normalization

    matmul {
        /// Computes the matrix product over the last two axes. The axes before them are broadcast. A one-dimensional operand is a
        /// row on the left and a column on the right.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// let column = Array::from_slice(&[1.0_f32, -1.0], &[2, 1])?;
        /// assert_eq!(x.matmul(&column)?.to_vec::<f32>()?, [-1.0, -1.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the dtypes are not floating point, an operand is a scalar, or the last axis
        /// on the left is not as long as the last axis but one on the right.
    }
    addmm {
        /// Computes `beta * self + alpha * (a @ b)`. This array is broadcast to the shape of the product, which is that of
        /// [`matmul`](Self::matmul). With a bias as this array, it is a dense layer in one operation.
        example
        /// let inputs = Array::from_slice(&[1.0_f32, 2.0], &[1, 2])?;
        /// let weight = Array::from_slice(&[1.0_f32, 0.0, 0.0, 1.0], &[2, 2])?;
        /// let bias = Array::from_slice(&[0.5_f32, -0.5], &[2])?;
        /// assert_eq!(bias.addmm(&inputs, &weight, 1.0, 1.0)?.to_vec::<f32>()?, [1.5, 1.5]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if [`matmul`](Self::matmul) of `a` and `b` is an error, or this array does not
        /// broadcast to the shape of the product.
    }
    softmax {
        /// Computes `exp(x) / sum(exp(x))` along `axis`, without overflow.
        example
        /// let x = Array::from_slice(&[1000.0_f32, 1000.0], &[2])?;
        /// assert_eq!(x.softmax(0)?.to_vec::<f32>()?, [0.5, 0.5]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axis` is out of range.
    }
    layer_norm {
        /// Computes `(x - mean) / sqrt(variance + eps) · weight + bias` along the last axis. `weight` and `bias` have one axis, of
        /// the same length.
        example
        /// let x = Array::from_slice(&[1.0_f32, 3.0], &[1, 2])?;
        /// let (weight, bias) = (Array::ones(&[2], Dtype::Float32)?, Array::zeros(&[2], Dtype::Float32)?);
        /// assert_eq!(x.layer_norm(&weight, &bias, 0.0)?.to_vec::<f32>()?, [-1.0, 1.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if this array is a scalar, or `weight` or `bias` has another shape.
    }
    log_softmax {
        /// Computes `x - logsumexp(x)` along `axis`: the logarithms of the [`softmax`](Self::softmax), without its overflow.
        example
        /// let x = Array::from_slice(&[1.0_f32, 1.0], &[2])?;
        /// let halves = x.log_softmax(0)?.exp()?.to_vec::<f32>()?;
        /// assert!(halves.iter().all(|half| (half - 0.5).abs() < 1e-6));
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axis` is out of range.
    }
    cross_entropy {
        /// Computes the loss `logsumexp(x) - x[target]` of each row of logits, which lie along the last axis. `targets` are the classes:
        /// integers, of the shape of the other axes, as is the result. It is `F.cross_entropy(…, reduction="none")` in PyTorch, with the classes
        /// along the last axis.
        example
        /// let logits = Array::from_slice(&[0.0_f32, 0.0, 9.0, 0.0], &[2, 2])?;
        /// let targets = Array::from_slice(&[1_i64, 0], &[2])?;
        /// let losses = logits.cross_entropy(&targets)?.to_vec::<f32>()?;
        /// assert!((losses[0] - 0.6931).abs() < 1e-4 && losses[1] < 1e-3);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the targets are not integers, have another shape, or a target is out of range.
        /// Targets that MLX has not computed yet are clamped, as indices of [`take`](Self::take) are.
    }
    scaled_dot_product_attention {
        /// Computes the attention `softmax(scale * queries @ keysᵀ + mask) @ values`, where this array is the queries. The shapes are
        /// `[batch, heads, tokens, features]`. Queries and keys have the same number of features, keys and values the same number of
        /// heads and tokens. If the queries have `n` times as many heads, each head of the keys and values serves `n` neighboring
        /// heads of the queries.
        ///
        /// `mask` broadcasts to `[batch, heads, tokens of the queries, tokens of the keys]`. A bool mask is true where a query sees a
        /// key; any other mask is added to the scores. A query that a bool mask shows no key sees all of them alike.
        example
        /// let queries = Array::zeros(&[1, 1, 1, 2], Dtype::Float32)?;
        /// let keys = Array::ones(&[1, 1, 3, 2], Dtype::Float32)?;
        /// let values = Array::from_slice(&[1.0_f32, 3.0, 7.0], &[1, 1, 3, 1])?;
        /// let mask = Array::from_slice(&[true, true, false], &[3])?;
        /// let attended = queries.scaled_dot_product_attention(&keys, &values, 1.0, Some(&mask))?;
        /// assert_eq!((attended.shape(), attended.to_vec::<f32>()?), (vec![1, 1, 1, 1], vec![2.0]));
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the queries, keys or values do not have four axes or are not floating
        /// point, their shapes do not fit, the mask does not broadcast, or its dtype is wider than theirs.
    }

    // Shapes and indexing

    reshape {
        /// Returns the same elements, in row-major order, in another shape. One length may be -1: it is computed from the others.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[4])?;
        /// assert_eq!(x.reshape(&[2, -1])?.shape(), [2, 2]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `shape` does not hold as many elements, or has several lengths of -1.
    }
    transpose {
        /// Permutes the axes: axis `i` of the result is axis `axes[i]` of this array.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// assert_eq!(x.transpose(&[1, 0])?.to_vec::<f32>()?, [1.0, 3.0, 2.0, 4.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axes` does not name each axis once.
    }
    expand_dims {
        /// Inserts an axis of length 1 that becomes number `axis` of the result.
        example
        /// let x = Array::zeros(&[2, 3], Dtype::Float32)?;
        /// assert_eq!(x.expand_dims(1)?.shape(), [2, 1, 3]);
        /// assert_eq!(x.expand_dims(-1)?.shape(), [2, 3, 1]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axis` is out of range for the result.
    }
    squeeze {
        /// Removes `axis`, which has length 1.
        example
        /// let x = Array::zeros(&[2, 1, 3], Dtype::Float32)?;
        /// assert_eq!(x.squeeze(1)?.shape(), [2, 3]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axis` is out of range or has another length.
    }
    broadcast_to {
        /// Repeats the elements along new axes and along axes of length 1, up to `shape`.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0], &[2])?;
        /// assert_eq!(x.broadcast_to(&[2, 2])?.to_vec::<f32>()?, [1.0, 2.0, 1.0, 2.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if this array does not broadcast to `shape`.
    }
    concatenate {
        /// Joins arrays along `axis`. They may differ in the length of this axis alone.
        example
        /// let (x, y) = (Array::from_slice(&[1.0_f32, 2.0], &[2])?, Array::from_slice(&[3.0_f32], &[1])?);
        /// assert_eq!(Array::concatenate(&[x, y], 0)?.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if there are no arrays, `axis` is out of range, or the shapes differ in another
        /// axis.
    }
    slice {
        /// Returns the elements `start[i]..stop[i]` of each axis `i`.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// assert_eq!(x.slice(&[0, 1], &[2, 2])?.to_vec::<f32>()?, [2.0, 4.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `start` or `stop` does not have one entry for each axis, or a range is out of
        /// bounds.
    }
    take {
        /// Returns the entries of `axis` at `indices`, which are integers and count from 0. The shape of `indices` takes the
        /// place of `axis`. For a matrix and axis 0 this looks up embeddings.
        example
        /// let table = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2])?;
        /// let ids = Array::from_slice(&[2_u32, 0], &[2])?;
        /// assert_eq!(table.take(&ids, 0)?.to_vec::<f32>()?, [5.0, 6.0, 1.0, 2.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the indices are not integers, or `axis` or an index is out of range. Indices
        /// that MLX has not computed yet are not checked, since this would compute them: they are clamped to the axis, as in JAX.
    }
    narrow {
        /// Returns the entries `start..start + length` of `axis`.
        example
        /// let x = Array::from_slice(&[1, 2, 3, 4, 5, 6], &[2, 3])?;
        /// assert_eq!(x.narrow(1, 1, 2)?.to_vec::<i32>()?, [2, 3, 5, 6]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axis` is out of range, or the entries are.
    }
    split {
        /// Splits `axis` into `parts` of equal length.
        example
        /// let halves = Array::from_slice(&[1, 2, 3, 4], &[4])?.split(2, 0)?;
        /// assert_eq!(halves[1].to_vec::<i32>()?, [3, 4]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if `axis` is out of range, or its length is not a multiple of `parts`.
    }
    stack {
        /// Joins arrays of one shape along a new `axis`.
        example
        /// let rows = [Array::from_slice(&[1, 2], &[2])?, Array::from_slice(&[3, 4], &[2])?];
        /// assert_eq!(Array::stack(&rows, 0)?.shape(), [2, 2]);
        /// assert_eq!(Array::stack(&rows, 1)?.to_vec::<i32>()?, [1, 3, 2, 4]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if there are no arrays, their shapes differ, or `axis` is out of range.
    }
    flatten {
        /// Joins the axes from `start_axis` to `end_axis`, both included, to one.
        example
        /// let x = Array::zeros(&[2, 3, 4], Dtype::Float32)?;
        /// assert_eq!(x.flatten(1, -1)?.shape(), [2, 12]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range, or the first is behind the last.
    }
    swapaxes {
        /// Exchanges two axes.
        example
        /// let x = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?;
        /// assert_eq!(x.swapaxes(0, 1)?.to_vec::<i32>()?, [1, 3, 2, 4]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if an axis is out of range.
    }
    contiguous {
        /// Returns the elements with each row of the last axis side by side in memory, one row after the other. [`transpose`](Self::transpose)
        /// and other views keep them where they are. For a matrix that many products have on the right, such as a transposed weight,
        /// [`prepacked`](Self::prepacked) does more.
        example
        /// let weight = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?;
        /// let transposed = weight.transpose(&[1, 0])?.contiguous()?;
        /// assert_eq!(transposed.to_vec::<i32>()?, [1, 3, 2, 4]);
        errors
        /// [`Error::Unavailable`](crate::Error::Unavailable) if the backend is not available.
    }
    prepacked {
        /// Returns an equal matrix that is laid out ahead of time for products in which it is on the right. Use it for weights by which many
        /// arrays are multiplied; [`matmul`](Self::matmul) and [`addmm`](Self::addmm) of 2 to some 200 rows gain most.
        ///
        /// On the CPU it keeps the elements a second time, in the order in which products read them and, for half precision, in float32. An array
        /// computed from it, such as its transpose, does not. For other arrays than matrices of floating point numbers with at least 64
        /// columns, and on MLX, it is [`contiguous`](Self::contiguous).
        example
        /// let weight = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// let weight = weight.transpose(&[1, 0])?.prepacked()?;
        /// let x = Array::from_slice(&[1.0_f32, 0.0], &[1, 2])?;
        /// assert_eq!(x.matmul(&weight)?.to_vec::<f32>()?, [1.0, 3.0]);
        errors
        /// [`Error::Unavailable`](crate::Error::Unavailable) if the backend is not available.
    }
    take_along_axis {
        /// Returns the entries of `axis` at `indices`, integers that count from 0 and have as many axes as this array. The other axes
        /// broadcast together. It is `gather` in PyTorch.
        example
        /// let q = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
        /// let actions = Array::from_slice(&[1_i64, 0], &[2, 1])?;
        /// assert_eq!(q.take_along_axis(&actions, 1)?.to_vec::<f32>()?, [2.0, 3.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the indices are not integers or do not fit, or `axis` or an index is out
        /// of range. As for [`take`](Self::take), indices that MLX has not computed yet are clamped.
    }
    one_hot {
        /// Returns rows of `classes` elements in a new last axis: 1 at the class that the element names, else 0. A class that is out of range has
        /// zeros alone.
        example
        /// let x = Array::from_slice(&[2_i64, 0], &[2])?;
        /// assert_eq!(x.one_hot(3, Dtype::Float32)?.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if the elements are not integers.
    }
    tril {
        /// Returns the matrices of the last two axes with zeros above the diagonal `k`, which is above the main one if it is positive.
        example
        /// let x = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?;
        /// assert_eq!(x.tril(0)?.to_vec::<i32>()?, [1, 0, 3, 4]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if there are fewer than 2 axes.
    }
    triu {
        /// Returns the matrices of the last two axes with zeros below the diagonal `k`, which is above the main one if it is positive.
        example
        /// let x = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?;
        /// assert_eq!(x.triu(0)?.to_vec::<i32>()?, [1, 2, 0, 4]);
        errors
        /// [`Error::Operation`](crate::Error::Operation) if there are fewer than 2 axes.
    }

    // Conversion

    astype {
        /// Converts the elements to `dtype`. A float is rounded towards zero to an integer, and a bool is whether the element is not
        /// zero. A float that is out of range for the integer type becomes the nearest integer on the CPU fallback; on MLX the
        /// result is device-defined.
        example
        /// let x = Array::from_slice(&[-1.5_f32, 0.0, 2.75], &[3])?;
        /// assert_eq!(x.astype(Dtype::Int32)?.to_vec::<i32>()?, [-1, 0, 2]);
        /// assert_eq!(x.astype(Dtype::Bool)?.to_vec::<bool>()?, [true, false, true]);
    }

    // Gradients

    stop_gradient {
        /// Returns the same values as a constant to every transform, whatever the grad mode.
        example
        /// // d/dx (x · stop(x)) = stop(x)
        /// let gradients = Array::grad(|x| x[0].multiply(&x[0].stop_gradient()?), &[Array::scalar(3.0_f32)?])?;
        /// assert_eq!(gradients[0].item::<f32>()?, 3.0);
    }
    value_and_grad {
        /// Computes the value of a scalar function and its gradient with respect to each of `primals`.
        ///
        /// `function` is called once, with grad mode `Enabled` whatever the scope around the call; scopes inside it count. In a
        /// no-grad scope, the results are constants to the transforms further out. A primal that the value does not depend on has
        /// gradient zero.
        ///
        /// The mode is `Enabled` for this backend and for [`Cpu`](crate::Cpu), and `is_grad_enabled()` says so; other backends keep
        /// theirs. The results alone are constants: an array that `function` computes from a primal of a transform further out, and
        /// stores elsewhere, is recorded for that transform.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0], &[2])?;
        /// let (value, gradients) = Array::value_and_grad(|x| x[0].square()?.sum_all(), &[x])?;
        /// assert_eq!((value.item::<f32>()?, gradients[0].to_vec::<f32>()?), (5.0, vec![2.0, 4.0]));
        errors
        /// The error that `function` returns; [`Error::InferenceMode`](crate::Error::InferenceMode) in inference mode;
        /// [`Error::Operation`](crate::Error::Operation) if there are no primals, one of them is not floating point, or the value is not
        /// a floating point scalar.
        ///
        /// # Panics
        ///
        /// If `function` panics, with its payload. The grad mode is restored.
    }
    grad {
        /// Computes the gradient of a scalar function with respect to each of `primals`:
        /// [`value_and_grad`](Self::value_and_grad) without the value.
        example
        /// let x = Array::from_slice(&[1.0_f32, 2.0], &[2])?;
        /// let gradients = Array::grad(|x| x[0].square()?.sum_all(), &[x])?;
        /// assert_eq!(gradients[0].to_vec::<f32>()?, [2.0, 4.0]);
        errors
        /// As [`value_and_grad`](Self::value_and_grad).
        ///
        /// # Panics
        ///
        /// As [`value_and_grad`](Self::value_and_grad).
    }
}
