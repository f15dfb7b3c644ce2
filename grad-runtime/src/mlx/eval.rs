//! Evaluation of several arrays.

use super::array::Array;
use super::{evaluation_error, ffi, operation_error};
use crate::error::Result;

/// Computes the elements of all arrays, in one pass over their graph.
///
/// # Errors
///
/// [`Error::Operation`](crate::Error::Operation) if an operation fails, [`Error::Unavailable`](crate::Error::Unavailable) if
/// MLX cannot be loaded.
///
/// ```
/// use grad_runtime::Dtype;
/// use grad_runtime::mlx::{self, Array};
///
/// let x = Array::ones(&[2], Dtype::Float32)?;
/// mlx::eval(&[x.exp()?, x.log()?])?;
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn eval(arrays: &[Array]) -> Result<()> {
    ffi::eval(ffi::as_handles(arrays))?
        .map_err(|failure| evaluation_error(failure, |reason| operation_error("eval", arrays, reason)))
}

/// Starts to compute the elements of all arrays, and returns. Reading the elements blocks until they are computed.
///
/// # Errors
///
/// As [`eval`]. An operation that fails later is an error of reading the elements.
///
/// ```
/// use grad_runtime::Dtype;
/// use grad_runtime::mlx::{self, Array};
///
/// let next = Array::ones(&[2], Dtype::Float32)?.exp()?;
/// mlx::async_eval(&[next.clone()])?;
/// // … prepare the next step …
/// assert_eq!(next.to_vec::<f32>()?, [1.0_f32.exp(); 2]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn async_eval(arrays: &[Array]) -> Result<()> {
    ffi::async_eval(ffi::as_handles(arrays))?
        .map_err(|failure| evaluation_error(failure, |reason| operation_error("async_eval", arrays, reason)))
}
