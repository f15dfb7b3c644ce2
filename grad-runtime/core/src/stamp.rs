//! `ThreadStamp`: whether a thread's modes have changed since.

use crate::registry::any_installed_switch;
use crate::thread_state;

/// The state of this thread's modes at one moment.
///
/// ```
/// use grad_core::{__private::ThreadStamp, no_grad};
///
/// let stamp = ThreadStamp::now().expect("no backend with a switch is installed");
/// let guard = no_grad();
/// assert!(!stamp.is_current());
/// drop(guard);
/// assert!(stamp.is_current());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ThreadStamp(u64);

impl ThreadStamp {
    /// Returns the stamp of now, or `None` if a backend with a switch of its own is installed, whose mode other code may change.
    #[must_use]
    #[inline]
    pub fn now() -> Option<Self> {
        (!any_installed_switch()).then(|| Self(thread_state::slots()))
    }

    /// Returns whether the modes in the slots, and the numbers of guards alive that cover them, are those of the stamp.
    #[must_use]
    #[inline]
    pub fn is_current(self) -> bool {
        thread_state::slots() == self.0
    }
}
