//! The operations of ops.rs: the shim's function and the public one for each.

use super::arguments::{Argument, Output};
use super::available;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::mlx::Array;

include!("../ops.rs");

macro_rules! calls {
    ($($(#[$about:meta])* mod $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty;
    )*})*) => {
        /// The shim's functions, by section and name.
        pub struct Operations {
            $($section: tables::$section,)*
        }

        #[allow(non_camel_case_types, reason = "each is named after its section")]
        mod tables {
            use super::*;

            $(pub struct $section {
                $(pub $name: unsafe extern "C" fn($(<$type as Argument>::Raw),*) -> <$output as Output>::Raw,)*
            })*
        }

        impl Operations {
            #[cfg(mlx_shim)]
            pub fn load(shim: &libloading::Library) -> std::result::Result<Self, libloading::Error> {
                Ok(Self {$(
                    $section: tables::$section {$(
                        // SAFETY: build.rs wrote the function with this type.
                        $name: unsafe {
                            let symbol =
                                concat!("grad_mlx_", stringify!($section), "_", stringify!($name), "\0");
                            *shim.get(symbol.as_bytes())?
                        },
                    )*},
                )*})
            }
        }

        $($(#[$about])* pub mod $section {
            use super::*;

            $(
                $(#[$doc])*
                #[allow(clippy::too_many_arguments, reason = "they are MLX's")]
                pub fn $name($($argument: $type),*) -> Result<$output> {
                    let api = available()?;
                    let call = || {
                        $(let $argument = Argument::lend($argument)?;)*
                        // SAFETY: what is lent outlives the call, and arrays are alive.
                        Output::made(unsafe {
                            (api.operations.$section.$name)($(<$type as Argument>::raw(&$argument)),*)
                        })
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
for_each_op!(calls);

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
for_each_op!(methods);
