//! Apple's MLX, loaded when it is first used, so that one program runs with MLX and without.
//!
//! ```
//! use grad_runtime::{mlx::Array, no_grad};
//!
//! let x = Array::from_slice(&[3.0_f32], &[1])?;
//! let gradients = Array::grad(|x| {
//!     let target = no_grad! { x[0].square()? }; // a constant: no gradient flows through it
//!     x[0].multiply(&target)?.sum_all()
//! }, &[x])?;
//! assert_eq!(gradients[0].to_vec::<f32>()?, [9.0]);
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! | | |
//! | --- | --- |
//! | operations | methods of [`Array`], functions of this module, [`random`], [`linalg`], [`fft`], [`fast`] |
//! | gradients | [`Array::grad`], [`Array::value_and_grad`], [`vjp`], [`jvp`] |
//! | other transforms | [`vmap`], [`compile`], [`checkpoint`], [`custom_function`] |
//! | evaluation, devices | [`eval`], [`async_eval`], [`Stream`], [`Device`] |
//! | other processes | [`distributed`] |
//!
//! The guide [Computing with MLX](crate::guide::computing_with_mlx) says when arrays are computed, and what that costs.
//!
//! Code that is generic over the backend uses the [`Array`](crate::Array) trait, which MLX shares with the CPU fallback.
//!
//! # Names
//!
//! Names and argument order of operations are MLX's. The exceptions:
//!
//! | here | MLX |
//! | --- | --- |
//! | [`where_cond`](Array::where_cond) | `where`, a keyword of Rust |
//! | [`split_at`](Array::split_at) | `split` with indices |
//! | [`slice_strided`](Array::slice_strided) | `slice` with strides |
//! | [`relu`](Array::relu), [`gelu`](Array::gelu), [`silu`](Array::silu), [`layer_norm`](Array::layer_norm) | `mlx.nn.relu` and so on; `fast.layer_norm` |
//! | [`fast::causal_attention`] | `fast.scaled_dot_product_attention` with `mask="causal"` |
//! | [`sum_all`](Array::sum_all), [`mean_all`](Array::mean_all) | `sum`, `mean` without axes |
//! | [`ScanDirection`], [`ScanBound`], [`Triangle`] | the flags `reverse`, `inclusive`, `upper` |
//! | [`from_slice`](Array::from_slice), [`scalar`](Array::scalar), [`to_vec`](Array::to_vec) | `array(…)`, `tolist` |
//!
//! # Scopes and transforms
//!
//! Inside a transform, an array that is created while the mode is off is a constant to that transform and to all around it.
//! A transform that is itself called inside a no-grad scope:
//!
//! | transform | its function runs in | it returns |
//! | --- | --- | --- |
//! | `grad`, `value_and_grad`, [`vjp`], [`jvp`] | mode Enabled; in inference mode they are an error | constants to transforms further out |
//! | [`vmap`] | the mode of the call | constants |
//! | [`compile`] | the mode of the call; it is traced once for each mode | what the function itself would return |
//! | [`checkpoint`] | the mode of the call, also when it is called again | what the function itself would return |
//! | [`custom_function`] | the mode of the call; its derivatives in mode Enabled | constants |
//!
//! # Threads
//!
//! MLX has streams and traces for each thread, so arrays, streams and transformed functions stay on the thread that created
//! them: they are neither `Send` nor `Sync`. Several threads may compute at the same time.
//!
//! The elements of an array need not stay: [`Shared`](crate::Shared) takes those of one array to other threads, and
//! [`params::share`](crate::params::share) those of a model, without a copy. Each thread opens them as arrays of its own. MLX counts
//! the references to a buffer, writes into it only where the count is 1, and frees it under a lock; what it does not synchronize is
//! the descriptor of an array, so each thread has its own. The guide [Computing with
//! MLX](crate::guide::computing_with_mlx#one-model-on-several-threads) shows a server and a loader.
//!
//! # Finding MLX
//!
//! A build looks for MLX in `MLX_DIR`, in an installed Python package `mlx`, and in Homebrew's prefix. With the feature
//! `download-mlx` it downloads a wheel with pip where there is none, and verifies its SHA-256: `mlx-cpu`, or the package that
//! `GRAD_MLX_PACKAGE` names, such as `mlx-cuda-13` or, for a version that this crate does not know,
//! `mlx-cpu==0.33.0 --hash=sha256:…`. When the program runs, `GRAD_MLX_LIBRARY` names the libmlx to load, or is `off`. On Linux
//! `GRAD_MLX_BLAS` names the BLAS that takes the place of the wheel's reference one, by default an installed OpenBLAS, or is
//! `off`. On NVIDIA GPUs, `MLX_USE_CUDA_GRAPHS` says whether MLX records CUDA graphs, by default `0`: see [Computing with
//! MLX](crate::guide::computing_with_mlx#one-model-on-several-threads). [`check_available`] returns why MLX was not found or loaded, if so.

