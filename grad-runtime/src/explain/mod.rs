//! Explanations of missing gradients: which parameter receives one, and which scope or operation cut the others, at which line.
//!
//! A gradient that is zero or missing looks like any other. [`gradients`] differentiates a function once, and reports what became of
//! each parameter:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Params, Result, cpu, explain, no_grad};
//!
//! #[derive(Params)]
//! struct Model<A: Array> {
//!     encoder: A,
//!     head: A,
//! }
//!
//! fn loss<A: Array>(model: &Model<A>, x: &A) -> Result<A> {
//!     let features = no_grad! { x.matmul(&model.encoder)? };
//!     features.matmul(&model.head)?.square()?.mean_all()
//! }
//!
//! let ones = |shape| cpu::Array::ones(shape, grad_runtime::Dtype::Float32);
//! let (model, x) = (Model { encoder: ones(&[3, 2])?, head: ones(&[2, 1])? }, ones(&[4, 3])?);
//! let report = explain::gradients(|model| loss(model, &x), &model)?;
//! let text = report.to_string();
//! assert!(text.starts_with("2 parameters: 1 receives a gradient, 1 does not"));
//! assert!(text.contains("encoder  float32[3, 2]  no gradient: cut by no_grad at "));
//! assert!(text.contains("(matmul -> float32[4, 2])"));
//! assert!(text.contains("head     float32[2, 1]  receives a gradient, norm "));
//! assert!(report.require_all().is_err());
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! A gradient that exists and is zero, infinite or NaN is reported as received, with its norm: whether there is one and what its
//! value is are separate questions.
//!
//! A program that does not ask pays nothing: a scope takes the same number of instructions, and an array has the same size. While
//! a report is made, arrays of the function are remembered, so it takes more time and memory than the gradient alone.

pub(crate) mod record;

mod paths;
mod report;
#[cfg(feature = "serde")]
mod serialize;
mod strict;
mod watching;

use std::cell::Cell;
use std::panic::Location;

pub use grad_core::{OpenScope, WatchGuard, open_scopes as scopes, watch_scopes};
pub use report::{Cause, Cut, Gradient, Parameter, Report, Step, Undifferentiated};
pub use strict::strict;
pub use watching::{Watch, watch};

use crate::array::Array;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::params::{Params, paths_of, trainable_arrays};
use record::Recording;

pub(crate) use strict::is_strict;
pub(crate) use watching::{Watched, set_paths};

/// Differentiates a scalar function of `params` once, and reports which arrays of `params` receive a gradient, and why the others
/// do not.
///
/// The function is called once. Whatever scope the call is in, it starts in mode `Enabled`, as in
/// [`params::value_and_grad`](crate::params::value_and_grad). See the [module](self) for an example.
///
/// # Errors
///
/// As [`params::value_and_grad`](crate::params::value_and_grad).
///
/// # Panics
///
/// If `function` panics, with its payload.
#[track_caller]
pub fn gradients<A, P, F, E>(function: F, params: &P) -> Result<Report, E>
where
    A: Array,
    P: Params<A>,
    F: FnOnce(&P) -> Result<A, E>,
    E: From<Error>,
{
    let place = Location::caller();
    let _watching = watch_scopes();
    let recording = Recording::start();
    let callers = trainable_arrays(params);
    let value = Cell::new(None);
    let observed = |params: &P| {
        record::parameters(&callers, &trainable_arrays(params), place);
        let result = function(params)?;
        value.set(record::end(&result));
        Ok::<A, E>(result)
    };
    let (_, gradients) = crate::params::value_and_grad(observed, params)?;
    let record = recording.finish();

    let described = paths_of(params).into_iter().zip(trainable_arrays(&gradients));
    Ok(Report::new(&record, value.get(), described.map(|(path, gradient)| describe(path, &gradient)).collect()))
}

/// Returns what a report says of the parameter of this gradient: path, shape, dtype and the norm of the gradient.
fn describe<A: Array>(path: String, gradient: &A) -> (String, Vec<usize>, Dtype, Option<f32>) {
    // Inside a function that is mapped it cannot be computed.
    (path, gradient.shape(), gradient.dtype(), norm(gradient).ok())
}

/// Returns the Euclidean norm.
fn norm<A: Array>(array: &A) -> Result<f32> {
    array.astype(Dtype::Float32)?.square()?.sum_all()?.sqrt()?.item()
}
