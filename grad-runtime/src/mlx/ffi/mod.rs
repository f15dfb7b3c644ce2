//! Safe functions over the raw interface of `grad_mlx_sys`. All unsafe code about MLX is in this module.

mod arguments;
mod callbacks;
pub mod distributed;
mod dtype;
mod handle;
mod integers;
mod messages;
mod native_switch;
mod operations;
// Documentation shows the types as neither `Send` nor `Sync`.
#[cfg(not(doc))]
mod own_thread;
mod refusals;
mod sharing;
pub mod thread;
mod transforms;

use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use grad_mlx_sys::{self as sys, Api};

use crate::error::{Error, Result};
use grad_core::Unavailable;

pub use arguments::{as_handles, as_traced};
pub use callbacks::{Failure, StoredFn};
pub use handle::{Evaluated, Handle, async_eval, eval};
pub use integers::to_lengths;
pub use messages::is_of_lost_elements;
pub use operations::{combination, creation, fast, fft, linalg, random};
pub use sharing::{SharedHandle, share};
pub use transforms::{Compiled, Derived, checkpoint, compile, custom, jvp, vjp, vmap};

/// The result of a call into MLX: a value, or MLX's message.
pub type FfiResult<T = Handle, E = String> = std::result::Result<T, E>;

/// The shim's functions, which are loaded once.
struct Functions(UnsafeCell<MaybeUninit<Api>>);

// SAFETY: `api` writes the functions before `LOADED` says so, and all else only reads them afterwards.
unsafe impl Sync for Functions {}

/// Not in `LOADED`, whose `get` reads an atomic, which no compiler leaves out where the result is known.
static FUNCTIONS: Functions = Functions(UnsafeCell::new(MaybeUninit::uninit()));
static LOADED: OnceLock<Result<(), String>> = OnceLock::new();

/// Returns the shim's functions, or why there are none. The first call decides for the rest of the process.
pub fn api() -> Result<&'static Api> {
    let result = LOADED.get_or_init(|| {
        let api = sys::load()?;
        // SAFETY: the function takes no arguments.
        if unsafe { (api.has_grad_mode)() } {
            native_switch::install(&api);
        }
        // SAFETY: one thread at a time initializes, and none reads before.
        unsafe { (*FUNCTIONS.0.get()).write(api) };
        Ok(())
    });
    match result {
        // SAFETY: MLX is loaded.
        Ok(()) => Ok(unsafe { loaded() }),
        Err(reason) => Err(Unavailable { backend: "mlx", reason: reason.clone() }.into()),
    }
}

thread_local! {
    static THREAD: Thread = Thread::enter();
}

/// Lives as long as MLX may be used on this thread. MLX keeps streams and traces for each thread and destroys them when the
/// thread ends. This value is created after those, so it is destroyed before them.
struct Thread;

impl Thread {
    fn enter() -> Self {
        // Without a device that works this fails. So will the operations, which report it.
        // SAFETY: the caller has loaded MLX. The function takes no arguments.
        unsafe { (loaded().enter_thread)() };
        Self
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        thread::set_entered(false);
    }
}

/// Returns the functions that only touch the array they are given.
///
/// # Safety
///
/// MLX must be loaded, as it is where an array exists.
#[inline]
unsafe fn loaded() -> &'static Api {
    // SAFETY: the caller guarantees that MLX is loaded, so the functions are written and no longer change.
    unsafe { (*FUNCTIONS.0.get()).assume_init_ref() }
}

/// Returns the functions that use MLX's thread-local state, where MLX is loaded.
fn entered() -> FfiResult<&'static Api> {
    available().map_err(|error| match error {
        Error::Unavailable(unavailable) => unavailable.reason,
        other => other.to_string(),
    })
}

/// Returns the functions that use MLX's thread-local state.
#[inline]
fn available() -> Result<&'static Api> {
    if thread::is_entered() {
        // SAFETY: the thread has entered MLX, so it is loaded.
        return Ok(unsafe { loaded() });
    }
    enter()
}

#[cold]
fn enter() -> Result<&'static Api> {
    let api = api()?;
    let entered = THREAD.try_with(|_| thread::set_entered(true));
    entered.map_err(|_| Unavailable {
        backend: "mlx",
        reason: "this thread is ending and has destroyed its part of MLX; use arrays before thread-local destructors run".into(),
    })?;
    Ok(api)
}

/// Turns the shim's success flag into a result.
#[inline]
fn check(ok: bool) -> FfiResult<()> {
    if ok { Ok(()) } else { Err(last_error()) }
}

/// Turns an index, which is negative for a failure, into a result.
fn check_index(index: i32) -> FfiResult<i32> {
    if index < 0 { Err(last_error()) } else { Ok(index) }
}

#[cold]
fn last_error() -> String {
    // SAFETY: the shim has failed, so it is loaded. It returns this thread's message, a C string that lives until the thread's
    // next failure.
    let message = unsafe { CStr::from_ptr((loaded().error)()) };
    messages::reason(&message.to_string_lossy())
}

pub fn is_available(device: sys::Device) -> Result<bool> {
    let api = api()?;
    // SAFETY: the device is passed by value.
    Ok(unsafe { (api.is_available)(device) })
}

pub fn default_device() -> Result<sys::Device> {
    let api = api()?;
    // SAFETY: the function takes no arguments.
    let number = unsafe { (api.default_device)() };
    Ok(if number == sys::Device::Gpu as i32 { sys::Device::Gpu } else { sys::Device::Cpu })
}

pub fn set_default_device(device: sys::Device) -> Result<FfiResult<()>> {
    let api = api()?;
    // SAFETY: the device is passed by value.
    Ok(check(unsafe { (api.set_default_device)(device) }))
}

pub fn active_memory() -> Result<usize> {
    let api = api()?;
    // SAFETY: the function takes no arguments.
    Ok(unsafe { (api.active_memory)() })
}

pub fn peak_memory() -> Result<usize> {
    let api = api()?;
    // SAFETY: the function takes no arguments.
    Ok(unsafe { (api.peak_memory)() })
}

pub fn reset_peak_memory() -> Result<FfiResult<()>> {
    let api = api()?;
    // SAFETY: the function takes no arguments.
    Ok(check(unsafe { (api.reset_peak_memory)() }))
}

/// Creates a stream of this thread and returns its index.
pub fn new_stream(device: sys::Device) -> Result<FfiResult<i32>> {
    let api = available()?;
    // SAFETY: the device is passed by value.
    Ok(check_index(unsafe { (api.new_stream)(device) }))
}

/// Returns the index of this thread's default stream.
pub fn default_stream(device: sys::Device) -> Result<FfiResult<i32>> {
    let api = available()?;
    // SAFETY: the device is passed by value.
    Ok(check_index(unsafe { (api.default_stream)(device) }))
}

/// Sets this thread's default stream. `stream` must be one of this thread and this device.
pub fn set_default_stream(device: sys::Device, stream: i32) -> Result<FfiResult<()>> {
    let api = available()?;
    // SAFETY: both are passed by value, and the caller guarantees that the stream is one of this thread.
    Ok(check(unsafe { (api.set_default_stream)(device, stream) }))
}

/// Blocks until the stream has computed all its operations. `stream` must be one of this thread and this device.
pub fn synchronize(device: sys::Device, stream: i32) -> Result<Evaluated<()>> {
    let api = available()?;
    // SAFETY: as in `set_default_stream`.
    Ok(callbacks::resume(check(unsafe { (api.synchronize)(device, stream) })))
}
