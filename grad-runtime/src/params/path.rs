//! Where in a structure an array is.

use std::fmt;

/// Where in a structure an array is: the fields, places and keys that lead to it. It is displayed as `layers.0.weight`.
///
/// Fields have their names, elements of tuples and sequences count from 0, and the values of a map have their keys.
/// `Option` and `Box` add nothing, nor does an enum's variant or the one field of a `struct Layer(…)`, so that the names
/// are those of the same model in PyTorch.
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
    /// The path before the last name, and that name.
    last: Option<(&'a Path<'a>, &'a dyn fmt::Display)>,
}

impl<'a> Path<'a> {
    /// The empty path, to the whole structure.
    #[must_use]
    pub const fn root() -> Self {
        Self { last: None }
    }

    /// The path to a part of what this one leads to.
    #[must_use]
    pub const fn then(&'a self, name: &'a dyn fmt::Display) -> Self {
        Self { last: Some((self, name)) }
    }

    /// Whether it leads to the whole structure.
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
