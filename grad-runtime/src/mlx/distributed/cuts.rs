//! What an error tells of a collective: where it was issued, and what has cut gradients before.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use grad_core::{Mlx, cutting_scopes};

/// How many different cuts are kept.
const MOST: usize = 8;

thread_local! {
    static IS_NOTING: Cell<bool> = const { Cell::new(false) };
    static CUTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static PLACE: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Starts or ends the notes of this thread.
pub fn set_noting(is_noting: bool) {
    IS_NOTING.set(is_noting);
}

/// Returns whether cuts are noted on this thread: while it has a group whose collectives are checked.
#[inline]
pub fn notes_cuts() -> bool {
    IS_NOTING.get()
}

/// Notes that the scopes that are open have made an array a constant to a transform.
#[cold]
pub fn note_cut() {
    for scope in cutting_scopes(&Mlx) {
        note(scope.to_string());
    }
}

/// Notes an operation, if it cuts gradients.
pub fn note_operation(name: &str, place: &'static Location<'static>) {
    if name == "stop_gradient" && notes_cuts() {
        note(format!("stop_gradient at {place}"));
    }
}

fn note(cut: String) {
    let _ = CUTS.try_with(|cuts| {
        let mut cuts = cuts.borrow_mut();
        if cuts.len() < MOST && !cuts.contains(&cut) {
            cuts.push(cut);
        }
    });
}

/// Returns the notes for a collective. Outside of transforms, what was cut before plays no part any more, and the notes start anew.
pub fn notes(is_in_transform: bool) -> Vec<String> {
    let notes = |cuts: &RefCell<Vec<String>>| if is_in_transform { cuts.borrow().clone() } else { cuts.take() };
    CUTS.try_with(notes).unwrap_or_default()
}

/// Calls `function` for the collective that was called at `place`.
pub fn at<T>(place: &'static Location<'static>, function: impl FnOnce() -> T) -> T {
    let outer = PLACE.replace(Some(place));
    let result = function();
    PLACE.set(outer);
    result
}

/// Returns where the collective was called; `None` for one that a derivative consists of.
pub fn place() -> Option<&'static Location<'static>> {
    PLACE.get()
}
