//! Gradients with respect to whole models: structures of arrays, and transforms over them.
//!
//! [`Array::value_and_grad`] takes a slice of arrays and returns one gradient for each. The functions of this module take a
//! model, a tuple or any other type that implements [`Params`], and return the gradients in the same structure.
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Dtype, Params, Result, cpu, params};
//!
//! #[derive(Params)]
//! struct Linear<A: Array> {
//!     weight: A,
//!     bias: Option<A>,
//! }
//!
//! impl<A: Array> Linear<A> {
//!     fn forward(&self, x: &A) -> Result<A> {
//!         let y = x.matmul(&self.weight)?;
//!         self.bias.iter().try_fold(y, |y, bias| y.add(bias))
//!     }
//! }
//!
//! // The line 2x + 1, from four of its points.
//! let x = cpu::Array::from_slice(&[0.0_f32, 1.0, 2.0, 3.0], &[4, 1])?;
//! let y = cpu::Array::from_slice(&[1.0_f32, 3.0, 5.0, 7.0], &[4, 1])?;
//! let rate = cpu::Array::scalar(0.1_f32)?;
//! let zeros = |shape| cpu::Array::zeros(shape, Dtype::Float32);
//! let mut model = Linear { weight: zeros(&[1, 1])?, bias: Some(zeros(&[1])?) };
//! for _ in 0..200 {
//!     let loss = |model: &Linear<cpu::Array>| model.forward(&x)?.subtract(&y)?.square()?.mean_all();
//!     let (_loss, gradients) = params::value_and_grad(loss, &model)?;
//!     model = model.zip_with(&gradients, |weight, gradient| weight.subtract(&rate.multiply(gradient)?))?;
//! }
//! assert!((model.weight.item::<f32>()? - 2.0).abs() < 1e-2);
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # Arguments
//!
//! The gradient is with respect to the arrays that are passed. Arrays that the function captures are constants. To
//! differentiate with respect to several arguments, pass a tuple:
//!
//! | MLX | here |
//! | --- | --- |
//! | `mx.grad(f)(w, x)` | `params::grad(\|w\| f(w, &x), &w)` |
//! | `mx.grad(f, argnums=1)(w, x)` | `params::grad(\|x\| f(&w, x), &x)` |
//! | `mx.grad(f, argnums=[0, 1])(w, x)` | `params::grad(\|(w, x)\| f(w, x), &(w, x))` |
//! | `mx.grad(f, argnames=["x"])(w, x=x)` | `params::grad(\|x\| f(&w, x), &x)` |
//! | `mx.value_and_grad(f)(w)` | `params::value_and_grad(f, &w)` |
//! | `mx.value_and_grad(f)(w)`, where `f` returns `loss, logits` | `params::value_and_grad_with_aux(f, &w)` |
//! | `nn.value_and_grad(model, f)(x)` | `params::value_and_grad(\|model\| f(model, &x), &model)` |
//! | `model.freeze()` | `#[params(skip)]` on the field, or pass one field and capture the rest |
//! | `tree_map(f, params, gradients)` | `params.zip_with(&gradients, f)` |
//! | `tree_flatten(params)` | `params.named()` |

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::array::{Array, refused};
use crate::error::{Error, Result};
use crate::explain;

mod array_impls;
mod path;
mod sharing;
mod std_impls;

pub use path::Path;
pub use sharing::{SharedParams, share};

/// A function that is called with each array and its path.
pub type Visit<'a, A> = dyn FnMut(&Path<'_>, &A) + 'a;

/// A function that returns the replacement of each array, given its path and the array.
pub type Replace<'a, A, E> = dyn FnMut(&Path<'_>, &A) -> Result<A, E> + 'a;

