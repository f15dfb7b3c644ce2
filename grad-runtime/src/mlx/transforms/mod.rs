//! MLX's transforms of functions of Rust.
//!
//! Transforms that differentiate ([`vjp`], [`jvp`], [`Array::grad`]) start their function in mode Enabled, whatever scope the
//! call is in. Inside a no-grad scope they return constants to transforms further out. The others ([`vmap`], [`compile`],
//! [`checkpoint`], [`custom_function`]) run their function in the mode of the call.

mod checkpoint;
mod compile;
mod custom;
mod gradient;
mod vmap;

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;

use super::array::Array;
use super::ffi::{Failure, Handle, as_traced};
use super::operation_error;
use crate::error::{Error, Result};
use crate::explain::record::{self, Closed};

pub use checkpoint::{Checkpoint, checkpoint};
pub(super) use compile::NAME as COMPILE;
pub use compile::{Compiled, compile};
pub use custom::{CustomFunction, custom_function};
pub(super) use gradient::value_and_grad;
pub use gradient::{jvp, vjp};
pub(crate) use vmap::map_over;
pub use vmap::vmap;

/// A function that MLX stores, or that is called more than once.
type Function = Rc<dyn Fn(&[Array]) -> Result<Vec<Array>>>;

/// Returns `function` as MLX calls it: on handles, which it passes on unchanged.
fn on_handles<E>(
    function: impl FnOnce(&[Array]) -> Result<Vec<Array>, E>,
) -> impl FnOnce(&[Handle]) -> Result<Vec<Handle>, E> {
    |inputs| Ok(function(as_traced(inputs))?.into_iter().map(Array::into_handle).collect())
}

/// The part of an explanation's record that one transform writes. It does nothing where no record is made.
struct TransformRecord {
    place: &'static Location<'static>,
    outputs: RefCell<Vec<Array>>,
}

impl TransformRecord {
    #[track_caller]
    fn new() -> Self {
        Self { place: Location::caller(), outputs: RefCell::default() }
    }

    /// Notes that the function is called with `seen` for what the transform was given.
    fn add_inputs(&self, given: &[Array], seen: &[Array]) {
        if record::is_recording() {
            record::inputs(given, seen, self.place);
        }
    }

    fn keep_outputs(&self, outputs: &[Array]) {
        if record::is_recording() {
            self.outputs.replace(outputs.to_vec());
        }
    }

    /// Calls a function to which what it captures is a constant.
    fn call_closed(
        &self,
        inputs: &[Array],
        function: &dyn Fn(&[Array]) -> Result<Vec<Array>>,
    ) -> Result<Vec<Array>> {
        let _closed = record::is_recording().then(|| Closed::enter(inputs));
        let outputs = function(inputs)?;
        self.keep_outputs(&outputs);
        Ok(outputs)
    }

    /// Notes that the transform `op` returns `results`, which depend on what its function returned and on `others`.
    fn add_results(&self, op: &'static str, others: &[Array], results: &[Array]) {
        if record::is_recording() {
            let operands = [&self.outputs.borrow()[..], others].concat();
            record::operation(op, &operands, results, self.place);
        }
    }
}

/// Converts a failure to the user's error.
fn transform_error<E: From<Error>>(transform: &'static str, operands: &[Array], failure: Failure<E>) -> E {
    match failure {
        Failure::Function(error) => error,
        Failure::StoredFn(error) => error.into(),
        Failure::Mlx(reason) => operation_error(transform, operands, reason).into(),
    }
}

/// Returns a transform's outputs as arrays: in a no-grad scope, as constants to transforms further out.
fn finish_outputs<E: From<Error>>(
    transform: &'static str,
    operands: &[Array],
    outputs: Vec<Handle>,
) -> Result<Vec<Array>, E> {
    let arrays = outputs.into_iter().map(Array::new);
    arrays.collect::<Result<_, String>>().map_err(|reason| operation_error(transform, operands, reason).into())
}
