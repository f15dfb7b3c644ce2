//! What the optimizers share: the arrays of their state, and the replacement of a model's arrays.

use std::collections::BTreeMap;

use crate::array::{Array, refused};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::params::{Params, Path};

use super::widened;

/// An array of state for each trainable array of a model, by the name of that array.
pub type Slots<A> = BTreeMap<String, A>;

/// Returns an array of zeros for each trainable array of `model`, of its shape and dtype.
///
/// Fails if a trainable array is not floating point, or if two have the same name.
#[track_caller]
pub fn zeros<A: Array, P: Params<A>>(op: &'static str, model: &P) -> Result<Slots<A>> {
    let mut slots = Slots::new();
    let mut result = Ok(());
    model.visit_arrays(&Path::root(), &mut |path, array| {
        if result.is_ok() && path.is_trainable() {
            result = zero(op, path, array).and_then(|zero| {
                if slots.insert(path.to_string(), zero).is_some() {
                    let reason = format!("two arrays are named `{path}`; give each array a name of its own");
                    return Err(refused(op, &[array], reason));
                }
                Ok(())
            });
        }
    });
    result.map(|()| slots)
}

fn zero<A: Array>(op: &'static str, path: &Path<'_>, array: &A) -> Result<A> {
    if !array.dtype().is_float() {
        let reason = format!(
            "`{path}` is not floating point and cannot be trained; mark its field `#[params(buffer)]` or `#[params(skip)]`"
        );
        return Err(refused(op, &[array], reason));
    }
    A::zeros(&array.shape(), array.dtype()).map_err(|error| error.with_op(op))
}

/// A trainable array and its gradient, in the dtype that updates are computed in.
pub struct Trained<'a, A> {
    op: &'static str,
    name: &'a str,
    shape: Vec<usize>,
    pub dtype: Dtype,
    pub value: A,
    pub gradient: A,
}

impl<A: Array> Trained<'_, A> {
    /// Returns the array of state that belongs to this one, in the dtype that updates are computed in.
    pub fn state(&self, slots: &Slots<A>) -> Result<A> {
        match slots.get(self.name) {
            Some(state) if state.shape() == self.shape && state.dtype() == self.dtype => widened(state),
            found => {
                let found = if found.is_some() { "of another shape or dtype" } else { "not there" };
                let reason = format!(
                    "the optimizer's state for `{}` is {found}; make the optimizer from the model that it trains",
                    self.name
                );
                Err(refused(self.op, &[&self.value], reason))
            }
        }
    }

    /// Replaces the array of state that belongs to this one.
    pub fn set_state(&self, slots: &mut Slots<A>, state: &A) -> Result<()> {
        slots.insert(self.name.to_owned(), state.astype(self.dtype)?);
        Ok(())
    }
}

/// Returns `model` with each trainable array replaced by the result of `rule`.
#[track_caller]
pub fn update<A, P>(
    op: &'static str,
    model: &P,
    gradients: &P,
    mut rule: impl FnMut(&Trained<'_, A>) -> Result<A>,
) -> Result<P>
where
    A: Array,
    P: Params<A>,
{
    let updated = model.try_map_with([gradients], |path, array, [gradient]| {
        if !path.is_trainable() {
            return Ok(array.clone());
        }
        let name = path.to_string();
        let (shape, dtype) = (array.shape(), array.dtype());
        if gradient.shape() != shape || gradient.dtype() != dtype {
            let reason = format!(
                "the gradient of `{name}` must have the shape and dtype of the array; pass the gradients of this model"
            );
            return Err(refused(op, &[array, gradient], reason));
        }
        let trained =
            Trained { op, name: &name, shape, dtype, value: widened(array)?, gradient: widened(gradient)? };
        rule(&trained)?.astype(dtype)
    });
    updated.map_err(|error| error.with_op(op))
}