/// A structure that holds arrays: a model's parameters, a tuple of arguments, gradients.
///
/// `#[derive(Params)]` implements this trait for structs and enums, field by field. A field marked `#[params(skip)]` is cloned
/// and its arrays are left out: mark fields that are not to be differentiated or do not implement `Params`. The arrays are
/// those of the type parameter bounded by [`Array`]; without such a parameter, those that the fields hold.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, Params, cpu};
///
/// #[derive(Params)]
/// struct Norm<A: Array> {
///     weight: A,
///     eps: f32,
///     #[params(skip)]
///     running_mean: A,
/// }
///
/// #[derive(Params)]
/// enum Layer<A: Array> {
///     Norm(Norm<A>),
///     Linear { weight: A, bias: Option<A> },
///     Relu,
/// }
///
/// let one = cpu::Array::scalar(1.0_f32)?;
/// let layers = [
///     Layer::Norm(Norm { weight: one.clone(), eps: 1e-5, running_mean: one.clone() }),
///     Layer::Linear { weight: one.clone(), bias: None },
///     Layer::Relu,
/// ];
/// assert_eq!(layers.named().into_keys().collect::<Vec<_>>(), ["0.weight", "1.weight"]);
///
/// // The same structure with other arrays.
/// let [Layer::Norm(norm), _, _] = layers.try_map(|_path, array| array.add(&one))? else { unreachable!() };
/// assert_eq!((norm.weight.item::<f32>()?, norm.eps, norm.running_mean.item::<f32>()?), (2.0, 1e-5, 1.0));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Implementations
///
/// These types implement `Params`:
///
/// - every [`Array`], which holds itself;
/// - tuples of up to twelve, arrays, `Vec`, `Option` and `Box`;
/// - the values of `BTreeMap` and `HashMap`, in the order of their keys;
/// - numbers, `bool`, `char`, strings, paths, [`Dtype`](crate::Dtype), `PhantomData` and `()`, which hold no arrays and are
///   cloned.
///
/// `Rc` and `Arc` do not: a weight that is used in two places has one gradient, so store it in one place.
///
/// # Manual implementation
///
/// Both methods must go through the same arrays in the same order, with the same paths.
///
/// ```
/// use grad_runtime::params::{Path, Replace, Visit};
/// use grad_runtime::{Array, Params, Result};
///
/// /// A matrix as the product of two narrow ones.
/// struct LowRank<A>(A, A);
///
/// impl<A: Array> Params<A> for LowRank<A> {
///     fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
///         self.0.visit_arrays(&path.then(&"down"), visit);
///         self.1.visit_arrays(&path.then(&"up"), visit);
///     }
///
///     fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
///         Ok(Self(
///             self.0.replace_arrays(&path.then(&"down"), replace)?,
///             self.1.replace_arrays(&path.then(&"up"), replace)?,
///         ))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which arrays it holds",
    label = "does not implement `grad_runtime::Params<{A}>`",
    note = "for a type of your own, write `#[derive(Params)]`",
    note = "where a field of such a type is not to be differentiated, mark it `#[params(skip)]`: it is cloned as it is"
)]
pub trait Params<A: Array>: Sized {
    /// Calls `visit` with each array and its path, which continues `path`.
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>);

    /// Returns the same structure with each array replaced by the result of `replace`, or the first error.
    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E>;

    /// Returns the arrays, in order.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Params, cpu};
    ///
    /// let (weight, bias) = (cpu::Array::scalar(2.0_f32)?, cpu::Array::scalar(3.0_f32)?);
    /// assert_eq!((weight, vec![Some(bias), None]).arrays()[1].item::<f32>()?, 3.0);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    fn arrays(&self) -> Vec<A> {
        let mut arrays = Vec::new();
        self.visit_arrays(&Path::root(), &mut |_, array| arrays.push(array.clone()));
        arrays
    }

    /// Returns the arrays by name, for example to save them in a file. The name is the [`Path`] to the array. If a manual
    /// implementation or the keys of a map give two arrays the same name, the map holds the last one.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Params, cpu};
    ///
    /// let (weight, bias) = (cpu::Array::scalar(2.0_f32)?, cpu::Array::scalar(3.0_f32)?);
    /// let names = (weight, vec![Some(bias), None]).named();
    /// assert_eq!(names["1.0"].item::<f32>()?, 3.0);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    fn named(&self) -> BTreeMap<String, A> {
        let mut named = BTreeMap::new();
        self.visit_arrays(&Path::root(), &mut |path, array| _ = named.insert(path.to_string(), array.clone()));
        named
    }

    /// Returns the same structure with each array replaced by the result of `function`, which is given its path and the array.
    /// It is `_apply` in PyTorch and `tree_map` in MLX.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use std::collections::BTreeMap;
    ///
    /// use grad_runtime::{Dtype, Params, Result, cpu};
    ///
    /// let model = BTreeMap::from([("weight", cpu::Array::zeros(&[1], Dtype::Float32)?)]);
    /// let half = model.try_map(|_, array| array.astype(Dtype::Float16))?;
    /// assert_eq!(half["weight"].dtype(), Dtype::Float16);
    ///
    /// // Arrays that were read from a file.
    /// let file = BTreeMap::from([("weight".to_owned(), cpu::Array::ones(&[1], Dtype::Float32)?)]);
    /// let missing = |name: &str| format!("there is no `{name}` in the file");
    /// let loaded = model.try_map(|path, _| {
    ///     let name = path.to_string();
    ///     file.get(&name).cloned().ok_or_else(|| missing(&name))
    /// });
    /// assert_eq!(loaded.unwrap()["weight"].item::<f32>()?, 1.0);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first error that `function` returns.
    fn try_map<E>(&self, mut function: impl FnMut(&Path<'_>, &A) -> Result<A, E>) -> Result<Self, E> {
        self.replace_arrays(&Path::root(), &mut function)
    }

    /// Returns the same structure with each array replaced by the result of `function`, which is given the array and its
    /// counterpart in `other`: an optimizer's step, for example.
    ///
    /// Values other than arrays are cloned from this structure.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Params, cpu, params};
    ///
    /// let model = (cpu::Array::scalar(2.0_f32)?, cpu::Array::scalar(3.0_f32)?);
    /// let gradients = params::grad(|(x, y)| x.multiply(y), &model)?;
    /// let (x, y) = model.zip_with(&gradients, |weight, gradient| weight.subtract(gradient))?;
    /// assert_eq!((x.item::<f32>()?, y.item::<f32>()?), (-1.0, 1.0));
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] if the two do not hold arrays under the same paths, for example if a `Vec` is longer in one; the first
    /// error that `function` returns.
    fn zip_with<E>(&self, other: &Self, mut function: impl FnMut(&A, &A) -> Result<A, E>) -> Result<Self, E>
    where
        E: From<Error>,
    {
        let mut others = Vec::new();
        other.visit_arrays(&Path::root(), &mut |path, array| others.push((path.to_string(), array.clone())));
        let mut others = others.into_iter();
        let zipped = self.try_map(|path, array| {
            let path = path.to_string();
            match others.next() {
                Some((other_path, other)) if other_path == path => function(array, &other),
                found => Err(structure_mismatch::<A>(Some(&path), found.as_ref().map(|(path, _)| path)).into()),
            }
        })?;
        match others.next() {
            Some((path, _)) => Err(structure_mismatch::<A>(None, Some(&path)).into()),
            None => Ok(zipped),
        }
    }
}

