//! Conformance checks for backends and engines: do they keep the guarantees of scopes?
//!
//! There are two checks, each a call in the tests of the crate that plugs in:
//!
//! | check | takes | covers |
//! | --- | --- | --- |
//! | [`assert_backend`] | a [`Backend`], through its three methods | its name, the mode of each thread, scopes of every form, nesting and exit, threads that end |
//! | [`assert_engine`] | an [`Engine`]: a leaf, an operation, and whether its result was recorded | what is recorded in which scope, and that values do not change |
//!
//! ```
//! use std::cell::Cell;
//! use grad_runtime::{Backend, GradMode, testing};
//!
//! thread_local!(static MODE: Cell<GradMode> = const { Cell::new(GradMode::Enabled) });
//!
//! struct MyBackend;
//! impl Backend for MyBackend {
//!     fn name(&self) -> &'static str { "my-backend" }
//!     fn grad_mode(&self) -> GradMode { MODE.get() }
//!     fn set_grad_mode(&self, mode: GradMode) { MODE.set(mode) }
//! }
//!
//! // #[test]
//! fn my_backend_keeps_the_guarantees() {
//!     testing::assert_backend(&MyBackend);
//! }
//! # my_backend_keeps_the_guarantees();
//! ```
//!
//! Both stop at the first guarantee that does not hold. Each step relies on the steps before it, so the message names the
//! cause and not its consequences. [`check_backend`] and [`check_engine`] return the [`Violation`] instead of panicking.
//!
//! The checks run on threads that they start, as far as possible, and restore the modes that they change. One effect lasts: a
//! backend that passed the other checks is [installed](crate::install) for the rest of the process, unless it already is, to
//! check that universal scopes switch it. If your crate installs the backend itself, let it do so before the check.
//!
//! The guide [Plugging in](crate::guide::plugging_in) shows these checks in use.

mod backend;
mod engine;
mod guarantees;
mod monitored;
mod violation;

use grad_core::Backend;

pub use engine::Engine;
pub use violation::Violation;

/// Asserts that `backend` keeps the guarantees of scopes, as far as the methods of [`Backend`] show.
///
/// Checks in this order:
///
/// - the name is in lower case, never changes, and is not that of another backend;
/// - a new thread starts Enabled; `grad_mode` reports the mode that was set last (for `Inference` it may report `NoGrad`), and
///   changes nothing;
/// - each thread has a mode of its own, also with many threads at once and after threads have ended;
/// - a selective scope switches this backend and no other, and restores the mode that it found, whichever it was;
/// - in nested scopes the innermost living one decides, `enable_grad` lifts `no_grad` but not inference mode, and every exit
///   restores the mode: the end of the scope, an early return, a panic, guards dropped in any order;
/// - all of this holds in the destructors of thread-locals too, and no method panics;
/// - once the backend is installed, universal scopes switch it, and a snapshot of the modes applies to it on other threads.
///
/// ```should_panic
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use grad_runtime::{Backend, GradMode, testing};
///
/// static RECORDING: AtomicBool = AtomicBool::new(true); // Shared by all threads: a mistake.
///
/// struct MyBackend;
/// impl Backend for MyBackend {
///     fn name(&self) -> &'static str { "my-backend" }
///     fn grad_mode(&self) -> GradMode {
///         if RECORDING.load(Relaxed) { GradMode::Enabled } else { GradMode::NoGrad }
///     }
///     fn set_grad_mode(&self, mode: GradMode) { RECORDING.store(mode.is_enabled(), Relaxed) }
/// }
///
/// testing::assert_backend(&MyBackend);
/// // backend `my-backend` breaks guarantee 1: a scope is this thread's alone, and a new thread starts Enabled
/// //     what was done: `set_grad_mode(NoGrad)` on one thread, then `grad_mode()` on a new one
/// //     expected: Enabled
/// //     found: NoGrad
/// //     what to do: keep the mode in a `thread_local!`, not in a `static` that every thread shares
/// ```
///
/// # Panics
///
/// Panics with the [`Violation`] if a guarantee does not hold, and if the system cannot start a few dozen threads.
#[track_caller]
pub fn assert_backend(backend: &'static dyn Backend) {
    if let Err(violation) = check_backend(backend) {
        panic!("{violation}");
    }
}

/// Checks `backend` as [`assert_backend`] does, and returns the violation.
///
/// ```
/// use grad_runtime::{Cpu, testing};
///
/// assert_eq!(testing::check_backend(&Cpu), Ok(()));
/// ```
///
/// # Errors
///
/// Returns the first [`Violation`] of a guarantee.
///
/// # Panics
///
/// Panics if the system cannot start a few dozen threads.
pub fn check_backend(backend: &'static dyn Backend) -> Result<(), Violation> {
    backend::check(backend)
}

/// Asserts that `engine` records exactly where the guarantees of scopes say so.
///
/// Checks in this order:
///
/// - an operation is recorded where no scope is in force;
/// - in a universal scope, and in a selective one on the engine's backend, it is not recorded, its values are the same bit for
///   bit, and results computed from its result are constants too;
/// - a scope on another backend, or on another thread, changes nothing;
/// - an operation is recorded in `enable_grad` inside `no_grad` and in `inference_mode(false)`, but not in `enable_grad` inside
///   inference mode;
/// - after each of these scopes, after a panic, and after guards dropped out of order, it is recorded again.
///
/// The scopes of the calling thread are not in force during the check. Call it once for each operation of an engine, or once
/// for an operation that stands for all of them if they share the code that records.
///
/// ```
/// use grad_runtime::{is_grad_enabled, testing};
///
/// /// A number, and whether a gradient flows through it.
/// type Number = (f64, bool);
///
/// struct Squaring;
/// impl testing::Engine for Squaring {
///     type Array = Number;
///     fn leaf(&self) -> Number { (3.0, true) }
///     fn operation(&self, input: &Number) -> Number { (input.0 * input.0, input.1 && is_grad_enabled()) }
///     fn is_recorded(&self, array: &Number) -> bool { array.1 }
///     fn values(&self, array: &Number) -> Vec<f64> { vec![array.0] }
/// }
///
/// testing::assert_engine(&Squaring);
/// ```
///
/// # Panics
///
/// Panics with the [`Violation`] if a guarantee does not hold, and if the engine itself panics.
#[track_caller]
pub fn assert_engine<E: Engine + ?Sized>(engine: &E) {
    if let Err(violation) = check_engine(engine) {
        panic!("{violation}");
    }
}

/// Checks `engine` as [`assert_engine`] does, and returns the violation.
///
/// ```
/// use grad_runtime::testing;
///
/// /// An engine that records whatever the mode is.
/// struct Deaf;
/// impl testing::Engine for Deaf {
///     type Array = f64;
///     fn leaf(&self) -> f64 { 3.0 }
///     fn operation(&self, input: &f64) -> f64 { input * input }
///     fn is_recorded(&self, _: &f64) -> bool { true }
///     fn values(&self, array: &f64) -> Vec<f64> { vec![*array] }
/// }
///
/// let message = testing::check_engine(&Deaf).unwrap_err().to_string();
/// assert!(message.contains("breaks guarantee 3: "));
/// assert!(message.contains("in a universal `no_grad`\n    expected: a constant\n    found: a recorded result\n"));
/// ```
///
/// # Errors
///
/// Returns the first [`Violation`] of a guarantee.
pub fn check_engine<E: Engine + ?Sized>(engine: &E) -> Result<(), Violation> {
    engine::check(engine)
}
