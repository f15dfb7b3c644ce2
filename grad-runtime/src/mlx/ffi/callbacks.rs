//! Functions of Rust that MLX calls, during a call into it or as long as it keeps them.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

use grad_mlx_sys as sys;

use super::handle::{Handle, array_slice, borrow_list, construct_list};
use super::{FfiResult, loaded};
use crate::error::{Error, Result};

/// Why a transform failed.
pub enum Failure<E> {
    /// Its function returned an error.
    Function(E),
    /// A stored function, which MLX called for this transform, returned an error.
    StoredFn(Error),
    /// MLX returned an error.
    Mlx(String),
}

/// The error or panic that ended a function.
enum Interruption<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

thread_local! {
    /// The interruption of a stored function, until the call into MLX that ran it returns.
    static INTERRUPTION: RefCell<Option<Interruption<Error>>> = const { RefCell::new(None) };
}

/// Returns the result of a call into MLX that may have run stored functions: for a failure of one of those, its error.
/// Resumes a panic of one.
pub(super) fn resume<T, E>(result: FfiResult<T>) -> FfiResult<T, Failure<E>> {
    result.map_err(|reason| match INTERRUPTION.take() {
        Some(Interruption::Panic(payload)) => resume_unwind(payload),
        Some(Interruption::Error(error)) => Failure::StoredFn(error),
        None => Failure::Mlx(reason),
    })
}

/// Keeps the error or panic of a function of Rust until the call into MLX that ran it returns.
pub(super) fn interrupt(ended: Result<Error, Box<dyn Any + Send>>) {
    let interruption = match ended {
        Ok(error) => Interruption::Error(error),
        Err(payload) => Interruption::Panic(payload),
    };
    // While the thread ends, it cannot be stored, and no call into MLX returns that would take it.
    let _ = INTERRUPTION.try_with(|place| place.replace(Some(interruption)));
}

/// Calls into MLX with a function that MLX runs at most once, before the call returns. Resumes a panic of the function.
///
/// # Safety
///
/// `call` must construct a list, as of [`construct_list`], and the callback must not be used after `call` has returned.
pub(super) unsafe fn with_callback<F, E>(
    function: F,
    call: impl FnOnce(sys::ArrayVec, sys::Callback) -> bool,
) -> FfiResult<Vec<Handle>, Failure<E>>
where
    F: FnOnce(&[Handle]) -> Result<Vec<Handle>, E>,
{
    let mut state = CallState { function: Some(function), interruption: None };
    let callback = sys::Callback { state: (&raw mut state).cast(), call: run_callback::<F, E>, drop: noop_drop };
    // SAFETY: the caller guarantees it.
    let outputs = unsafe { construct_list(|outputs| call(outputs, callback)) };
    match state.interruption {
        Some(Interruption::Panic(payload)) => resume_unwind(payload),
        Some(Interruption::Error(error)) => Err(Failure::Function(error)),
        None => resume(outputs),
    }
}

/// A function on its way through MLX, and its interruption.
struct CallState<F, E> {
    function: Option<F>,
    interruption: Option<Interruption<E>>,
}

/// Runs a function for the shim. Nothing unwinds out of it.
///
/// # Safety
///
/// `state` must be a `CallState<F, E>` that nothing else uses during the call, and `inputs` and `outputs` as of [`run`].
unsafe extern "C" fn run_callback<F, E>(
    state: *mut c_void,
    inputs: sys::ArraySlice,
    outputs: *mut sys::Arrays,
) -> bool
where
    F: FnOnce(&[Handle]) -> Result<Vec<Handle>, E>,
{
    // SAFETY: the caller guarantees it.
    let state = unsafe { &mut *state.cast::<CallState<F, E>>() };
    let Some(function) = state.function.take() else {
        return false; // MLX calls the function once.
    };
    // SAFETY: the caller guarantees it.
    match unsafe { run(function, inputs, outputs) } {
        Ok(is_returned) => is_returned,
        Err(interruption) => {
            state.interruption = Some(interruption);
            false
        }
    }
}

