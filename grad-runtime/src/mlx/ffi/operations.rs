//! MLX's operations, from the list in `grad_mlx_sys`.

use std::panic::Location;

use grad_mlx_sys::{FftNorm, Indexing, PadMode, ScanBound, ScanDirection, Side, Triangle};
use smallvec::SmallVec;

use super::arguments::{Argument, Output};
use super::refusals::{Arguments, refused};
use super::{FfiResult, available};
use crate::array::docs::array_doc;
use crate::array::{IntoOperand, Length, cannot_make, into_operand, length, operands};
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
            let operation = api.operations.$section.$name;
            // SAFETY: the arguments outlive the call, and the arrays among them are alive. The shim constructs the result.
            unsafe { Output::construct(|output| operation(output $(, <$type as Argument>::as_raw(&$argument))*)) }
        };
        match call() {
            Ok(output) => {
                if record::is_recording() {
                    let place = Location::caller();
                    seldom(|| {
                        let operands: [Vec<Array>; _] = [$(Argument::arrays($argument)),*];
                        record::operation(stringify!($name), &operands.concat(), &Output::arrays(&output), place);
                    });
                }
                Ok(output)
            }
            Err(reason) => Err(seldom(|| {
                let mut arguments = Arguments::default();
                $(Argument::describe($argument, &mut arguments);)*
                refused(stringify!($name), arguments, reason)
            })),
        }
    }};
}

/// Calls a function that few calls need, and that would otherwise be inlined into every operation.
#[cold]
#[inline(never)]
fn seldom<T>(function: impl FnOnce() -> T) -> T {
    function()
}

/// Defines a method, as its flags in the list say. One that is in the `Array` trait, too, has the documentation of the trait.
macro_rules! method {
    ([shared by_hand] $($method:tt)*) => {};
    ([shared $($flag:ident)*] $section:ident $(#[$doc:meta])* fn $name:ident $($method:tt)*) => {
        method! { [$($flag)*] $section #[doc = array_doc!($name, "mlx")] fn $name $($method)* }
    };
    (
        [scalar] $section:ident $(#[$doc:meta])*
        fn $name:ident($this:ident: &Array, $other:ident: &Array $(,)?) -> $output:ty
    ) => {
        $(#[$doc])*
        #[track_caller]
        pub fn $name(&self, $other: impl IntoOperand<Self>) -> Result<$output> {
            let $this = self;
            let $other = $other.into_operand(stringify!($name), || self.dtype())?;
            let $other = &*$other;
            call!($section.$name($this: &Array, $other: &Array))
        }
    };
    (
        [] $section:ident $(#[$doc:meta])*
        fn $name:ident($this:ident: &Array $(, $argument:ident: $type:ty)* $(,)?) -> $output:ty
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
        fn $name:ident $arguments:tt -> $output:ty $(, $flag:ident)*;
    )*}) => {
        $(#[$about])*
        impl Array {$(
            method! { [$($flag)*] $section $(#[$doc])* fn $name $arguments -> $output }
        )*}
    };
    (functions $($section:tt)*) => {
        section! { module $($section)* }
    };
    (module $(#[$about:meta])* $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $(, $flag:ident)*;
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

    #[doc = array_doc!(stack, "mlx")]
    #[track_caller]
    pub fn stack(arrays: &[Self], axis: isize) -> Result<Self> {
        combination::stack(arrays, axis)
    }
}

/// # Creation from a rule
impl Array {
    #[doc = array_doc!(arange, "mlx")]
    #[allow(clippy::similar_names, reason = "they are those of MLX and NumPy")]
    #[track_caller]
    pub fn arange(start: f64, stop: f64, step: f64, dtype: Dtype) -> Result<Self> {
        operands::arange(start, stop, step, dtype).map_err(|reason| cannot_make("arange", &[], dtype, reason))?;
        creation::arange(start, stop, step, dtype)
    }

    #[doc = array_doc!(eye, "mlx")]
    #[track_caller]
    pub fn eye(n: usize, m: usize, k: i32, dtype: Dtype) -> Result<Self> {
        creation::eye(n, m, k, dtype)
    }
}

/// # Operations with generic arguments
impl Array {
    #[doc = array_doc!(where_cond, "mlx")]
    #[track_caller]
    pub fn where_cond(&self, on_true: impl IntoOperand<Self>, on_false: impl IntoOperand<Self>) -> Result<Self> {
        let (on_true, on_false) = into_operand::both("where_cond", on_true, on_false)?;
        let (a, on_true, on_false) = (self, &*on_true, &*on_false);
        call!(comparison.where_cond(a: &Array, on_true: &Array, on_false: &Array))
    }

    #[doc = array_doc!(clip, "mlx")]
    #[track_caller]
    pub fn clip(&self, min: impl IntoOperand<Self>, max: impl IntoOperand<Self>) -> Result<Self> {
        let min = min.into_operand("clip", || self.dtype())?;
        let max = max.into_operand("clip", || self.dtype())?;
        let (a, a_min, a_max) = (self, &*min, &*max);
        call!(arithmetic.clip(a: &Array, a_min: &Array, a_max: &Array))
    }

    #[doc = array_doc!(reshape, "mlx")]
    #[track_caller]
    pub fn reshape<L: Length>(&self, shape: &[L]) -> Result<Self> {
        let lengths: SmallVec<[isize; 8]> = length::signed(shape);
        let (a, shape) = (self, &lengths[..]);
        call!(shapes.reshape(a: &Array, shape: &[isize]))
    }
}
