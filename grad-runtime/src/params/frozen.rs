//! Freezing at run time.

use std::fmt;
use std::hash::Hasher;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::{Params, Path, Replace, Role, Visit};
use crate::array::Array;
use crate::error::Result;

/// A structure of which some arrays are frozen, by a choice that the program makes when it runs: `requires_grad_(False)` for a part
/// of a model.
///
/// It is the structure inside for everything else: it dereferences to that, its arrays have the same paths, and it implements
/// [`Params`], so gradients, optimizers, checkpoints and [`explain`](crate::explain) see which arrays are frozen. To train them again,
/// take the structure [out](Self::into_inner). What is frozen by `#[params(frozen)]` or an inner `Frozen` stays so.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::params::{self, Frozen};
/// use grad_runtime::{Array, Params, Result, cpu};
///
/// #[derive(Params)]
/// struct Model<A: Array> {
///     encoder: A,
///     head: A,
/// }
///
/// fn forward<A: Array>(model: &Model<A>, x: &A) -> Result<A> {
///     x.multiply(&model.encoder)?.multiply(&model.head)
/// }
///
/// let (two, three) = (cpu::Array::scalar(2.0_f32)?, cpu::Array::scalar(3.0_f32)?);
/// let model = Frozen::new(Model { encoder: two, head: three.clone() }, |path| path.to_string().starts_with("encoder"));
/// let gradients = params::grad(|model: &Frozen<_>| forward(model, &three), &model)?;
/// assert_eq!((gradients.encoder.item::<f32>()?, gradients.head.item::<f32>()?), (0.0, 6.0));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Frozen<P> {
    inner: P,
    is_frozen: Arc<Predicate>,
}

type Predicate = dyn Fn(&Path<'_>) -> bool + Send + Sync;

impl<P> Frozen<P> {
    /// Freezes the arrays whose paths satisfy `is_frozen`. A path starts at the outermost structure.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::params::Frozen;
    /// use grad_runtime::{Params, cpu, params};
    ///
    /// let model = vec![cpu::Array::scalar(1.0_f32)?, cpu::Array::scalar(1.0_f32)?];
    /// // All but the last layer.
    /// let model = Frozen::new(model, |path| path.to_string() != "1");
    /// let gradients = params::grad(|model: &Frozen<Vec<cpu::Array>>| model[0].multiply(&model[1]), &model)?;
    /// assert_eq!(gradients.named()["1"].item::<f32>()?, 1.0);
    /// assert_eq!(gradients.named()["0"].item::<f32>()?, 0.0);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn new(inner: P, is_frozen: impl Fn(&Path<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self { inner, is_frozen: Arc::new(is_frozen) }
    }

    /// Returns the structure, in which nothing is frozen by this any more.
    ///
    /// ```
    /// use grad_runtime::params::Frozen;
    ///
    /// assert_eq!(Frozen::new(1.5_f32, |_| true).into_inner(), 1.5);
    /// ```
    pub fn into_inner(self) -> P {
        self.inner
    }
}

impl<P> Deref for Frozen<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.inner
    }
}

impl<P> DerefMut for Frozen<P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.inner
    }
}

/// Shows the structure.
impl<P: fmt::Debug> fmt::Debug for Frozen<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Frozen").field(&self.inner).finish()
    }
}

fn with_role<'a>(path: &Path<'a>, is_frozen: &Predicate) -> Path<'a> {
    // A buffer stays one.
    let freezes = path.is_trainable() && is_frozen(path);
    if freezes { path.with_role(Role::Frozen) } else { *path }
}

impl<A: Array, P: Params<A>> Params<A> for Frozen<P> {
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        let is_frozen = &*self.is_frozen;
        self.inner.visit_arrays(path, &mut |path, array| visit(&with_role(path, is_frozen), array));
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        let is_frozen = &*self.is_frozen;
        let inner =
            self.inner.replace_arrays(path, &mut |path, array| replace(&with_role(path, is_frozen), array))?;
        Ok(Self { inner, is_frozen: Arc::clone(&self.is_frozen) })
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        self.inner.hash_values(hasher);
    }
}