mod array;
mod depth;
mod device;
pub mod distributed;
mod eval;
#[allow(unsafe_code, reason = "this is the interface to C++")]
mod ffi;
mod generator;
mod running;
mod sealed;
mod sharing;
mod stream;
mod transforms;

pub use array::Array;
pub use device::{Device, active_memory, default_device, peak_memory, reset_peak_memory, set_default_device};
pub use eval::{async_eval, eval};
#[doc(inline)]
pub use ffi::{combination::*, creation::*, fast, fft, linalg, random};
pub use stream::Stream;
pub(crate) use transforms::map_over;
pub use transforms::{Checkpoint, Compiled, CustomFunction, checkpoint, compile, custom_function, jvp, vjp, vmap};

/// How [`pad`](Array::pad) fills the places that it adds.
///
/// ```
/// use grad_runtime::mlx::{Array, PadMode};
///
/// let x = Array::from_slice(&[1, 2, 3], &[3])?;
/// assert_eq!(x.pad(&[(2, 0)], 9.0, PadMode::Constant)?.to_vec::<i32>()?, [9, 9, 1, 2, 3]);
/// assert_eq!(x.pad(&[(2, 0)], 0.0, PadMode::Edge)?.to_vec::<i32>()?, [1, 1, 1, 2, 3]);
/// assert_eq!(x.pad(&[(2, 0)], 0.0, PadMode::Reflect)?.to_vec::<i32>()?, [3, 2, 1, 2, 3]);
/// assert_eq!(x.pad(&[(2, 0)], 0.0, PadMode::Symmetric)?.to_vec::<i32>()?, [2, 1, 1, 2, 3]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[doc(inline)]
pub use grad_mlx_sys::PadMode;

/// On which side of equal elements [`searchsorted`](Array::searchsorted) places a value.
///
/// ```
/// use grad_runtime::mlx::{Array, Side};
///
/// let (sorted, value) = (Array::from_slice(&[1.0_f32, 2.0, 2.0], &[3])?, Array::scalar(2.0_f32)?);
/// assert_eq!(sorted.searchsorted(&value, Side::Left)?.item::<u32>()?, 1);
/// assert_eq!(sorted.searchsorted(&value, Side::Right)?.item::<u32>()?, 3);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[doc(inline)]
pub use grad_mlx_sys::Side;

/// Along which axes the vectors of a [`meshgrid`] run.
///
/// ```
/// use grad_runtime::mlx::{self, Array, Indexing};
///
/// let vectors = [Array::from_slice(&[1, 2], &[2])?, Array::from_slice(&[3], &[1])?];
/// assert_eq!(mlx::meshgrid(&vectors, false, Indexing::Xy)?[0].shape(), [1, 2]);
/// assert_eq!(mlx::meshgrid(&vectors, false, Indexing::Ij)?[0].shape(), [2, 1]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[doc(inline)]
pub use grad_mlx_sys::Indexing;

