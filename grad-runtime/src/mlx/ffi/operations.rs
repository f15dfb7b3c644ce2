//! MLX's operations, from the list in `grad_mlx_sys`.

use super::arguments::{Argument, Output};
use super::available;
use crate::array::Dtype;
use crate::error::{Error, Result};
use crate::mlx::Array;

macro_rules! operations {
    ($($(#[$about:meta])* mod $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty;
    )*})*) => {
        $($(#[$about])* pub mod $section {
            use super::*;

            $(
                $(#[$doc])*
                #[allow(clippy::too_many_arguments, reason = "they are MLX's")]
                pub fn $name($($argument: $type),*) -> Result<$output> {
                    let api = available()?;
                    let call = || {
                        $(let $argument = Argument::convert($argument)?;)*
                        // SAFETY: the arguments outlive the call, and the arrays among them are alive. The shim returns a
                        // new array or list.
                        unsafe {
                            Output::from_raw((api.operations.$section.$name)(
                                $(<$type as Argument>::as_raw(&$argument)),*
                            ))
                        }
                    };
                    call().map_err(|reason| {
                        #[allow(unused_mut, reason = "not all take arrays")]
                        let mut operands = Vec::new();
                        $(Argument::describe($argument, &mut operands);)*
                        Error::Operation { op: stringify!($name), operands, reason }
                    })
                }
            )*
        })*
    };
}
grad_mlx_sys::for_each_op!(operations);

macro_rules! methods {
    (
        $(#[$about_shared:meta])* mod shared { $($shared:tt)* }
        $(#[$about:meta])* mod methods {$(
            $(#[$doc:meta])*
            fn $name:ident($this:ident: &Array $(, $argument:ident: $type:ty)* $(,)?) -> $output:ty;
        )*}
        $($others:tt)*
    ) => {
        /// MLX's operations beyond those of the [`Array`](crate::Array) trait, with MLX's names and argument order.
        ///
        /// Like those of the trait they obey the scope they run in, and answer
        /// [`Error::Operation`](crate::Error::Operation) where the operands do not fit.
        ///
        /// ```
        /// use grad_runtime::{Array, mlx};
        ///
        /// let x = mlx::Array::from_slice(&[3.0_f32, 1.0, 2.0], &[3])?;
        /// assert_eq!(x.sort(0)?.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
        /// assert_eq!(x.cumsum(0, false, true)?.to_vec::<f32>()?, [3.0, 4.0, 6.0]);
        /// # Ok::<(), grad_runtime::Error>(())
        /// ```
        impl Array {$(
            $(#[$doc])*
            #[allow(clippy::too_many_arguments, reason = "they are MLX's")]
            pub fn $name(&self $(, $argument: $type)*) -> Result<$output> {
                methods::$name(self $(, $argument)*)
            }
        )*}
    };
}
grad_mlx_sys::for_each_op!(methods);
