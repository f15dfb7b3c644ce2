//! Errors of operations: inner functions give the reason, and the public operation adds its name and operands.

use std::any::{Any, TypeId};
use std::cell::Cell;
use std::panic::Location;
use std::slice;

use candle_core::Error as CandleError;

use super::array::Array;
use crate::array::{cannot_make, refused};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::explain::record;

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
#[track_caller]
pub(super) fn operation<T: 'static>(
    op: &'static str,
    operands: &[&Array],
    compute: impl FnOnce() -> Result<T, Reason>,
) -> Result<T> {
    let place = Location::caller();
    let returns_array = TypeId::of::<T>() == TypeId::of::<Array>();
    let running = record::is_recording().then(|| RunningOperation::start(op, place, returns_array));
    let output = compute().map_err(|Reason(reason)| refused(op, operands, reason))?;
    if running.is_some_and(|running| running.is_outermost)
        && let Some(output) = (&output as &dyn Any).downcast_ref::<Array>()
    {
        record_as(op, operands, output, place);
    }
    Ok(output)
}

thread_local! {
    /// The outermost operation that is running, while a record is made.
    static RUNNING: Cell<Option<Running>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Running {
    op: &'static str,
    place: &'static Location<'static>,
    /// Whether it returns one array. Only that is recorded, and not the arrays that are made on the way to it.
    returns_array: bool,
}

struct RunningOperation {
    is_outermost: bool,
}

impl RunningOperation {
    fn start(op: &'static str, place: &'static Location<'static>, returns_array: bool) -> Self {
        let is_outermost = RUNNING.get().is_none();
        if is_outermost {
            RUNNING.set(Some(Running { op, place, returns_array }));
        }
        Self { is_outermost }
    }
}

impl Drop for RunningOperation {
    fn drop(&mut self) {
        if self.is_outermost {
            RUNNING.set(None);
        }
    }
}

/// Records an output of the operation that is running, if a record is made.
#[track_caller]
pub(super) fn record_output(op: &'static str, operands: &[&Array], output: &Array) {
    if record::is_recording() {
        match RUNNING.get() {
            Some(Running { returns_array: true, .. }) => {}
            Some(Running { op, place, .. }) => record_as(op, operands, output, place),
            None => record_as(op, operands, output, Location::caller()),
        }
    }
}

fn record_as(op: &'static str, operands: &[&Array], output: &Array, place: &'static Location<'static>) {
    let operands: Vec<Array> = operands.iter().map(|&operand| operand.clone()).collect();
    record::operation(op, &operands, slice::from_ref(output), place);
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
