//! Rust functions that MLX calls: during a call into it, or as long as it keeps them.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

use super::handle::{Handle, Handles, arrays_of, give_away};
use super::{Made, RawArrays, RawFunction};
use crate::error::{Error, Result};

/// Why a transform came to nothing.
pub enum Failure<E> {
    /// Its function returned an error.
    Function(E),
    /// A function that MLX kept, and called for this transform, returned one.
    Kept(Error),
    /// MLX refused.
    Mlx(String),
}

type Payload = Box<dyn Any + Send>;

enum Stopped<E> {
    Error(E),
    Panic(Payload),
}

thread_local! {
    /// What stopped a kept function, on its way to the call into MLX that ran it.
    static STOPPED: RefCell<Option<Stopped<Error>>> = const { RefCell::new(None) };
}

/// What a call into MLX that may have run kept functions came to. A panic of theirs goes on, on this side.
pub(super) fn finished<T, E>(made: Made<T>) -> Made<T, Failure<E>> {
    made.map_err(|reason| match STOPPED.take() {
        Some(Stopped::Panic(payload)) => resume_unwind(payload),
        Some(Stopped::Error(error)) => Failure::Kept(error),
        None => Failure::Mlx(reason),
    })
}

/// Makes a call into MLX with a function that it runs, once, before the call returns. A panic of the function passes
/// through, on this side.
pub(super) fn during_call<F, E>(
    function: F,
    call: impl FnOnce(RawFunction) -> *mut RawArrays,
) -> Made<Vec<Handle>, Failure<E>>
where
    F: FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
{
    let mut state = Once { function: Some(function), stopped: None };
    let raw = RawFunction { state: (&raw mut state).cast(), call: run_once::<F, E>, drop: leave };
    let made = Handles::made(call(raw)).and_then(|list| list.to_vec());
    match state.stopped {
        Some(Stopped::Panic(payload)) => resume_unwind(payload),
        Some(Stopped::Error(error)) => Err(Failure::Function(error)),
        None => finished(made),
    }
}

/// A function on its way through MLX, and how it failed.
struct Once<F, E> {
    function: Option<F>,
    stopped: Option<Stopped<E>>,
}

/// What the shim calls. Nothing unwinds out of it.
extern "C" fn run_once<F, E>(state: *mut c_void, inputs: *const RawArrays) -> *mut RawArrays
where
    F: FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
{
    // SAFETY: `during_call` passed a state of these types, and nobody else uses it during the call.
    let state = unsafe { &mut *state.cast::<Once<F, E>>() };
    let Some(function) = state.function.take() else {
        return ptr::null_mut(); // MLX calls a function once; a second time would find it gone.
    };
    // SAFETY: the shim lends a list that is alive.
    match unsafe { run(function, inputs) } {
        Ok(outputs) => outputs,
        Err(stopped) => {
            state.stopped = Some(stopped);
            ptr::null_mut()
        }
    }
}

/// Runs a function on the arrays of a list.
///
/// # Safety
///
/// The list must be alive.
unsafe fn run<E>(
    function: impl FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
    inputs: *const RawArrays,
) -> Result<*mut RawArrays, Stopped<E>> {
    let outputs = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller says so.
        let inputs =
            unsafe { arrays_of(inputs) }.expect("copying a reference to an array fails only without memory");
        function(inputs)
    }));
    match outputs {
        Ok(Ok(outputs)) => Ok(give_away(&outputs)),
        Ok(Err(error)) => Err(Stopped::Error(error)),
        Err(payload) => Err(Stopped::Panic(payload)),
    }
}

extern "C" fn leave(_: *mut c_void) {}

/// A function that MLX may keep, and call again, on the thread that made it.
pub type Lasting = Box<dyn Fn(Vec<Handle>) -> Result<Vec<Handle>>>;

/// A function that MLX keeps. It drops it together with the graph that holds it, wherever that ends.
struct Kept {
    function: Lasting,
    thread: *const u8,
}

/// An address that no other living thread has, to be had even while the thread ends.
fn this_thread() -> *const u8 {
    thread_local! {
        static HERE: u8 = const { 0 };
    }
    HERE.with(ptr::from_ref)
}

/// Gives MLX a function to keep.
pub(super) fn kept(function: Lasting) -> RawFunction {
    let state = Box::into_raw(Box::new(Kept { function, thread: this_thread() }));
    RawFunction { state: state.cast(), call: run_kept, drop: drop_kept }
}

/// In the place of a function that there is not.
pub(super) fn none() -> RawFunction {
    RawFunction { state: ptr::null_mut(), call: fail, drop: leave }
}

extern "C" fn fail(_: *mut c_void, _: *const RawArrays) -> *mut RawArrays {
    ptr::null_mut()
}

/// What the shim calls. Nothing unwinds out of it.
extern "C" fn run_kept(state: *mut c_void, inputs: *const RawArrays) -> *mut RawArrays {
    // SAFETY: `kept` made the state, and the shim drops it after the last call.
    let kept = unsafe { &*state.cast::<Kept>() };
    // SAFETY: the shim lends a list that is alive.
    match unsafe { run(&kept.function, inputs) } {
        Ok(outputs) => outputs,
        Err(stopped) => {
            // While the thread ends there is no place to leave it, and nobody to find it.
            let _ = STOPPED.try_with(|place| place.replace(Some(stopped)));
            ptr::null_mut()
        }
    }
}

extern "C" fn drop_kept(state: *mut c_void) {
    // SAFETY: `kept` made the state, and this is its last use.
    let kept = unsafe { Box::from_raw(state.cast::<Kept>()) };
    if kept.thread == this_thread() {
        // A destructor that panics must not unwind into MLX.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(kept)));
    } else {
        // What the function captured may not be touched from here.
        std::mem::forget(kept);
    }
}
