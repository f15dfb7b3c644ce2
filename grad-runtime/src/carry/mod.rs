//! Scopes that travel with work that runs later: futures, streams, iterators, closures and threads.
//!
//! [`Scoped`] is what all of it becomes: the work, and a way to enter its scope. Each kind of work has a room that says
//! when the scope is entered.

mod closure;
mod future;
mod iterator;
mod modes;
mod scoped;
mod stream;
pub mod thread;

use crate::mode::GradMode;

pub use closure::carry;
pub use modes::Modes;
pub use scoped::{Scoped, scoped};
pub use stream::scoped_stream;

/// Gives a future, a stream or an iterator the mode to run in, wherever and whenever it is resumed.
///
/// The mode is in force each time the value is polled or advanced and while it is dropped, and the mode found there is
/// back afterwards. It is put in force exactly, whatever the place has: this is not a scope inside of that place's,
/// so `with_grad_mode(GradMode::Enabled)` records in inference mode too. Scopes inside of the work apply as ever, and
/// of two modes given to one value the inner, first one counts.
///
/// Closures are carried by [`carry`](fn@carry) and [`carry!`](crate::carry!).
pub trait Carry: Sized {
    /// Runs this in `mode`, on every installed backend.
    ///
    /// ```
    /// use grad_runtime::prelude::*;
    ///
    /// let future = async { is_grad_enabled() }.with_grad_mode(GradMode::NoGrad);
    /// assert!(!futures::executor::block_on(future));
    /// ```
    fn with_grad_mode(self, mode: GradMode) -> Scoped<Self> {
        scoped(Modes::all(mode), self)
    }

    /// Runs this in the modes that this thread has now, each backend in its own.
    ///
    /// ```
    /// use grad_runtime::prelude::*;
    ///
    /// let iterator = grad_runtime::no_grad! {
    ///     (0..2).map(|_| is_grad_enabled()).in_current_grad_mode()
    /// };
    /// assert!(iterator.eq([false, false]));
    /// ```
    fn in_current_grad_mode(self) -> Scoped<Self> {
        scoped(Modes::current(), self)
    }
}

impl<T> Carry for T {}
