//! Types that stay on the thread that created them, and the compile error that says so.
//!
//! They hold pointers, so none of them is `Send` or `Sync` anyway; but then the error would be that `NonNull<…>` cannot be sent.
//! The implementations here never apply either, and the trait that they ask for explains why.

use crate::mlx::{Array, Checkpoint, Compiled, CustomFunction, Stream};

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "`{T}` stays on the thread that created it: it can be neither sent to another thread nor shared with one",
    label = "uses `{T}` on another thread",
    note = "MLX keeps streams and graphs for each thread",
    note = "send the elements of an array with `Shared::new`, or those of a model with `params::share`, and open them on the \
            other thread, without a copy; create streams and transformed functions on the thread that uses them"
)]
pub trait LeavesItsThread<T> {}

macro_rules! stay_on_their_thread {
    ($($type:ty),*) => {$(
        // A bound without a lifetime that is never met would be an error of its own.
        // SAFETY: this never applies, because no type implements the trait.
        unsafe impl Send for $type where for<'a> &'a (): LeavesItsThread<$type> {}
        // SAFETY: as above.
        unsafe impl Sync for $type where for<'a> &'a (): LeavesItsThread<$type> {}
    )*};
}
stay_on_their_thread!(Array, Stream, Compiled, Checkpoint, CustomFunction);
