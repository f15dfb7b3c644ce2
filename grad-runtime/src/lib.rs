//! Gradient-free scopes: code inside `#[no_grad]` and `no_grad! { … }` records no gradient, on Apple's MLX, on libtorch, on any
//! engine that implements [`Backend`], and on a plain CPU.
//!
//! ```
//! use grad_runtime::{no_grad, prelude::*};
//!
//! #[grad_runtime::attr::no_grad]
//! fn evaluate() -> bool {
//!     is_grad_enabled()
//! }
//!
//! assert!(!evaluate());
//! let half: Option<i32> = no_grad! { "42".parse::<i32>().ok().map(|number| number / 2) };
//! assert_eq!(half, Some(21));
//!
//! let guard = no_grad();
//! assert_eq!(grad_runtime::grad_mode(), GradMode::NoGrad);
//! drop(guard);
//! assert!(is_grad_enabled());
//! ```
//!
//! # Forms
//!
//! | | attribute | block | guard |
//! | --- | --- | --- | --- |
//! | disables recording | [`#[no_grad]`](attr::no_grad) | [`no_grad!`] | [`no_grad()`] |
//! | re-enables recording | [`#[enable_grad]`](attr::enable_grad) | [`enable_grad!`] | [`enable_grad()`] |
//! | one or the other | [`#[set_grad_enabled(…)]`](attr::set_grad_enabled) | [`set_grad_enabled!`] | [`set_grad_enabled()`] |
//! | disables recording; `enable_grad` cannot lift it | [`#[inference_mode]`](attr::inference_mode) | [`inference_mode!`] | [`inference_mode()`] |
//!
//! Each has a form for one backend only: `#[no_grad(backend = Mlx)]`, `no_grad! { <Mlx> … }`, `Scope::NoGrad.enter_for(&Mlx)`.
//!
//! # Imports
//!
//! | import | attribute | block | guard |
//! | --- | --- | --- | --- |
//! | `use grad_runtime::no_grad;` | `#[grad_runtime::attr::no_grad]` | `no_grad! { … }` | `no_grad()` |
//! | `use grad_runtime::prelude::*;` or `use grad_runtime::attr::no_grad;` | `#[no_grad]` | `grad_runtime::no_grad! { … }` | `grad_runtime::no_grad()` |
//! | `#[macro_use] extern crate grad_runtime;` at the crate root, and the prelude | `#[no_grad]` | `no_grad! { … }` | `grad_runtime::no_grad()` |
//!
//! The attribute and the block macro of one name cannot both be imported by name. `use grad_runtime::{no_grad, prelude::*};`
//! imports all three forms with rustc 1.95; with 1.88 the macro hides the attribute.
//!
//! | rustc says | why | write |
//! | --- | --- | --- |
//! | cannot find macro `no_grad` in this scope | the block macro is not imported; the prelude has only the attributes | `use grad_runtime::no_grad;` |
//! | cannot find attribute `no_grad` in this scope | the attribute is not imported; with the note "it is a function-like macro", the block macro is, and hides it | `#[grad_runtime::attr::no_grad]` |
//! | the same, in a child module | a module does not see the imports of its parent | `use grad_runtime::prelude::*;` in the child |
//! | the same, in a child module with `use super::*;` | the parent imports the block macro by name, which hides the attribute in the child | `#[grad_runtime::attr::no_grad]` |
//! | expected function, found attribute macro `no_grad` | the guard function is not imported; the attribute is | `grad_runtime::no_grad()` |
//! | the name `no_grad` is defined multiple times | both are imported by name | one of the rows above |
//!
//! ```
//! use grad_runtime::{is_grad_enabled, no_grad};
//!
//! mod model {
//!     use super::*; // Brings the block macro and the guard function along, and not the attribute.
//!
//!     #[grad_runtime::attr::no_grad]
//!     pub fn evaluate() -> bool {
//!         is_grad_enabled()
//!     }
//!
//!     pub fn target() -> bool {
//!         no_grad! { is_grad_enabled() }
//!     }
//! }
//!
//! # fn main() {
//! assert!(!model::evaluate() && !model::target());
//! # }
//! ```
//!
//! # Semantics
//!
//! A scope belongs to its thread, and a new thread starts with recording enabled. The innermost living scope decides, and every
//! way out of it restores the mode before it: `return`, `?`, `break`, a panic, a future dropped half-way, and guards dropped in
//! any order. Work that runs later stays in the scope: an annotated `async fn` and a returned future are in it whenever they are
//! polled, iterators whenever they are advanced, closures whenever they are called.
//!
//! An array made while the mode is off is a constant to every enclosing transform, and its values are the same. Outside a
//! transform nothing is added to it. A transform that is started inside a no-grad scope ignores that scope, and what it returns is
//! a constant to transforms further out; started in inference mode, it is an error.
//!
//! No backend is required: without one, a scope is still a scope, and [`is_grad_enabled`] says so.
//!
//! The numbered [guarantees](guide::guarantees) state this in full; [What a scope covers](guide::what_a_scope_covers) shows each
//! form, what no scope can cover, and how to find such a place. The page `guide::why_is_my_gradient_zero`, of the features `cpu` and
//! `mlx`, starts from a gradient that is missing.
//!
//! # Features
//!
//! - `cpu`: `cpu::Array`, the `Array` trait on candle's CPU kernels.
//! - `mlx`: `mlx::Array`, the same trait on Apple's MLX, which is located when this crate is built and loaded when it is first
//!   used.
//! - `download-mlx`: `mlx`, and pip fetches the wheel if no MLX is installed.
//! - `torch`: [`Torch`], libtorch's own switch, found in the running process on Linux and macOS. It needs nothing to build.
//! - `safetensors`: with `cpu` or `mlx`, `safetensors::load`, `safetensors::save` and `Checkpoint`.
//! - `serde`: with `cpu` or `mlx`, `serde::Serialize` for `explain::Report`.
//! - `stream`: scopes that travel with `Stream`s.
//! - `test-util`: `testing`, which checks that a backend or an engine of yours keeps the guarantees; see
//!   [Plugging in](guide::plugging_in).
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "cpu", feature = "mlx"))]
mod array;
mod carry;
#[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
mod checkpoint;
#[cfg(feature = "cpu")]
pub mod cpu;
mod detach;
#[cfg(any(feature = "cpu", feature = "mlx"))]
mod dtype;
mod error;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod explain;
pub mod guide;
mod macros;
#[cfg(feature = "mlx")]
pub mod mlx;
#[cfg(not(feature = "mlx"))]
#[path = "dummy_mlx.rs"]
pub mod mlx;
#[cfg(any(feature = "cpu", feature = "mlx"))]
mod operators;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod optim;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod params;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod random;
#[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
pub mod safetensors;
#[cfg(any(feature = "cpu", feature = "mlx"))]
mod shared;
#[cfg(feature = "test-util")]
pub mod testing;

