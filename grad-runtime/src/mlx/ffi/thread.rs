//! What this thread does with MLX, in one word, so that an operation asks once.

use std::cell::Cell;

/// Set while the thread may use MLX's state of it.
const ENTERED: u64 = 1;
/// Added for each function of a transform that is running on the thread.
pub const FUNCTION: u64 = 2;
/// Added, besides, for each that is differentiated.
pub const DIFFERENTIATED: u64 = 1 << 32;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Returns whether the thread may use MLX's state of it.
#[inline]
pub fn is_entered() -> bool {
    STATE.get() & ENTERED != 0
}

/// Returns whether the thread may use MLX's state of it, and is not inside the function of a transform.
#[inline]
pub fn is_entered_outside_transforms() -> bool {
    STATE.get() == ENTERED
}

/// Returns whether the thread is inside the function of any transform. Where it is not, no transform traces anything.
#[inline]
pub fn is_transforming() -> bool {
    STATE.get() >= FUNCTION
}

/// Returns whether the thread is inside a function that is differentiated. Where it is not, no gradient passes through an array.
#[inline]
pub fn is_differentiating() -> bool {
    STATE.get() >= DIFFERENTIATED
}

pub(super) fn set_entered(is_entered: bool) {
    STATE.set(if is_entered { STATE.get() | ENTERED } else { STATE.get() & !ENTERED });
}

/// Enters a function: adds `FUNCTION`, or the sum of both.
pub fn enter_function(kind: u64) {
    STATE.set(STATE.get() + kind);
}

/// Leaves a function of the kind that was entered.
pub fn leave_function(kind: u64) {
    STATE.set(STATE.get() - kind);
}
