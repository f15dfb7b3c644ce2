//! Errors of operations: inner functions give the reason, and the public operation adds its name and operands.

use candle_core::Error as CandleError;

use crate::array::{Array, cannot_make, refused};
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// The reason why an operation failed, without the name of the operation.
pub(super) struct Reason(String);

impl From<String> for Reason {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for Reason {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

/// A backtrace, which candle adds if `RUST_BACKTRACE` is set, is left out: the text is the same either way.
impl From<CandleError> for Reason {
    fn from(mut error: CandleError) -> Self {
        while let CandleError::WithBacktrace { inner, .. } = error {
            error = *inner;
        }
        Self(error.to_string())
    }
}

/// An operation inside another one fails with the name of the outer one.
impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        match error {
            Error::Operation { reason, .. } => Self(reason),
            other => Self(other.to_string()),
        }
    }
}

/// Returns from an operation with a reason.
macro_rules! bail {
    ($($reason:tt)*) => {
        return Err(format_args!($($reason)*).to_string().into())
    };
}
pub(super) use bail;

/// Computes the operation `op`, whose name and operands stand in the error if it fails.
pub(super) fn operation<A: Array, T>(
    op: &'static str,
    operands: &[&A],
    compute: impl FnOnce() -> Result<T, Reason>,
) -> Result<T> {
    compute().map_err(|Reason(reason)| refused(op, operands, reason))
}

/// Creates an array, whose shape and dtype stand in the error if it fails.
pub(super) fn creation<A>(
    op: &'static str,
    shape: &[usize],
    dtype: Dtype,
    create: impl FnOnce() -> Result<A, Reason>,
) -> Result<A> {
    create().map_err(|Reason(reason)| cannot_make(op, shape, dtype, reason))
}