#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use array::{Array, IntoOperand, Length};
pub use carry::{Carry, Mapped, Scoped, carry, thread};
#[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
pub use checkpoint::{Checkpoint, RestoreOptions};
pub use detach::Detach;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use dtype::{Buffer, Dtype, Element};
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use error::Operand;
pub use error::{Error, Result};
#[doc(inline)]
pub use grad_core::{
    AlreadyInstalled, Backend, Cpu, GradGuard, GradMode, Mlx, ModeSnapshot, NotRecorded, OpenScope, Scope,
    ScopeKind, Torch, Unavailable, WatchGuard, assert_grad_mode, cutting_scopes, enable_grad, grad_mode,
    inference_mode, install, installed, is_grad_enabled, no_grad, not_recorded, open_scopes, set_grad_enabled,
    take_not_recorded, watch_scopes,
};
pub use grad_macros::Detach;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use grad_macros::Params;
/// The elements of float16 and bfloat16 arrays.
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use half::{bf16, f16};
/// The elements of complex64 arrays.
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use num_complex::Complex32;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use operators::Operators;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use params::Params;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use shared::Shared;

/// The attributes: `#[no_grad]`, `#[enable_grad]`, `#[set_grad_enabled(…)]` and `#[inference_mode]`.
///
/// They are in the [prelude] too. [`no_grad`](attr::no_grad) documents the arguments that all of them take.
pub mod attr {
    pub use grad_macros::{enable_grad, inference_mode, no_grad, set_grad_enabled};
}

/// The attributes, the traits, the backends and `Result`, for `use grad_runtime::prelude::*`.
///
/// The block macros are not part of it, because they have the names of the attributes: import those by name.
pub mod prelude {
    pub use crate::Detach;
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub use crate::Params;
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub use crate::array::Array;
    pub use crate::attr::*;
    pub use crate::carry::Carry;
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub use crate::dtype::Dtype;
    pub use crate::error::Result;
    pub use grad_core::{Backend, Cpu, GradMode, Mlx, Torch, is_grad_enabled};
}

/// The support code of the macros' output. Not public: it may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::carry::{
        map_future, map_iterator, map_stream, scoped, scoped_enable_grad, scoped_inference_mode, scoped_no_grad,
        scoped_stream,
    };
    pub use crate::detach::{borrowed_like, detach_with, detached_copy};
    pub use grad_macros::{block, carry};

    pub use std::boxed::Box;
    pub use std::rc::Rc;
    pub use std::sync::Arc;

    /// Calls a closure that stands for a function body, which may `return`. As an argument of a function, the closure may return
    /// what it captures by `&mut`.
    #[inline]
    pub fn call<F, T>(body: F) -> T
    where
        F: FnOnce() -> T,
    {
        body()
    }

    /// Tells the compiler a type, in a branch that is never taken.
    #[must_use]
    pub fn never<T>() -> T {
        unreachable!("written by #[no_grad] in a branch that is never taken")
    }
}

/// Compiles the code of the README.
#[cfg(all(doctest, feature = "cpu"))]
#[doc = include_str!("../README.md")]
struct Readme;
