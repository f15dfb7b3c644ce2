//! Compares the operations of MLX in this crate with those of mlx-rs 0.33 (on its mlx-sys 0.7).
//!
//! Names and argument order are MLX's: `x.cumsum(0, ScanDirection::Forward, ScanBound::Inclusive)` is
//! `mx.cumsum(x, 0, reverse=False, inclusive=True)`. No argument has a default. Axes are lists where MLX accepts several,
//! and an empty list reduces over no axis; `sum_all` and `mean_all` of the [`Array`](crate::Array) trait reduce over all.
//!
//! | | grad-runtime | mlx-rs |
//! | --- | --- | --- |
//! | arithmetic, comparisons, reductions, scans, sorting, shapes | methods of [`mlx::Array`](crate::mlx::Array) and of the trait | the same, some under other names: `eq`, `move_axis`, `sum_axes`, `r#where` |
//! | convolutions, transposed convolutions, `conv_general` | yes | yes |
//! | `quantize`, `dequantize`, `quantized_matmul`, `gather_mm`, `gather_qmm` | affine mode, MLX's default | other modes too |
//! | [`random`](crate::mlx::random) | each call takes a key | a key, or global state |
//! | [`linalg`](crate::mlx::linalg) | always runs on the CPU | also other norms; the caller chooses the stream |
//! | [`fft`](mod@crate::mlx::fft), `real`, `imag`, windows | yes | yes |
//! | [`fast`](crate::mlx::fast) | norms, `rope`, attention | also attention sinks, an offset given as an array, and custom kernels |
//! | an invalid call | always an error with the operation's name and the shapes; [every operation is fuzzed](#invalid-calls) | MLX's error |
//! | gradient-free scopes | `no_grad` makes each result a constant | none |
//!
//! # Only in grad-runtime
//!
//! | | |
//! | --- | --- |
//! | bitwise | `bitwise_and`, `bitwise_or`, `bitwise_xor`, `bitwise_invert`, `left_shift`, `right_shift` |
//! | scatters over several axes | `gather`, `scatter`, `scatter_add`, `scatter_prod`, `scatter_max`, `scatter_min`; mlx-rs has those over a single axis, and indexing traits for ranges and indices |
//! | others | `roll`, `meshgrid`, `scatter_add_axis`, `slice_update_add`, `random::laplace`, `random::permutation`, `fast::cross_entropy` |
//! | gradients | `vmap`, `checkpoint`, `custom_function` |
//!
//! # Only in mlx-rs
//!
//! | | reason |
//! | --- | --- |
//! | `view` | the bits of another dtype; convert with `astype` |
//! | indexing with ranges and ellipses | use `slice`, `slice_strided`, `take` and `gather` |
//! | `as_strided` | its strides may point outside the array, and the binding cannot check them |
//! | `block_masked_mm`, `segmented_mm`, `qqmm`, `to_fp8`, `from_fp8`, Metal kernels | special-purpose kernels; each would be one line in the list of operations |
//! | `random::multivariate_normal`, `random::seed` | `cholesky` and `normal` give the first; the second sets global state |
//! | layers | this crate has operations, transforms, optimizers and checkpoints; the guide "A training loop" writes layers |
//! | loading and saving npy and GGUF | safetensors files are supported: feature `safetensors` |
//!
//! # Invalid calls
//!
//! An invalid call returns [`Error::Operation`](crate::Error::Operation), whatever its shapes, axes, dtypes and elements. The
//! reason is that of the CPU fallback wherever both backends refuse the call, and "MLX reports: …" where only MLX knows it.
//!
//! MLX makes most of the checks; the binding makes those that MLX omits, and returns a defined result where MLX has none:
//!
//! | | MLX 0.32.4 | grad-runtime |
//! | --- | --- | --- |
//! | an index out of bounds | accesses memory out of bounds | an error; the nearest index if the indices are not evaluated yet |
//! | `jvp` of `irfft` of an odd length, second derivatives of `abs` of complex numbers | wrong | correct |
//! | `floor_divide`, `remainder` of the smallest int32 or int64 by -1 | ends the process | the quotient wraps around; the remainder is 0 |
//! | `divmod` | writes beyond its buffers for some shapes; integer division by zero ends the process | the results of `floor_divide` and `remainder` |
//! | a convolution with 0 groups, or with padding that exceeds memory | ends the process | an error |
//! | the gradient of a transposed convolution with output padding | has the wrong shape | correct |
//! | the gradient of `cummax` and `cummin` where the first element is NaN | writes out of bounds | correct |
//! | the gradient of `masked_scatter` with too few elements | writes out of bounds | an error; zeros if the mask is not evaluated yet |
//! | the gradient with respect to `pad`'s fill value | reads out of bounds | the value is a number, not an array |
//! | `quantize` and related operations with group size 0 | end the process | an error |
//! | `svd`, `pinv`, `eigh`, `eigvalsh` of NaN or infinities | may never return | NaN |
//! | factorizations of empty matrices | some end the process | an error |
//! | many errors during evaluation on the main thread | never returns | errors |
//! | a transform of a function that records tens of thousands of operations in a chain | overflows the stack and ends the process | works; `compile` returns an error if the chain does not fit on the stack |
//! | `jvp` of convolutions, `scatter`, `take` inside a gradient, `gather_mm`, `prod`, `cumprod`, `cummax`, `cummin` | an error | correct |
//! | `jvp` of `addmm` with other factors than 1 | ignores them | correct |
//! | `vmap` of `not_equal` and the bitwise operations where one operand is mapped | has the wrong shape or elements | correct |
//! | `vmap` of `slice_update` with an update that is not mapped | updates the first entry only | correct |
//! | `vmap` of a grouped convolution whose weight is mapped | is wrong | correct |
//! | `vmap` of `quantized_matmul`, `gather_mm`, `qr`, `lu`, `searchsorted` | an error | correct |
//! | second derivatives of `max` and `min`; indices that depend on a primal | an error | correct; an index is a constant |
//! | the derivative of a conversion to an integer and back | is 1 | is 0 |
//! | second derivatives of `tanh` of large numbers | are NaN | are 0 |
//! | `softmax` and `logsumexp` of integers and bools | compute in integers | the result is float32 |
//! | sums, means, scans and norms of float16 and bfloat16 | some accumulate in half precision | accumulate in float32 |
//!
//! ```
//! use grad_runtime::{Array, mlx};
//!
//! let (image, weight) = (mlx::Array::ones(&[1, 4, 4, 3], grad_runtime::Dtype::Float32)?, mlx::Array::scalar(1.0_f32)?);
//! let error = image.conv2d(&weight, (1, 1), (0, 0), (1, 1), 1).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "cannot conv2d float32[1, 4, 4, 3] and float32[]: the array and the weight need 2 spatial axes, one for each stride, \
//!      between their first and their last"
//! );
//! # Ok::<(), grad_runtime::Error>(())
//! ```
