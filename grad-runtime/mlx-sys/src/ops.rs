//! The list of MLX's operations.

/// Calls a macro with the list of MLX's operations, one line each: names and argument order are MLX's.
///
/// The list has sections of three kinds: `methods` of `mlx::Array`, whose first argument is the array, `functions` of the
/// module `mlx`, and those of a `module` in it. Operations that end in `shared` are in the `Array` trait, too.
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
///         fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $(, $shared:ident)?;
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
            /// Elementwise. Two operands broadcast.
            methods arithmetic {
                fn abs(a: &Array) -> Array, shared;
                fn negative(a: &Array) -> Array, shared;
                /// Computes the sign: 1 for a positive element, -1 for a negative one, else 0.
                fn sign(a: &Array) -> Array;
                /// Rounds down to an integer.
                fn floor(a: &Array) -> Array;
                /// Rounds up to an integer.
                fn ceil(a: &Array) -> Array;
                /// Rounds towards zero to an integer.
                fn trunc(a: &Array) -> Array;
                /// Rounds to `decimals` places; halves go to the even neighbour.
                fn round(a: &Array, decimals: i32) -> Array;
                /// Computes `1 / x`.
                fn reciprocal(a: &Array) -> Array;
                fn sqrt(a: &Array) -> Array, shared;
                /// Computes `1 / sqrt(x)`.
                fn rsqrt(a: &Array) -> Array;
                fn square(a: &Array) -> Array, shared;
                fn exp(a: &Array) -> Array, shared;
                /// Computes `exp(x) - 1`, precise for small `x`.
                fn expm1(a: &Array) -> Array;
                fn log(a: &Array) -> Array, shared;
                /// Computes the logarithm to base 2.
                fn log2(a: &Array) -> Array;
                /// Computes the logarithm to base 10.
                fn log10(a: &Array) -> Array;
                /// Computes `log(1 + x)`, precise for small `x`.
                fn log1p(a: &Array) -> Array;
                /// Computes `log(exp(x) + exp(y))` without overflow.
                fn logaddexp(a: &Array, other: &Array) -> Array;
                fn add(a: &Array, other: &Array) -> Array, shared;
                fn subtract(a: &Array, other: &Array) -> Array, shared;
                fn multiply(a: &Array, other: &Array) -> Array, shared;
                fn divide(a: &Array, other: &Array) -> Array, shared;
                /// Computes the quotient rounded down. An integer divided by zero is device-defined.
                fn floor_divide(a: &Array, other: &Array) -> Array;
                /// Computes the remainder of the division, with the sign of the divisor.
                fn remainder(a: &Array, other: &Array) -> Array;
                /// Computes `floor_divide` and `remainder`.
                fn divmod(a: &Array, other: &Array) -> (Array, Array);
                fn power(a: &Array, other: &Array) -> Array, shared;
                fn maximum(a: &Array, other: &Array) -> Array, shared;
                fn minimum(a: &Array, other: &Array) -> Array, shared;
                /// Limits each element to `a_min..=a_max`; one of the bounds may be missing.
                fn clip(a: &Array, a_min: Option<&Array>, a_max: Option<&Array>) -> Array;
                /// Replaces NaN and infinities; infinities become the dtype's largest and smallest number unless given.
                fn nan_to_num(a: &Array, nan: f32, posinf: Option<f32>, neginf: Option<f32>) -> Array;
            }

            /// # Trigonometry
            ///
            /// Elementwise. Angles are in radians.
            methods trigonometry {
                fn sin(a: &Array) -> Array, shared;
                fn cos(a: &Array) -> Array, shared;
                /// Computes the tangent.
                fn tan(a: &Array) -> Array;
                /// Computes the inverse sine.
                fn arcsin(a: &Array) -> Array;
                /// Computes the inverse cosine.
                fn arccos(a: &Array) -> Array;
                /// Computes the inverse tangent.
                fn arctan(a: &Array) -> Array;
                /// Computes the angle of the point (`x`, `self`); both are broadcast.
                fn arctan2(a: &Array, x: &Array) -> Array;
                /// Computes the hyperbolic sine.
                fn sinh(a: &Array) -> Array;
                /// Computes the hyperbolic cosine.
                fn cosh(a: &Array) -> Array;
                fn tanh(a: &Array) -> Array, shared;
                /// Computes the inverse hyperbolic sine.
                fn arcsinh(a: &Array) -> Array;
                /// Computes the inverse hyperbolic cosine.
                fn arccosh(a: &Array) -> Array;
                /// Computes the inverse hyperbolic tangent.
                fn arctanh(a: &Array) -> Array;
                /// Converts radians to degrees.
                fn degrees(a: &Array) -> Array;
                /// Converts degrees to radians.
                fn radians(a: &Array) -> Array;
            }

            /// # Activations and normalization
            methods activations {
                fn erf(a: &Array) -> Array, shared;
                /// Computes the inverse of the error function.
                fn erfinv(a: &Array) -> Array;
                fn sigmoid(a: &Array) -> Array, shared;
                fn relu(a: &Array) -> Array, shared;
                fn gelu(a: &Array) -> Array, shared;
                /// Computes `x * sigmoid(x)`.
                fn silu(a: &Array) -> Array;
                fn softmax(a: &Array, axis: isize) -> Array, shared;
                fn layer_norm(a: &Array, weight: &Array, bias: &Array, eps: f32) -> Array, shared;
            }

            /// # Comparison and logic
            ///
            /// Elementwise. Two operands broadcast, and the result is of dtype bool.
            methods comparison {
                fn equal(a: &Array, other: &Array) -> Array, shared;
                /// Tests whether both are different.
                fn not_equal(a: &Array, other: &Array) -> Array;
                fn greater(a: &Array, other: &Array) -> Array, shared;
                /// Tests whether this one is greater or equal.
                fn greater_equal(a: &Array, other: &Array) -> Array;
                fn less(a: &Array, other: &Array) -> Array, shared;
                /// Tests whether this one is less or equal.
                fn less_equal(a: &Array, other: &Array) -> Array;
                /// Tests whether shapes and all elements are equal. Returns a scalar.
                fn array_equal(a: &Array, other: &Array, equal_nan: bool) -> Array;
                /// Tests whether `|x - y| <= atol + rtol * |y|`.
                fn isclose(a: &Array, other: &Array, rtol: f64, atol: f64, equal_nan: bool) -> Array;
                /// Tests whether `isclose` holds for all elements. Returns a scalar.
                fn allclose(a: &Array, other: &Array, rtol: f64, atol: f64, equal_nan: bool) -> Array;
                /// Tests whether an element is NaN.
                fn isnan(a: &Array) -> Array;
                /// Tests whether an element is an infinity.
                fn isinf(a: &Array) -> Array;
                /// Tests whether an element is neither NaN nor an infinity.
                fn isfinite(a: &Array) -> Array;
                /// Tests whether an element is the positive infinity.
                fn isposinf(a: &Array) -> Array;
                /// Tests whether an element is the negative infinity.
                fn isneginf(a: &Array) -> Array;
                /// Tests whether an element is false or zero.
                fn logical_not(a: &Array) -> Array;
                /// Tests whether both are true.
                fn logical_and(a: &Array, other: &Array) -> Array;
                /// Tests whether at least one is true.
                fn logical_or(a: &Array, other: &Array) -> Array;
                /// Tests whether exactly one is true.
                fn logical_xor(a: &Array, other: &Array) -> Array;
                fn where_cond(condition: &Array, on_true: &Array, on_false: &Array) -> Array, shared;
            }

            /// # Bits
            ///
            /// Elementwise, for integers and bools. Two operands broadcast.
            methods bits {
                /// Computes the bits that are set in both.
                fn bitwise_and(a: &Array, other: &Array) -> Array;
                /// Computes the bits that are set in at least one.
                fn bitwise_or(a: &Array, other: &Array) -> Array;
                /// Computes the bits that are set in exactly one.
                fn bitwise_xor(a: &Array, other: &Array) -> Array;
                /// Inverts every bit.
                fn bitwise_invert(a: &Array) -> Array;
                /// Shifts the bits left by `other`. Shifts of at least the bit width are device-defined.
                fn left_shift(a: &Array, other: &Array) -> Array;
                /// Shifts the bits right by `other`. Shifts of at least the bit width are device-defined.
                fn right_shift(a: &Array, other: &Array) -> Array;
            }

            /// # Reductions
            ///
            /// Over one or several axes. With `keepdims` these stay, with length 1.
            methods reductions {
                fn sum(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                /// Computes the product over `axes`.
                fn prod(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn mean(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                /// Computes the variance over `axes`: the sum of squared deviations, divided by their number minus `ddof`.
                fn var(a: &Array, axes: &[isize], keepdims: bool, ddof: usize) -> Array;
                /// Computes the standard deviation over `axes`, the square root of `var`.
                fn std(a: &Array, axes: &[isize], keepdims: bool, ddof: usize) -> Array;
                /// Computes the median over `axes`.
                fn median(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn max(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                fn min(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                fn argmax(a: &Array, axis: isize, keepdims: bool) -> Array, shared;
                /// Computes the index of the smallest element along `axis`, the first of equal ones. The result is of dtype
                /// uint32.
                fn argmin(a: &Array, axis: isize, keepdims: bool) -> Array;
                fn logsumexp(a: &Array, axes: &[isize], keepdims: bool) -> Array, shared;
                /// Tests whether all elements over `axes` are true. The result is of dtype bool.
                fn all(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// Tests whether any element over `axes` is true. The result is of dtype bool.
                fn any(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// Counts the elements over `axes` that are not zero. The result is of dtype uint32.
                fn count_nonzero(a: &Array, axes: &[isize], keepdims: bool) -> Array;
            }

            /// # Scans
            ///
            /// Along an axis, from its first element or its last, with each element itself or without it.
            methods scans {
                /// Computes the sum of the elements along `axis` up to each one.
                fn cumsum(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes the product of the elements along `axis` up to each one.
                fn cumprod(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes the largest of the elements along `axis` up to each one.
                fn cummax(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes the smallest of the elements along `axis` up to each one.
                fn cummin(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes `log(cumsum(exp(x)))` along `axis` without overflow.
                fn logcumsumexp(a: &Array, axis: isize, direction: ScanDirection, bound: ScanBound) -> Array;
                /// Computes the differences of neighbours along `axis`, `n` times.
                fn diff(a: &Array, n: usize, axis: isize) -> Array;
            }

            /// # Sorting and searching
            methods sorting {
                /// Sorts along `axis`, the smallest first.
                fn sort(a: &Array, axis: isize) -> Array;
                /// Computes the indices that sort `axis`. The result is of dtype uint32.
                fn argsort(a: &Array, axis: isize) -> Array;
                /// Puts the element `kth` of `axis` in its sorted place, with no larger ones before it and no smaller ones
                /// after it.
                fn partition(a: &Array, kth: usize, axis: isize) -> Array;
                /// Computes the indices of such a partition. The result is of dtype uint32.
                fn argpartition(a: &Array, kth: usize, axis: isize) -> Array;
                /// Returns the `k` largest elements along `axis`, in no particular order.
                fn topk(a: &Array, k: usize, axis: isize) -> Array;
                /// Finds where each of `values` would go in this sorted vector, before or after equal elements. The result
                /// is of dtype uint32.
                fn searchsorted(a: &Array, values: &Array, side: Side) -> Array;
            }

            /// # Shapes and dtypes
            methods shapes {
                fn reshape(a: &Array, shape: &[usize]) -> Array, shared;
                fn transpose(a: &Array, axes: &[isize]) -> Array, shared;
                /// Exchanges two axes.
                fn swapaxes(a: &Array, axis1: isize, axis2: isize) -> Array;
                /// Moves the axis `source` to `destination`.
                fn moveaxis(a: &Array, source: isize, destination: isize) -> Array;
                fn expand_dims(a: &Array, axis: isize) -> Array, shared;
                fn squeeze(a: &Array, axis: isize) -> Array, shared;
                /// Merges the axes from `start_axis` to `end_axis`.
                fn flatten(a: &Array, start_axis: isize, end_axis: isize) -> Array;
                /// Splits `axis` into several, of lengths `shape`.
                fn unflatten(a: &Array, axis: isize, shape: &[usize]) -> Array;
                fn broadcast_to(a: &Array, shape: &[usize]) -> Array, shared;
                /// Reverses the entries of each of `axes`.
                fn flip(a: &Array, axes: &[isize]) -> Array;
                /// Moves the entries of each of `axes` on by `shift`; those beyond the end come first.
                fn roll(a: &Array, shift: i32, axes: &[isize]) -> Array;
                /// Repeats each entry of `axis`.
                fn repeat(a: &Array, repeats: usize, axis: isize) -> Array;
                /// Repeats the whole array along each axis.
                fn tile(a: &Array, repetitions: &[usize]) -> Array;
                /// Adds entries before and after each axis, as many as `widths` has for it. `value` is used in mode
                /// [`Constant`](PadMode::Constant) alone.
                fn pad(a: &Array, widths: &[(usize, usize)], value: f64, mode: PadMode) -> Array;
                /// Splits `axis` into `parts` of equal length.
                fn split(a: &Array, parts: usize, axis: isize) -> Vec<Array>;
                /// Splits `axis` before each of `indices`.
                fn split_at(a: &Array, indices: &[usize], axis: isize) -> Vec<Array>;
                /// Returns the entries of `axis`, without that axis.
                fn unstack(a: &Array, axis: isize) -> Vec<Array>;
                fn astype(a: &Array, dtype: Dtype) -> Array, shared;
                /// Returns zeros of this array's shape and dtype.
                fn zeros_like(a: &Array) -> Array;
                /// Returns ones of this array's shape and dtype.
                fn ones_like(a: &Array) -> Array;
            }

            /// # Indexing and scattering
            ///
            /// Indices are of dtype uint32 or int32 and count from 0. An index out of bounds is an error. Indices that are not
            /// computed yet are clamped to the axis, as in JAX, since checking them would compute them.
            methods indexing {
                fn slice(a: &Array, start: &[usize], stop: &[usize]) -> Array, shared;
                /// Returns the elements `start..stop` of each axis, every `strides`th of them.
                fn slice_strided(a: &Array, start: &[usize], stop: &[usize], strides: &[usize]) -> Array;
                /// Replaces the elements `start..stop` of each axis by `update`, which is broadcast.
                fn slice_update(a: &Array, update: &Array, start: &[usize], stop: &[usize]) -> Array;
                /// Adds `update` to the elements `start..stop` of each axis.
                fn slice_update_add(a: &Array, update: &Array, start: &[usize], stop: &[usize]) -> Array;
                fn take(a: &Array, indices: &Array, axis: isize) -> Array, shared;
                /// Returns for each place in `indices` the element of `axis` that it names.
                fn take_along_axis(a: &Array, indices: &Array, axis: isize) -> Array;
                /// Replaces the elements of `axis` that `indices` name by `values`.
                fn put_along_axis(a: &Array, indices: &Array, values: &Array, axis: isize) -> Array;
                /// Adds `values` to the elements of `axis` that `indices` name.
                fn scatter_add_axis(a: &Array, indices: &Array, values: &Array, axis: isize) -> Array;
                /// Returns slices of lengths `slice_sizes`, one for each place in `indices`, which has an array for each of
                /// `axes`: where the slice begins. The result has the shape of an index followed by that of a slice.
                fn gather(a: &Array, indices: &[Array], axes: &[isize], slice_sizes: &[usize]) -> Array;
                /// Replaces the slices that `indices` name, as in `gather`, by those in `updates`.
                fn scatter(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Adds the slices in `updates` to those that `indices` name, as in `gather`.
                fn scatter_add(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Multiplies the slices that `indices` name, as in `gather`, by those in `updates`.
                fn scatter_prod(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Computes the larger of `updates` and the slices that `indices` name, as in `gather`.
                fn scatter_max(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Computes the smaller of `updates` and the slices that `indices` name, as in `gather`.
                fn scatter_min(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// Replaces the elements where `mask` is true by those of `src`, one after another. A mask with fewer axes
                /// selects whole entries. `src` must have enough for a mask that is computed; for another mask it continues
                /// with zeros.
                fn masked_scatter(a: &Array, mask: &Array, src: &Array) -> Array;
            }

            /// # Matrices
            methods matrices {
                fn matmul(a: &Array, other: &Array) -> Array, shared;
                /// Computes `beta * self + alpha * (a @ b)`.
                fn addmm(c: &Array, a: &Array, b: &Array, alpha: f32, beta: f32) -> Array;
                /// Computes the product of each element with each other one, shape `[size, size of other]`.
                fn outer(a: &Array, other: &Array) -> Array;
                /// Computes the sums of products over the last axes of both.
                fn inner(a: &Array, other: &Array) -> Array;
                /// Computes the sums of products along `axis` of both.
                fn vecdot(a: &Array, other: &Array, axis: isize) -> Array;
                /// Computes the sums of products over `axes_a` of this array and `axes_b` of the other.
                fn tensordot(a: &Array, other: &Array, axes_a: &[isize], axes_b: &[isize]) -> Array;
                /// Computes the Kronecker product.
                fn kron(a: &Array, other: &Array) -> Array;
                /// Computes the products of the matrices that `lhs_indices` name in this array's last two axes and
                /// `rhs_indices` in those of the other; the indices broadcast. An array without indices gives its matrices in
                /// order.
                fn gather_mm(a: &Array, other: &Array, lhs_indices: Option<&Array>, rhs_indices: Option<&Array>) -> Array;
                /// Multiplies the last axis by the Hadamard matrix of its length and by `scale`, by default 1 over the root
                /// of the length.
                fn hadamard_transform(a: &Array, scale: Option<f32>) -> Array;
                /// Keeps the lower triangle of the last two axes; above the diagonal `k` is zero.
                fn tril(a: &Array, k: i32) -> Array;
                /// Keeps the upper triangle of the last two axes; below the diagonal `k` is zero.
                fn triu(a: &Array, k: i32) -> Array;
                /// Returns the diagonal `k` of a matrix, or the matrix with a vector as that diagonal.
                fn diag(a: &Array, k: i32) -> Array;
                /// Returns the diagonal `offset` of the planes of two axes.
                fn diagonal(a: &Array, offset: i32, axis1: isize, axis2: isize) -> Array;
                /// Computes the sum of the diagonal `offset` of the planes of two axes.
                fn trace(a: &Array, offset: i32, axis1: isize, axis2: isize) -> Array;
            }

            /// # Convolutions
            methods convolutions {
                /// Convolves `[N, L, C]` with a `weight` of `[C_out, K, C / groups]`.
                fn conv1d(a: &Array, weight: &Array, stride: usize, padding: usize, dilation: usize, groups: usize) -> Array;
                /// Convolves `[N, H, W, C]` with a `weight` of `[C_out, KH, KW, C / groups]`.
                fn conv2d(
                    a: &Array, weight: &Array, stride: (usize, usize), padding: (usize, usize), dilation: (usize, usize),
                    groups: usize
                ) -> Array;
                /// Convolves `[N, D, H, W, C]` with a `weight` of `[C_out, KD, KH, KW, C / groups]`.
                fn conv3d(
                    a: &Array, weight: &Array, stride: (usize, usize, usize), padding: (usize, usize, usize),
                    dilation: (usize, usize, usize), groups: usize
                ) -> Array;
                /// Computes the transpose of `conv1d`, with `output_padding` more entries at the end.
                fn conv_transpose1d(
                    a: &Array, weight: &Array, stride: usize, padding: usize, dilation: usize, output_padding: usize,
                    groups: usize
                ) -> Array;
                /// Computes the transpose of `conv2d`, with `output_padding` more entries at the end.
                fn conv_transpose2d(
                    a: &Array, weight: &Array, stride: (usize, usize), padding: (usize, usize), dilation: (usize, usize),
                    output_padding: (usize, usize), groups: usize
                ) -> Array;
                /// Computes the transpose of `conv3d`, with `output_padding` more entries at the end.
                fn conv_transpose3d(
                    a: &Array, weight: &Array, stride: (usize, usize, usize), padding: (usize, usize, usize),
                    dilation: (usize, usize, usize), output_padding: (usize, usize, usize), groups: usize
                ) -> Array;
                /// Convolves `[N, spatial axes…, C]` with a `weight` of `[C_out, spatial axes…, C / groups]`. Each list has a
                /// number for each spatial axis. `flip` reverses the spatial axes of the weight.
                fn conv_general(
                    a: &Array, weight: &Array, stride: &[usize], padding_lo: &[usize], padding_hi: &[usize],
                    kernel_dilation: &[usize], input_dilation: &[usize], groups: usize, flip: bool
                ) -> Array;
            }

            /// # Quantization
            ///
            /// Affine: a scale and a bias for each `group_size` elements of a row.
            methods quantization {
                /// Packs this `[out, in]` matrix with `bits` bits an element. Returns the packed weights (dtype uint32), the
                /// scales and the biases.
                fn quantize(a: &Array, group_size: usize, bits: usize) -> (Array, Array, Array);
                /// Unpacks the weights that `quantize` packed.
                fn dequantize(w: &Array, scales: &Array, biases: &Array, group_size: usize, bits: usize) -> Array;
                /// Computes the product with a matrix that `quantize` packed, transposed if `transpose` is set.
                fn quantized_matmul(
                    a: &Array, w: &Array, scales: &Array, biases: &Array, transpose: bool, group_size: usize, bits: usize
                ) -> Array;
                /// Computes `gather_mm` with matrices that `quantize` packed, transposed if `transpose` is set.
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
                fn key(seed: u64) -> Array;
                /// Returns `num` keys derived from one, uint32 `[num, 2]`.
                fn split(key: &Array, num: usize) -> Array;
                /// Draws uniformly from `low` up to but without `high`, which broadcast to `shape`. `dtype` is a float.
                fn uniform(low: &Array, high: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Draws from the normal distribution with mean `loc` and standard deviation `scale`. `dtype` is a float.
                fn normal(shape: &[usize], dtype: Dtype, loc: f32, scale: f32, key: &Array) -> Array;
                /// Draws from the standard normal distribution between `lower` and `upper`, which broadcast to `shape`.
                fn truncated_normal(lower: &Array, upper: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Draws from the Laplace distribution with mean `loc` and `scale`. `dtype` is a float.
                fn laplace(shape: &[usize], dtype: Dtype, loc: f32, scale: f32, key: &Array) -> Array;
                /// Draws from the standard Gumbel distribution. `dtype` is a float.
                fn gumbel(shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Draws integers from `low` up to but without `high`, which broadcast to `shape`.
                fn randint(low: &Array, high: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Draws true with probability `p`, which broadcasts to `shape`. The result is of dtype bool.
                fn bernoulli(p: &Array, shape: &[usize], key: &Array) -> Array;
                /// Draws `num_samples` indices of `axis`, where `logits` are unnormalized log-probabilities. The samples
                /// replace that axis, at the end. The result is of dtype uint32.
                fn categorical(logits: &Array, axis: isize, num_samples: usize, key: &Array) -> Array;
                /// Shuffles the entries of `axis`.
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
                fn norm(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// Computes the QR factorization. Returns `Q` and `R`.
                fn qr(a: &Array) -> (Array, Array);
                /// Computes the singular value decomposition. Returns `U`, `S` and the transpose of `V`.
                fn svd(a: &Array) -> (Array, Array, Array);
                /// Computes the inverse of square matrices.
                fn inv(a: &Array) -> Array;
                /// Computes the pseudo-inverse.
                fn pinv(a: &Array) -> Array;
                /// Computes the inverse of triangular matrices.
                fn tri_inv(a: &Array, triangle: Triangle) -> Array;
                /// Computes the Cholesky factor of positive definite matrices. MLX does not check that they are.
                fn cholesky(a: &Array, triangle: Triangle) -> Array;
                /// Computes the inverse of the matrices that have this Cholesky factor.
                fn cholesky_inv(a: &Array, triangle: Triangle) -> Array;
                /// Computes the LU factorization of square matrices. Returns the row order, `L` and `U`: `L @ U` is `a` with
                /// its rows in that order.
                fn lu(a: &Array) -> (Array, Array, Array);
                /// Computes the determinant of square matrices.
                fn det(a: &Array) -> Array;
                /// Computes the sign of the determinant, and the logarithm of its absolute value.
                fn slogdet(a: &Array) -> (Array, Array);
                /// Solves `a @ x = b` for `x`.
                fn solve(a: &Array, b: &Array) -> Array;
                /// Solves `a @ x = b` for `x`, where `a` is triangular.
                fn solve_triangular(a: &Array, b: &Array, triangle: Triangle) -> Array;
                /// Computes the eigenvalues, in ascending order, and the eigenvectors, in columns, of symmetric matrices.
                fn eigh(a: &Array) -> (Array, Array);
                /// Computes the eigenvalues, in ascending order, of symmetric matrices.
                fn eigvalsh(a: &Array) -> Array;
                /// Computes the cross product of vectors of length 2 or 3 along `axis`.
                fn cross(a: &Array, b: &Array, axis: isize) -> Array;
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
                /// Computes `x / sqrt(mean(x²) + eps) * weight` over the last axis.
                fn rms_norm(x: &Array, weight: Option<&Array>, eps: f32) -> Array;
                /// Computes `(x - mean) / sqrt(variance + eps) * weight + bias` over the last axis.
                fn layer_norm(x: &Array, weight: Option<&Array>, bias: Option<&Array>, eps: f32) -> Array;
                /// Applies rotary position embeddings to the first `dims` entries of the last axis, for positions from
                /// `offset` on along the axis before it. `freqs` replaces `base`.
                fn rope(
                    x: &Array, dims: usize, traditional: bool, base: Option<f32>, scale: f32, offset: usize,
                    freqs: Option<&Array>
                ) -> Array;
                /// Computes `softmax(scale * queries @ keysᵀ + mask) @ values` of `[B, heads, L, D]`. A bool mask is true
                /// where a query sees a key.
                fn scaled_dot_product_attention(
                    queries: &Array, keys: &Array, values: &Array, scale: f32, mask: Option<&Array>
                ) -> Array;
                /// Computes attention where no query sees a key after it.
                fn causal_attention(queries: &Array, keys: &Array, values: &Array, scale: f32) -> Array;
                /// Computes `logsumexp(logits) - logits[target]` over the last axis of `logits`. `targets` (uint32 or int32)
                /// has the shape of the other axes.
                fn cross_entropy(logits: &Array, targets: &Array) -> Array;
            }
        }
    };
}
