//! What the shapes share.

use std::future::Future;

use grad_runtime::{GradMode, grad_mode};

/// For a macro that comes from elsewhere: `$crate::common::grad_runtime`.
pub mod grad_runtime {
    pub use ::grad_runtime::*;
}

/// What `value` is, once it is sure that the call which made it has put the mode back.
#[track_caller]
pub fn restored<T>(value: T) -> T {
    assert_mode(GradMode::Enabled);
    value
}

/// What `future` comes to, once it is sure that it has put the mode back.
#[track_caller]
pub fn awaited<T>(future: impl Future<Output = T>) -> T {
    restored(futures::executor::block_on(future))
}

/// Fails in another mode.
#[track_caller]
pub fn assert_mode(mode: GradMode) {
    assert_eq!(grad_mode(), mode);
}