/// Runs a function on borrowed arrays, and adds what it returns to a list of the shim. Returns whether there was memory for
/// that.
///
/// # Safety
///
/// The inputs must be alive and nothing may change their list during the call, nor use the list of outputs.
unsafe fn run<E>(
    function: impl FnOnce(&[Handle]) -> Result<Vec<Handle>, E>,
    inputs: sys::ArraySlice,
    outputs: *mut sys::Arrays,
) -> Result<bool, Interruption<E>> {
    // SAFETY: the caller guarantees it.
    let inputs = unsafe { borrow_list(inputs) };
    match catch_unwind(AssertUnwindSafe(|| function(inputs))) {
        // SAFETY: the shim has called, so MLX is loaded. The arrays are alive, and borrowed for the call, which copies the
        // references.
        Ok(Ok(arrays)) => Ok(unsafe { (loaded().extend)(outputs, array_slice(&arrays)) }),
        Ok(Err(error)) => Err(Interruption::Error(error)),
        Err(payload) => Err(Interruption::Panic(payload)),
    }
}

/// Leaves a state alone that the shim does not own.
unsafe extern "C" fn noop_drop(_: *mut c_void) {}

/// A function that MLX stores and may call again, on the thread that created it.
pub type StoredFn = Box<dyn Fn(&[Handle]) -> Result<Vec<Handle>>>;

/// The state of a stored function. MLX drops it with the graph that holds it, on any thread.
struct StoredState {
    function: StoredFn,
    thread: *const u8,
}

/// Returns an address that no other living thread has. Works while the thread ends, too.
fn thread_address() -> *const u8 {
    thread_local! {
        static ADDRESS: u8 = const { 0 };
    }
    ADDRESS.with(ptr::from_ref)
}

/// Gives MLX a function to store.
pub(super) fn store(function: StoredFn) -> sys::Callback {
    let state = Box::into_raw(Box::new(StoredState { function, thread: thread_address() }));
    sys::Callback { state: state.cast(), call: run_stored, drop: drop_stored }
}

/// Returns a callback that stands for no function.
pub(super) fn no_function() -> sys::Callback {
    /// Fails; the shim does not call a function without a state.
    unsafe extern "C" fn fail(_: *mut c_void, _: sys::ArraySlice, _: *mut sys::Arrays) -> bool {
        false
    }
    sys::Callback { state: ptr::null_mut(), call: fail, drop: noop_drop }
}

/// Runs a stored function for the shim. Nothing unwinds out of it.
///
/// # Safety
///
/// `state` must come from [`store`] and not be dropped yet, and `inputs` and `outputs` must be as of [`run`].
unsafe extern "C" fn run_stored(state: *mut c_void, inputs: sys::ArraySlice, outputs: *mut sys::Arrays) -> bool {
    // SAFETY: the caller guarantees it.
    let state = unsafe { &*state.cast::<StoredState>() };
    // SAFETY: the caller guarantees it.
    match unsafe { run(&state.function, inputs, outputs) } {
        Ok(is_returned) => is_returned,
        Err(interruption) => {
            // While the thread ends, it cannot be stored, and no call into MLX returns that would take it.
            let _ = INTERRUPTION.try_with(|place| place.replace(Some(interruption)));
            false
        }
    }
}

/// Drops a stored function for the shim. Nothing unwinds out of it.
///
/// # Safety
///
/// `state` must come from [`store`], and this must be its last use.
unsafe extern "C" fn drop_stored(state: *mut c_void) {
    // SAFETY: the caller guarantees it.
    let state = unsafe { Box::from_raw(state.cast::<StoredState>()) };
    if state.thread == thread_address() {
        // A destructor that panics must not unwind into MLX.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(state)));
    } else {
        // The values that the function captured must not be touched on another thread.
        std::mem::forget(state);
    }
}
