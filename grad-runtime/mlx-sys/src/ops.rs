//! The list of MLX's operations.

/// Calls a macro with the list of MLX's operations, one line each: names and argument order are MLX's.
///
/// The build script calls it to write the C++ side, which for each operation calls the function of that name in the
/// shim's namespace `ops` (for the modules, in `ops::random` and so on). That is MLX's own unless the shim defines one.
/// `abi.rs` calls it for the type of each function, grad-runtime for the public methods and functions, the tests to test
/// every operation. To add an operation is to add its line here and its tests.
///
/// ```
/// macro_rules! count {
///     ($($(#[$about:meta])* mod $section:ident {$(
///         $(#[$doc:meta])*
///         fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty;
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
            /// What the `Array` trait asks for, where it is documented.
            mod shared {
                fn abs(a: &Array) -> Array;
                fn negative(a: &Array) -> Array;
                fn exp(a: &Array) -> Array;
                fn log(a: &Array) -> Array;
                fn sqrt(a: &Array) -> Array;
                fn square(a: &Array) -> Array;
                fn sin(a: &Array) -> Array;
                fn cos(a: &Array) -> Array;
                fn tanh(a: &Array) -> Array;
                fn erf(a: &Array) -> Array;
                fn sigmoid(a: &Array) -> Array;
                fn relu(a: &Array) -> Array;
                fn gelu(a: &Array) -> Array;
                fn stop_gradient(a: &Array) -> Array;
                fn add(a: &Array, b: &Array) -> Array;
                fn subtract(a: &Array, b: &Array) -> Array;
                fn multiply(a: &Array, b: &Array) -> Array;
                fn divide(a: &Array, b: &Array) -> Array;
                fn maximum(a: &Array, b: &Array) -> Array;
                fn minimum(a: &Array, b: &Array) -> Array;
                fn power(a: &Array, b: &Array) -> Array;
                fn equal(a: &Array, b: &Array) -> Array;
                fn greater(a: &Array, b: &Array) -> Array;
                fn less(a: &Array, b: &Array) -> Array;
                fn matmul(a: &Array, b: &Array) -> Array;
                fn where_cond(condition: &Array, on_true: &Array, on_false: &Array) -> Array;
                fn sum(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn mean(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn max(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn min(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn logsumexp(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                fn argmax(a: &Array, axis: isize, keepdims: bool) -> Array;
                fn softmax(a: &Array, axis: isize) -> Array;
                fn layer_norm(a: &Array, weight: &Array, bias: &Array, eps: f32) -> Array;
                fn reshape(a: &Array, shape: &[usize]) -> Array;
                fn transpose(a: &Array, axes: &[isize]) -> Array;
                fn expand_dims(a: &Array, axis: isize) -> Array;
                fn squeeze(a: &Array, axis: isize) -> Array;
                fn broadcast_to(a: &Array, shape: &[usize]) -> Array;
                fn concatenate(arrays: &[Array], axis: isize) -> Array;
                fn slice(a: &Array, start: &[usize], stop: &[usize]) -> Array;
                fn take(a: &Array, indices: &Array, axis: isize) -> Array;
                fn astype(a: &Array, dtype: Dtype) -> Array;
            }

            /// Methods of `mlx::Array`; the first argument is `self`.
            mod methods {
                /// `1` where an element is positive, `-1` where it is negative, else `0`.
                fn sign(a: &Array) -> Array;
                /// The largest integer that is not larger.
                fn floor(a: &Array) -> Array;
                /// The smallest integer that is not smaller.
                fn ceil(a: &Array) -> Array;
                /// The integer part.
                fn trunc(a: &Array) -> Array;
                /// Rounded to `decimals` places; halves to the even neighbour.
                fn round(a: &Array, decimals: i32) -> Array;
                /// `1 / x`.
                fn reciprocal(a: &Array) -> Array;
                /// `1 / sqrt(x)`.
                fn rsqrt(a: &Array) -> Array;
                /// `exp(x) - 1`, exact where `x` is small.
                fn expm1(a: &Array) -> Array;
                /// The logarithm to base 2.
                fn log2(a: &Array) -> Array;
                /// The logarithm to base 10.
                fn log10(a: &Array) -> Array;
                /// `log(1 + x)`, exact where `x` is small.
                fn log1p(a: &Array) -> Array;
                /// `log(exp(x) + exp(y))`, without overflow.
                fn logaddexp(a: &Array, b: &Array) -> Array;
                /// The tangent, of radians.
                fn tan(a: &Array) -> Array;
                /// The inverse sine, in radians.
                fn arcsin(a: &Array) -> Array;
                /// The inverse cosine, in radians.
                fn arccos(a: &Array) -> Array;
                /// The inverse tangent, in radians.
                fn arctan(a: &Array) -> Array;
                /// The angle of the point (`x`, `self`), in radians.
                fn arctan2(a: &Array, x: &Array) -> Array;
                /// The hyperbolic sine.
                fn sinh(a: &Array) -> Array;
                /// The hyperbolic cosine.
                fn cosh(a: &Array) -> Array;
                /// The inverse hyperbolic sine.
                fn arcsinh(a: &Array) -> Array;
                /// The inverse hyperbolic cosine.
                fn arccosh(a: &Array) -> Array;
                /// The inverse hyperbolic tangent.
                fn arctanh(a: &Array) -> Array;
                /// Radians as degrees.
                fn degrees(a: &Array) -> Array;
                /// Degrees as radians.
                fn radians(a: &Array) -> Array;
                /// The inverse of the error function.
                fn erfinv(a: &Array) -> Array;
                /// `x · sigmoid(x)`.
                fn silu(a: &Array) -> Array;
                /// Each element moved into `a_min..=a_max`, of which one may be missing.
                fn clip(a: &Array, a_min: Option<&Array>, a_max: Option<&Array>) -> Array;
                /// NaN and infinities replaced; without a number, by the dtype's largest and smallest.
                fn nan_to_num(a: &Array, nan: f32, posinf: Option<f32>, neginf: Option<f32>) -> Array;
                /// The quotient, rounded down; broadcast. An integer's by zero is the device's.
                fn floor_divide(a: &Array, b: &Array) -> Array;
                /// What is left of the division, with the divisor's sign; broadcast.
                fn remainder(a: &Array, b: &Array) -> Array;
                /// Quotient and remainder; broadcast.
                fn divmod(a: &Array, b: &Array) -> (Array, Array);

                /// Whether both are different, broadcast; dtype bool.
                fn not_equal(a: &Array, b: &Array) -> Array;
                /// Whether this one is greater or equal, broadcast; dtype bool.
                fn greater_equal(a: &Array, b: &Array) -> Array;
                /// Whether this one is less or equal, broadcast; dtype bool.
                fn less_equal(a: &Array, b: &Array) -> Array;
                /// Whether shapes and all elements agree; a bool scalar.
                fn array_equal(a: &Array, b: &Array, equal_nan: bool) -> Array;
                /// Whether `|x - y| <= atol + rtol · |y|`, broadcast; dtype bool.
                fn isclose(a: &Array, b: &Array, rtol: f64, atol: f64, equal_nan: bool) -> Array;
                /// Whether that holds of all elements; a bool scalar.
                fn allclose(a: &Array, b: &Array, rtol: f64, atol: f64, equal_nan: bool) -> Array;
                /// Whether an element is NaN; dtype bool.
                fn isnan(a: &Array) -> Array;
                /// Whether an element is an infinity; dtype bool.
                fn isinf(a: &Array) -> Array;
                /// Whether an element is neither NaN nor an infinity; dtype bool.
                fn isfinite(a: &Array) -> Array;
                /// Whether an element is the positive infinity; dtype bool.
                fn isposinf(a: &Array) -> Array;
                /// Whether an element is the negative infinity; dtype bool.
                fn isneginf(a: &Array) -> Array;
                /// Whether an element is false or zero; dtype bool.
                fn logical_not(a: &Array) -> Array;
                /// Whether both are true, broadcast; dtype bool.
                fn logical_and(a: &Array, b: &Array) -> Array;
                /// Whether one is true, broadcast; dtype bool.
                fn logical_or(a: &Array, b: &Array) -> Array;
                /// Whether just one is true, broadcast; dtype bool.
                fn logical_xor(a: &Array, b: &Array) -> Array;
                /// The bits that both have, broadcast; integers and bools.
                fn bitwise_and(a: &Array, b: &Array) -> Array;
                /// The bits that one has, broadcast; integers and bools.
                fn bitwise_or(a: &Array, b: &Array) -> Array;
                /// The bits that just one has, broadcast; integers and bools.
                fn bitwise_xor(a: &Array, b: &Array) -> Array;
                /// Every bit turned around; integers and bools.
                fn bitwise_invert(a: &Array) -> Array;
                /// The bits moved up by `b`, broadcast; integers. By the element's width or more, it is the device's.
                fn left_shift(a: &Array, b: &Array) -> Array;
                /// The bits moved down by `b`, broadcast; integers. By the element's width or more, it is the device's.
                fn right_shift(a: &Array, b: &Array) -> Array;

                /// Whether all elements over `axes` are true; dtype bool.
                fn all(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// Whether an element over `axes` is true; dtype bool.
                fn any(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// How many elements over `axes` are not zero; dtype uint32.
                fn count_nonzero(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// The product over `axes`.
                fn prod(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// The variance over `axes`: the sum of squared deviations divided by their number less `ddof`.
                fn var(a: &Array, axes: &[isize], keepdims: bool, ddof: usize) -> Array;
                /// The standard deviation over `axes`, the square root of `var`.
                fn std(a: &Array, axes: &[isize], keepdims: bool, ddof: usize) -> Array;
                /// The median over `axes`.
                fn median(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// The index of the smallest element along `axis`, the first of equals; dtype uint32.
                fn argmin(a: &Array, axis: isize, keepdims: bool) -> Array;
                /// The sums along `axis` up to each element; from the end if `reverse`, without the element itself unless
                /// `inclusive`.
                fn cumsum(a: &Array, axis: isize, reverse: bool, inclusive: bool) -> Array;
                /// The products along `axis`, as `cumsum`.
                fn cumprod(a: &Array, axis: isize, reverse: bool, inclusive: bool) -> Array;
                /// The largest elements along `axis`, as `cumsum`.
                fn cummax(a: &Array, axis: isize, reverse: bool, inclusive: bool) -> Array;
                /// The smallest elements along `axis`, as `cumsum`.
                fn cummin(a: &Array, axis: isize, reverse: bool, inclusive: bool) -> Array;
                /// `log(cumsum(exp(x)))` along `axis`, without overflow.
                fn logcumsumexp(a: &Array, axis: isize, reverse: bool, inclusive: bool) -> Array;
                /// The differences of neighbours along `axis`, taken `n` times.
                fn diff(a: &Array, n: usize, axis: isize) -> Array;

                /// Sorted along `axis`, upwards.
                fn sort(a: &Array, axis: isize) -> Array;
                /// The indices that sort `axis`; dtype uint32.
                fn argsort(a: &Array, axis: isize) -> Array;
                /// The element `kth` of `axis` in its sorted place, no larger ones before it and no smaller ones after it.
                fn partition(a: &Array, kth: usize, axis: isize) -> Array;
                /// The indices of such a partition; dtype uint32.
                fn argpartition(a: &Array, kth: usize, axis: isize) -> Array;
                /// The `k` largest elements along `axis`, in no order.
                fn topk(a: &Array, k: usize, axis: isize) -> Array;
                /// Where each of `values` would go in this sorted vector, before its equals if `side` is `"left"`, after them
                /// if `"right"`.
                fn searchsorted(a: &Array, values: &Array, side: &str) -> Array;

                /// The axes `start_axis` to `end_axis` as one.
                fn flatten(a: &Array, start_axis: isize, end_axis: isize) -> Array;
                /// `axis` as several, of lengths `shape`.
                fn unflatten(a: &Array, axis: isize, shape: &[usize]) -> Array;
                /// Two axes exchanged.
                fn swapaxes(a: &Array, axis1: isize, axis2: isize) -> Array;
                /// The axis `source` moved to `destination`.
                fn moveaxis(a: &Array, source: isize, destination: isize) -> Array;
                /// The axes turned around.
                fn flip(a: &Array, axes: &[isize]) -> Array;
                /// The elements of `axes` moved on by `shift`, those at the end to the beginning.
                fn roll(a: &Array, shift: i32, axes: &[isize]) -> Array;
                /// Each entry of `axis` `repeats` times.
                fn repeat(a: &Array, repeats: usize, axis: isize) -> Array;
                /// The array `repetitions` times along each axis.
                fn tile(a: &Array, repetitions: &[usize]) -> Array;
                /// With as many more entries before and after each axis as `widths` says: `value` if `mode` is
                /// `"constant"`, the outermost ones if `"edge"`, the others mirrored if `"reflect"`, and with the
                /// outermost ones if `"symmetric"`.
                fn pad(a: &Array, widths: &[(usize, usize)], value: f64, mode: &str) -> Array;
                /// `axis` in `parts` of equal length.
                fn split(a: &Array, parts: usize, axis: isize) -> Vec<Array>;
                /// `axis` cut before each of `indices`.
                fn split_at(a: &Array, indices: &[usize], axis: isize) -> Vec<Array>;
                /// The entries of `axis`, without it.
                fn unstack(a: &Array, axis: isize) -> Vec<Array>;
                /// The elements `start..stop` of each axis, every `strides`th of them.
                fn slice_strided(a: &Array, start: &[usize], stop: &[usize], strides: &[usize]) -> Array;
                /// This array with the elements `start..stop` of each axis replaced by `update`, which is broadcast.
                fn slice_update(a: &Array, update: &Array, start: &[usize], stop: &[usize]) -> Array;
                /// This array with `update` added to the elements `start..stop` of each axis.
                fn slice_update_add(a: &Array, update: &Array, start: &[usize], stop: &[usize]) -> Array;
                /// For each place in `indices` (uint32 or int32, from 0 on), the element of `axis` that it names. An index
                /// outside is treated as by `take`.
                fn take_along_axis(a: &Array, indices: &Array, axis: isize) -> Array;
                /// This array with `values` put where `indices` name entries of `axis`; see `take_along_axis`.
                fn put_along_axis(a: &Array, indices: &Array, values: &Array, axis: isize) -> Array;
                /// This array with `values` added where `indices` name entries of `axis`; see `take_along_axis`.
                fn scatter_add_axis(a: &Array, indices: &Array, values: &Array, axis: isize) -> Array;
                /// Slices of lengths `slice_sizes`, one for each place in `indices`, which hold for each of `axes` where the
                /// slice begins. The result has the shape of an index and then that of a slice.
                fn gather(a: &Array, indices: &[Array], axes: &[isize], slice_sizes: &[usize]) -> Array;
                /// This array with the slices in `updates` put where `indices` say; see `gather`.
                fn scatter(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// This array with the slices in `updates` added where `indices` say; see `gather`.
                fn scatter_add(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// This array with its slices where `indices` say multiplied by those in `updates`; see `gather`.
                fn scatter_prod(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// The larger of this array and the slices in `updates`, where `indices` say; see `gather`.
                fn scatter_max(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// The smaller of this array and the slices in `updates`, where `indices` say; see `gather`.
                fn scatter_min(a: &Array, indices: &[Array], updates: &Array, axes: &[isize]) -> Array;
                /// This array with the elements of `src`, one after another, where `mask` is true. A mask of fewer axes
                /// says it of whole entries. There must be enough for a mask that is computed; for another, `src` goes on
                /// in zeros.
                fn masked_scatter(a: &Array, mask: &Array, src: &Array) -> Array;
                /// The lower triangle of the last two axes, zero above the diagonal `k`.
                fn tril(a: &Array, k: i32) -> Array;
                /// The upper triangle of the last two axes, zero below the diagonal `k`.
                fn triu(a: &Array, k: i32) -> Array;
                /// The diagonal `k` of a matrix, or the matrix with a vector as that diagonal.
                fn diag(a: &Array, k: i32) -> Array;
                /// The diagonal `offset` of the planes of two axes.
                fn diagonal(a: &Array, offset: i32, axis1: isize, axis2: isize) -> Array;
                /// The sum of a diagonal of the planes of two axes.
                fn trace(a: &Array, offset: i32, axis1: isize, axis2: isize) -> Array;
                /// Zeros in this array's shape and dtype.
                fn zeros_like(a: &Array) -> Array;
                /// Ones in this array's shape and dtype.
                fn ones_like(a: &Array) -> Array;

                /// The products of every element with every other, shape `[size, size of b]`.
                fn outer(a: &Array, b: &Array) -> Array;
                /// The sums of products over the last axes of both.
                fn inner(a: &Array, b: &Array) -> Array;
                /// The sums of products along `axis` of both.
                fn vecdot(a: &Array, b: &Array, axis: isize) -> Array;
                /// The sums of products over `axes_a` of this array and `axes_b` of the other.
                fn tensordot(a: &Array, b: &Array, axes_a: &[isize], axes_b: &[isize]) -> Array;
                /// The Kronecker product.
                fn kron(a: &Array, b: &Array) -> Array;
                /// `beta · self + alpha · (a @ b)`.
                fn addmm(c: &Array, a: &Array, b: &Array, alpha: f32, beta: f32) -> Array;
                /// Of `[N, L, C]` with `weight` `[C_out, K, C / groups]`.
                fn conv1d(a: &Array, weight: &Array, stride: usize, padding: usize, dilation: usize, groups: usize) -> Array;
                /// Of `[N, H, W, C]` with `weight` `[C_out, KH, KW, C / groups]`.
                fn conv2d(
                    a: &Array, weight: &Array, stride: (usize, usize), padding: (usize, usize), dilation: (usize, usize),
                    groups: usize
                ) -> Array;
                /// Of `[N, D, H, W, C]` with `weight` `[C_out, KD, KH, KW, C / groups]`.
                fn conv3d(
                    a: &Array, weight: &Array, stride: (usize, usize, usize), padding: (usize, usize, usize),
                    dilation: (usize, usize, usize), groups: usize
                ) -> Array;
                /// The transpose of `conv1d`, with `output_padding` more entries at the end.
                fn conv_transpose1d(
                    a: &Array, weight: &Array, stride: usize, padding: usize, dilation: usize, output_padding: usize,
                    groups: usize
                ) -> Array;
                /// The transpose of `conv2d`, with `output_padding` more entries at the end.
                fn conv_transpose2d(
                    a: &Array, weight: &Array, stride: (usize, usize), padding: (usize, usize), dilation: (usize, usize),
                    output_padding: (usize, usize), groups: usize
                ) -> Array;
                /// The transpose of `conv3d`, with `output_padding` more entries at the end.
                fn conv_transpose3d(
                    a: &Array, weight: &Array, stride: (usize, usize, usize), padding: (usize, usize, usize),
                    dilation: (usize, usize, usize), output_padding: (usize, usize, usize), groups: usize
                ) -> Array;
                /// Of `[N, spatial axes…, C]` with `weight` `[C_out, spatial axes…, C / groups]`, where each list has a
                /// number for each spatial axis; the weight is turned around if `flip`.
                fn conv_general(
                    a: &Array, weight: &Array, stride: &[usize], padding_lo: &[usize], padding_hi: &[usize],
                    kernel_dilation: &[usize], input_dilation: &[usize], groups: usize, flip: bool
                ) -> Array;
                /// Products of the matrices that `lhs_indices` name among this array's last two axes and `rhs_indices`
                /// among `b`'s, which broadcast together; the matrices of an array without indices come in their order.
                fn gather_mm(a: &Array, b: &Array, lhs_indices: Option<&Array>, rhs_indices: Option<&Array>) -> Array;
                /// As `gather_mm`, where `w` was packed by `quantize`, and is transposed if so said.
                fn gather_qmm(
                    a: &Array, w: &Array, scales: &Array, biases: &Array, lhs_indices: Option<&Array>,
                    rhs_indices: Option<&Array>, transpose: bool, group_size: usize, bits: usize
                ) -> Array;
                /// The product of the last axis with the Hadamard matrix of its length, times `scale` or one by the root
                /// of the length.
                fn hadamard_transform(a: &Array, scale: Option<f32>) -> Array;
                /// This `[out, in]` matrix in `bits` bits an element, with a scale and a bias for each `group_size` of
                /// them: packed weights (uint32), scales, biases.
                fn quantize(a: &Array, group_size: usize, bits: usize) -> (Array, Array, Array);
                /// The matrix that `quantize` packed.
                fn dequantize(w: &Array, scales: &Array, biases: &Array, group_size: usize, bits: usize) -> Array;
                /// The product with a matrix that `quantize` packed, transposed if so said.
                fn quantized_matmul(
                    a: &Array, w: &Array, scales: &Array, biases: &Array, transpose: bool, group_size: usize, bits: usize
                ) -> Array;
            }

            /// Functions of the module `mlx`.
            mod functions {
                /// `start`, `start + step` and so on, up to but without `stop`.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// assert_eq!(mlx::arange(0.0, 6.0, 2.0, Dtype::Int32)?.to_vec::<i32>()?, [0, 2, 4]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn arange(start: f64, stop: f64, step: f64, dtype: Dtype) -> Array;
                /// `num` numbers from `start` to `stop`, both included, at equal distances.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// assert_eq!(mlx::linspace(0.0, 1.0, 3, Dtype::Float32)?.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn linspace(start: f64, stop: f64, num: usize, dtype: Dtype) -> Array;
                /// An `[n, m]` matrix with ones on the diagonal `k`.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// assert_eq!(mlx::eye(2, 2, 0, Dtype::Float32)?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn eye(n: usize, m: usize, k: i32, dtype: Dtype) -> Array;
                /// An `[n, n]` matrix with ones on the diagonal.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// assert_eq!(mlx::identity(2, Dtype::Float32)?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn identity(n: usize, dtype: Dtype) -> Array;
                /// An `[n, m]` matrix with ones on and below the diagonal `k`.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// assert_eq!(mlx::tri(2, 2, 0, Dtype::Float32)?.to_vec::<f32>()?, [1.0, 0.0, 1.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn tri(n: usize, m: usize, k: i32, dtype: Dtype) -> Array;
                /// The arrays, all of one shape, along a new `axis`.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// let rows = [mlx::Array::zeros(&[2], Dtype::Float32)?, mlx::Array::ones(&[2], Dtype::Float32)?];
                /// assert_eq!(mlx::stack(&rows, 0)?.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn stack(arrays: &[Array], axis: isize) -> Array;
                /// A grid of coordinates for each of several vectors, with lines of length 1 if `sparse`; `indexing` is
                /// `"xy"` or `"ij"`.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// let axis = mlx::arange(0.0, 2.0, 1.0, Dtype::Int32)?;
                /// assert_eq!(mlx::meshgrid(&[axis.clone(), axis], false, "ij")?[0].to_vec::<i32>()?, [0, 0, 1, 1]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn meshgrid(arrays: &[Array], sparse: bool, indexing: &str) -> Vec<Array>;
                /// The arrays in the shape that they have broadcast together.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// let arrays = [mlx::Array::ones(&[2, 1], Dtype::Float32)?, mlx::Array::ones(&[3], Dtype::Float32)?];
                /// assert_eq!(mlx::broadcast_arrays(&arrays)?[1].shape(), [2, 3]);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn broadcast_arrays(arrays: &[Array]) -> Vec<Array>;
                /// The sums of products that `subscripts` name, such as `"bij,bjk->bik"`.
                ///
                /// ```
                /// use grad_runtime::{Array, Dtype, mlx};
                ///
                /// let x = mlx::Array::from_slice(&[1.0_f32, 2.0], &[2])?;
                /// assert_eq!(mlx::einsum("i,i->", &[x.clone(), x])?.item::<f32>()?, 5.0);
                /// # Ok::<(), grad_runtime::Error>(())
                /// ```
                fn einsum(subscripts: &str, operands: &[Array]) -> Array;
            }

            /// Random numbers, each drawn with a key of its own, so that a program gives the same ones again.
            ///
            /// ```
            /// use grad_runtime::{Array, Dtype, mlx};
            ///
            /// let keys = mlx::random::split(&mlx::random::key(7)?, 2)?;
            /// let draw = |key: &mlx::Array| mlx::random::normal(&[3], Dtype::Float32, 0.0, 1.0, key)?.to_vec::<f32>();
            /// let (first, second) = (keys.slice(&[0, 0], &[1, 2])?.squeeze(0)?, keys.slice(&[1, 0], &[2, 2])?.squeeze(0)?);
            /// assert_eq!(draw(&first)?, draw(&first)?);
            /// assert_ne!(draw(&first)?, draw(&second)?);
            /// # Ok::<(), grad_runtime::Error>(())
            /// ```
            mod random {
                /// A key, uint32 `[2]`: what is drawn with it depends on nothing else.
                fn key(seed: u64) -> Array;
                /// `num` keys out of one, uint32 `[num, 2]`.
                fn split(key: &Array, num: usize) -> Array;
                /// From `low` up to `high`, which broadcast to `shape`, evenly; `dtype` is a float.
                fn uniform(low: &Array, high: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// From the normal distribution with mean `loc` and standard deviation `scale`; `dtype` is a float.
                fn normal(shape: &[usize], dtype: Dtype, loc: f32, scale: f32, key: &Array) -> Array;
                /// From the normal distribution between `lower` and `upper`, which broadcast to `shape`.
                fn truncated_normal(lower: &Array, upper: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// From the Laplace distribution with mean `loc` and `scale`; `dtype` is a float.
                fn laplace(shape: &[usize], dtype: Dtype, loc: f32, scale: f32, key: &Array) -> Array;
                /// From the standard Gumbel distribution; `dtype` is a float.
                fn gumbel(shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// Integers from `low` up to but without `high`, which broadcast to `shape`.
                fn randint(low: &Array, high: &Array, shape: &[usize], dtype: Dtype, key: &Array) -> Array;
                /// True with probability `p`, which broadcasts to `shape`; dtype bool.
                fn bernoulli(p: &Array, shape: &[usize], key: &Array) -> Array;
                /// `num_samples` indices of `axis`, where `logits` are unnormalized logarithms of probabilities; they take
                /// the place of the axis at the end. Dtype uint32.
                fn categorical(logits: &Array, axis: isize, num_samples: usize, key: &Array) -> Array;
                /// The entries of `axis` in another order.
                fn permutation(a: &Array, axis: isize, key: &Array) -> Array;
            }

            /// Linear algebra, over the last two axes. MLX factorizes on the CPU, wherever the arrays are. Where a matrix has an
            /// element that is NaN or infinite, `svd`, `pinv`, `eigh` and `eigvalsh` answer with NaN.
            ///
            /// ```
            /// use grad_runtime::{Array, mlx};
            ///
            /// let a = mlx::Array::from_slice(&[2.0_f32, 0.0, 0.0, 4.0], &[2, 2])?;
            /// let b = mlx::Array::from_slice(&[2.0_f32, 2.0], &[2])?;
            /// assert_eq!(mlx::linalg::solve(&a, &b)?.to_vec::<f32>()?, [1.0, 0.5]);
            /// # Ok::<(), grad_runtime::Error>(())
            /// ```
            mod linalg {
                /// The 2-norm over `axes`: of vectors for one axis, Frobenius' of matrices for two.
                fn norm(a: &Array, axes: &[isize], keepdims: bool) -> Array;
                /// `Q` and `R` of square or other matrices.
                fn qr(a: &Array) -> (Array, Array);
                /// `U`, `S` and the transpose of `V`.
                fn svd(a: &Array) -> (Array, Array, Array);
                /// The inverse of square matrices.
                fn inv(a: &Array) -> Array;
                /// The pseudo-inverse.
                fn pinv(a: &Array) -> Array;
                /// The inverse of triangular matrices.
                fn tri_inv(a: &Array, upper: bool) -> Array;
                /// The Cholesky factor of positive definite matrices, the upper one if so said. MLX does not notice others.
                fn cholesky(a: &Array, upper: bool) -> Array;
                /// The inverse of the matrices that have this Cholesky factor.
                fn cholesky_inv(a: &Array, upper: bool) -> Array;
                /// The factors `L` and `U` of square matrices, after the order of rows: `L @ U` is `a` in that order.
                fn lu(a: &Array) -> (Array, Array, Array);
                /// The determinant of square matrices.
                fn det(a: &Array) -> Array;
                /// The sign of the determinant and the logarithm of its magnitude.
                fn slogdet(a: &Array) -> (Array, Array);
                /// What solves `a @ x = b`.
                fn solve(a: &Array, b: &Array) -> Array;
                /// What solves `a @ x = b` for triangular `a`.
                fn solve_triangular(a: &Array, b: &Array, upper: bool) -> Array;
                /// Eigenvalues, upwards, and eigenvectors, in columns, of symmetric matrices.
                fn eigh(a: &Array) -> (Array, Array);
                /// The eigenvalues, upwards, of symmetric matrices.
                fn eigvalsh(a: &Array) -> Array;
                /// The cross product of vectors of length 2 or 3 along `axis`.
                fn cross(a: &Array, b: &Array, axis: isize) -> Array;
            }

            /// What models spend their time in: one kernel each, where the device has it.
            ///
            /// ```
            /// use grad_runtime::{Array, mlx};
            ///
            /// let x = mlx::Array::from_slice(&[3.0_f32, 4.0], &[1, 2])?;
            /// let norm = mlx::fast::rms_norm(&x, None, 0.0)?.square()?.mean_all()?;
            /// assert!((norm.item::<f32>()? - 1.0).abs() < 1e-6);
            /// # Ok::<(), grad_runtime::Error>(())
            /// ```
            mod fast {
                /// `x / sqrt(mean(x²) + eps) · weight` over the last axis.
                fn rms_norm(x: &Array, weight: Option<&Array>, eps: f32) -> Array;
                /// `(x - mean) / sqrt(variance + eps) · weight + bias` over the last axis.
                fn layer_norm(x: &Array, weight: Option<&Array>, bias: Option<&Array>, eps: f32) -> Array;
                /// Rotary positions on the first `dims` of the last axis, for positions from `offset` on along the one
                /// before; `freqs` stand in place of `base`.
                fn rope(
                    x: &Array, dims: usize, traditional: bool, base: Option<f32>, scale: f32, offset: usize,
                    freqs: Option<&Array>
                ) -> Array;
                /// `softmax(scale · queries @ keysᵀ + mask) @ values` of `[B, heads, L, D]`; a bool mask allows.
                fn scaled_dot_product_attention(
                    queries: &Array, keys: &Array, values: &Array, scale: f32, mask: Option<&Array>
                ) -> Array;
                /// The same, where no query sees the keys after it.
                fn causal_attention(queries: &Array, keys: &Array, values: &Array, scale: f32) -> Array;
                /// `logsumexp(logits) - logits[target]` over the last axis of `logits`, for targets (uint32 or int32) of
                /// the other axes.
                fn cross_entropy(logits: &Array, targets: &Array) -> Array;
            }
        }
    };
}
