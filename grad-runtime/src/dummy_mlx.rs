//! Apple's MLX, which this build does not contain: it was made without the feature `mlx`.
//!
//! The module stands in for the real one, so that programs ask [`check_available`] in one way.

use grad_core::Unavailable;

use crate::error::Result;

/// Returns the error that says how to build with MLX.
///
/// ```
/// let error = grad_runtime::mlx::check_available().unwrap_err();
/// assert!(error.to_string().contains("feature `mlx`"));
/// ```
///
/// # Errors
///
/// [`Error::Unavailable`](crate::Error::Unavailable), always.
pub fn check_available() -> Result<()> {
    let reason = "this program was built without the feature `mlx` of grad-runtime; enable it";
    Err(Unavailable { backend: "mlx", reason: reason.into() }.into())
}
