//! Threads that start in the modes of their parent.

use std::thread::JoinHandle;

use crate::carry::carry;

/// Spawns a thread that runs in this thread's modes; otherwise as [`std::thread::spawn`].
///
/// ```
/// use grad_runtime::{is_grad_enabled, no_grad, thread};
///
/// let worker = no_grad! { thread::spawn(is_grad_enabled) };
/// assert!(!worker.join().unwrap());
/// ```
///
/// For [`std::thread::Builder`] and [`std::thread::scope`], carry the closure: `builder.spawn(carry(f))`.
///
/// # Panics
///
/// If the operating system cannot start a thread.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    std::thread::spawn(carry(f))
}
