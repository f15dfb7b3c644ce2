//! Helpers of the shapes.

use std::future::Future;

use grad_runtime::{GradMode, grad_mode};

/// For macros that name the crate by path: `$crate::common::grad_runtime`.
pub mod grad_runtime {
    pub use ::grad_runtime::*;
}

/// Returns the value, after asserting that the call which made it has restored the mode.
#[track_caller]
pub fn restored<T>(value: T) -> T {
    assert_mode(GradMode::Enabled);
    value
}

/// Returns the output of the future, after asserting that it has restored the mode.
#[track_caller]
pub fn awaited<T>(future: impl Future<Output = T>) -> T {
    restored(futures::executor::block_on(future))
}

/// Asserts the current mode.
#[track_caller]
pub fn assert_mode(mode: GradMode) {
    assert_eq!(grad_mode(), mode);
}
