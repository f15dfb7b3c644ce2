//! `Params` for arrays. An array holds itself.

use super::{Params, Path, Replace, Visit};
use crate::error::Result;

macro_rules! impl_for_arrays {
    ($($feature:literal $array:ty)*) => {$(
        #[cfg(feature = $feature)]
        impl Params<Self> for $array {
            fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, Self>) {
                visit(path, self);
            }

            fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, Self, E>) -> Result<Self, E> {
                replace(path, self)
            }
        }
    )*};
}
impl_for_arrays! { "cpu" crate::cpu::Array "mlx" crate::mlx::Array }