/// From which end [`cumsum`](Array::cumsum) and other scans start.
///
/// ```
/// use grad_runtime::mlx::{Array, ScanBound, ScanDirection};
///
/// let x = Array::from_slice(&[1, 2, 3], &[3])?;
/// assert_eq!(x.cumsum(0, ScanDirection::Forward, ScanBound::Inclusive)?.to_vec::<i32>()?, [1, 3, 6]);
/// assert_eq!(x.cumsum(0, ScanDirection::Reverse, ScanBound::Inclusive)?.to_vec::<i32>()?, [6, 5, 3]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[doc(inline)]
pub use grad_mlx_sys::ScanDirection;

/// Whether [`cumsum`](Array::cumsum) and other scans include the element in the place of the result.
///
/// ```
/// use grad_runtime::mlx::{Array, ScanBound, ScanDirection};
///
/// let x = Array::from_slice(&[1, 2, 3], &[3])?;
/// assert_eq!(x.cumsum(0, ScanDirection::Forward, ScanBound::Inclusive)?.to_vec::<i32>()?, [1, 3, 6]);
/// assert_eq!(x.cumsum(0, ScanDirection::Forward, ScanBound::Exclusive)?.to_vec::<i32>()?, [0, 1, 3]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[doc(inline)]
pub use grad_mlx_sys::ScanBound;

/// Which of a Fourier transform and its inverse is divided by the number of elements.
///
/// ```
/// use grad_runtime::mlx::{Array, FftNorm, fft};
///
/// let x = Array::from_slice(&[1.0_f32; 4], &[4])?;
/// for (norm, sum) in [(FftNorm::Backward, 4.0), (FftNorm::Ortho, 2.0), (FftNorm::Forward, 1.0)] {
///     assert_eq!(fft::fft(&x, None, 0, norm)?.real()?.to_vec::<f32>()?[0], sum);
/// }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[doc(inline)]
pub use grad_mlx_sys::FftNorm;

/// Which triangle of a matrix [`linalg::cholesky`] and other functions compute or read.
///
/// ```
/// use grad_runtime::mlx::{Array, Triangle, linalg};
///
/// let a = Array::from_slice(&[4.0_f32, 2.0, 2.0, 2.0], &[2, 2])?;
/// assert_eq!(linalg::cholesky(&a, Triangle::Lower)?.to_vec::<f32>()?, [2.0, 0.0, 1.0, 1.0]);
/// assert_eq!(linalg::cholesky(&a, Triangle::Upper)?.to_vec::<f32>()?, [2.0, 1.0, 0.0, 1.0]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[doc(inline)]
pub use grad_mlx_sys::Triangle;

/// Returns the error of an operation on several arrays.
fn operation_error(op: &'static str, operands: &[Array], reason: String) -> crate::Error {
    crate::array::refused(op, &operands.iter().collect::<Vec<_>>(), reason)
}

/// Returns the error of an evaluation: that of collectives which it had to wait for, or `refuse`'s for MLX's reason.
fn evaluation_error(
    failure: ffi::Failure<crate::Error>,
    refuse: impl FnOnce(String) -> crate::Error,
) -> crate::Error {
    match failure {
        ffi::Failure::Function(error) | ffi::Failure::StoredFn(error) => error,
        ffi::Failure::Mlx(reason) => {
            // An array may depend on the result of a collective that failed.
            let failed = ffi::is_of_lost_elements(&reason).then(distributed::failure).flatten();
            failed.unwrap_or_else(|| refuse(reason))
        }
    }
}

/// Checks that MLX can be used in this process.
///
/// Scopes do not need it: without MLX, they are still scopes.
///
/// ```
/// use grad_runtime::mlx;
///
/// match mlx::check_available() {
///     Ok(()) => println!("MLX is ready"),
///     Err(error) => println!("on the CPU: {error}"),
/// }
/// ```
///
/// # Errors
///
/// [`Error::Unavailable`](crate::Error::Unavailable), with the reason: this program was built without finding MLX, or libmlx is
/// missing, of another version, or switched off.
pub fn check_available() -> crate::Result<()> {
    ffi::api().map(|_| ())
}
