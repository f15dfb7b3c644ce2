//! Communication with other processes. The shim's collectives.h says how it is ordered, and how waiting ends.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::time::Duration;

use grad_mlx_sys::{self as sys, Collective};

use super::callbacks::{Failure, interrupt, resume};
use super::handle::Handle;
use super::integers::int_slice;
use super::{FfiResult, available, check, entered, last_error, loaded, thread};
use crate::error::{Error, Result};

/// An owned group of processes.
pub struct Group(NonNull<sys::Group>);

// SAFETY: a group is a reference to an object of MLX that does not change, counted atomically.
unsafe impl Send for Group {}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the group is owned, so MLX is loaded, and this is its last use.
        unsafe { (loaded().free_group)(self.0.as_ptr()) }
    }
}

fn text(text: &str) -> sys::Str {
    sys::Str { data: text.as_ptr().cast(), len: text.len() }
}

/// Returns whether MLX has a backend of this name.
pub fn has_communication(backend: &str) -> Result<bool> {
    let api = available()?;
    // SAFETY: the text is borrowed for the call.
    Ok(unsafe { (api.has_communication)(text(backend)) })
}

/// Connects to the other processes, which blocks as long as one of them is missing. The caller has loaded MLX; the thread need not
/// have entered it.
pub fn init_group(backend: &str, ports: &[i32]) -> FfiResult<Group> {
    let api = super::api().map_err(|error| error.to_string())?;
    // SAFETY: both are borrowed for the call, which uses no state of the thread but the message of an error.
    let group = unsafe { (api.init_group)(text(backend), int_slice(ports)) };
    NonNull::new(group).map(Group).ok_or_else(last_error)
}

impl Group {
    pub fn split(&self, color: i32, key: i32) -> FfiResult<Self> {
        // SAFETY: the group is alive, so MLX is loaded.
        let group = unsafe { (loaded().split_group)(self.0.as_ptr(), color, key) };
        NonNull::new(group).map(Self).ok_or_else(last_error)
    }

    pub fn rank(&self) -> usize {
        // SAFETY: the group is alive, so MLX is loaded.
        usize::try_from(unsafe { (loaded().group_rank)(self.0.as_ptr()) }).unwrap_or(0)
    }

    pub fn size(&self) -> usize {
        // SAFETY: the group is alive, so MLX is loaded.
        usize::try_from(unsafe { (loaded().group_size)(self.0.as_ptr()) }).unwrap_or(1)
    }

    /// Returns a number that no other group of this process has.
    pub fn id(&self) -> usize {
        // SAFETY: the group is alive, so MLX is loaded.
        unsafe { (loaded().group_id)(self.0.as_ptr()) }
    }

    /// Issues a collective, other than those with a destination or a source.
    pub fn collective(&self, collective: Collective, array: &Handle) -> FfiResult<Handle, Failure<Error>> {
        let api = entered().map_err(Failure::Mlx)?;
        // SAFETY: the array and the group are alive. The shim constructs the result.
        resume(unsafe {
            Handle::construct(|output| (api.collective)(output, collective, array.as_raw(), self.0.as_ptr()))
        })
    }

    pub fn send(&self, array: &Handle, destination: i32) -> FfiResult<Handle, Failure<Error>> {
        let api = entered().map_err(Failure::Mlx)?;
        // SAFETY: as in `collective`.
        resume(unsafe {
            Handle::construct(|output| (api.send)(output, array.as_raw(), destination, self.0.as_ptr()))
        })
    }

    /// Receives an array of the dtype of `like`, a scalar.
    pub fn recv(&self, shape: &[i32], like: &Handle, source: i32) -> FfiResult<Handle, Failure<Error>> {
        let api = entered().map_err(Failure::Mlx)?;
        // SAFETY: as in `collective`; the shape is borrowed for the call.
        resume(unsafe {
            Handle::construct(|output| (api.recv)(output, int_slice(shape), like.as_raw(), source, self.0.as_ptr()))
        })
    }
}

/// Blocks until the collectives of this thread are complete.
pub fn wait_for_collectives() -> FfiResult<(), Failure<Error>> {
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: the function takes no arguments.
    resume(check(unsafe { (api.wait_for_collectives)() }))
}

