//! Closures: in the scope while they are called.

use grad_core::ModeSnapshot;

use crate::carry::scoped;

/// Carries this thread's modes with `f` to another thread or to a later time: they are in force while it runs, and while it is
/// dropped if it never does.
///
/// Use it with `std::thread::spawn` and `std::thread::scope`, `rayon::spawn` and `join`, `tokio::task::spawn_blocking`, or a
/// channel of jobs. The modes are those of every installed backend at this moment, each its own; on the other side they are set
/// exactly, and the modes found there are restored afterwards.
///
/// ```
/// use grad_runtime::{carry, is_grad_enabled, no_grad};
///
/// no_grad! {
///     let (carried, plain) = std::thread::scope(|threads| {
///         let carried = threads.spawn(carry(is_grad_enabled));
///         let plain = threads.spawn(is_grad_enabled);
///         (carried.join().unwrap(), plain.join().unwrap())
///     });
///     assert!(!carried);
///     assert!(plain); // A new thread starts Enabled.
/// }
/// ```
///
/// A closure with arguments, or one that is called more than once, is carried by the macro of the same name,
/// [`carry!`](crate::carry!).
#[track_caller]
pub fn carry<F, R>(f: F) -> impl FnOnce() -> R
where
    F: FnOnce() -> R,
{
    let carried = scoped(ModeSnapshot::current(), f);
    move || {
        let (_guard, f) = carried.into_entered();
        f()
    }
}
