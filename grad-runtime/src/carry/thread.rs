//! Threads that start in the modes of the thread that starts them.

use std::thread::JoinHandle;

use crate::carry::carry;

/// [`std::thread::spawn`] with this thread's modes.
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
/// If the system cannot start a thread.
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    std::thread::spawn(carry(f))
}
