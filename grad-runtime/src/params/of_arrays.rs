//! `Params` for arrays: each holds itself.

use super::{Params, Path, Replace, Visit};
use crate::error::Result;

macro_rules! of_arrays {
    ($($feature:literal $array:ty)*) => {$(
        #[cfg(feature = $feature)]
        impl Params<Self> for $array {
            fn visit(&self, path: &Path<'_>, visit: &mut Visit<'_, Self>) {
                visit(path, self);
            }

            fn replace<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, Self, E>) -> Result<Self, E> {
                replace(path, self)
            }
        }
    )*};
}
of_arrays! { "cpu" crate::cpu::Array "mlx" crate::mlx::Array }
