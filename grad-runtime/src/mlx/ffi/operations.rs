//! MLX's operations, from the list in `grad_mlx_sys`.

use std::panic::Location;

use grad_mlx_sys::{Indexing, PadMode, ScanBound, ScanDirection, Side, Triangle};

use super::arguments::{Argument, Output};
use super::refusals::{Arguments, refused};
use super::{FfiResult, available};
use crate::array::docs::array_doc;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::explain::record;
use crate::mlx::Array;

/// Calls the shim's function of an operation.
macro_rules! call {
    ($section:ident.$name:ident($($argument:ident: $type:ty),*)) => {{
        let api = available()?;
        let call = || -> FfiResult<_> {
            $(let $argument = Argument::convert($argument)?;)*
            // SAFETY: the arguments outlive the call, and the arrays among them are alive. The shim returns a new array or
            // list.
            unsafe {
                Output::from_raw((api.operations.$section.$name)($(<$type as Argument>::as_raw(&$argument)),*))
            }
        };
        let found = call().map_err(|reason| {
            let mut arguments = Arguments::default();
            $(Argument::describe($argument, &mut arguments);)*
            refused(stringify!($name), arguments, reason)
        });
        if record::is_recording() && let Ok(output) = &found {
            let operands: [Vec<Array>; _] = [$(Argument::arrays($argument)),*];
            record::operation(stringify!($name), &operands.concat(), &Output::arrays(output), Location::caller());
        }
        found
    }};
}

/// Defines a method. One that is in the `Array` trait, too, has the documentation of the trait.
macro_rules! method {
    ($section:ident fn $name:ident $arguments:tt -> $output:ty, shared) => {
        method! { $section #[doc = array_doc!($name, "mlx")] fn $name $arguments -> $output }
    };
    (
        $section:ident $(#[$doc:meta])*
        fn $name:ident($this:ident: &Array $(, $argument:ident: $type:ty)*) -> $output:ty
    ) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "they are MLX's")]
        #[track_caller]
        pub fn $name(&self $(, $argument: $type)*) -> Result<$output> {
            let $this = self;
            call!($section.$name($this: &Array $(, $argument: $type)*))
        }
    };
}

/// Defines a section of the list.
macro_rules! section {
    (methods $(#[$about:meta])* $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($this:ident: &Array $(, $argument:ident: $type:ty)* $(,)?) -> $output:ty $(, $shared:ident)?;
    )*}) => {
        $(#[$about])*
        impl Array {$(
            method! {
                $section $(#[$doc])*
                fn $name($this: &Array $(, $argument: $type)*) -> $output $(, $shared)?
            }
        )*}
    };
    (functions $($section:tt)*) => {
        section! { module $($section)* }
    };
    (module $(#[$about:meta])* $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $(, $shared:ident)?;
    )*}) => {
        $(#[$about])*
        pub mod $section {
            use super::*;

            $(
                $(#[$doc])*
                #[allow(clippy::too_many_arguments, reason = "they are MLX's")]
                #[track_caller]
                pub fn $name($($argument: $type),*) -> Result<$output> {
                    call!($section.$name($($argument: $type),*))
                }
            )*
        }
    };
}

macro_rules! operations {
    ($($(#[$about:meta])* $kind:ident $section:ident $operations:tt)*) => {
        $(section! { $kind $(#[$about])* $section $operations })*
    };
}
grad_mlx_sys::for_each_op!(operations);

/// # Joining
impl Array {
    #[doc = array_doc!(concatenate, "mlx")]
    #[track_caller]
    pub fn concatenate(arrays: &[Self], axis: isize) -> Result<Self> {
        combination::concatenate(arrays, axis)
    }
}
