//! Gradients with respect to the trainable arrays of a structure.

use std::convert::Infallible;

use super::{Params, Path};
use crate::array::{Array, refused};
use crate::error::{Error, Result};
use crate::explain;

/// Computes the value of a scalar function of `params`, and its gradient with respect to each array in `params`, in the same
/// structure.
///
/// This is [`Array::value_and_grad`] over a structure, and it obeys scopes in the same way. Values other than arrays, and
/// skipped fields, are cloned from `params` into the gradients. Arrays that are frozen or buffers ([`Role`](super::Role)) are constants
/// to the function, and their gradients are zeros.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu, params};
///
/// let (weight, x) = (cpu::Array::scalar(3.0_f32)?, cpu::Array::scalar(2.0_f32)?);
/// // With respect to both arguments, in a tuple; then with respect to one, and the other is captured.
/// let (value, (by_weight, by_x)) = params::value_and_grad(|(weight, x)| weight.multiply(x), &(weight.clone(), x.clone()))?;
/// assert_eq!((value.item::<f32>()?, by_weight.item::<f32>()?, by_x.item::<f32>()?), (6.0, 2.0, 3.0));
/// let (_, by_weight) = params::value_and_grad(|weight: &cpu::Array| weight.multiply(&x), &weight)?;
/// assert_eq!(by_weight.item::<f32>()?, 2.0);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// The error that `function` returns; [`Error::InferenceMode`] in inference mode; [`Error::Operation`] if `params` hold no
/// trainable arrays, one is not floating point (the error gives its path), or the value is not a floating point scalar.
///
/// # Panics
///
/// If `function` panics, with its payload; the grad mode is restored. Also if a manual implementation of [`Params`] does not
/// replace the arrays that it visits.
#[track_caller]
pub fn value_and_grad<A, P, F, E>(function: F, params: &P) -> Result<(A, P), E>
where
    A: Array,
    P: Params<A>,
    F: FnOnce(&P) -> Result<A, E>,
    E: From<Error>,
{
    value_and_grad_without_aux("value_and_grad", function, params)
}

/// Computes the gradient of a scalar function with respect to each array in `params`: [`value_and_grad`] without the value.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, Result, cpu, params};
///
/// // The second derivative: d²/dx² x³ = 6x.
/// fn cube<A: Array>(x: &A) -> Result<A> {
///     x.square()?.multiply(x)
/// }
/// let x = cpu::Array::scalar(2.0_f32)?;
/// let second = params::grad(|x| params::grad(cube, x), &x)?;
/// assert_eq!(second.item::<f32>()?, 12.0);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// As [`value_and_grad`].
///
/// # Panics
///
/// As [`value_and_grad`].
#[track_caller]
pub fn grad<A, P, F, E>(function: F, params: &P) -> Result<P, E>
where
    A: Array,
    P: Params<A>,
    F: FnOnce(&P) -> Result<A, E>,
    E: From<Error>,
{
    value_and_grad_without_aux("grad", function, params).map(|(_, gradients)| gradients)
}

/// As [`value_and_grad`], for a function that returns an auxiliary output beside the value: `has_aux` in JAX.
///
/// The auxiliary output obeys scopes as the value does: with recording enabled, transforms further out differentiate it; in a
/// no-grad scope, its arrays are constants.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Error, cpu, params};
///
/// let weight = cpu::Array::from_slice(&[1.0_f32, 2.0], &[2])?;
/// let ((loss, (logits, length)), gradient) = params::value_and_grad_with_aux(
///     |weight: &cpu::Array| {
///         let logits = weight.square()?;
///         let length = logits.size();
///         Ok::<_, Error>((logits.sum_all()?, (logits, length)))
///     },
///     &weight,
/// )?;
/// assert_eq!((loss.item::<f32>()?, length), (5.0, 2));
/// assert_eq!(logits.to_vec::<f32>()?, [1.0, 4.0]);
/// assert_eq!(gradient.to_vec::<f32>()?, [2.0, 4.0]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// As [`value_and_grad`].
///
/// # Panics
///
/// As [`value_and_grad`].
#[track_caller]
pub fn value_and_grad_with_aux<A, P, X, F, E>(function: F, params: &P) -> Result<((A, X), P), E>
where
    A: Array,
    P: Params<A>,
    X: Params<A>,
    F: FnOnce(&P) -> Result<(A, X), E>,
    E: From<Error>,
{
    value_and_grad_as("value_and_grad_with_aux", function, params)
}

