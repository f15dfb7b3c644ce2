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
//! When this crate is built, MLX is looked for in `MLX_DIR`, in an installed Python package `mlx`, and in Homebrew's
//! prefix; with the feature `download-mlx` its wheel is fetched with pip (`GRAD_MLX_PACKAGE` names another than
//! `mlx-cpu`, such as `mlx-cuda-13`). When the program runs, `GRAD_MLX_LIBRARY` names the libmlx to load, or is `off`; on
//! Linux `GRAD_MLX_BLAS` names the BLAS to put ahead of the wheel's reference one, by default an installed OpenBLAS, or
//! is `off`. [`Mlx::available`](crate::Mlx::available) says whether all this led to an MLX, and if not, why.

mod array;
mod device;
#[allow(unsafe_code, reason = "this is the binding")]
mod ffi;
#[cfg(mlx_shim)]
#[allow(unsafe_code, reason = "this is the binding")]
mod library;
mod stream;
mod transforms;

pub use array::Array;
pub use device::{
    Device, active_memory, default_device, is_available, peak_memory, reset_peak_memory, set_default_device,
};
#[doc(inline)]
pub use ffi::functions::{arange, broadcast_arrays, einsum, eye, identity, linspace, meshgrid, stack, tri};
pub use ffi::{fast, linalg, random};
pub use stream::{Stream, async_eval, eval};
pub use transforms::{Checkpoint, Compiled, CustomFunction, checkpoint, compile, custom_function, jvp, vjp, vmap};

/// The error of what refuses several arrays.
fn refuse(op: &'static str, operands: &[Array], reason: String) -> crate::Error {
    crate::array::refused(op, &operands.iter().collect::<Vec<_>>(), reason)
}

/// Behind [`Mlx::available`](crate::Mlx::available).
pub(crate) fn available() -> crate::Result<()> {
    ffi::api().map(|_| ())
}
