//! The operations of MLX that are here, beside those of mlx-rs 0.33 (on its mlx-sys 0.7).
//!
//! Names and argument order are MLX's, so that Python code for MLX reads the same: `x.cumsum(0, false, true)` is
//! `mx.cumsum(x, 0, reverse=False, inclusive=True)`. Every argument is given. Axes are lists where MLX takes several, and an
//! empty list is no axis; `sum_all` and `mean_all` of the [`Array`](crate::Array) trait take all.
//!
//! | | here | mlx-rs |
//! | --- | --- | --- |
//! | arithmetic, comparisons, reductions, scans, sorting, shapes | methods of [`mlx::Array`](crate::mlx::Array) and of the trait | the same, some under names of its own: `eq`, `move_axis`, `sum_axes`, `r#where` |
//! | convolutions, transposed ones, `conv_general` | the same | the same |
//! | `quantize`, `dequantize`, `quantized_matmul`, `gather_mm`, `gather_qmm` | affine, the mode that MLX defaults to | other modes too |
//! | [`random`](crate::mlx::random) | each draw names its key | a key, or a state that moves on |
//! | [`linalg`](crate::mlx::linalg) | real matrices; runs on the CPU by itself | also `eig`, `eigvals`, `lu_factor`, other norms; the stream is the caller's to choose |
//! | [`fast`](crate::mlx::fast) | norms, `rope`, attention | also sinks of attention, a position from an array, and kernels of one's own |
//! | a wrong call | always an error with the operation's name and the shapes; [every operation is fuzzed](#what-a-wrong-call-is) | MLX's error |
//! | a gradient-free scope | `no_grad` makes each result a constant | none |
//!
//! # Only here
//!
//! | | |
//! | --- | --- |
//! | bits | `bitwise_and`, `bitwise_or`, `bitwise_xor`, `bitwise_invert`, `left_shift`, `right_shift` |
//! | scatters over several axes | `gather`, `scatter`, `scatter_add`, `scatter_prod`, `scatter_max`, `scatter_min`; mlx-rs has those of a single axis, and slices with ranges and indices through its indexing traits |
//! | others | `roll`, `meshgrid`, `scatter_add_axis`, `slice_update_add`, `random::laplace`, `random::permutation`, `fast::cross_entropy` |
//! | gradients | `vmap`, `checkpoint`, `custom_function` |
//!
//! # Only there
//!
//! | | why not here |
//! | --- | --- |
//! | `fft`, `real`, `imag`, `linalg::eig`, `eigvals` | [`Dtype`](crate::Dtype) has no complex numbers; the windows `hann`, `hamming`, `blackman`, `bartlett` go with them |
//! | int8, int64, float64 and the like; `view` | `Dtype` has the six dtypes that every backend has |
//! | indexing with ranges and ellipses | `slice`, `slice_strided`, `take` and `gather` name what they do |
//! | `as_strided` | it reads wherever the strides point, which nothing can check |
//! | `block_masked_mm`, `segmented_mm`, `qqmm`, `to_fp8`, `from_fp8`, Metal kernels | special kernels: nobody has asked yet, and each is one line in the list |
//! | `random::multivariate_normal`, `random::seed` | `cholesky` and `normal` make the first; the second is a state that would be shared |
//! | layers, losses, optimizers | this crate ends at operations and transforms |
//! | loading and saving npy and GGUF | safetensors are here, on the crate of that name: feature `safetensors` |
//!
//! # What a wrong call is
//!
//! An [`Error::Operation`](crate::Error::Operation), whatever the shapes, axes, dtypes and elements. MLX checks most, and its
//! message says what; the binding adds what it leaves out. Where that changes a result, it is the one without a trap:
//!
//! | | MLX 0.32.4 alone | here |
//! | --- | --- | --- |
//! | an index out of bounds | reads or writes there | an error, or the nearest index where the indices are not computed yet |
//! | `floor_divide`, `remainder` of the smallest int32 by -1 | ends the process | wraps around; the remainder is 0 |
//! | `divmod` | writes beyond its buffers for some shapes; integers by zero end the process | `floor_divide` and `remainder` |
//! | a convolution in 0 groups, or with more padding than memory | ends the process | an error |
//! | the gradient of a transposed convolution with output padding | of the wrong shape | right |
//! | the gradient of `cummax` and `cummin` where the first element is NaN | writes out of bounds | right |
//! | the gradient of `masked_scatter` with too few elements | writes out of bounds | an error, or zeros where the mask is not computed yet |
//! | the gradient for the value that `pad` fills in | reads out of bounds | the value is a number, not an array |
//! | `quantize` and its like in groups of 0 | ends the process | an error |
//! | `svd`, `pinv`, `eigh`, `eigvalsh` of NaN or infinities | may never return | NaN |
//! | factorizations of empty matrices | some end the process | an error |
//! | many failures while computing, on the main thread | waits forever | errors |
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
