//! The types of std.

pub use std::sync::{Mutex, OnceLock, atomic};
pub use std::thread_local;

/// Defines statics that threads share.
macro_rules! shared {
    ($($item:item)*) => { $($item)* };
}

/// Defines a function that is const.
#[cfg(feature = "torch")]
macro_rules! const_fn {
    ($visibility:vis fn $($rest:tt)*) => { $visibility const fn $($rest)* };
}

#[cfg(feature = "torch")]
pub(crate) use const_fn;
pub(crate) use shared;
