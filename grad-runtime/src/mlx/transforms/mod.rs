//! Transforms: MLX's own, given Rust functions and held to the law.
//!
//! Those that differentiate ([`vjp`], [`jvp`], and `grad` of the [`Array`](crate::Array) trait) start their function
//! Enabled, whatever scope the call stands in, and what they return from a scope is a constant to transforms further out.
//! Those that only change how a function is computed ([`vmap`], [`compile`], [`checkpoint`], [`custom_function`]) leave it
//! what it is: it runs in the mode of the call.

mod checkpoint;
mod compile;
mod custom;
mod gradient;
mod running;
mod vmap;

use std::rc::Rc;

use super::array::Array;
use super::ffi::{Failure, Handle};
use super::refuse;
use crate::error::{Error, Result};

pub use checkpoint::{Checkpoint, checkpoint};
pub use compile::{Compiled, compile};
pub use custom::{CustomFunction, custom_function};
pub(super) use gradient::value_and_grad;
pub use gradient::{jvp, vjp};
pub(super) use running::is_running;
pub use vmap::vmap;

/// A function that MLX keeps, or that is called more than once.
type Function = Rc<dyn Fn(&[Array]) -> Result<Vec<Array>>>;

/// `function` as MLX sees it: arrays go in and come out as they are.
fn over_handles<E>(
    function: impl FnOnce(&[Array]) -> Result<Vec<Array>, E>,
) -> impl FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E> {
    |inputs| {
        let inputs: Vec<Array> = inputs.into_iter().map(Array::traced).collect();
        Ok(function(&inputs)?.into_iter().map(Array::into_handle).collect())
    }
}

/// What a failure is to the user.
fn failed<E: From<Error>>(transform: &'static str, operands: &[Array], failure: Failure<E>) -> E {
    match failure {
        Failure::Function(error) => error,
        Failure::Kept(error) => error.into(),
        Failure::Mlx(reason) => refuse(transform, operands, reason).into(),
    }
}

/// What a transform made: in a no-grad scope, constants to the transforms around.
fn handed_out<E: From<Error>>(
    transform: &'static str,
    operands: &[Array],
    made: Vec<Handle>,
) -> Result<Vec<Array>, E> {
    let arrays = made.into_iter().map(Array::new);
    arrays.collect::<Result<_, String>>().map_err(|reason| refuse(transform, operands, reason).into())
}
