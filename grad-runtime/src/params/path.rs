//! The path to an array in a structure.

use std::fmt;

/// The path to an array in a structure: fields, indices and keys. It is displayed as `layers.0.weight`.
///
/// A field adds its name, an element of a tuple or sequence its index from 0, and a value of a map its key. `Option`, `Box`, an
/// enum's variant and the only field of a `struct Layer(…)` add nothing. So the names are those of the same model in PyTorch.
///
/// ```
/// use grad_runtime::params::Path;
///
/// let model = Path::root();
/// let layers = model.then(&"layers");
/// let first = layers.then(&0);
/// assert_eq!(first.then(&"weight").to_string(), "layers.0.weight");
/// assert_eq!(model.to_string(), "");
/// ```
#[derive(Clone, Copy)]
pub struct Path<'a> {
    /// The path before the last name, and the last name.
    last: Option<(&'a Path<'a>, &'a dyn fmt::Display)>,
    role: Role,
}

/// What an array of a structure is for. Its [`Path`] has the role.
///
/// | | gradient | optimizers change it | saved, cast, averaged, evaluated |
/// | --- | --- | --- | --- |
/// | `Parameter` | yes | yes | yes |
/// | `Frozen`, a field marked `#[params(frozen)]` or an array that [`Frozen`](super::Frozen) freezes | no | no | yes |
/// | `Buffer`, a field marked `#[params(buffer)]` | no | no | yes |
/// | a field marked `#[params(skip)]` | no | no | no |
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::params::{self, Role};
/// use grad_runtime::{Array, Params, cpu};
///
/// #[derive(Params)]
/// struct BatchNorm<A: Array> {
///     weight: A,
///     #[params(buffer)]
///     running_mean: A,
///     #[params(buffer)]
///     num_batches: A,
/// }
///
/// let one = cpu::Array::scalar(1.0_f32)?;
/// let norm = BatchNorm { weight: one.clone(), running_mean: one.clone(), num_batches: cpu::Array::scalar(7_i64)? };
/// let mut roles = Vec::new();
/// norm.visit_arrays(&params::Path::root(), &mut |path, _| roles.push(path.role()));
/// assert_eq!(roles, [Role::Parameter, Role::Buffer, Role::Buffer]);
///
/// let gradients = params::grad(|norm: &BatchNorm<cpu::Array>| norm.weight.multiply(&norm.running_mean), &norm)?;
/// assert_eq!((gradients.weight.item::<f32>()?, gradients.running_mean.item::<f32>()?), (1.0, 0.0));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Role {
    /// It is trained.
    #[default]
    Parameter,
    /// A weight that is not trained: a constant to every transform.
    Frozen,
    /// What a model keeps beside its weights, such as running statistics or a counter, of any dtype.
    Buffer,
}

impl<'a> Path<'a> {
    /// Returns the empty path, to the whole structure.
    #[must_use]
    pub const fn root() -> Self {
        Self { last: None, role: Role::Parameter }
    }

    /// Returns the path to the part `name` of the structure that this one leads to.
    #[must_use]
    pub const fn then(&'a self, name: &'a dyn fmt::Display) -> Self {
        Self { last: Some((self, name)), role: self.role }
    }

    /// Returns the same path with a role, which the paths that continue it have too. An array that is not trained stays so, whatever
    /// the role of the fields inside: a parameter of a frozen layer is frozen.
    ///
    /// ```
    /// use grad_runtime::params::{Path, Role};
    ///
    /// let model = Path::root();
    /// let encoder = model.then(&"encoder").with_role(Role::Frozen);
    /// assert_eq!(encoder.then(&"weight").role(), Role::Frozen);
    /// assert_eq!(encoder.with_role(Role::Parameter).role(), Role::Frozen);
    /// ```
    #[must_use]
    pub const fn with_role(mut self, role: Role) -> Self {
        if !matches!(role, Role::Parameter) {
            self.role = role;
        }
        self
    }

    /// Returns the role of the array that the path leads to.
    ///
    /// ```
    /// use grad_runtime::params::{Path, Role};
    ///
    /// assert_eq!(Path::root().role(), Role::Parameter);
    /// ```
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Returns whether the array that the path leads to has a gradient and is changed by optimizers.
    ///
    /// ```
    /// use grad_runtime::params::{Path, Role};
    ///
    /// assert!(Path::root().is_trainable());
    /// assert!(!Path::root().with_role(Role::Buffer).is_trainable());
    /// ```
    #[must_use]
    pub const fn is_trainable(&self) -> bool {
        matches!(self.role, Role::Parameter)
    }

    /// Returns whether the path leads to the whole structure.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.last.is_none()
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((parent, name)) = self.last else {
            return Ok(());
        };
        if !parent.is_root() {
            write!(f, "{parent}.")?;
        }
        write!(f, "{name}")
    }
}

impl fmt::Debug for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}
