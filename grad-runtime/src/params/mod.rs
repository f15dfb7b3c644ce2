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
//! | `model.freeze()` | `#[params(frozen)]` on the field, [`Frozen`] for a choice at run time, or pass one field and capture the rest |
//! | `tree_map(f, params, gradients)` | `params.zip_with(&gradients, f)` |
//! | `tree_flatten(params)` | `params.named()` |

use std::collections::BTreeMap;
use std::hash::Hasher;

use crate::array::{Array, refused};
use crate::error::{Error, Result};

mod array_impls;
pub(crate) mod compiled;
#[cfg(feature = "mlx")]
mod distributed;
mod frozen;
mod gradient;
mod path;
mod returned;
mod sharing;
mod std_impls;
#[cfg(feature = "mlx")]
mod transforms;

pub use compiled::{CompiledFunction, compile};
#[cfg(feature = "mlx")]
pub use distributed::{average_gradients, broadcast};
pub use frozen::Frozen;
#[doc(inline)]
pub use grad_macros::params_object as object;
pub use gradient::{grad, value_and_grad, value_and_grad_with_aux};
pub(crate) use gradient::{paths_of, trainable_arrays};
pub use path::{Path, Role};
pub use sharing::{SharedParams, share};
#[cfg(feature = "mlx")]
pub use transforms::{checkpoint, custom, jvp, vjp, vmap};

/// A function that is called with each array and its path.
pub type Visit<'a, A> = dyn FnMut(&Path<'_>, &A) + 'a;

/// A function that returns the replacement of each array, given its path and the array.
pub type Replace<'a, A, E> = dyn FnMut(&Path<'_>, &A) -> Result<A, E> + 'a;

/// A structure that holds arrays: a model's parameters, a tuple of arguments, gradients.
///
/// `#[derive(Params)]` implements this trait for structs and enums, field by field. A field marked `#[params(skip)]` is cloned
/// and its arrays are left out: mark fields that do not implement `Params`. A field marked `#[params(frozen)]` or
/// `#[params(buffer)]` is visited, so it is saved, cast and averaged, but has no gradient ([`Role`]). The arrays are those of
/// the type parameter bounded by [`Array`]; without such a parameter, those that the fields hold.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, Params, cpu};
///
/// #[derive(Params)]
/// struct Norm<A: Array> {
///     weight: A,
///     eps: f32,
///     #[params(buffer)]
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
/// assert_eq!(layers.named().into_keys().collect::<Vec<_>>(), ["0.running_mean", "0.weight", "1.weight"]);
///
/// // The same structure with other arrays.
/// let [Layer::Norm(norm), _, _] = layers.try_map(|_path, array| array.add(&one))? else { unreachable!() };
/// assert_eq!((norm.weight.item::<f32>()?, norm.eps, norm.running_mean.item::<f32>()?), (2.0, 1e-5, 2.0));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Implementations
///
/// These types implement `Params`:
///
/// - every [`Array`], which holds itself;
/// - tuples of up to twelve, arrays, `Vec`, `Option` and `Box`; for boxed layers of different types, see [`object`];
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

    /// Hashes the values other than arrays. [`compile`](https://docs.rs/grad-runtime/latest/grad_runtime/params/fn.compile.html)
    /// traces a function anew where the hash differs. The derive writes this method, without skipped fields. By default nothing
    /// is hashed, so a manual implementation whose other values change what is computed must write it.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use std::hash::{DefaultHasher, Hasher as _};
    ///
    /// use grad_runtime::{Params, cpu};
    ///
    /// let hash = |layer: &(cpu::Array, i32)| {
    ///     let mut hasher = DefaultHasher::new();
    ///     Params::<cpu::Array>::hash_values(layer, &mut hasher);
    ///     hasher.finish()
    /// };
    /// let (zero, one) = (cpu::Array::scalar(0.0_f32)?, cpu::Array::scalar(1.0_f32)?);
    /// assert_eq!(hash(&(zero.clone(), 2)), hash(&(one, 2)));
    /// assert_ne!(hash(&(zero.clone(), 2)), hash(&(zero, 3)));
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    fn hash_values(&self, hasher: &mut dyn Hasher) {
        let _ = hasher;
    }

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
        zip("zip_with", self, [other], |_, array, [other]| function(array, other))
    }

    /// Returns the same structure with each array replaced by the result of `function`, which is given its path, the array and its
    /// counterparts in `others`: an optimizer with state, for example. It is `tree_map_with_path` of several trees in JAX.
    ///
    /// Values other than arrays are cloned from this structure.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Params, Result, cpu::Array};
    ///
    /// let number = |value: f32| Array::scalar(value);
    /// let (model, gradients, velocity) = ([number(1.0)?], [number(2.0)?], [number(3.0)?]);
    /// let stepped = model.try_map_with([&gradients, &velocity], |path, weight, [gradient, velocity]| {
    ///     assert_eq!(path.to_string(), "0");
    ///     weight.subtract(velocity.multiply(0.5)?.add(gradient)?)
    /// })?;
    /// assert_eq!(stepped[0].item::<f32>()?, -2.5);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`zip_with`](Self::zip_with).
    fn try_map_with<E, const N: usize>(
        &self,
        others: [&Self; N],
        function: impl FnMut(&Path<'_>, &A, [&A; N]) -> Result<A, E>,
    ) -> Result<Self, E>
    where
        E: From<Error>,
    {
        zip("try_map_with", self, others, function)
    }
}

