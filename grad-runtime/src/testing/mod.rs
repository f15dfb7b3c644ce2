//! Conformance checks: does a backend, or an engine, of yours keep the law of scopes?
//!
//! Two checks, one call each, for the tests of whoever plugs something in:
//!
//! | | asks | covers |
//! | --- | --- | --- |
//! | [`assert_backend`] | a [`Backend`], through its three methods | its name, the mode of each thread, scopes of every form, way out and order, threads that end |
//! | [`assert_engine`] | an [`Engine`]: a leaf, an operation on it, and whether that was recorded | what is recorded where, and that values stay as they are |
//!
//! ```
//! use std::cell::Cell;
//! use grad_runtime::{Backend, GradMode, testing};
//!
//! thread_local!(static MODE: Cell<GradMode> = const { Cell::new(GradMode::Enabled) });
//!
//! struct Engine;
//! impl Backend for Engine {
//!     fn name(&self) -> &'static str { "engine" }
//!     fn grad_mode(&self) -> GradMode { MODE.get() }
//!     fn set_grad_mode(&self, mode: GradMode) { MODE.set(mode) }
//! }
//!
//! // #[test]
//! fn keeps_the_law() {
//!     testing::assert_backend(&Engine);
//! }
//! # keeps_the_law();
//! ```
//!
//! Either stops at the first promise that is broken. The checks go from the ground up, each on what those before it made
//! sure of, so that the message tells the cause and not what followed from it. [`check_backend`] and [`check_engine`]
//! return that [`Violation`] where a panic will not do.
//!
//! The checks stay on threads of their own as far as they can, and put back what they touch. One thing lasts: a backend
//! that passed all else is [installed](crate::install) for the rest of the process, unless it is already, to see that
//! universal scopes switch it. Where your crate installs it itself, let it do so first.
//!
//! The guide [Plugging in](crate::guide::plugging_in) shows where these belong.

mod backend;
mod engine;
mod rules;
mod violation;
mod watched;

use grad_core::Backend;

pub use engine::Engine;
pub use violation::Violation;

/// Panics unless `backend` keeps the law, as far as a [`Backend`] alone can show it.
///
/// In this order:
///
/// - its name is in lower case, never changes, and is not that of another;
/// - a new thread starts Enabled, `grad_mode` reports what `set_grad_mode` was given (for `Inference`, perhaps `NoGrad`),
///   the last call decides, and asking changes nothing;
/// - a mode is one thread's alone, also with many threads at once and after a thread has ended;
/// - a selective scope switches this backend and no other, and what was found is what is put back, whichever mode it was;
/// - scopes inside scopes: the innermost one alive decides, `enable_grad` lifts `no_grad` and not inference mode, and each
///   way out restores: the end, an early return, a panic, guards dropped in every order;
/// - all of it holds in the destructors of thread-locals too, and no method ever panics;
/// - once it is installed, universal scopes switch it, and carried modes reach it on other threads.
///
/// ```should_panic
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use grad_runtime::{Backend, GradMode, testing};
///
/// static RECORDING: AtomicBool = AtomicBool::new(true); // One for all threads!
///
/// struct Engine;
/// impl Backend for Engine {
///     fn name(&self) -> &'static str { "engine" }
///     fn grad_mode(&self) -> GradMode {
///         if RECORDING.load(Relaxed) { GradMode::Enabled } else { GradMode::NoGrad }
///     }
///     fn set_grad_mode(&self, mode: GradMode) { RECORDING.store(mode.is_enabled(), Relaxed) }
/// }
///
/// testing::assert_backend(&Engine);
/// // backend `engine` breaks law 1: a scope is this thread's alone, and a new thread starts Enabled
/// //     what was done: `set_grad_mode(NoGrad)` on one thread, then `grad_mode()` on a new one
/// //     expected: Enabled
/// //     found: NoGrad
/// //     what to do: keep the mode in a `thread_local!`, not in a `static` that every thread shares
/// ```
///
/// # Panics
///
/// If it does not, with the [`Violation`]; or if the system cannot start a few dozen threads.
#[track_caller]
pub fn assert_backend(backend: &'static dyn Backend) {
    if let Err(violation) = check_backend(backend) {
        panic!("{violation}");
    }
}

/// [`assert_backend`], but returns what it found.
///
/// ```
/// use grad_runtime::{Cpu, testing};
///
/// assert_eq!(testing::check_backend(&Cpu), Ok(()));
/// ```
///
/// # Errors
///
/// The first [`Violation`] of the law.
///
/// # Panics
///
/// If the system cannot start a few dozen threads.
pub fn check_backend(backend: &'static dyn Backend) -> Result<(), Violation> {
    backend::check(backend)
}

/// Panics unless `engine` records where the law says so, and nowhere else.
///
/// In this order:
///
/// - an operation is recorded where no scope is in force;
/// - in a universal scope, and in a selective one on the engine's backend, it is not, its values are bit for bit the same,
///   and what is then made of its result is a constant too;
/// - a scope on another backend, or on another thread, changes nothing;
/// - `enable_grad` inside `no_grad` records, inside inference mode it does not, and `inference_mode(false)` does;
/// - after each of these, after a panic, and with guards dropped out of order, it is recorded as before.
///
/// The calling thread's own scopes are set aside meanwhile. For each operation of an engine, call it once more.
///
/// See [`Engine`] for an example.
///
/// # Panics
///
/// If it does not, with the [`Violation`]; or where the engine itself panics.
#[track_caller]
pub fn assert_engine<E: Engine + ?Sized>(engine: &E) {
    if let Err(violation) = check_engine(engine) {
        panic!("{violation}");
    }
}

/// [`assert_engine`], but returns what it found.
///
/// See [`Engine`] for an example.
///
/// # Errors
///
/// The first [`Violation`] of the law.
pub fn check_engine<E: Engine + ?Sized>(engine: &E) -> Result<(), Violation> {
    engine::check(engine)
}
