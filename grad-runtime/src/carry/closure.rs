//! Closures: in the scope while they are called.

use crate::carry::{Modes, scoped};

/// Takes this thread's modes along with `f`, to another thread or to a later time: they are in force while it runs,
/// and while it is dropped if it never does.
///
/// For `std::thread::spawn` and `std::thread::scope`, `rayon::spawn` and `join`, `tokio::task::spawn_blocking`, a
/// channel of jobs. The modes are those of every installed backend at this moment, each its own; on the other side
/// they are put in force exactly, and what was found there is back afterwards.
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
pub fn carry<F, R>(f: F) -> impl FnOnce() -> R
where
    F: FnOnce() -> R,
{
    let carried = scoped(Modes::current(), f);
    move || {
        let (_guard, f) = carried.into_inside();
        f()
    }
}