#[track_caller]
fn value_and_grad_without_aux<A, P, F, E>(op: &'static str, function: F, params: &P) -> Result<(A, P), E>
where
    A: Array,
    P: Params<A>,
    F: FnOnce(&P) -> Result<A, E>,
    E: From<Error>,
{
    let function = |params: &P| Ok((function(params)?, ()));
    value_and_grad_as(op, function, params).map(|((value, ()), gradients)| (value, gradients))
}

/// Computes value, auxiliary output and gradients for `op`, the function that the user called.
#[track_caller]
fn value_and_grad_as<A, P, X, F, E>(op: &'static str, function: F, params: &P) -> Result<((A, X), P), E>
where
    A: Array,
    P: Params<A>,
    X: Params<A>,
    F: FnOnce(&P) -> Result<(A, X), E>,
    E: From<Error>,
{
    let primals = primals_of(op, params)?;
    let mut aux = None;
    let traced = |primals: &[A]| {
        let (value, auxiliary) = function(&with_primals(params, primals))?;
        aux = Some(auxiliary);
        Ok::<_, E>(value)
    };
    explain::set_paths(|| paths_of(params));
    let (value, gradients) = A::value_and_grad_as(op, traced, &primals)?;
    let aux = aux.expect("a transform that succeeds has called its function");
    // An operation that changes nothing finishes each array as every operation does: a constant in a scope, and without the
    // record of the transform, which has ended.
    let aux = aux.try_map(|_, array| array.astype(array.dtype()).map_err(|error| error.with_op(op)))?;
    Ok(((value, aux), with_gradients(op, params, &gradients)?))
}

/// Returns the trainable arrays of `params`, or an error that gives the path to one without a gradient.
pub(super) fn primals_of<A: Array, P: Params<A>>(op: &'static str, params: &P) -> Result<Vec<A>> {
    let mut primals = Vec::new();
    let mut refusal = None;
    params.visit_arrays(&Path::root(), &mut |path, array| {
        if !path.is_trainable() {
            return;
        }
        if refusal.is_none() && !array.dtype().is_inexact() {
            let subject = if path.is_root() { "the array".to_owned() } else { format!("`{path}`") };
            let reason = format!(
                "{subject} is not floating point and has no gradient; convert it with `astype`, mark its field \
                 `#[params(buffer)]` or `#[params(skip)]`, or let the function capture it"
            );
            refusal = Some(refused(op, &[array], reason));
        }
        primals.push(array.clone());
    });
    if primals.is_empty() && !params.arrays().is_empty() {
        let reason = "every array is frozen or a buffer, so there is nothing to differentiate; make one trainable, or call the \
                      function itself";
        return Err(refused::<A>(op, &[], reason.to_owned()));
    }
    refusal.map_or(Ok(primals), Err)
}

/// Returns the paths of the trainable arrays, in their order.
pub(crate) fn paths_of<A: Array, P: Params<A>>(params: &P) -> Vec<String> {
    of_trainable(params, |path, _| path.to_string())
}

/// Returns the trainable arrays, in their order.
pub(crate) fn trainable_arrays<A: Array, P: Params<A>>(params: &P) -> Vec<A> {
    of_trainable(params, |_, array| array.clone())
}

fn of_trainable<A: Array, P: Params<A>, T>(params: &P, of: impl Fn(&Path<'_>, &A) -> T) -> Vec<T> {
    let mut found = Vec::new();
    params.visit_arrays(&Path::root(), &mut |path, array| {
        if path.is_trainable() {
            found.push(of(path, array));
        }
    });
    found
}

/// Returns the structure of `params` with other arrays, one for each.
pub(super) fn with_all<A: Array, P: Params<A>>(params: &P, arrays: &[A]) -> P {
    let Ok(replaced) = with_arrays(params, arrays, |_, _| Ok::<_, Infallible>(None));
    replaced
}

/// Returns the structure of `params` as a function sees it that is differentiated: with other trainable arrays, and the rest as
/// constants.
pub(super) fn with_primals<A: Array, P: Params<A>>(params: &P, primals: &[A]) -> P {
    let Ok(replaced) = with_trainable(params, primals, |array| Ok::<_, Infallible>(array.clone().detached()));
    replaced
}

/// Returns gradients in the structure of `params`, with zeros for the arrays that have none.
#[track_caller]
pub(super) fn with_gradients<A: Array, P: Params<A>>(op: &'static str, params: &P, gradients: &[A]) -> Result<P> {
    with_trainable(params, gradients, |array| A::zeros(&array.shape(), array.dtype()))
        .map_err(|error| error.with_op(op))
}

/// Returns `params` with other trainable arrays, and the rest replaced by `others`.
fn with_trainable<A: Array, P: Params<A>, E>(
    params: &P,
    trainable: &[A],
    others: impl Fn(&A) -> Result<A, E>,
) -> Result<P, E> {
    with_arrays(
        params,
        trainable,
        |path, array| if path.is_trainable() { Ok(None) } else { others(array).map(Some) },
    )
}

/// Returns `params` with each array replaced by the one that `other` returns, or else by the next of `arrays`.
fn with_arrays<A: Array, P: Params<A>, E>(
    params: &P,
    arrays: &[A],
    other: impl Fn(&Path<'_>, &A) -> Result<Option<A>, E>,
) -> Result<P, E> {
    let mut arrays = arrays.iter();
    let next = "`Params::replace_arrays` must replace the arrays that `Params::visit_arrays` visits";
    let replaced = params
        .try_map(|path, array| Ok(other(path, array)?.unwrap_or_else(|| arrays.next().expect(next).clone())))?;
    assert!(arrays.next().is_none(), "{next}");
    Ok(replaced)
}
