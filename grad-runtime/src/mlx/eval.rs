//! Evaluation of several arrays, with and without waiting.

use super::array::Array;
use super::{ffi, operation_error};
use crate::error::Result;

/// Computes the elements of all arrays now, in one pass over their graph.
///
/// # Errors
///
/// [`Error::Operation`](crate::Error::Operation) if an operation fails; [`Error::Unavailable`](crate::Error::Unavailable) if MLX cannot be loaded.
///
/// ```
/// use grad_runtime::{Array, Dtype, mlx};
///
/// let x = mlx::Array::ones(&[2], Dtype::Float32)?;
/// mlx::eval(&[x.exp()?, x.log()?])?;
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn eval(arrays: &[Array]) -> Result<()> {
    ffi::eval(ffi::as_handles(arrays))?.map_err(|reason| operation_error("eval", arrays, reason))
}

/// Begins to compute the elements of all arrays, and does not wait for them. Who looks at the elements waits.
///
/// # Errors
///
/// As [`eval`]; what fails later is the error of who looks at the elements.
///
/// ```
/// use grad_runtime::{Array, Dtype, mlx};
///
/// let next = mlx::Array::ones(&[2], Dtype::Float32)?.exp()?;
/// mlx::async_eval(&[next.clone()])?;
/// // … prepare the step after …
/// assert_eq!(next.to_vec::<f32>()?, [1.0_f32.exp(); 2]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn async_eval(arrays: &[Array]) -> Result<()> {
    ffi::async_eval(ffi::as_handles(arrays))?.map_err(|reason| operation_error("async_eval", arrays, reason))
}
