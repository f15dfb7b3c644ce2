//! What this thread does with MLX, in one word, so that an operation asks once.

use std::cell::Cell;

/// Set while the thread may use MLX's state of it.
const ENTERED: u32 = 1;
/// Added for each function of a transform that is running on the thread.
const FUNCTION: u32 = 2;

thread_local! {
    static STATE: Cell<u32> = const { Cell::new(0) };
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

pub(super) fn set_entered(is_entered: bool) {
    STATE.set(if is_entered { STATE.get() | ENTERED } else { STATE.get() & !ENTERED });
}

pub fn enter_function() {
    STATE.set(STATE.get() + FUNCTION);
}

pub fn leave_function() {
    STATE.set(STATE.get() - FUNCTION);
}