/// Maps several structures together, for the method `op`.
fn zip<A: Array, P: Params<A>, E: From<Error>, const N: usize>(
    op: &'static str,
    params: &P,
    others: [&P; N],
    mut function: impl FnMut(&Path<'_>, &A, [&A; N]) -> Result<A, E>,
) -> Result<P, E> {
    let mut others = others.map(|other| {
        let mut arrays = Vec::new();
        other.visit_arrays(&Path::root(), &mut |path, array| arrays.push((path.to_string(), array.clone())));
        arrays.into_iter()
    });
    let zipped = params.try_map(|path, array| {
        let next = others.each_mut().map(Iterator::next);
        let name = path.to_string();
        if let Some(found) = next.iter().find(|found| found.as_ref().is_none_or(|(other, _)| *other != name)) {
            return Err(structure_mismatch::<A>(op, Some(&name), found.as_ref().map(|(path, _)| path)).into());
        }
        function(path, array, next.each_ref().map(|found| &found.as_ref().expect("checked").1))
    })?;
    match others.iter_mut().find_map(Iterator::next) {
        Some((path, _)) => Err(structure_mismatch::<A>(op, None, Some(&path)).into()),
        None => Ok(zipped),
    }
}

/// Computes the elements of all arrays of a structure. On MLX this is one evaluation, so that what they have in common is computed
/// once; call it after each step of a training loop. The arrays of the CPU fallback are computed already.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu, params};
///
/// let model = vec![cpu::Array::ones(&[2], Dtype::Float32)?];
/// params::eval(&model)?;
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Operation`] if the elements of an array cannot be computed, as in a function that is mapped or compiled.
pub fn eval<A: Array>(params: &impl Params<A>) -> Result<()> {
    A::eval_all(&params.arrays())
}

/// Starts to compute the elements of all arrays of a structure on MLX, and returns, so that the program can prepare the next step
/// meanwhile. Reading the elements blocks until they are computed. The arrays of the CPU fallback are computed already.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu, params};
///
/// let current = cpu::Array::ones(&[2], Dtype::Float32)?.exp()?;
/// params::async_eval(&current)?;
/// let next = cpu::Array::zeros(&[2], Dtype::Float32)?; // while the device computes
/// assert_eq!(current.add(&next)?.to_vec::<f32>()?, [1.0_f32.exp(); 2]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// As [`eval`]. An operation that fails later is an error of reading the elements.
pub fn async_eval<A: Array>(params: &impl Params<A>) -> Result<()> {
    A::async_eval_all(&params.arrays())
}

/// Returns the error for the first paths at which two structures differ.
fn structure_mismatch<A: Array>(op: &'static str, left: Option<&String>, right: Option<&String>) -> Error {
    let next = |path: Option<&String>| path.map_or_else(|| "no array".to_owned(), |path| format!("`{path}`"));
    let reason = format!(
        "the structures differ: the next is {} on the left and {} on the right; both must hold the same arrays",
        next(left),
        next(right)
    );
    refused::<A>(op, &[], reason)
}
