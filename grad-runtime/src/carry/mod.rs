//! Scopes that travel with work that runs later: futures, streams, iterators, closures and threads.
//!
//! [`Scoped`] wraps each of them together with a way to enter the scope. Each kind of work has a file that says when the scope
//! is entered.

mod closure;
mod future;
mod iterator;
mod mapped;
mod scoped;
mod stream;
pub mod thread;

use grad_core::{GradMode, ModeSnapshot};

pub use closure::carry;
pub use mapped::{Mapped, map_future, map_iterator, map_stream};
pub use scoped::{Scoped, scoped, scoped_enable_grad, scoped_inference_mode, scoped_no_grad};
pub use stream::scoped_stream;

/// Runs a future, a stream or an iterator in a grad mode, wherever and whenever it is resumed.
///
/// The mode is in force each time the value is polled or advanced and while it is dropped; afterwards the mode found there is
/// restored. The mode is set exactly: this is not a scope nested in that of the caller, so `with_grad_mode(GradMode::Enabled)`
/// records in inference mode too. Scopes inside the work apply as usual. If a value is wrapped twice, the inner mode applies.
///
/// Closures are carried by [`carry`](fn@carry) and [`carry!`](crate::carry!).
pub trait Carry: Sized {
    /// Runs this value in `mode`, on every installed backend.
    ///
    /// ```
    /// use grad_runtime::prelude::*;
    ///
    /// let future = async { is_grad_enabled() }.with_grad_mode(GradMode::NoGrad);
    /// assert!(!futures::executor::block_on(future));
    /// ```
    #[track_caller]
    fn with_grad_mode(self, mode: GradMode) -> Scoped<Self> {
        scoped(ModeSnapshot::all(mode), self)
    }

    /// Runs this value in the current modes of this thread, each backend in its own.
    ///
    /// ```
    /// use grad_runtime::prelude::*;
    ///
    /// let iterator = grad_runtime::no_grad! {
    ///     (0..2).map(|_| is_grad_enabled()).in_current_grad_mode()
    /// };
    /// assert!(iterator.eq([false, false]));
    /// ```
    #[track_caller]
    fn in_current_grad_mode(self) -> Scoped<Self> {
        scoped(ModeSnapshot::current(), self)
    }
}

impl<T> Carry for T {}
