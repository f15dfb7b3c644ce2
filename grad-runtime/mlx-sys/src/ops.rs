//! The list of MLX's operations.

/// Calls a macro with the list of MLX's operations, one line each: names and argument order are MLX's.
///
/// The list has sections of three kinds: `methods` of `mlx::Array`, whose first argument is the array, `functions` of the
/// module `mlx`, and those of a `module` in it.
///
/// Flags follow: `shared` for an operation that is in the `Array` trait, too; `scalar` for one whose second operand may be a
/// number; `by_hand` for one whose public method is written in grad-runtime's operations.rs, because its arguments are generic.
///
/// The build script calls it to write the C++ side, which for each operation calls the function of that name in the
/// shim's namespace `ops` (for a module, in `ops::random` and so on). That is MLX's own unless the shim defines one.
/// `abi.rs` calls it for the type of each function, grad-runtime for the public methods and functions, the tests to test
/// every operation. To add an operation is to add its line here and its tests.
///
/// ```
/// macro_rules! count {
///     ($($(#[$about:meta])* $kind:ident $section:ident {$(
///         $(#[$doc:meta])*
///         fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $(, $flag:ident)*;
///     )*})*) => {
///         [$($(stringify!($name)),*),*].len()
///     };
/// }
/// assert!(grad_mlx_sys::for_each_op!(count) > 200);
/// ```
#[macro_export]
macro_rules! for_each_op {
    ($with:ident) => {
        $with! {
            /// # Arithmetic
            ///
            /// Elementwise. Two operands broadcast, and their dtypes are promoted to a common one. Shapes that do not
            /// broadcast are an error. Functions such as `sqrt`, `log` and `divide` return float32 for integers and bools.
            methods arithmetic {
                fn abs(a: &Array) -> Array, shared;
                fn negative(a: &Array) -> Array, shared;
                fn sign(a: &Array) -> Array, shared;
                fn floor(a: &Array) -> Array, shared;
                fn ceil(a: &Array) -> Array, shared;
                /// Rounds towards zero to an integer.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[-1.5_f32, 1.5], &[2])?;
                /// assert_eq!(x.trunc()?.to_vec::<f32>()?, [-1.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn trunc(a: &Array) -> Array;
                /// Rounds to `decimals` places, of which negative ones count before the point; halves go to the even
                /// neighbour.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[0.5_f32, 1.5, -2.75], &[3])?;
                /// assert_eq!(x.round(0)?.to_vec::<f32>()?, [0.0, 2.0, -3.0]);
                /// assert_eq!(Array::scalar(24)?.round(-1)?.item::<i32>()?, 20);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn round(a: &Array, decimals: i32) -> Array;
                fn reciprocal(a: &Array) -> Array, shared;
                fn sqrt(a: &Array) -> Array, shared;
                fn rsqrt(a: &Array) -> Array, shared;
                fn square(a: &Array) -> Array, shared;
                fn exp(a: &Array) -> Array, shared;
                fn expm1(a: &Array) -> Array, shared;
                fn log(a: &Array) -> Array, shared;
                /// Computes the logarithm to base 2.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(8.0_f32)?.log2()?;
                /// assert!((y.item::<f32>()? - 3.0).abs() < 1e-6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn log2(a: &Array) -> Array;
                /// Computes the logarithm to base 10.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(1000.0_f32)?.log10()?;
                /// assert!((y.item::<f32>()? - 3.0).abs() < 1e-6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn log10(a: &Array) -> Array;
                fn log1p(a: &Array) -> Array, shared;
                /// Computes `log(exp(x) + exp(y))` without overflow.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::scalar(1000.0_f32)?;
                /// assert!((x.logaddexp(&x)?.item::<f32>()? - 1000.6931).abs() < 1e-3);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn logaddexp(a: &Array, other: &Array) -> Array, scalar;
                fn add(a: &Array, other: &Array) -> Array, shared, scalar;
                fn subtract(a: &Array, other: &Array) -> Array, shared, scalar;
                fn multiply(a: &Array, other: &Array) -> Array, shared, scalar;
                fn divide(a: &Array, other: &Array) -> Array, shared, scalar;
                /// Computes the quotient rounded down. An integer divided by zero is device-defined.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::from_slice(&[-7, 7], &[2])?, Array::from_slice(&[2, 2], &[2])?);
                /// assert_eq!(x.floor_divide(&y)?.to_vec::<i32>()?, [-4, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn floor_divide(a: &Array, other: &Array) -> Array, scalar;
                /// Computes the remainder of the division, with the sign of the divisor.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::from_slice(&[-7, 7], &[2])?, Array::from_slice(&[3, -3], &[2])?);
                /// assert_eq!(x.remainder(&y)?.to_vec::<i32>()?, [2, -2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn remainder(a: &Array, other: &Array) -> Array, scalar;
                /// Computes `floor_divide` and `remainder`, in that order.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (quotient, remainder) = Array::from_slice(&[-7, 7], &[2])?.divmod(&Array::scalar(2)?)?;
                /// assert_eq!(quotient.to_vec::<i32>()?, [-4, 3]);
                /// assert_eq!(remainder.to_vec::<i32>()?, [1, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn divmod(a: &Array, other: &Array) -> (Array, Array), scalar;
                fn power(a: &Array, other: &Array) -> Array, shared, scalar;
                fn maximum(a: &Array, other: &Array) -> Array, shared, scalar;
                fn minimum(a: &Array, other: &Array) -> Array, shared, scalar;
                fn clip(a: &Array, a_min: &Array, a_max: &Array) -> Array, shared, by_hand;
                /// Replaces NaN by `nan`, and infinities by `posinf` and `neginf`, by default the dtype's largest and
                /// smallest number.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY], &[3])?;
                /// assert_eq!(x.nan_to_num(0.0, Some(9.0), None)?.to_vec::<f32>()?, [0.0, 9.0, f32::MIN]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn nan_to_num(a: &Array, nan: f32, posinf: Option<f32>, neginf: Option<f32>) -> Array;
            }

            /// # Trigonometry
            ///
            /// Elementwise. Angles are in radians. Integers and bools are converted to float32.
            methods trigonometry {
                fn sin(a: &Array) -> Array, shared;
                fn cos(a: &Array) -> Array, shared;
                /// Computes the tangent.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(std::f32::consts::FRAC_PI_4)?.tan()?;
                /// assert!((y.item::<f32>()? - 1.0).abs() < 1e-6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn tan(a: &Array) -> Array;
                /// Computes the inverse sine.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(0.5_f32)?.arcsin()?;
                /// assert!((y.item::<f32>()? - std::f32::consts::FRAC_PI_6).abs() < 1e-6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arcsin(a: &Array) -> Array;
                /// Computes the inverse cosine.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(0.5_f32)?.arccos()?;
                /// assert!((y.item::<f32>()? - std::f32::consts::FRAC_PI_3).abs() < 1e-6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arccos(a: &Array) -> Array;
                /// Computes the inverse tangent.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(1.0_f32)?.arctan()?;
                /// assert!((y.item::<f32>()? - std::f32::consts::FRAC_PI_4).abs() < 1e-6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arctan(a: &Array) -> Array;
                /// Computes the angle of the point (`x`, `self`); both are broadcast.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (y, x) = (Array::scalar(1.0_f32)?, Array::scalar(0.0_f32)?);
                /// assert!((y.arctan2(&x)?.item::<f32>()? - std::f32::consts::FRAC_PI_2).abs() < 1e-6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arctan2(a: &Array, x: &Array) -> Array;
                /// Computes the hyperbolic sine.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(1.0_f32)?.sinh()?;
                /// assert!((y.item::<f32>()? - 1.1752).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn sinh(a: &Array) -> Array;
                /// Computes the hyperbolic cosine.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(1.0_f32)?.cosh()?;
                /// assert!((y.item::<f32>()? - 1.5431).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cosh(a: &Array) -> Array;
                fn tanh(a: &Array) -> Array, shared;
                /// Computes the inverse hyperbolic sine.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(1.0_f32)?.arcsinh()?;
                /// assert!((y.item::<f32>()? - 0.8814).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arcsinh(a: &Array) -> Array;
                /// Computes the inverse hyperbolic cosine.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(2.0_f32)?.arccosh()?;
                /// assert!((y.item::<f32>()? - 1.3170).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arccosh(a: &Array) -> Array;
                /// Computes the inverse hyperbolic tangent.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(0.5_f32)?.arctanh()?;
                /// assert!((y.item::<f32>()? - 0.5493).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arctanh(a: &Array) -> Array;
                /// Converts radians to degrees.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(std::f32::consts::PI)?.degrees()?;
                /// assert!((y.item::<f32>()? - 180.0).abs() < 1e-3);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn degrees(a: &Array) -> Array;
                /// Converts degrees to radians.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(180.0_f32)?.radians()?;
                /// assert!((y.item::<f32>()? - std::f32::consts::PI).abs() < 1e-5);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn radians(a: &Array) -> Array;
            }

            /// # Complex numbers
            ///
            /// Elementwise. Gradients follow MLX's convention: that with respect to a complex array is `∂/∂re + i ∂/∂im` of the value,
            /// which is real: a step against it makes the value smaller.
            methods complex {
                /// Returns the real part of complex numbers, and real numbers as they are.
                ///
                /// ```
                /// use grad_runtime::Complex32;
                /// use grad_runtime::mlx::Array;
                ///
                /// let z = Array::scalar(Complex32::new(3.0, 4.0))?;
                /// assert_eq!(z.real()?.item::<f32>()?, 3.0);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn real(a: &Array) -> Array;
                /// Returns the imaginary part, which is 0 for real numbers.
                ///
                /// ```
                /// use grad_runtime::Complex32;
                /// use grad_runtime::mlx::Array;
                ///
                /// let z = Array::scalar(Complex32::new(3.0, 4.0))?;
                /// assert_eq!(z.imag()?.item::<f32>()?, 4.0);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn imag(a: &Array) -> Array;
                /// Returns the complex conjugate.
                ///
                /// ```
                /// use grad_runtime::Complex32;
                /// use grad_runtime::mlx::Array;
                ///
                /// let z = Array::scalar(Complex32::new(3.0, 4.0))?;
                /// assert_eq!(z.conjugate()?.item::<Complex32>()?, Complex32::new(3.0, -4.0));
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn conjugate(a: &Array) -> Array;
            }

            /// # Activations and normalization
            methods activations {
                fn erf(a: &Array) -> Array, shared;
                /// Computes the inverse of the error function.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::scalar(0.5_f32)?.erfinv()?;
                /// assert!((y.item::<f32>()? - 0.4769).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn erfinv(a: &Array) -> Array;
                fn sigmoid(a: &Array) -> Array, shared;
                fn relu(a: &Array) -> Array, shared;
                fn gelu(a: &Array) -> Array, shared;
                fn silu(a: &Array) -> Array, shared;
                fn softmax(a: &Array, axis: isize) -> Array, shared;
                fn layer_norm(a: &Array, weight: &Array, bias: &Array, eps: f32) -> Array, shared;
                fn log_softmax(a: &Array, axis: isize) -> Array, shared;
                fn cross_entropy(a: &Array, targets: &Array) -> Array, shared;
            }

            /// # Comparison and logic
            ///
            /// Elementwise. Two operands broadcast, and the result is of dtype bool. Shapes that do not broadcast are an
            /// error. In logic, numbers other than zero are true.
            methods comparison {
                fn equal(a: &Array, other: &Array) -> Array, shared, scalar;
                fn not_equal(a: &Array, other: &Array) -> Array, shared, scalar;
                fn greater(a: &Array, other: &Array) -> Array, shared, scalar;
                fn greater_equal(a: &Array, other: &Array) -> Array, shared, scalar;
                fn less(a: &Array, other: &Array) -> Array, shared, scalar;
                fn less_equal(a: &Array, other: &Array) -> Array, shared, scalar;
                /// Tests whether shapes and all elements are equal. If `equal_nan` is set, NaN equals NaN. Returns a
                /// scalar.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, f32::NAN], &[2])?;
                /// assert!(!x.array_equal(&x, false)?.item::<bool>()?);
                /// assert!(x.array_equal(&x, true)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn array_equal(a: &Array, other: &Array, equal_nan: bool) -> Array;
                /// Tests whether `|x - y| <= atol + rtol * |y|`. If `equal_nan` is set, NaN is close to NaN.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 1.0], &[2])?;
                /// let y = Array::from_slice(&[1.05_f32, 1.2], &[2])?;
                /// assert_eq!(x.isclose(&y, 0.0, 0.1, false)?.to_vec::<bool>()?, [true, false]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn isclose(a: &Array, other: &Array, rtol: f64, atol: f64, equal_nan: bool) -> Array;
                /// Tests whether `isclose` holds for all elements. Returns a scalar.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 1.0], &[2])?;
                /// let y = Array::from_slice(&[1.05_f32, 1.2], &[2])?;
                /// assert!(!x.allclose(&y, 0.0, 0.1, false)?.item::<bool>()?);
                /// assert!(x.allclose(&y, 0.0, 0.5, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn allclose(a: &Array, other: &Array, rtol: f64, atol: f64, equal_nan: bool) -> Array;
                fn isnan(a: &Array) -> Array, shared;
                /// Tests whether an element is an infinity.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[f32::NAN, f32::INFINITY, 0.0], &[3])?;
                /// assert_eq!(x.isinf()?.to_vec::<bool>()?, [false, true, false]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn isinf(a: &Array) -> Array;
                /// Tests whether an element is neither NaN nor an infinity.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[f32::NAN, f32::INFINITY, 0.0], &[3])?;
                /// assert_eq!(x.isfinite()?.to_vec::<bool>()?, [false, false, true]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn isfinite(a: &Array) -> Array;
                /// Tests whether an element is the positive infinity.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[f32::INFINITY, f32::NEG_INFINITY], &[2])?;
                /// assert_eq!(x.isposinf()?.to_vec::<bool>()?, [true, false]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn isposinf(a: &Array) -> Array;
                /// Tests whether an element is the negative infinity.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[f32::INFINITY, f32::NEG_INFINITY], &[2])?;
                /// assert_eq!(x.isneginf()?.to_vec::<bool>()?, [false, true]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn isneginf(a: &Array) -> Array;
                fn logical_not(a: &Array) -> Array, shared;
                fn logical_and(a: &Array, other: &Array) -> Array, shared, scalar;
                fn logical_or(a: &Array, other: &Array) -> Array, shared, scalar;
                /// Tests whether exactly one is true.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[true, true, false], &[3])?;
                /// let y = Array::from_slice(&[true, false, false], &[3])?;
                /// assert_eq!(x.logical_xor(&y)?.to_vec::<bool>()?, [false, true, false]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn logical_xor(a: &Array, other: &Array) -> Array, scalar;
                fn where_cond(condition: &Array, on_true: &Array, on_false: &Array) -> Array, shared, by_hand;
            }

            /// # Bits
            ///
            /// Elementwise, for integers and bools; floats are an error. Two operands broadcast, and their dtypes are
            /// promoted to a common one.
            methods bits {
                /// Computes the bits that are set in both.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::scalar(0b110)?, Array::scalar(0b011)?);
                /// assert_eq!(x.bitwise_and(&y)?.item::<i32>()?, 0b010);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn bitwise_and(a: &Array, other: &Array) -> Array;
                /// Computes the bits that are set in at least one.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::scalar(0b110)?, Array::scalar(0b011)?);
                /// assert_eq!(x.bitwise_or(&y)?.item::<i32>()?, 0b111);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn bitwise_or(a: &Array, other: &Array) -> Array;
                /// Computes the bits that are set in exactly one.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::scalar(0b110)?, Array::scalar(0b011)?);
                /// assert_eq!(x.bitwise_xor(&y)?.item::<i32>()?, 0b101);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn bitwise_xor(a: &Array, other: &Array) -> Array;
                /// Inverts every bit.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::scalar(5)?.bitwise_invert()?.item::<i32>()?, -6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn bitwise_invert(a: &Array) -> Array;
                /// Shifts the bits left by `other`. Shifts of at least the bit width are device-defined.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::scalar(3)?, Array::scalar(2)?);
                /// assert_eq!(x.left_shift(&y)?.item::<i32>()?, 12);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn left_shift(a: &Array, other: &Array) -> Array;
                /// Shifts the bits right by `other`. Shifts of at least the bit width are device-defined.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::scalar(-8)?, Array::scalar(1)?);
                /// assert_eq!(x.right_shift(&y)?.item::<i32>()?, -4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn right_shift(a: &Array, other: &Array) -> Array;
            }

            /// # Reductions
            ///
            /// Over one or several axes. With `keepdims` these stay, with length 1. An axis that is out of bounds or named
            /// twice is an error.
            methods reductions {
                fn sum(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                /// Computes the product over `axes`, of dtype int32 for bools.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?;
                /// assert_eq!(x.prod(&[1], false)?.to_vec::<i32>()?, [2, 12]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn prod(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn mean(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                fn var(a: &Array, axes: &[isize], keepdims: bool, ddof: usize) -> Array, shared;
                fn std(a: &Array, axes: &[isize], keepdims: bool, ddof: usize) -> Array, shared;
                /// Computes the median over `axes`, the mean of the two middle elements of an even number. The result is
                /// float32 for integers and bools.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[4, 1, 3, 2], &[4])?;
                /// assert_eq!(x.median(&[0], false)?.item::<f32>()?, 2.5);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn median(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn max(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                fn min(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                fn argmax(a: &Array, axis: isize, keepdims: bool) -> Array, shared;
                fn argmin(a: &Array, axis: isize, keepdims: bool) -> Array, shared;
                fn logsumexp(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                fn all(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                fn any(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                /// Counts the elements over `axes` that are not zero. The result is of dtype int32.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[0, 0, 3, 4], &[2, 2])?;
                /// assert_eq!(x.count_nonzero(&[1], false)?.to_vec::<i32>()?, [0, 2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn count_nonzero(a: &Array, axes: &[isize], keepdims: bool) -> Array;
            }

            /// # Scans
            ///
            /// Along an axis, from its first element or its last, with each element itself or without it. The result has
            /// the shape of the array.
            methods scans {
                /// Computes the sum of the elements along `axis` up to each one, of dtype int32 for bools.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, ScanBound, ScanDirection};
                ///
                /// let x = Array::from_slice(&[1, 2, 3], &[3])?;
                /// assert_eq!(x.cumsum(0, ScanDirection::Forward, ScanBound::Inclusive)?.to_vec::<i32>()?, [1, 3, 6]);
                /// assert_eq!(x.cumsum(0, ScanDirection::Reverse, ScanBound::Exclusive)?.to_vec::<i32>()?, [5, 3, 0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cumsum(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes the product of the elements along `axis` up to each one.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, ScanBound, ScanDirection};
                ///
                /// let x = Array::from_slice(&[2, 3, 4], &[3])?;
                /// let y = x.cumprod(0, ScanDirection::Forward, ScanBound::Inclusive)?;
                /// assert_eq!(y.to_vec::<i32>()?, [2, 6, 24]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cumprod(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes the largest of the elements along `axis` up to each one.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, ScanBound, ScanDirection};
                ///
                /// let x = Array::from_slice(&[1, 3, 2], &[3])?;
                /// let y = x.cummax(0, ScanDirection::Forward, ScanBound::Inclusive)?;
                /// assert_eq!(y.to_vec::<i32>()?, [1, 3, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cummax(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes the smallest of the elements along `axis` up to each one.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, ScanBound, ScanDirection};
                ///
                /// let x = Array::from_slice(&[3, 1, 2], &[3])?;
                /// let y = x.cummin(0, ScanDirection::Forward, ScanBound::Inclusive)?;
                /// assert_eq!(y.to_vec::<i32>()?, [3, 1, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cummin(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes `log(cumsum(exp(x)))` along `axis` without overflow.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, ScanBound, ScanDirection};
                ///
                /// let x = Array::from_slice(&[0.0_f32, 0.0], &[2])?;
                /// let y = x.logcumsumexp(0, ScanDirection::Forward, ScanBound::Inclusive)?.to_vec::<f32>()?;
                /// assert!(y[0] == 0.0 && (y[1] - 0.6931).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn logcumsumexp(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes the differences of neighbours along `axis`, `n` times, which makes the axis shorter by `n`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 4, 9, 16], &[4])?;
                /// assert_eq!(x.diff(1, 0)?.to_vec::<i32>()?, [3, 5, 7]);
                /// assert_eq!(x.diff(2, 0)?.to_vec::<i32>()?, [2, 2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn diff(a: &Array, n: usize, axis: isize) -> Array;
            }

            /// # Sorting and searching
            ///
            /// Along an axis. One that is out of bounds is an error.
            methods sorting {
                /// Sorts along `axis`, the smallest first.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[3, 1, 2], &[3])?.sort(0)?.to_vec::<i32>()?, [1, 2, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn sort(a: &Array, axis: isize) -> Array;
                /// Computes the indices that sort `axis`. The result is of dtype uint32.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[3, 1, 2], &[3])?.argsort(0)?.to_vec::<u32>()?, [1, 2, 0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn argsort(a: &Array, axis: isize) -> Array;
                /// Puts the element `kth` of `axis` in its sorted place, with no larger ones before it and no smaller ones
                /// after it.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::from_slice(&[3, 1, 4, 2], &[4])?.partition(1, 0)?.to_vec::<i32>()?;
                /// assert!(y[0] == 1 && y[1] == 2);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn partition(a: &Array, kth: usize, axis: isize) -> Array;
                /// Computes the indices that `partition` the axis. The result is of dtype uint32.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let indices = Array::from_slice(&[3, 1, 4, 2], &[4])?.argpartition(1, 0)?.to_vec::<u32>()?;
                /// assert_eq!(indices[..2], [1, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn argpartition(a: &Array, kth: usize, axis: isize) -> Array;
                /// Returns the `k` largest elements along `axis`, which has length `k` in the result, in no particular
                /// order.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 5, 3, 9], &[4])?;
                /// assert_eq!(x.topk(2, 0)?.sort(0)?.to_vec::<i32>()?, [5, 9]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn topk(a: &Array, k: usize, axis: isize) -> Array;
                /// Finds where each of `values` would go in this sorted vector, before or after equal elements. The result
                /// has the shape of `values` and dtype uint32.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, Side};
                ///
                /// let sorted = Array::from_slice(&[1, 2, 2, 3], &[4])?;
                /// let values = Array::from_slice(&[2, 0, 9], &[3])?;
                /// assert_eq!(sorted.searchsorted(&values, Side::Left)?.to_vec::<u32>()?, [1, 0, 4]);
                /// assert_eq!(sorted.searchsorted(&values, Side::Right)?.to_vec::<u32>()?, [3, 0, 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn searchsorted(a: &Array, values: &Array, side: Side) -> Array;
            }

            /// # Shapes and dtypes
            ///
            /// An axis that is out of bounds, or a shape that does not fit the elements, is an error.
            methods shapes {
                fn reshape(a: &Array, shape: &[isize]) -> Array, shared, by_hand;
                fn transpose(a: &Array, axes: &[isize]) -> Array, shared;
                fn swapaxes(a: &Array, axis1: isize, axis2: isize) -> Array, shared;
                fn contiguous(a: &Array) -> Array, shared;
                /// Moves the axis `source` to `destination`.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx::Array};
                ///
                /// let x = Array::zeros(&[2, 3, 4], Dtype::Float32)?;
                /// assert_eq!(x.moveaxis(0, -1)?.shape(), [3, 4, 2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn moveaxis(a: &Array, source: isize, destination: isize) -> Array;
                fn expand_dims(a: &Array, axis: isize) -> Array, shared;
                fn squeeze(a: &Array, axis: isize) -> Array, shared;
                fn flatten(a: &Array, start_axis: isize, end_axis: isize) -> Array, shared;
                /// Splits `axis` into several, of lengths `shape`.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx::Array};
                ///
                /// let x = Array::zeros(&[6, 4], Dtype::Float32)?;
                /// assert_eq!(x.unflatten(0, &[2, 3])?.shape(), [2, 3, 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn unflatten(a: &Array, axis: isize, shape: &[usize]) -> Array;
                fn broadcast_to(a: &Array, shape: &[usize]) -> Array, shared;
                /// Reverses the entries of each of `axes`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[1, 2, 3, 4], &[2, 2])?.flip(&[1])?.to_vec::<i32>()?, [2, 1, 4, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn flip(a: &Array, axes: &[isize]) -> Array;
                /// Moves the entries of each of `axes` on by `shift`; those beyond the end come first.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 2, 3], &[3])?;
                /// assert_eq!(x.roll(1, &[0])?.to_vec::<i32>()?, [3, 1, 2]);
                /// assert_eq!(x.roll(-1, &[0])?.to_vec::<i32>()?, [2, 3, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn roll(a: &Array, shift: i32, axes: &[isize]) -> Array;
                /// Repeats each entry of `axis` `repeats` times.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[1, 2], &[2])?.repeat(2, 0)?.to_vec::<i32>()?, [1, 1, 2, 2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn repeat(a: &Array, repeats: usize, axis: isize) -> Array;
                /// Repeats the whole array along each axis, as often as `repetitions` has for it.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[1, 2], &[2])?.tile(&[2])?.to_vec::<i32>()?, [1, 2, 1, 2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn tile(a: &Array, repetitions: &[usize]) -> Array;
                /// Adds entries before and after each axis, as many as `widths` has for it. `value` is used in mode
                /// [`Constant`](PadMode::Constant) alone. For an array of integers it is rounded toward zero, and must be in the
                /// range of their dtype.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, PadMode};
                ///
                /// let x = Array::from_slice(&[1, 2], &[2])?;
                /// assert_eq!(x.pad(&[(1, 2)], 9.0, PadMode::Constant)?.to_vec::<i32>()?, [9, 1, 2, 9, 9]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn pad(a: &Array, widths: &[(usize, usize)], value: f64, mode: PadMode) -> Array;
                fn split(a: &Array, parts: usize, axis: isize) -> Vec<Array>, shared;
                /// Splits `axis` before each of `indices`, into one more part than there are indices.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let parts = Array::from_slice(&[1, 2, 3, 4], &[4])?.split_at(&[1, 3], 0)?;
                /// assert_eq!(parts.len(), 3);
                /// assert_eq!(parts[1].to_vec::<i32>()?, [2, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn split_at(a: &Array, indices: &[usize], axis: isize) -> Vec<Array>;
                /// Returns the entries of `axis`, without that axis.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let columns = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?.unstack(1)?;
                /// assert_eq!(columns[0].to_vec::<i32>()?, [1, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn unstack(a: &Array, axis: isize) -> Vec<Array>;
                fn astype(a: &Array, dtype: Dtype) -> Array, shared;
                /// Returns zeros of this array's shape and dtype.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[1, 2], &[2])?.zeros_like()?.to_vec::<i32>()?, [0, 0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn zeros_like(a: &Array) -> Array;
                /// Returns ones of this array's shape and dtype.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[3, 2], &[2])?.ones_like()?.to_vec::<i32>()?, [1, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn ones_like(a: &Array) -> Array;
            }

            /// # Indexing and scattering
            ///
            /// Indices are of dtype uint32 or int32 and count from 0. An index out of bounds is an error. Indices that are
            /// not computed yet are clamped to the axis, as in JAX, since checking them would compute them. An update is a
            /// copy; the array itself does not change.
            methods indexing {
                fn slice(a: &Array, start: &[usize], stop: &[usize]) -> Array, shared;
                fn narrow(a: &Array, axis: isize, start: usize, length: usize) -> Array, shared;
                fn one_hot(a: &Array, classes: usize, dtype: Dtype) -> Array, shared;
                /// Returns the elements `start..stop` of each axis, every `strides`th of them.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[0, 1, 2, 3, 4, 5], &[6])?;
                /// assert_eq!(x.slice_strided(&[1], &[6], &[2])?.to_vec::<i32>()?, [1, 3, 5]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn slice_strided(a: &Array, start: &[usize], stop: &[usize], strides: &[usize]) -> Array;
                /// Replaces the elements `start..stop` of each axis by `update`, which is broadcast.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?;
                /// assert_eq!(x.slice_update(&Array::scalar(9)?, &[0, 1], &[2, 2])?.to_vec::<i32>()?, [1, 9, 3, 9]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn slice_update(a: &Array, update: &Array, start: &[usize], stop: &[usize]) -> Array;
                /// Adds `update`, which is broadcast, to the elements `start..stop` of each axis.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?;
                /// assert_eq!(x.slice_update_add(&Array::scalar(9)?, &[0, 1], &[2, 2])?.to_vec::<i32>()?, [1, 11, 3, 13]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn slice_update_add(a: &Array, update: &Array, start: &[usize], stop: &[usize]) -> Array;
                fn take(a: &Array, indices: &Array, axis: isize) -> Array, shared;
                fn take_along_axis(a: &Array, indices: &Array, axis: isize) -> Array, shared;
                /// Replaces the elements of `axis` that `indices` name by `values`, which broadcast to the shape of
                /// `indices`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 2, 3], &[3])?;
                /// let (indices, values) = (Array::from_slice(&[2, 0], &[2])?, Array::from_slice(&[8, 9], &[2])?);
                /// assert_eq!(x.put_along_axis(&indices, &values, 0)?.to_vec::<i32>()?, [9, 2, 8]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn put_along_axis(a: &Array, indices: &Array, values: &Array, axis: isize) -> Array;
                /// Adds `values`, which broadcast to the shape of `indices`, to the elements of `axis` that `indices` name.
                /// An element named several times gets each addition.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 2, 3], &[3])?;
                /// let (indices, values) = (Array::from_slice(&[2, 2], &[2])?, Array::from_slice(&[8, 9], &[2])?);
                /// assert_eq!(x.scatter_add_axis(&indices, &values, 0)?.to_vec::<i32>()?, [1, 2, 20]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn scatter_add_axis(a: &Array, indices: &Array, values: &Array, axis: isize) -> Array;
                /// Returns slices of lengths `slice_sizes`, one for each place in `indices`, which has an array for each of
                /// `axes`: where the slice begins. The result has the shape of an index followed by that of a slice.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 2, 3, 4], &[2, 2])?;
                /// let rows = x.gather(&[Array::from_slice(&[1, 0], &[2])?], &[0], &[1, 2])?;
                /// assert_eq!(rows.shape(), [2, 1, 2]);
                /// assert_eq!(rows.to_vec::<i32>()?, [3, 4, 1, 2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn gather(a: &Array, indices: &[Array], axes: &[isize], slice_sizes: &[usize]) -> Array;
                /// Replaces the slices that `indices` name, as in `gather`, by those in `updates`, which has the shape of
                /// an index followed by that of a slice.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, rows) = (Array::from_slice(&[1, 2, 3, 4], &[2, 2])?, [Array::from_slice(&[1], &[1])?]);
                /// let updates = Array::from_slice(&[10, 1], &[1, 1, 2])?;
                /// assert_eq!(x.scatter(&rows, &updates, &[0])?.to_vec::<i32>()?, [1, 2, 10, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn scatter(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Adds the slices in `updates` to those that `indices` name, as in `gather`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, rows) = (Array::from_slice(&[1, 2, 3, 4], &[2, 2])?, [Array::from_slice(&[1], &[1])?]);
                /// let updates = Array::from_slice(&[10, 1], &[1, 1, 2])?;
                /// assert_eq!(x.scatter_add(&rows, &updates, &[0])?.to_vec::<i32>()?, [1, 2, 13, 5]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn scatter_add(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Multiplies the slices that `indices` name, as in `gather`, by those in `updates`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, rows) = (Array::from_slice(&[1, 2, 3, 4], &[2, 2])?, [Array::from_slice(&[1], &[1])?]);
                /// let updates = Array::from_slice(&[10, 1], &[1, 1, 2])?;
                /// assert_eq!(x.scatter_prod(&rows, &updates, &[0])?.to_vec::<i32>()?, [1, 2, 30, 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn scatter_prod(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Computes the larger of `updates` and the slices that `indices` name, as in `gather`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, rows) = (Array::from_slice(&[1, 2, 3, 4], &[2, 2])?, [Array::from_slice(&[1], &[1])?]);
                /// let updates = Array::from_slice(&[10, 1], &[1, 1, 2])?;
                /// assert_eq!(x.scatter_max(&rows, &updates, &[0])?.to_vec::<i32>()?, [1, 2, 10, 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn scatter_max(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Computes the smaller of `updates` and the slices that `indices` name, as in `gather`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, rows) = (Array::from_slice(&[1, 2, 3, 4], &[2, 2])?, [Array::from_slice(&[1], &[1])?]);
                /// let updates = Array::from_slice(&[10, 1], &[1, 1, 2])?;
                /// assert_eq!(x.scatter_min(&rows, &updates, &[0])?.to_vec::<i32>()?, [1, 2, 3, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn scatter_min(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Replaces the elements where `mask` is true by those of `src`, one after another. A mask with fewer axes
                /// selects whole entries. `src` must have enough for a mask that is computed; for another mask it continues
                /// with zeros.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1, 2, 3], &[3])?;
                /// let mask = Array::from_slice(&[true, false, true], &[3])?;
                /// assert_eq!(x.masked_scatter(&mask, &Array::from_slice(&[7, 8], &[2])?)?.to_vec::<i32>()?, [7, 2, 8]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn masked_scatter(a: &Array, mask: &Array, src: &Array) -> Array;
            }

            /// # Matrices
            ///
            /// Shapes that do not fit are an error. Further axes before a matrix are a batch.
            methods matrices {
                fn matmul(a: &Array, other: &Array) -> Array, shared;
                fn addmm(c: &Array, a: &Array, b: &Array, alpha: f32, beta: f32) -> Array, shared;
                /// Computes the product of each element with each other one, shape `[size, size of other]`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let y = Array::from_slice(&[1, 2], &[2])?.outer(&Array::from_slice(&[3, 4, 5], &[3])?)?;
                /// assert_eq!(y.shape(), [2, 3]);
                /// assert_eq!(y.to_vec::<i32>()?, [3, 4, 5, 6, 8, 10]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn outer(a: &Array, other: &Array) -> Array;
                /// Computes the sums of products over the last axes of both, which have one length. The result has the
                /// other axes of this array, followed by those of the other.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::from_slice(&[1.0_f32, 2.0], &[2])?, Array::from_slice(&[3.0_f32, 4.0], &[2])?);
                /// assert_eq!(x.inner(&y)?.item::<f32>()?, 11.0);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn inner(a: &Array, other: &Array) -> Array;
                /// Computes the sums of products along `axis` of both, whose other axes broadcast.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
                /// assert_eq!(x.vecdot(&x, -1)?.to_vec::<f32>()?, [5.0, 25.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn vecdot(a: &Array, other: &Array, axis: isize) -> Array;
                /// Computes the sums of products over `axes_a` of this array and `axes_b` of the other. The result has the
                /// other axes of this array, followed by those of the other.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
                /// let y = Array::from_slice(&[1.0_f32, 10.0], &[2])?;
                /// assert_eq!(x.tensordot(&y, &[1], &[0])?.to_vec::<f32>()?, [21.0, 43.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn tensordot(a: &Array, other: &Array, axes_a: &[isize], axes_b: &[isize]) -> Array;
                /// Computes the Kronecker product: each axis has the product of the lengths.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let (x, y) = (Array::from_slice(&[1, 2], &[2])?, Array::from_slice(&[1, 10], &[2])?);
                /// assert_eq!(x.kron(&y)?.to_vec::<i32>()?, [1, 10, 2, 20]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn kron(a: &Array, other: &Array) -> Array;
                /// Computes the products of the matrices that `lhs_indices` name in this array's last two axes and
                /// `rhs_indices` in those of the other; the indices broadcast. An array without indices gives its matrices in
                /// order.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let rows = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 1, 2])?;
                /// let columns = Array::from_slice(&[1.0_f32, 10.0, 100.0, 1000.0], &[2, 2, 1])?;
                /// let order = Array::from_slice(&[1, 0], &[2])?;
                /// assert_eq!(rows.gather_mm(&columns, None, Some(&order))?.to_vec::<f32>()?, [2100.0, 43.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn gather_mm(a: &Array, other: &Array, lhs_indices: Option<&Array>, rhs_indices: Option<&Array>) -> Array;
                /// Multiplies the last axis by the Hadamard matrix of its length and by `scale`, by default 1 over the root
                /// of the length.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[4])?;
                /// assert_eq!(x.hadamard_transform(Some(1.0))?.to_vec::<f32>()?, [10.0, -2.0, -4.0, 0.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn hadamard_transform(a: &Array, scale: Option<f32>) -> Array;
                fn tril(a: &Array, k: i32) -> Array, shared;
                fn triu(a: &Array, k: i32) -> Array, shared;
                /// Returns the diagonal `k` of a matrix, or the matrix with a vector as that diagonal. Diagonals above the
                /// main one, 0, have positive numbers.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[1, 2], &[2])?.diag(0)?.to_vec::<i32>()?, [1, 0, 0, 2]);
                /// assert_eq!(Array::from_slice(&[1, 2, 3, 4], &[2, 2])?.diag(1)?.to_vec::<i32>()?, [2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn diag(a: &Array, k: i32) -> Array;
                /// Returns the diagonal `offset` of the planes of two axes, as the last axis.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[1, 2, 3, 4], &[2, 2])?.diagonal(0, 0, 1)?.to_vec::<i32>()?, [1, 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn diagonal(a: &Array, offset: i32, axis1: isize, axis2: isize) -> Array;
                /// Computes the sum of the diagonal `offset` of the planes of two axes. The result has the other axes.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// assert_eq!(Array::from_slice(&[1, 2, 3, 4], &[2, 2])?.trace(0, 0, 1)?.item::<i32>()?, 5);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn trace(a: &Array, offset: i32, axis1: isize, axis2: isize) -> Array;
            }

            /// # Convolutions
            ///
            /// Of floats. The weight is not flipped, as in neural networks. `groups` is how many parts the channels `C` are
            /// divided into, each convolved with `C_out / groups` entries of the weight alone. Shapes that do not fit are
            /// an error. The length of a spatial axis becomes `(L + 2 * padding - dilation * (K - 1) - 1) / stride + 1`,
            /// rounded down, and that of a transposed convolution
            /// `(L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1`.
            methods convolutions {
                /// Convolves `[N, L, C]` with a `weight` of `[C_out, K, C / groups]`. Returns `[N, length, C_out]`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[1, 3, 1])?;
                /// let weight = Array::from_slice(&[1.0_f32, 10.0], &[1, 2, 1])?;
                /// assert_eq!(x.conv1d(&weight, 1, 0, 1, 1)?.to_vec::<f32>()?, [21.0, 32.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn conv1d(a: &Array, weight: &Array, stride: usize, padding: usize, dilation: usize, groups: usize) -> Array;
                /// Convolves `[N, H, W, C]` with a `weight` of `[C_out, KH, KW, C / groups]`. Returns
                /// `[N, height, width, C_out]`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[1, 2, 2, 1])?;
                /// let weight = Array::from_slice(&[1.0_f32, 10.0, 100.0, 1000.0], &[1, 2, 2, 1])?;
                /// let y = x.conv2d(&weight, (1, 1), (0, 0), (1, 1), 1)?;
                /// assert_eq!(y.shape(), [1, 1, 1, 1]);
                /// assert_eq!(y.to_vec::<f32>()?, [4321.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn conv2d(
                    a: &Array, weight: &Array, stride: (usize, usize), padding: (usize, usize), dilation: (usize, usize),
                    groups: usize
                ) -> Array;
                /// Convolves `[N, D, H, W, C]` with a `weight` of `[C_out, KD, KH, KW, C / groups]`. Returns
                /// `[N, depth, height, width, C_out]`.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[1, 1, 2, 2, 1])?;
                /// let weight = Array::from_slice(&[1.0_f32, 10.0, 100.0, 1000.0], &[1, 1, 2, 2, 1])?;
                /// let y = x.conv3d(&weight, (1, 1, 1), (0, 0, 0), (1, 1, 1), 1)?;
                /// assert_eq!(y.to_vec::<f32>()?, [4321.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn conv3d(
                    a: &Array, weight: &Array, stride: (usize, usize, usize), padding: (usize, usize, usize),
                    dilation: (usize, usize, usize), groups: usize
                ) -> Array;
                /// Computes the transpose of `conv1d` with a `weight` of `[C_out, K, C / groups]`, with `output_padding`
                /// more entries at the end.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0], &[1, 2, 1])?;
                /// let weight = Array::from_slice(&[1.0_f32, 10.0], &[1, 2, 1])?;
                /// assert_eq!(x.conv_transpose1d(&weight, 1, 0, 1, 0, 1)?.to_vec::<f32>()?, [1.0, 12.0, 20.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn conv_transpose1d(
                    a: &Array, weight: &Array, stride: usize, padding: usize, dilation: usize, output_padding: usize,
                    groups: usize
                ) -> Array;
                /// Computes the transpose of `conv2d` with a `weight` of `[C_out, KH, KW, C / groups]`, with
                /// `output_padding` more entries at the end.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[2.0_f32], &[1, 1, 1, 1])?;
                /// let weight = Array::from_slice(&[1.0_f32, 10.0, 100.0, 1000.0], &[1, 2, 2, 1])?;
                /// let y = x.conv_transpose2d(&weight, (1, 1), (0, 0), (1, 1), (0, 0), 1)?;
                /// assert_eq!(y.shape(), [1, 2, 2, 1]);
                /// assert_eq!(y.to_vec::<f32>()?, [2.0, 20.0, 200.0, 2000.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn conv_transpose2d(
                    a: &Array, weight: &Array, stride: (usize, usize), padding: (usize, usize), dilation: (usize, usize),
                    output_padding: (usize, usize), groups: usize
                ) -> Array;
                /// Computes the transpose of `conv3d` with a `weight` of `[C_out, KD, KH, KW, C / groups]`, with
                /// `output_padding` more entries at the end.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[2.0_f32], &[1, 1, 1, 1, 1])?;
                /// let weight = Array::from_slice(&[1.0_f32, 10.0, 100.0, 1000.0], &[1, 1, 2, 2, 1])?;
                /// let y = x.conv_transpose3d(&weight, (1, 1, 1), (0, 0, 0), (1, 1, 1), (0, 0, 0), 1)?;
                /// assert_eq!(y.to_vec::<f32>()?, [2.0, 20.0, 200.0, 2000.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn conv_transpose3d(
                    a: &Array, weight: &Array, stride: (usize, usize, usize), padding: (usize, usize, usize),
                    dilation: (usize, usize, usize), output_padding: (usize, usize, usize), groups: usize
                ) -> Array;
                /// Convolves `[N, spatial axes…, C]` with a `weight` of `[C_out, spatial axes…, C / groups]`. Each list has
                /// a number for each spatial axis. `padding_lo` and `padding_hi` are the padding before and after it,
                /// `input_dilation` is the distance of the array's entries, between which are zeros. `flip` reverses the
                /// spatial axes of the weight.
                ///
                /// ```
                /// use grad_runtime::mlx::Array;
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[1, 3, 1])?;
                /// let weight = Array::from_slice(&[1.0_f32, 10.0], &[1, 2, 1])?;
                /// let y = x.conv_general(&weight, &[1], &[1], &[0], &[1], &[1], 1, true)?;
                /// assert_eq!(y.to_vec::<f32>()?, [1.0, 12.0, 23.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn conv_general(
                    a: &Array, weight: &Array, stride: &[usize], padding_lo: &[usize], padding_hi: &[usize],
                    kernel_dilation: &[usize], input_dilation: &[usize], groups: usize, flip: bool
                ) -> Array;
            }

            /// # Quantization
            ///
            /// Affine: a scale and a bias for each `group_size` elements of a row. `group_size` is 32, 64 or 128, and
            /// `bits` is from 1 to 6 or 8; others, and parts that do not fit together, are an error.
            methods quantization {
                /// Packs this `[out, in]` matrix with `bits` bits an element. Returns the packed weights (dtype uint32)
                /// `[out, in * bits / 32]`, the scales and the biases, both `[out, in / group_size]`.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx};
                ///
                /// let w = mlx::arange(0.0, 4.0, 1.0, Dtype::Float32)?.tile(&[8])?.reshape(&[1, 32])?;
                /// let (packed, scales, biases) = w.quantize(32, 2)?;
                /// assert_eq!((packed.shape(), scales.shape(), biases.shape()), (vec![1, 2], vec![1, 1], vec![1, 1]));
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn quantize(a: &Array, group_size: usize, bits: usize) -> (Array, Array, Array);
                /// Unpacks the weights that `quantize` packed. This array is the packed weights.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx};
                ///
                /// let w = mlx::arange(0.0, 4.0, 1.0, Dtype::Float32)?.tile(&[8])?.reshape(&[1, 32])?;
                /// let (packed, scales, biases) = w.quantize(32, 2)?;
                /// let unpacked = packed.dequantize(&scales, &biases, 32, 2)?;
                /// assert!(unpacked.allclose(&w, 0.0, 1e-5, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn dequantize(w: &Array, scales: &Array, biases: &Array, group_size: usize, bits: usize) -> Array;
                /// Computes the product with a matrix that `quantize` packed, transposed if `transpose` is set.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let w = mlx::arange(0.0, 4.0, 1.0, Dtype::Float32)?.tile(&[8])?.reshape(&[1, 32])?;
                /// let (packed, scales, biases) = w.quantize(32, 2)?;
                /// let x = Array::ones(&[1, 32], Dtype::Float32)?;
                /// let y = x.quantized_matmul(&packed, &scales, &biases, true, 32, 2)?;
                /// assert!((y.item::<f32>()? - 48.0).abs() < 1e-3);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn quantized_matmul(
                    a: &Array, w: &Array, scales: &Array, biases: &Array, transpose: bool, group_size: usize, bits: usize
                ) -> Array;
                /// Computes `gather_mm` with matrices that `quantize` packed, transposed if `transpose` is set.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let w = mlx::arange(0.0, 4.0, 1.0, Dtype::Float32)?.tile(&[8])?.reshape(&[1, 32])?;
                /// let (packed, scales, biases) = mlx::stack(&[w.clone(), w.add(&w)?], 0)?.quantize(32, 2)?;
                /// let (x, order) = (Array::ones(&[2, 1, 32], Dtype::Float32)?, Array::from_slice(&[1, 0], &[2])?);
                /// let y = x.gather_qmm(&packed, &scales, &biases, None, Some(&order), true, 32, 2)?;
                /// assert_eq!(y.round(0)?.to_vec::<f32>()?, [96.0, 48.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn gather_qmm(
                    a: &Array, w: &Array, scales: &Array, biases: &Array, lhs_indices: Option<&Array>,
                    rhs_indices: Option<&Array>, transpose: bool, group_size: usize, bits: usize
                ) -> Array;
            }

            /// # Stopping gradients
            methods stopping {
                fn stop_gradient(a: &Array) -> Array, shared;
            }

            /// Functions that create arrays.
            functions creation {
                /// Returns `start`, `start + step` and so on, up to but without `stop`.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx};
                ///
                /// assert_eq!(mlx::arange(0.0, 6.0, 2.0, Dtype::Int32)?.to_vec::<i32>()?, [0, 2, 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arange(start: f64, stop: f64, step: f64, dtype: Dtype) -> Array;
                /// Returns `num` numbers from `start` to `stop`, both included, at equal distances.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx};
                ///
                /// assert_eq!(mlx::linspace(0.0, 1.0, 3, Dtype::Float32)?.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn linspace(start: f64, stop: f64, num: usize, dtype: Dtype) -> Array;
                /// Returns an `[n, m]` matrix with ones on the diagonal `k`.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx};
                ///
                /// assert_eq!(mlx::eye(2, 2, 0, Dtype::Float32)?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn eye(n: usize, m: usize, k: i32, dtype: Dtype) -> Array;
                /// Returns an `[n, n]` matrix with ones on the diagonal.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx};
                ///
                /// assert_eq!(mlx::identity(2, Dtype::Float32)?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn identity(n: usize, dtype: Dtype) -> Array;
                /// Returns an `[n, m]` matrix with ones on and below the diagonal `k`.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx};
                ///
                /// assert_eq!(mlx::tri(2, 2, 0, Dtype::Float32)?.to_vec::<f32>()?, [1.0, 0.0, 1.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn tri(n: usize, m: usize, k: i32, dtype: Dtype) -> Array;
                /// Returns the Hann window of length `m`, float32.
                ///
                /// ```
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let expected = Array::from_slice(&[0.0_f32, 1.0, 0.0], &[3])?;
                /// assert!(mlx::hanning(3)?.allclose(&expected, 0.0, 1e-6, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn hanning(m: usize) -> Array;
                /// Returns the Hamming window of length `m`, float32.
                ///
                /// ```
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let expected = Array::from_slice(&[0.08_f32, 1.0, 0.08], &[3])?;
                /// assert!(mlx::hamming(3)?.allclose(&expected, 0.0, 1e-6, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn hamming(m: usize) -> Array;
                /// Returns the Blackman window of length `m`, float32.
                ///
                /// ```
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let expected = Array::from_slice(&[0.0_f32, 1.0, 0.0], &[3])?;
                /// assert!(mlx::blackman(3)?.allclose(&expected, 0.0, 1e-6, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn blackman(m: usize) -> Array;
                /// Returns the Bartlett window of length `m`, float32.
                ///
                /// ```
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let expected = Array::from_slice(&[0.0_f32, 1.0, 0.0], &[3])?;
                /// assert!(mlx::bartlett(3)?.allclose(&expected, 0.0, 1e-6, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn bartlett(m: usize) -> Array;
            }

            /// Functions of several arrays.
            functions combination {
                /// Joins arrays along `axis`, in whose length alone their shapes may differ: [`Array::concatenate`].
                fn concatenate(arrays: &[Array], axis: isize) -> Array, shared;
                /// Joins arrays of one shape along a new `axis`.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let rows = [Array::zeros(&[2], Dtype::Float32)?, Array::ones(&[2], Dtype::Float32)?];
                /// assert_eq!(mlx::stack(&rows, 0)?.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn stack(arrays: &[Array], axis: isize) -> Array;
                /// Returns a grid of coordinates for each of several vectors. If `sparse`, the other axes have length 1.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{self, Indexing};
                ///
                /// let axis = mlx::arange(0.0, 2.0, 1.0, Dtype::Int32)?;
                /// let grids = mlx::meshgrid(&[axis.clone(), axis], false, Indexing::Ij)?;
                /// assert_eq!(grids[0].to_vec::<i32>()?, [0, 0, 1, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn meshgrid(arrays: &[Array], sparse: bool, indexing: Indexing) -> Vec<Array>;
                /// Broadcasts the arrays together.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let arrays = [Array::ones(&[2, 1], Dtype::Float32)?, Array::ones(&[3], Dtype::Float32)?];
                /// assert_eq!(mlx::broadcast_arrays(&arrays)?[1].shape(), [2, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn broadcast_arrays(arrays: &[Array]) -> Vec<Array>;
                /// Computes the sums of products that `subscripts` name, such as `"bij,bjk->bik"`.
                ///
                /// ```
                /// use grad_runtime::mlx::{self, Array};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0], &[2])?;
                /// assert_eq!(mlx::einsum("i,i->", &[x.clone(), x])?.item::<f32>()?, 5.0);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn einsum(subscripts: &str, operands: &[Array]) -> Array;
            }

            /// Random numbers. Each function takes a key, and draws the same numbers again for the same key.
            ///
            /// ```
            /// use grad_runtime::Dtype;
            /// use grad_runtime::mlx::{Array, random};
            ///
            /// let keys = random::split(&random::key(7)?, 2)?;
            /// let draw = |key: &Array| random::normal(&[3], Dtype::Float32, 0.0, 1.0, key)?.to_vec::<f32>();
            /// let (first, second) = (keys.slice(&[0, 0], &[1, 2])?.squeeze(0)?, keys.slice(&[1, 0], &[2, 2])?.squeeze(0)?);
            /// assert_eq!(draw(&first)?, draw(&first)?);
            /// assert_ne!(draw(&first)?, draw(&second)?);
            /// # Ok::<(), grad_runtime::Error>(())
            /// ```
            module random {
                /// Returns a key, uint32 `[2]`. The numbers drawn with it depend on nothing else.
                ///
                /// ```
                /// use grad_runtime::mlx::random;
                ///
                /// assert_eq!(random::key(7)?.to_vec::<u32>()?, [0, 7]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn key(seed: u64) -> Array;
                /// Returns `num` keys derived from one, uint32 `[num, 2]`.
                ///
                /// ```
                /// use grad_runtime::mlx::random;
                ///
                /// let keys = random::split(&random::key(7)?, 3)?;
                /// assert_eq!(keys.shape(), [3, 2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn split(key: &Array, num: usize) -> Array;
                /// Draws random bits, 32 for each element. The result is of dtype uint32.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx::random};
                ///
                /// let bits = random::bits(&[2, 3], &random::key(7)?)?;
                /// assert_eq!((bits.shape(), bits.dtype()), (vec![2, 3], Dtype::UInt32));
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn bits(shape: &[usize], key: &Array) -> Array;
                /// Draws uniformly from `low` up to but without `high`, which broadcast to `shape`. `dtype` is a float.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{Array, random};
                ///
                /// let (low, high) = (Array::scalar(2.0_f32)?, Array::scalar(4.0_f32)?);
                /// let draws = random::uniform(&low, &high, &[100], Dtype::Float32, &random::key(7)?)?;
                /// assert!(draws.to_vec::<f32>()?.iter().all(|x| (2.0..4.0).contains(x)));
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn uniform(low: &Array, high: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Draws from the normal distribution with mean `loc` and standard deviation `scale`. `dtype` is a float.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx::random};
                ///
                /// let draws = random::normal(&[10_000], Dtype::Float32, 2.0, 3.0, &random::key(7)?)?;
                /// assert!((draws.mean_all()?.item::<f32>()? - 2.0).abs() < 0.2);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn normal(shape: &[usize], dtype: Dtype, loc: f32, scale: f32, key: &Array) -> Array;
                /// Draws from the standard normal distribution between `lower` and `upper`, which broadcast to `shape`.
                /// `dtype` is a float.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{Array, random};
                ///
                /// let (lower, upper) = (Array::scalar(-1.0_f32)?, Array::scalar(1.0_f32)?);
                /// let draws = random::truncated_normal(&lower, &upper, &[100], Dtype::Float32, &random::key(7)?)?;
                /// assert!(draws.to_vec::<f32>()?.iter().all(|x| (-1.0..=1.0).contains(x)));
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn truncated_normal(lower: &Array, upper: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Draws from the Laplace distribution with mean `loc` and `scale`. `dtype` is a float.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx::random};
                ///
                /// let draws = random::laplace(&[10_000], Dtype::Float32, 1.0, 2.0, &random::key(7)?)?;
                /// assert!((draws.mean_all()?.item::<f32>()? - 1.0).abs() < 0.2);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn laplace(shape: &[usize], dtype: Dtype, loc: f32, scale: f32, key: &Array) -> Array;
                /// Draws from the standard Gumbel distribution. `dtype` is a float.
                ///
                /// ```
                /// use grad_runtime::{Dtype, mlx::random};
                ///
                /// let draws = random::gumbel(&[10_000], Dtype::Float32, &random::key(7)?)?;
                /// assert!((draws.mean_all()?.item::<f32>()? - 0.5772).abs() < 0.1); // Euler's constant
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn gumbel(shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Draws integers from `low` up to but without `high`, which broadcast to `shape`. `dtype` is an integer.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{Array, random};
                ///
                /// let (low, high) = (Array::scalar(0)?, Array::scalar(6)?);
                /// let draws = random::randint(&low, &high, &[100], Dtype::Int32, &random::key(7)?)?;
                /// assert!(draws.to_vec::<i32>()?.iter().all(|x| (0..6).contains(x)));
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn randint(low: &Array, high: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Draws true with probability `p`, which broadcasts to `shape`. The result is of dtype bool.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, random};
                ///
                /// let p = Array::from_slice(&[0.0_f32, 1.0], &[2])?;
                /// assert_eq!(random::bernoulli(&p, &[2], &random::key(7)?)?.to_vec::<bool>()?, [false, true]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn bernoulli(p: &Array, shape: &[usize], key: &Array) -> Array;
                /// Draws `num_samples` indices of `axis`, where `logits` are unnormalized log-probabilities. The samples
                /// replace that axis, at the end. The result is of dtype uint32.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, random};
                ///
                /// let logits = Array::from_slice(&[f32::NEG_INFINITY, 0.0], &[2])?;
                /// let draws = random::categorical(&logits, 0, 3, &random::key(7)?)?;
                /// assert_eq!(draws.to_vec::<u32>()?, [1, 1, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn categorical(logits: &Array, axis: isize, num_samples: usize, key: &Array) -> Array;
                /// Shuffles the entries of `axis`.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, random};
                ///
                /// let shuffled = random::permutation(&Array::from_slice(&[1, 2, 3], &[3])?, 0, &random::key(7)?)?;
                /// assert_eq!(shuffled.sort(0)?.to_vec::<i32>()?, [1, 2, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn permutation(a: &Array, axis: isize, key: &Array) -> Array;
            }

            /// Linear algebra over the last two axes. MLX computes the factorizations on the CPU, whatever the default device.
            /// For a matrix with NaN or an infinity, `svd`, `pinv`, `eigh` and `eigvalsh` return NaN.
            ///
            /// ```
            /// use grad_runtime::mlx::{Array, linalg};
            ///
            /// let a = Array::from_slice(&[2.0_f32, 0.0, 0.0, 4.0], &[2, 2])?;
            /// let b = Array::from_slice(&[2.0_f32, 2.0], &[2])?;
            /// assert_eq!(linalg::solve(&a, &b)?.to_vec::<f32>()?, [1.0, 0.5]);
            /// # Ok::<(), grad_runtime::Error>(())
            /// ```
            module linalg {
                /// Computes the 2-norm over `axes`: of vectors for one axis, the Frobenius norm of matrices for two.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let x = Array::from_slice(&[3.0_f32, 4.0], &[2])?;
                /// assert_eq!(linalg::norm(&x, &[0], false)?.item::<f32>()?, 5.0);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn norm(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// Computes the QR factorization of `[M, N]` matrices. Returns `Q` `[M, K]`, with orthonormal columns, and
                /// the upper triangular `R` `[K, N]`, where `K` is the smaller of `M` and `N`.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
                /// let (q, r) = linalg::qr(&a)?;
                /// assert!(q.matmul(&r)?.allclose(&a, 0.0, 1e-4, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn qr(a: &Array) -> (Array, Array);
                /// Computes the singular value decomposition of `[M, N]` matrices. Returns `U` `[M, M]`, `S` `[K]` and the
                /// transpose of `V` `[N, N]`, where `K` is the smaller of `M` and `N`. The singular values in `S` descend.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
                /// let (u, s, vt) = linalg::svd(&a)?;
                /// assert!(u.multiply(&s)?.matmul(&vt)?.allclose(&a, 0.0, 1e-4, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn svd(a: &Array) -> (Array, Array, Array);
                /// Computes the inverse of square matrices.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[2.0_f32, 0.0, 0.0, 4.0], &[2, 2])?;
                /// assert_eq!(linalg::inv(&a)?.to_vec::<f32>()?, [0.5, 0.0, 0.0, 0.25]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn inv(a: &Array) -> Array;
                /// Computes the pseudo-inverse `[N, M]` of `[M, N]` matrices.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let inverse = linalg::pinv(&Array::from_slice(&[3.0_f32, 4.0], &[2, 1])?)?;
                /// assert_eq!(inverse.shape(), [1, 2]);let expected = Array::from_slice(&[0.12_f32, 0.16], &[1, 2])?;
                /// assert!(inverse.allclose(&expected, 0.0, 1e-4, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn pinv(a: &Array) -> Array;
                /// Computes the inverse of triangular matrices; `triangle` is the one that is not zero.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, Triangle, linalg};
                ///
                /// let a = Array::from_slice(&[2.0_f32, 0.0, 1.0, 4.0], &[2, 2])?;
                /// let inverse = linalg::tri_inv(&a, Triangle::Lower)?;
                /// assert_eq!(inverse.to_vec::<f32>()?, [0.5, 0.0, -0.125, 0.25]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn tri_inv(a: &Array, triangle: Triangle) -> Array;
                /// Computes the Cholesky factor of positive definite matrices, a lower or an upper triangle. MLX does not
                /// check that they are.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, Triangle, linalg};
                ///
                /// let a = Array::from_slice(&[4.0_f32, 2.0, 2.0, 2.0], &[2, 2])?;
                /// let factor = linalg::cholesky(&a, Triangle::Lower)?;
                /// assert_eq!(factor.to_vec::<f32>()?, [2.0, 0.0, 1.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cholesky(a: &Array, triangle: Triangle) -> Array;
                /// Computes the inverse of the matrices that have this Cholesky factor.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, Triangle, linalg};
                ///
                /// let factor = Array::from_slice(&[2.0_f32, 0.0, 0.0, 1.0], &[2, 2])?;
                /// let inverse = linalg::cholesky_inv(&factor, Triangle::Lower)?;
                /// assert_eq!(inverse.to_vec::<f32>()?, [0.25, 0.0, 0.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cholesky_inv(a: &Array, triangle: Triangle) -> Array;
                /// Computes the LU factorization of square matrices. Returns the row order (dtype uint32), `L` and `U`:
                /// `L @ U` is `a` with its rows in that order.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
                /// let (rows, l, u) = linalg::lu(&a)?;
                /// assert_eq!(rows.to_vec::<u32>()?, [1, 0]);
                /// assert!(l.matmul(&u)?.allclose(&a.take(&rows, 0)?, 0.0, 1e-4, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn lu(a: &Array) -> (Array, Array, Array);
                /// Computes the determinant of square matrices, a scalar for one matrix.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[2.0_f32, 0.0, 0.0, 4.0], &[2, 2])?;
                /// assert_eq!(linalg::det(&a)?.item::<f32>()?, 8.0);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn det(a: &Array) -> Array;
                /// Computes the sign of the determinant of square matrices, and the logarithm of its absolute value.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let (sign, logarithm) = linalg::slogdet(&Array::from_slice(&[-2.0_f32, 0.0, 0.0, 0.5], &[2, 2])?)?;
                /// assert_eq!(sign.item::<f32>()?, -1.0);
                /// assert!(logarithm.item::<f32>()?.abs() < 1e-6);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn slogdet(a: &Array) -> (Array, Array);
                /// Solves `a @ x = b` for `x`, where `a` is `[N, N]` and `b` is `[N]` or `[N, K]`. The result has the shape
                /// of `b`.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[2.0_f32, 0.0, 0.0, 4.0], &[2, 2])?;
                /// let b = Array::from_slice(&[2.0_f32, 2.0], &[2])?;
                /// assert_eq!(linalg::solve(&a, &b)?.to_vec::<f32>()?, [1.0, 0.5]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn solve(a: &Array, b: &Array) -> Array;
                /// Solves `a @ x = b` for `x`, where `a` is triangular; `triangle` is the one that is not zero.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, Triangle, linalg};
                ///
                /// let a = Array::from_slice(&[2.0_f32, 1.0, 0.0, 4.0], &[2, 2])?;
                /// let b = Array::from_slice(&[4.0_f32, 8.0], &[2, 1])?;
                /// assert_eq!(linalg::solve_triangular(&a, &b, Triangle::Upper)?.to_vec::<f32>()?, [1.0, 2.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn solve_triangular(a: &Array, b: &Array, triangle: Triangle) -> Array;
                /// Computes the eigenvalues `[N]`, in ascending order, and the eigenvectors `[N, N]`, in columns, of
                /// symmetric matrices, of which it reads the lower triangle.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[2.0_f32, 1.0, 1.0, 2.0], &[2, 2])?;
                /// let (values, vectors) = linalg::eigh(&a)?;
                /// assert!(a.matmul(&vectors)?.allclose(&vectors.multiply(&values)?, 0.0, 1e-4, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn eigh(a: &Array) -> (Array, Array);
                /// Computes the eigenvalues `[N]`, in ascending order, of symmetric matrices, of which it reads the lower
                /// triangle.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[2.0_f32, 1.0, 1.0, 2.0], &[2, 2])?;
                /// let expected = Array::from_slice(&[1.0_f32, 3.0], &[2])?;
                /// assert!(linalg::eigvalsh(&a)?.allclose(&expected, 0.0, 1e-4, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn eigvalsh(a: &Array) -> Array;
                /// Computes the eigenvalues `[N]` and the eigenvectors `[N, N]`, in columns, of square matrices. Both are complex64.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[0.0_f32, -1.0, 1.0, 0.0], &[2, 2])?; // a rotation by a right angle
                /// let (values, vectors) = linalg::eig(&a)?;
                /// let (left, right) = (a.astype(Dtype::Complex64)?.matmul(&vectors)?, vectors.multiply(&values)?);
                /// assert!(left.subtract(&right)?.abs()?.max(&[0, 1], false)?.item::<f32>()? < 1e-5);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn eig(a: &Array) -> (Array, Array);
                /// Computes the eigenvalues `[N]` of square matrices, complex64.
                ///
                /// ```
                /// use grad_runtime::Complex32;
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[0.0_f32, -1.0, 1.0, 0.0], &[2, 2])?; // a rotation by a right angle
                /// let values = linalg::eigvals(&a)?.to_vec::<Complex32>()?;
                /// assert!(values.iter().all(|value| value.re.abs() < 1e-6 && (value.im.abs() - 1.0).abs() < 1e-6));
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn eigvals(a: &Array) -> Array;
                /// Computes the LU factorization of square matrices in one matrix, `L` below the diagonal and `U` on and above it, and the rows
                /// that each step exchanged, uint32.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let a = Array::from_slice(&[1.0_f32, 2.0, 2.0, 2.0], &[2, 2])?;
                /// let (lu, pivots) = linalg::lu_factor(&a)?;
                /// assert_eq!(lu.to_vec::<f32>()?, [2.0, 2.0, 0.5, 1.0]);
                /// assert_eq!(pivots.to_vec::<u32>()?, [1, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn lu_factor(a: &Array) -> (Array, Array);
                /// Computes the cross product of vectors of length 2 or 3 along `axis`, which has length 3 in the result.
                /// The other axes broadcast.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, linalg};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 0.0, 0.0], &[3])?;
                /// let y = Array::from_slice(&[0.0_f32, 1.0, 0.0], &[3])?;
                /// assert_eq!(linalg::cross(&x, &y, 0)?.to_vec::<f32>()?, [0.0, 0.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cross(a: &Array, b: &Array, axis: isize) -> Array;
            }

            /// Fast Fourier transforms, to and from complex64. They are differentiable, and run on every device.
            ///
            /// ```
            /// use grad_runtime::mlx::{Array, FftNorm, fft};
            ///
            /// // The gradient of the energy of a signal, computed from its spectrum (Parseval): 2x.
            /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[4])?;
            /// let energy = |x: &[Array]| fft::fft(&x[0], None, 0, FftNorm::Ortho)?.abs()?.square()?.sum_all();
            /// let gradients = Array::grad(energy, &[x.clone()])?;
            /// assert!(gradients[0].allclose(&x.multiply(2.0)?, 1e-5, 1e-5, false)?.item::<bool>()?);
            /// # Ok::<(), grad_runtime::Error>(())
            /// ```
            module fft {
                /// Computes the discrete Fourier transform along `axis`, which is cut or padded with zeros to length `n`, by default its own.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 0.0, -1.0, 0.0], &[4])?;
                /// let spectrum = fft::fft(&x, None, 0, FftNorm::Backward)?.real()?;
                /// assert_eq!(spectrum.to_vec::<f32>()?, [0.0, 2.0, 0.0, 2.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn fft(a: &Array, n: Option<usize>, axis: isize, norm: FftNorm) -> Array;
                /// Computes the inverse of [`fft()`].
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[4.0_f32, 0.0, 0.0, 0.0], &[4])?;
                /// let signal = fft::ifft(&x, None, 0, FftNorm::Backward)?;
                /// assert_eq!(signal.real()?.to_vec::<f32>()?, [1.0; 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn ifft(a: &Array, n: Option<usize>, axis: isize, norm: FftNorm) -> Array;
                /// Computes the half `n / 2 + 1` of the discrete Fourier transform along `axis` that is not redundant, since the elements are real.
                ///
                /// ```
                /// use grad_runtime::Complex32;
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[4])?;
                /// let spectrum = fft::rfft(&x, None, 0, FftNorm::Backward)?.to_vec::<Complex32>()?;
                /// let expected = [Complex32::new(10.0, 0.0), Complex32::new(-2.0, 2.0), Complex32::new(-2.0, 0.0)];
                /// assert!(spectrum.iter().zip(expected).all(|(x, y)| (x - y).norm_sqr() < 1e-9));
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn rfft(a: &Array, n: Option<usize>, axis: isize, norm: FftNorm) -> Array;
                /// Computes the inverse of [`rfft`], real numbers along `axis`: `n` of them, by default an even number.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3])?;
                /// let spectrum = fft::rfft(&x, None, 0, FftNorm::Backward)?;
                /// let signal = fft::irfft(&spectrum, Some(3), 0, FftNorm::Backward)?;
                /// assert!(signal.allclose(&x, 0.0, 1e-5, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn irfft(a: &Array, n: Option<usize>, axis: isize, norm: FftNorm) -> Array;
                /// Computes the two-dimensional discrete Fourier transform over the two `axes`, which are cut or padded with zeros to the lengths `s`, by
                /// default their own.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32; 4], &[2, 2])?;
                /// let spectrum = fft::fft2(&x, None, &[0, 1], FftNorm::Ortho)?.real()?;
                /// assert_eq!(spectrum.to_vec::<f32>()?, [2.0, 0.0, 0.0, 0.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn fft2(a: &Array, s: Option<&[usize]>, axes: &[isize], norm: FftNorm) -> Array;
                /// Computes the inverse of [`fft2`].
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[4.0_f32, 0.0, 0.0, 0.0], &[2, 2])?;
                /// let image = fft::ifft2(&x, None, &[0, 1], FftNorm::Backward)?.real()?;
                /// assert_eq!(image.to_vec::<f32>()?, [1.0; 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn ifft2(a: &Array, s: Option<&[usize]>, axes: &[isize], norm: FftNorm) -> Array;
                /// Computes [`fft2`] of real numbers, without the half of the last of `axes` that is redundant.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32; 12], &[3, 4])?;
                /// assert_eq!(fft::rfft2(&x, None, &[0, 1], FftNorm::Backward)?.shape(), [3, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn rfft2(a: &Array, s: Option<&[usize]>, axes: &[isize], norm: FftNorm) -> Array;
                /// Computes the inverse of [`rfft2`].
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
                /// let spectrum = fft::rfft2(&x, None, &[0, 1], FftNorm::Backward)?;
                /// let image = fft::irfft2(&spectrum, None, &[0, 1], FftNorm::Backward)?;
                /// assert!(image.allclose(&x, 0.0, 1e-5, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn irfft2(a: &Array, s: Option<&[usize]>, axes: &[isize], norm: FftNorm) -> Array;
                /// Computes the n-dimensional discrete Fourier transform over `axes`, which are cut or padded with zeros to the lengths `s`, by
                /// default their own.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32; 4], &[2, 2])?;
                /// let spectrum = fft::fftn(&x, None, &[0, 1], FftNorm::Ortho)?.real()?;
                /// assert_eq!(spectrum.to_vec::<f32>()?, [2.0, 0.0, 0.0, 0.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn fftn(a: &Array, s: Option<&[usize]>, axes: &[isize], norm: FftNorm) -> Array;
                /// Computes the inverse of [`fftn`].
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[4.0_f32, 0.0, 0.0, 0.0], &[2, 2])?;
                /// let image = fft::ifftn(&x, None, &[0, 1], FftNorm::Backward)?.real()?;
                /// assert_eq!(image.to_vec::<f32>()?, [1.0; 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn ifftn(a: &Array, s: Option<&[usize]>, axes: &[isize], norm: FftNorm) -> Array;
                /// Computes [`fftn`] of real numbers, without the half of the last of `axes` that is redundant.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32; 12], &[3, 4])?;
                /// assert_eq!(fft::rfftn(&x, None, &[0, 1], FftNorm::Backward)?.shape(), [3, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn rfftn(a: &Array, s: Option<&[usize]>, axes: &[isize], norm: FftNorm) -> Array;
                /// Computes the inverse of [`rfftn`].
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, FftNorm, fft};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
                /// let spectrum = fft::rfftn(&x, None, &[0, 1], FftNorm::Backward)?;
                /// let image = fft::irfftn(&spectrum, None, &[0, 1], FftNorm::Backward)?;
                /// assert!(image.allclose(&x, 0.0, 1e-5, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn irfftn(a: &Array, s: Option<&[usize]>, axes: &[isize], norm: FftNorm) -> Array;
                /// Returns the frequencies that belong to the results of [`fft()`] of length `n`, in cycles per unit of the spacing `d`.
                ///
                /// ```
                /// use grad_runtime::mlx::fft;
                ///
                /// assert_eq!(fft::fftfreq(4, 0.5)?.to_vec::<f32>()?, [0.0, 0.5, -1.0, -0.5]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn fftfreq(n: usize, d: f64) -> Array;
                /// Returns the frequencies that belong to the results of [`rfft`] of length `n`, in cycles per unit of the spacing `d`.
                ///
                /// ```
                /// use grad_runtime::mlx::fft;
                ///
                /// assert_eq!(fft::rfftfreq(4, 0.5)?.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn rfftfreq(n: usize, d: f64) -> Array;
                /// Moves frequency zero to the middle of each of `axes`.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, fft};
                ///
                /// let x = Array::from_slice(&[0, 1, 2, -2, -1], &[5])?;
                /// assert_eq!(fft::fftshift(&x, &[0])?.to_vec::<i32>()?, [-2, -1, 0, 1, 2]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn fftshift(a: &Array, axes: &[isize]) -> Array;
                /// Computes the inverse of [`fftshift`].
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, fft};
                ///
                /// let x = Array::from_slice(&[-2, -1, 0, 1, 2], &[5])?;
                /// assert_eq!(fft::ifftshift(&x, &[0])?.to_vec::<i32>()?, [0, 1, 2, -2, -1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn ifftshift(a: &Array, axes: &[isize]) -> Array;
            }

            /// Fused operations: one kernel each, where the device has it.
            ///
            /// ```
            /// use grad_runtime::mlx::{Array, fast};
            ///
            /// let x = Array::from_slice(&[3.0_f32, 4.0], &[1, 2])?;
            /// let norm = fast::rms_norm(&x, None, 0.0)?.square()?.mean_all()?;
            /// assert!((norm.item::<f32>()? - 1.0).abs() < 1e-6);
            /// # Ok::<(), grad_runtime::Error>(())
            /// ```
            module fast {
                /// Computes `x / sqrt(mean(x²) + eps) * weight` over the last axis, whose length `weight` has.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, fast};
                ///
                /// let x = Array::from_slice(&[2.0_f32, -2.0], &[2])?;
                /// let weight = Array::from_slice(&[1.0_f32, 3.0], &[2])?;
                /// let y = fast::rms_norm(&x, Some(&weight), 0.0)?;
                /// assert!(y.allclose(&Array::from_slice(&[1.0_f32, -3.0], &[2])?, 0.0, 1e-4, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn rms_norm(x: &Array, weight: Option<&Array>, eps: f32) -> Array;
                /// Computes `(x - mean) / sqrt(variance + eps) * weight + bias` over the last axis, whose length `weight`
                /// and `bias` have.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, fast};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 3.0], &[2])?;
                /// let y = fast::layer_norm(&x, None, None, 0.0)?;
                /// assert!(y.allclose(&Array::from_slice(&[-1.0_f32, 1.0], &[2])?, 0.0, 1e-4, false)?.item::<bool>()?);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn layer_norm(x: &Array, weight: Option<&Array>, bias: Option<&Array>, eps: f32) -> Array;
                /// Applies rotary position embeddings to the first `dims` entries of the last axis, for positions from
                /// `offset` on along the axis before it, multiplied by `scale`. Rotates pairs of neighbours if
                /// `traditional` is set, else entry `i` with entry `i + dims / 2`. The frequencies come from `base` or from
                /// `freqs` `[dims / 2]`, of which one is given: a pair turns by its position divided by its entry of
                /// `freqs`.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, fast};
                ///
                /// let x = Array::from_slice(&[1.0_f32, 0.0], &[1, 1, 1, 2])?;
                /// let y = fast::rope(&x, 2, true, Some(10_000.0), 1.0, 1, None)?.to_vec::<f32>()?; // turned by 1 radian
                /// assert!((y[0] - 0.5403).abs() < 1e-4 && (y[1] - 0.8415).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn rope(
                    x: &Array, dims: usize, traditional: bool, base: Option<f32>, scale: f32, offset: usize,
                    freqs: Option<&Array>
                ) -> Array;
                /// Computes `softmax(scale * queries @ keysᵀ + mask) @ values` of `[B, heads, L, D]`. Keys and values may
                /// have fewer heads, of which each serves as many of the queries. The mask broadcasts to
                /// `[B, heads, L, L of the keys]`; a bool mask is true where a query sees a key.
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{Array, fast};
                ///
                /// let q = Array::zeros(&[1, 1, 1, 1], Dtype::Float32)?;
                /// let k = Array::from_slice(&[1.0_f32, 2.0], &[1, 1, 2, 1])?;
                /// let v = Array::from_slice(&[1.0_f32, 3.0], &[1, 1, 2, 1])?;
                /// assert_eq!(fast::scaled_dot_product_attention(&q, &k, &v, 1.0, None)?.to_vec::<f32>()?, [2.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn scaled_dot_product_attention(
                    queries: &Array, keys: &Array, values: &Array, scale: f32, mask: Option<&Array>
                ) -> Array;
                /// Computes attention where no query sees a key after it, with arguments as of
                /// [`scaled_dot_product_attention`].
                ///
                /// ```
                /// use grad_runtime::Dtype;
                /// use grad_runtime::mlx::{Array, fast};
                ///
                /// let q = Array::zeros(&[1, 1, 2, 1], Dtype::Float32)?;
                /// let v = Array::from_slice(&[1.0_f32, 3.0], &[1, 1, 2, 1])?;
                /// assert_eq!(fast::causal_attention(&q, &q, &v, 1.0)?.to_vec::<f32>()?, [1.0, 2.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn causal_attention(queries: &Array, keys: &Array, values: &Array, scale: f32) -> Array;
                /// Computes `logsumexp(logits) - logits[target]` over the last axis of `logits`. `targets` (uint32 or int32)
                /// has the shape of the other axes.
                ///
                /// ```
                /// use grad_runtime::mlx::{Array, fast};
                ///
                /// let logits = Array::from_slice(&[0.0_f32, 0.0], &[1, 2])?;
                /// let targets = Array::from_slice(&[1], &[1])?;
                /// assert!((fast::cross_entropy(&logits, &targets)?.item::<f32>()? - 0.6931).abs() < 1e-4);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn cross_entropy(logits: &Array, targets: &Array) -> Array;
            }
        }
    };
}
