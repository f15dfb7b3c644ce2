//! Gradient-free scopes: inside `#[no_grad]` and `no_grad! { … }` nothing is recorded, on Apple's MLX, on
//! libtorch, on any engine that implements [`Backend`], and on a plain CPU.
//!
//! ```
//! #[macro_use] extern crate grad_runtime; // no_grad! and its siblings, once, at the crate root
//! # fn main() {
//! use grad_runtime::prelude::*;           // #[no_grad] and its siblings, the traits
//!
//! #[no_grad]
//! fn evaluate() -> bool {
//!     is_grad_enabled()
//! }
//!
//! assert!(!evaluate());
//! let half: Option<i32> = no_grad! { "42".parse::<i32>().ok().map(|number| number / 2) };
//! assert_eq!(half, Some(21));
//!
//! let guard = grad_runtime::no_grad();
//! assert_eq!(grad_runtime::grad_mode(), GradMode::NoGrad);
//! drop(guard);
//! assert!(is_grad_enabled());
//! # }
//! ```
//!
//! # The forms of a scope
//!
//! | | attribute | block | guard |
//! | --- | --- | --- | --- |
//! | record nothing | [`#[no_grad]`](attr::no_grad) | [`no_grad!`] | [`no_grad()`] |
//! | record again | [`#[enable_grad]`](attr::enable_grad) | [`enable_grad!`] | [`enable_grad()`] |
//! | one or the other | [`#[set_grad_enabled(…)]`](attr::set_grad_enabled) | [`set_grad_enabled!`] | [`set_grad_enabled()`] |
//! | record nothing, for good | [`#[inference_mode]`](attr::inference_mode) | [`inference_mode!`] | [`inference_mode()`] |
//!
//! Each also has a form for one backend only: `#[no_grad(backend = Mlx)]`, `no_grad! { <Mlx> … }`,
//! `Scope::NoGrad.enter_on(&Mlx)`.
//!
//! An attribute and a block macro of one name cannot both be imported by `use`. Import the block macros with
//! `#[macro_use]` as above; or one of the two by name and the other by its path, `grad_runtime::no_grad!` or
//! `#[grad_runtime::attr::no_grad]`.
//!
//! # What a scope means
//!
//! A scope is this thread's alone, and a new thread starts with recording enabled. The innermost living scope decides,
//! and every way out of it restores what was before: `return`, `?`, `break`, a panic, a future dropped half-way, and
//! guards dropped in any order. Work that runs later keeps the scope: an annotated `async fn` and a returned future are in it
//! whenever they are polled, iterators whenever they are advanced, closures whenever they are called.
//! [What a scope covers](guide::what_a_scope_covers) shows each form, what no scope can cover, and how to find such a place.
//!
//! An array made while the mode is off is a constant to every transform around it, and its values are the same. Outside
//! a transform nothing is added to it. A transform that is started inside a no-grad scope ignores that scope, and what
//! it returns is a constant to transforms further out; started in inference mode, it is an error.
//!
//! No backend is required: where there is none, a scope is still a scope, and [`is_grad_enabled`] says so.
//!
//! # Features
//!
//! - `cpu`: `cpu::Array`, the `Array` trait on candle's CPU kernels.
//! - `mlx`: `mlx::Array`, the same trait on Apple's MLX, found when this crate is built and loaded when it is first used.
//! - `safetensors`: with one of these, `safetensors::load` and `safetensors::save`.
//! - `stream`: scopes that travel with `Stream`s.
//! - `download-mlx`: `mlx`, and the wheel is fetched with pip where no MLX is installed.
//! - `testing`: `testing`, the checks that a backend or an engine of your own keeps the law;
//!   [plugging one in](guide::plugging_in) takes a page.
//! - `torch`: [`Torch`], libtorch's own switch, found in the running process on Linux and macOS. It needs nothing to build.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "cpu", feature = "mlx"))]
mod array;
mod backend;
mod carry;
#[cfg(feature = "cpu")]
pub mod cpu;
mod debt;
mod detach;
#[cfg(any(feature = "cpu", feature = "mlx"))]
mod dtype;
mod error;
mod guard;
pub mod guide;
mod lanes;
mod macros;
#[cfg(feature = "mlx")]
pub mod mlx;
mod mode;
#[cfg(any(feature = "cpu", feature = "mlx"))]
mod operators;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod params;
#[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
pub mod safetensors;
#[cfg(feature = "testing")]
pub mod testing;
mod torch;

#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use array::Array;
pub use backend::{Backend, Cpu, Mlx, install, installed};
pub use carry::{Carry, Modes, Scoped, carry, thread};
pub use detach::{Detach, Detached};
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use dtype::{Buffer, Dtype, Element};
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use error::Operand;
pub use error::{AlreadyInstalled, Error, Result, Unavailable};
pub use grad_macros::Detach;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use grad_macros::Params;
pub use guard::{GradGuard, enable_grad, inference_mode, no_grad, set_grad_enabled};
/// The elements of float16 and bfloat16 arrays.
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use half::{bf16, f16};
pub use mode::{GradMode, Scope, assert_grad_mode, grad_mode, is_grad_enabled};
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use params::Params;
pub use torch::Torch;

/// The attributes: `#[no_grad]`, `#[enable_grad]`, `#[set_grad_enabled(…)]` and `#[inference_mode]`.
pub mod attr {
    pub use grad_macros::{enable_grad, inference_mode, no_grad, set_grad_enabled};
}

/// The attributes, the traits, the backends and `Result`, for `use grad_runtime::prelude::*`.
pub mod prelude {
    pub use crate::Detach;
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub use crate::Params;
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub use crate::array::Array;
    pub use crate::attr::*;
    pub use crate::backend::{Backend, Cpu, Mlx};
    pub use crate::carry::Carry;
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub use crate::dtype::Dtype;
    pub use crate::error::Result;
    pub use crate::mode::{GradMode, is_grad_enabled};
    pub use crate::torch::Torch;
}

/// What the macros' output stands on. Not public: it may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::carry::{scoped, scoped_stream};
    pub use crate::detach::{
        borrowed_like, detached_copy, detached_future, detached_iterator, detached_stream, through,
    };
    pub use grad_macros::{block, carry};

    pub use std::boxed::Box;

    /// The value of a body that may `return`. As an argument, its closure may hand out what it holds by `&mut`.
    #[inline]
    pub fn call<F, T>(body: F) -> T
    where
        F: FnOnce() -> T,
    {
        body()
    }

    /// Keeps the closure `f` in `slot`, where it can be borrowed as a trait object that says what its arguments are.
    ///
    /// The slot comes by a trait, so that its type says nothing about `f`, which is not the trait object.
    #[inline]
    pub fn put<F, S>(f: F, slot: &mut S) -> &mut F
    where
        S: Slot<F>,
    {
        slot.put(f)
    }

    /// An `Option`.
    pub trait Slot<F> {
        fn put(&mut self, f: F) -> &mut F;
    }

    impl<F> Slot<F> for Option<F> {
        #[inline]
        fn put(&mut self, f: F) -> &mut F {
            self.insert(f)
        }
    }

    /// A value that is never made: it tells the compiler the return type of an annotated `async fn`.
    #[must_use]
    pub fn never<T>() -> T {
        unreachable!("written by #[no_grad] in a branch that is never taken")
    }
}
