//! The attributes and the block macros in use. Their errors are tested in packages/compile-fail.

#[macro_use]
extern crate grad_runtime;

mod async_functions;
mod blocks;
mod carried_modes;
mod deferred_results;
mod deferred_types;
mod detach;
mod early_exits;
mod editions;
mod functions;
mod impls_and_traits;
mod imports;
mod iterator_consumers;
mod places;

use std::cell::RefCell;

use grad_runtime::{GradMode, grad_mode};

#[test]
fn editions() {
    editions::check();
}

thread_local! {
    static LOG: RefCell<Vec<(&'static str, GradMode)>> = const { RefCell::new(Vec::new()) };
}

/// Logs the mode in which it is dropped.
struct Witness(&'static str);

impl Witness {
    /// Returns the mode, and keeps the witness alive as a temporary until then.
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

/// Returns the witnesses that were dropped on this thread since the last call, each with the mode.
fn dropped() -> Vec<(&'static str, GradMode)> {
    LOG.take()
}
