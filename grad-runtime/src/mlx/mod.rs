//! Apple's MLX through a binding of our own, loaded when it is first used, so that one binary runs with MLX and without.
//!
//! ```
//! use grad_runtime::{Array, mlx, no_grad};
//!
//! let x = mlx::Array::from_slice(&[3.0_f32], &[1])?;
//! let gradients = mlx::Array::grad(|x| {
//!     let target = no_grad! { x[0].square()? }; // a constant: no gradient flows through it
//!     x[0].multiply(&target)?.sum_all()
//! }, &[x])?;
//! assert_eq!(gradients[0].to_vec::<f32>()?, [9.0]);
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! Beyond the [`Array`](crate::Array) trait, which MLX shares with the CPU fallback:
//!
//! | | |
//! | --- | --- |
//! | operations | methods of [`Array`], functions of this module, [`random`], [`linalg`], [`fast`]: MLX's names and argument order |
//! | gradients | `Array::grad` and `value_and_grad` of the trait, [`vjp`], [`jvp`] |
//! | functions of functions | [`vmap`], [`compile`], [`checkpoint`], [`custom_function`] |
//! | when and where | [`eval`], [`async_eval`], [`Stream`], [`Device`] |
//!
//! # Scopes and transforms
//!
//! Inside a transform, what is made while the mode is off is a constant to it, and to every one around it. From outside:
//!
//! | started in a no-grad scope | its function runs | what it returns |
//! | --- | --- | --- |
//! | `grad`, `value_and_grad`, [`vjp`], [`jvp`] | Enabled; in inference mode they are an error | constants to transforms further out |
//! | [`vmap`] | in the mode of the call | constants |
//! | [`compile`] | in the mode of the call, and is traced once for each mode | what the function itself would return |
//! | [`checkpoint`] | in the mode of the call, also when it runs again | what the function itself would return |
//! | [`custom_function`] | in the mode of the call; its derivatives Enabled | constants |
//!
//! # Threads
//!
//! MLX gives each thread streams and traces of its own, so arrays, streams and transformed functions stay on the thread
//! that made them: they are neither `Send` nor `Sync`. To hand elements to another thread, take them out with `to_vec`.
//! Threads that each have arrays of their own may work at the same time.
//!
//! # Finding MLX
//!
//! When this crate is built, MLX is looked for in `MLX_DIR`, in an installed Python package `mlx`, and in Homebrew's
//! prefix; with the feature `download-mlx` its wheel is fetched with pip (`GRAD_MLX_PACKAGE` names another than
//! `mlx-cpu`, such as `mlx-cuda-13`). When the program runs, `GRAD_MLX_LIBRARY` names the libmlx to load, or is `off`; on
//! Linux `GRAD_MLX_BLAS` names the BLAS to put ahead of the wheel's reference one, by default an installed OpenBLAS, or
//! is `off`. [`Mlx::available`](crate::Mlx::available) says whether all this led to an MLX, and if not, why.

mod array;
mod device;
mod eval;
#[allow(unsafe_code, reason = "this is the binding")]
mod ffi;
mod stream;
mod switch;
mod transforms;

pub use array::Array;
pub use device::{
    Device, active_memory, default_device, is_available, peak_memory, reset_peak_memory, set_default_device,
};
pub use eval::{async_eval, eval};
#[doc(inline)]
pub use ffi::functions::{arange, broadcast_arrays, einsum, eye, identity, linspace, meshgrid, stack, tri};
pub use ffi::{fast, linalg, random};
pub use stream::Stream;
pub use transforms::{Checkpoint, Compiled, CustomFunction, checkpoint, compile, custom_function, jvp, vjp, vmap};

/// Returns the error of an operation on several arrays.
fn operation_error(op: &'static str, operands: &[Array], reason: String) -> crate::Error {
    crate::array::refused(op, &operands.iter().collect::<Vec<_>>(), reason)
}

/// Behind [`Mlx::available`](crate::Mlx::available).
pub(crate) fn available() -> crate::Result<()> {
    ffi::api().map(|_| ())
}
