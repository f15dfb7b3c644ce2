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
}

impl<'a> Path<'a> {
    /// Returns the empty path, to the whole structure.
    #[must_use]
    pub const fn root() -> Self {
        Self { last: None }
    }

    /// Returns the path to the part `name` of the structure that this one leads to.
    #[must_use]
    pub const fn then(&'a self, name: &'a dyn fmt::Display) -> Self {
        Self { last: Some((self, name)) }
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
