//! MLX's operations, from the list in `grad_mlx_sys`.

use std::panic::Location;

use grad_mlx_sys::{Api, FftNorm, Indexing, PadMode, ScanBound, ScanDirection, Side, Triangle};

use super::arguments::{Argument, Output};
use super::refusals::{Arguments, refused};
use super::{FfiResult, available, last_error, loaded, thread};
use crate::array::docs::array_doc;
use crate::array::{IntoOperand, Length, cannot_make, into_operand, length, operands};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::explain::record;
use crate::mlx::{Array, distributed};

/// Calls the shim's function of an operation.
macro_rules! call {
    ($section:ident.$name:ident($($argument:ident: $type:ty),*)) => {{
        // Written twice, since closures that both ways shared would store what they capture before the check.
        if thread::is_entered_outside_transforms() {
            // SAFETY: where the shim's function returns true, it has constructed the result.
            unsafe {
                perform(call_shim!($section.$name($($argument: $type),*)), refuse!($name($($argument),*)))
            }
        } else {
            let place = Location::caller();
            let record = move |outputs: &[Array]| {
                if record::is_recording() {
                    let operands: &[Vec<Array>] = &[$(Argument::arrays($argument)),*];
                    record::operation(stringify!($name), &operands.concat(), outputs, place);
                }
                distributed::note_operation(stringify!($name), place);
            };
            // SAFETY: as above.
            unsafe {
                perform_in_transform(
                    call_shim!($section.$name($($argument: $type),*)),
                    record,
                    refuse!($name($($argument),*)),
                )
            }
        }
    }};
}

/// Returns a function that converts the arguments and calls the shim's function.
macro_rules! call_shim {
    ($section:ident.$name:ident($($argument:ident: $type:ty),*)) => {
        move |api: &Api, output| {
            $(let $argument = Argument::convert($argument)?;)*
            // The arguments outlive the call, and the arrays among them are alive.
            Ok((api.operations.$section.$name)(output $(, <$type as Argument>::as_raw(&$argument))*))
        }
    };
}

/// Returns a function that returns the error for the reason of a failure.
macro_rules! refuse {
    ($name:ident($($argument:ident),*)) => {
        move |reason| {
            let mut arguments = Arguments::default();
            $(Argument::describe($argument, &mut arguments);)*
            refused(stringify!($name), arguments, reason)
        }
    };
}

/// Returns the result of an operation, which `call` constructs, on a thread that has entered MLX and is outside of transforms. There
/// nothing is to be made a constant. Nor is there a record: one is made of what a transform differentiates. `refuse` returns the
/// error for the reason of a failure.
///
/// # Safety
///
/// The thread must have entered MLX. If `call` returns true, it must have constructed the result where its argument says.
#[inline]
unsafe fn perform<O: Output>(
    call: impl FnOnce(&Api, O::Raw) -> FfiResult<bool>,
    refuse: impl FnOnce(String) -> Error,
) -> Result<O> {
    let mut place = O::new_place();
    // SAFETY: the thread has entered MLX, so it is loaded.
    let api = unsafe { loaded() };
    match call(api, O::as_raw(&mut place)) {
        // SAFETY: the caller guarantees it.
        Ok(true) => Ok(unsafe { O::assume_init(place) }),
        Ok(false) => Err(seldom(|| refuse(last_error()))),
        Err(reason) => Err(seldom(|| refuse(reason))),
    }
}

/// Does the same where a transform may be running, or the thread has not entered MLX. `record` adds the arrays of the result to an
/// explanation's record.
///
/// # Safety
///
/// If `call` returns true, it must have constructed the result where its argument says.
#[cold] // Rather than the calls outside of transforms, these save registers and jump.
#[inline(never)]
unsafe fn perform_in_transform<O: Output>(
    call: impl FnOnce(&Api, O::Raw) -> FfiResult<bool>,
    record: impl FnOnce(&[Array]),
    refuse: impl FnOnce(String) -> Error,
) -> Result<O> {
    let api = available()?;
    let mut place = O::new_place();
    match call(api, O::as_raw(&mut place)) {
        Ok(true) => {}
        Ok(false) => return Err(seldom(|| refuse(last_error()))),
        Err(reason) => return Err(seldom(|| refuse(reason))),
    }
    // SAFETY: the caller guarantees it.
    let outputs = unsafe { O::arrays(&mut place) };
    let followed = outputs.iter_mut().try_for_each(Array::follow_mode);
    if followed.is_ok() && (record::is_recording() || distributed::notes_cuts()) {
        seldom(|| record(outputs));
    }
    // SAFETY: the caller guarantees it.
    let result = unsafe { O::assume_init(place) };
    followed.map(|()| result).map_err(|reason| seldom(|| refuse(reason)))
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
        #[inline] // In the crate that calls, which may know where the thread's state is without a call.
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
                #[inline] // As the methods are.
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

/// # Attention
impl Array {
    #[doc = array_doc!(scaled_dot_product_attention, "mlx")]
    #[track_caller]
    pub fn scaled_dot_product_attention(
        &self,
        keys: &Self,
        values: &Self,
        scale: f32,
        mask: Option<&Self>,
    ) -> Result<Self> {
        fast::scaled_dot_product_attention(self, keys, values, scale, mask)
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
    #[inline]
    pub fn reshape<L: Length>(&self, shape: &[L]) -> Result<Self> {
        let (mut few, mut many) = ([0; 8], Vec::new());
        let (a, shape) = (self, length::signed(shape, &mut few, &mut many));
        call!(shapes.reshape(a: &Array, shape: &[isize]))
    }
}