/// Returns the error for the first paths at which two structures differ.
fn structure_mismatch<A: Array>(left: Option<&String>, right: Option<&String>) -> Error {
    let next = |path: Option<&String>| path.map_or_else(|| "no array".to_owned(), |path| format!("`{path}`"));
    let reason = format!(
        "the structures differ: the next is {} on the left and {} on the right; both must hold the same arrays",
        next(left),
        next(right)
    );
    refused::<A>("zip_with", &[], reason)
}

/// Computes the value of a scalar function of `params`, and its gradient with respect to each array in `params`, in the same
/// structure.
///
/// This is [`Array::value_and_grad`] over a structure, and it obeys scopes in the same way. Values other than arrays, and
/// skipped fields, are cloned from `params` into the gradients.
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
/// arrays, an array is not floating point (the error gives its path), or the value is not a floating point scalar.
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
        let (value, auxiliary) = function(&with_arrays(params, primals))?;
        aux = Some(auxiliary);
        Ok::<_, E>(value)
    };
    explain::set_paths(|| paths_of(params));
    let (value, gradients) = A::value_and_grad_as(op, traced, &primals)?;
    let aux = aux.expect("a transform that succeeds has called its function");
    // An operation that changes nothing finishes each array as every operation does: a constant in a scope, and without the
    // record of the transform, which has ended.
    let aux = aux.try_map(|_, array| array.astype(array.dtype()).map_err(|error| error.with_op(op)))?;
    Ok(((value, aux), with_arrays(params, &gradients)))
}

/// Returns the arrays of `params`, or an error that gives the path to one without a gradient.
fn primals_of<A: Array, P: Params<A>>(op: &'static str, params: &P) -> Result<Vec<A>> {
    let mut arrays = Vec::new();
    let mut refusal = None;
    params.visit_arrays(&Path::root(), &mut |path, array| {
        if refusal.is_none() && !array.dtype().is_inexact() {
            let subject = if path.is_root() { "the array".to_owned() } else { format!("`{path}`") };
            let reason = format!(
                "{subject} is not floating point and has no gradient; convert it with `astype`, mark its field \
                 `#[params(skip)]`, or let the function capture it"
            );
            refusal = Some(refused(op, &[array], reason));
        }
        arrays.push(array.clone());
    });
    refusal.map_or(Ok(arrays), Err)
}

/// Returns the paths of the arrays, in their order.
pub(crate) fn paths_of<A: Array, P: Params<A>>(params: &P) -> Vec<String> {
    let mut paths = Vec::new();
    params.visit_arrays(&Path::root(), &mut |path, _| paths.push(path.to_string()));
    paths
}

/// Returns the structure of `params` with other arrays.
fn with_arrays<A: Array, P: Params<A>>(params: &P, arrays: &[A]) -> P {
    let mut arrays = arrays.iter();
    let next = "`Params::replace_arrays` must replace the arrays that `Params::visit_arrays` visits";
    let Ok(replaced) = params.try_map(|_, _| Ok::<_, Infallible>(arrays.next().expect(next).clone()));
    assert!(arrays.next().is_none(), "{next}");
    replaced
}
