//! Structures that a function returned, kept apart from their arrays while a transform has these.

use std::cell::RefCell;
use std::convert::Infallible;

use super::Params;
use super::gradient::with_all;
use crate::array::Array;
use crate::error::Result;

/// A structure that a function returned, kept for its results.
pub(super) type Returned<Q> = RefCell<Option<Q>>;

/// Returns the arrays of a structure, which is kept with `empty` in the place of each, so that their elements are not.
pub(super) fn keep<A: Array, Q: Params<A>>(returned: &Returned<Q>, outputs: &Q, empty: &A) -> Vec<A> {
    let Ok(structure) = outputs.try_map(|_, _| Ok::<_, Infallible>(empty.clone()));
    returned.replace(Some(structure));
    outputs.arrays()
}

/// Returns an array for places whose elements do not matter.
pub(super) fn placeholder<A: Array>() -> Result<A> {
    A::scalar(0.0_f32)
}

/// Returns the kept structure with other arrays.
pub(super) fn rebuilt<A: Array, Q: Params<A>>(returned: &Returned<Q>, arrays: &[A]) -> Q {
    let outputs = returned.borrow();
    with_all(outputs.as_ref().expect("a transform that succeeds has called its function"), arrays)
}

/// Returns a structure for its values other than arrays, without keeping the arrays alive.
pub(super) fn emptied<A: Array, P: Params<A>>(params: &P) -> Result<P> {
    let empty: A = placeholder()?;
    params.try_map(|_, _| Ok(empty.clone()))
}
