//! Operations of engines that were not recorded because a scope was on, for explanations.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;

use crate::backend::Backend;
use crate::places::{self, OpenScope, cutting_scopes};

/// An operation that an engine would have recorded, and the scopes that kept it from that; see [`not_recorded`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotRecorded {
    /// The name of the operation.
    pub op: &'static str,
    /// The place of the call.
    pub place: &'static Location<'static>,
    /// The scopes that were on, the innermost first.
    pub scopes: Vec<OpenScope>,
}

thread_local! {
    static NOT_RECORDED: RefCell<Vec<NotRecorded>> = const { RefCell::new(Vec::new()) };
}

/// Reports that an operation was not recorded, and would have been if recording were enabled: for engines of other crates, beside
/// [`is_grad_enabled`](crate::is_grad_enabled), so that they can explain a missing gradient.
///
/// `backend` is the one whose mode the engine asked for. Nothing happens unless scopes are [watched](crate::watch_scopes) on this
/// thread. The same call in the same scopes is kept once.
///
/// ```
/// use grad_core::{Cpu, is_grad_enabled, no_grad, not_recorded, take_not_recorded, watch_scopes};
///
/// #[track_caller]
/// fn multiply(x: f32, y: f32) -> f32 {
///     if is_grad_enabled() {
///         // … record it …
///     } else {
///         not_recorded(&Cpu, "multiply");
///     }
///     x * y
/// }
///
/// let _watch = watch_scopes();
/// let guard = no_grad();
/// multiply(2.0, 3.0);
/// drop(guard);
/// let found = take_not_recorded();
/// assert!(found[0].to_string().starts_with("multiply at "));
/// assert!(found[0].to_string().contains(": not recorded in no_grad at "));
/// ```
#[track_caller]
pub fn not_recorded(backend: &'static dyn Backend, op: &'static str) {
    if places::are_recorded() {
        keep(NotRecorded { op, place: Location::caller(), scopes: cutting_scopes(backend) });
    }
}

#[cold]
fn keep(found: NotRecorded) {
    // While the thread is torn down there may be no list any more.
    let _ = NOT_RECORDED.try_with(|all| {
        let mut all = all.borrow_mut();
        if !all.contains(&found) {
            all.push(found);
        }
    });
}

/// Returns what [`not_recorded`] has kept on this thread, in order, and forgets it; see there for an example.
#[must_use]
pub fn take_not_recorded() -> Vec<NotRecorded> {
    NOT_RECORDED.take()
}

/// Displays the call and the scopes, as `multiply at src/model.rs:7:9: not recorded in no_grad at src/main.rs:20:5`.
impl fmt::Display for NotRecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: not recorded", self.op, self.place)?;
        for (at, scope) in self.scopes.iter().enumerate() {
            write!(f, "{}{scope}", if at == 0 { " in " } else { ", inside " })?;
        }
        Ok(())
    }
}