/// Callbacks of this thread's collectives.
pub trait Hooks {
    /// Announces a collective of the group with this number. `peer` is the destination or the source.
    ///
    /// # Errors
    ///
    /// Why it may not begin.
    fn issue(&self, group: usize, collective: Collective, operand: &Handle, peer: Option<usize>) -> Result<()>;

    /// Decides whether to keep waiting for a collective after `elapsed`.
    ///
    /// # Errors
    ///
    /// Why not.
    fn poll(&self, elapsed: Duration) -> Result<()>;

    /// Records that all issued collectives are complete.
    fn complete(&self);

    /// Returns the error for the reason why a collective failed.
    fn explain(&self, reason: &str) -> Error;
}

/// Functions that this thread's collectives call, as long as it lives. It stays on its thread.
pub struct Installed<H: Hooks> {
    // Stays in place, since the shim refers to it.
    hooks: Box<H>,
    device: sys::Device,
}

impl<H: Hooks> Installed<H> {
    /// Installs hooks on this thread, and takes the default stream of `device` for its collectives.
    pub fn new(hooks: H, device: sys::Device) -> FfiResult<Self> {
        let api = entered()?;
        let installed = Self { hooks: Box::new(hooks), device };
        let state = ptr::from_ref::<H>(&installed.hooks).cast_mut().cast();
        let raw = functions::<H>(state);
        // SAFETY: the state lives until `drop` has removed it from the shim, and the functions take such a state.
        check(unsafe { (api.set_collective_hooks)(raw, device) })?;
        Ok(installed)
    }

    pub fn hooks(&self) -> &H {
        &self.hooks
    }
}

impl<H: Hooks> Drop for Installed<H> {
    fn drop(&mut self) {
        if !thread::is_entered() {
            return; // The thread is ending, and has destroyed the shim's part of it.
        }
        let none = functions::<H>(ptr::null_mut());
        // SAFETY: the thread has entered MLX. Without a state the shim calls no function.
        unsafe { (loaded().set_collective_hooks)(none, self.device) };
    }
}

fn functions<H: Hooks>(state: *mut c_void) -> sys::CollectiveHooks {
    sys::CollectiveHooks { state, issue: issue::<H>, poll: poll::<H>, complete: complete::<H>, fail: fail::<H> }
}

/// Calls a hook, whose error or panic the call into MLX that ran it returns. Returns whether it succeeded.
fn succeeds(hook: impl FnOnce() -> Result<()>) -> bool {
    match catch_unwind(AssertUnwindSafe(hook)) {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            interrupt(Ok(error));
            false
        }
        Err(payload) => {
            interrupt(Err(payload));
            false
        }
    }
}

/// # Safety
///
/// `state` must be an `H`, and the operand alive, during the call.
unsafe extern "C" fn issue<H: Hooks>(
    state: *mut c_void,
    group: usize,
    collective: Collective,
    operand: *const sys::Array,
    peer: i32,
) -> bool {
    // SAFETY: the caller guarantees it, and a handle has the layout of an array.
    let (hooks, operand) = unsafe { (&*state.cast::<H>(), &*operand.cast::<Handle>()) };
    succeeds(|| hooks.issue(group, collective, operand, usize::try_from(peer).ok()))
}

/// # Safety
///
/// `state` must be an `H` during the call.
unsafe extern "C" fn poll<H: Hooks>(state: *mut c_void, elapsed: u64) -> bool {
    // SAFETY: the caller guarantees it.
    let hooks = unsafe { &*state.cast::<H>() };
    succeeds(|| hooks.poll(Duration::from_micros(elapsed)))
}

/// # Safety
///
/// `state` must be an `H` during the call.
unsafe extern "C" fn complete<H: Hooks>(state: *mut c_void, _count: usize) {
    // SAFETY: the caller guarantees it.
    let hooks = unsafe { &*state.cast::<H>() };
    // It returns no error, and a panic must not unwind into C++.
    let _ = catch_unwind(AssertUnwindSafe(|| hooks.complete()));
}

/// # Safety
///
/// `state` must be an `H`, and the reason a C string, during the call.
unsafe extern "C" fn fail<H: Hooks>(state: *mut c_void, reason: *const c_char) {
    // SAFETY: the caller guarantees it.
    let (hooks, reason) = unsafe { (&*state.cast::<H>(), CStr::from_ptr(reason)) };
    succeeds(|| Err(hooks.explain(&reason.to_string_lossy())));
}
