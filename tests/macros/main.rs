//! The attributes and the block macros, as users write them. What they must refuse is in `ui/`.

#[macro_use]
extern crate grad_runtime;

mod async_functions;
mod blocks;
mod carriers;
mod detach;
mod editions;
mod functions;
mod groups;
mod imports;
mod lazy_results;
mod ways_out;

use std::cell::RefCell;

use grad_runtime::{GradMode, grad_mode};

#[test]
fn editions() {
    editions::check();
}

thread_local! {
    static LOG: RefCell<Vec<(&'static str, GradMode)>> = const { RefCell::new(Vec::new()) };
}

/// Takes down the mode in which it is dropped.
struct Witness(&'static str);

impl Witness {
    /// What borrows from a witness keeps it alive as a temporary.
    fn mode(&self) -> GradMode {
        let _ = self.0;
        grad_mode()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        LOG.with_borrow_mut(|log| log.push((self.0, grad_mode())));
    }
}

/// What was dropped on this thread since the last call, in which mode.
fn dropped() -> Vec<(&'static str, GradMode)> {
    LOG.take()
}
