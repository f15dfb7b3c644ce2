//! The state behind gradient scopes: the grad mode of each thread, the scopes and guards that change it, and the registry of
//! backends that follow it.
//!
//! Applications depend on `grad-runtime`, which re-exports all of this and adds the macros. Authors of autograd engines and
//! backends depend on this crate: it has no dependency beyond std (the feature `torch` adds `libc`), and its interface hardly
//! changes.
//!
//! An engine asks one question before it records an operation, [`is_grad_enabled`]:
//!
//! ```
//! /// An operation of an engine: it computes, and records only while the grad mode is enabled.
//! fn square(x: f64, tape: &mut Vec<&'static str>) -> f64 {
//!     if grad_core::is_grad_enabled() {
//!         tape.push("square");
//!     }
//!     x * x
//! }
//!
//! let mut tape = Vec::new();
//! square(3.0, &mut tape);
//! {
//!     let _guard = grad_core::no_grad();
//!     square(3.0, &mut tape);
//! }
//! assert_eq!(tape, ["square"]);
//! ```
//!
//! An engine with a switch of its own implements [`Backend`] and is [installed](install).
//!
//! # One per program
//!
//! The modes are process-wide state. Two versions of this crate in one program would be two sets of modes, and a scope of one
//! would not reach the engines of the other. The manifest's `links` key makes Cargo refuse such a program.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod assertion;
mod backend;
mod error;
mod guard;
#[cfg(all(test, any(loom, miri)))]
mod interleavings;
mod mode;
mod not_recorded;
mod places;
mod probe;
mod registry;
mod saved;
mod snapshot;
mod stamp;
mod sync;
mod thread_state;
mod torch;

pub use assertion::assert_grad_mode;
pub use backend::{Backend, Cpu, Mlx};
pub use error::{AlreadyInstalled, Unavailable};
pub use guard::{GradGuard, enable_grad, inference_mode, no_grad, set_grad_enabled};
pub use mode::{GradMode, Scope};
pub use not_recorded::{NotRecorded, not_recorded, take_not_recorded};
pub use places::{OpenScope, ScopeKind, WatchGuard, cutting_scopes, open_scopes, watch_scopes};
pub use registry::{install, installed};
pub use snapshot::ModeSnapshot;
pub use thread_state::{grad_mode, is_grad_enabled};
pub use torch::Torch;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The interface for `grad-runtime` alone: it may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::registry::install_native_switch_of_mlx;
    pub use crate::snapshot::Snapshot;
    pub use crate::stamp::ThreadStamp;
    pub use crate::thread_state::Slot;
}
