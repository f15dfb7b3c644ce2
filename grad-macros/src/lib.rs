//! The attributes `#[no_grad]`, `#[enable_grad]`, `#[set_grad_enabled(…)]` and `#[inference_mode]`, and the parser
//! behind the block macros of the same names.
//!
//! This is a part of `grad-runtime`: depend on that. It re-exports the attributes as `grad_runtime::attr`, and the
//! code that they generate calls it.
//!
//! Each attribute goes on a function with a body: a free, associated or nested function, or a method of an `impl` or
//! a trait, generic, unsafe, extern or async. On a whole `impl` block or trait it goes to every method that has a body,
//! is not `const`, and has no attribute of its own. These arguments go with each of them:
//!
//! - `backend = Mlx` switches that backend only: a unit struct or a static that implements `grad_runtime::Backend`.
//! - `crate = path` says where `grad_runtime` is, when the dependency was renamed.
//! - `detach` cuts off from the graph what the function returns, by `grad_runtime::Detach`, or with `detach = path` by a
//!   function: for arrays whose framework has no switch. Of a result that runs later, it is each item or output.
//! - `detach(args)`, or `detach(x, y)`, does the same to the arguments on their way in: those that are values become
//!   detached, those that are `&` references refer to a detached copy, `&mut` and `self` stay as they are.
//! - `eager` ends the scope when the function returns, also where the result runs later.
//! - `skip`, alone, leaves a method out of the attribute on its `impl` block or trait.
//!
//! What the body makes is dropped inside the scope: its locals, and the temporaries of its last expression in every
//! edition. Arguments are the caller's: they are dropped after the scope. In an `async fn`, those that the body uses
//! belong to its future, and are dropped inside.
//!
//! What a function returns to be run later is in the scope each time it runs, and while it is dropped: a future, an
//! iterator, a stream or a closure, as `impl Trait` or boxed, also inside of `Option` and `Result`. It is recognized by
//! the type that is written. The page `grad_runtime::guide::what_a_scope_covers` shows each.

mod args;
mod arguments;
mod awaits;
mod block;
mod derive;
mod exits;
mod function;
mod group;
mod lazy;
mod tail;

use proc_macro::TokenStream;
use proc_macro2::TokenTree;

use crate::args::Kind;

/// Runs a function and records nothing inside, as `@torch.no_grad()`.
///
/// ```
/// use grad_runtime::{attr::no_grad, is_grad_enabled};
///
/// struct Encoder;
///
/// impl Encoder {
///     #[no_grad]
///     fn embed(&self, text: &str) -> Result<usize, String> {
///         assert!(!is_grad_enabled());
///         text.split(' ').next_back().map(str::len).ok_or_else(|| text.to_owned())
///     }
/// }
///
/// assert_eq!(Encoder.embed("two words"), Ok(5));
/// assert!(is_grad_enabled());
/// ```
///
/// An `async fn` is in the scope whenever it is polled, and while it is dropped. In between, the mode is the caller's:
///
/// ```
/// use grad_runtime::{attr::no_grad, is_grad_enabled};
///
/// #[no_grad]
/// async fn embed(text: &str) -> usize {
///     std::future::ready(()).await;
///     assert!(!is_grad_enabled());
///     text.len()
/// }
///
/// assert_eq!(futures::executor::block_on(embed("text")), 4);
/// assert!(is_grad_enabled());
/// ```
///
/// So is what a function returns to be run later:
///
/// ```
/// use grad_runtime::{attr::no_grad, is_grad_enabled};
///
/// #[no_grad]
/// fn batches(of: &[f32]) -> impl Iterator<Item = (bool, f32)> {
///     of.chunks(2).map(|batch| (is_grad_enabled(), batch.iter().sum()))
/// }
///
/// assert!(batches(&[1.0, 2.0, 3.0]).eq([(false, 3.0), (false, 3.0)]));
/// ```
///
/// On an `impl` block or a trait, it goes to each method:
///
/// ```
/// use grad_runtime::{attr::{enable_grad, no_grad}, is_grad_enabled};
///
/// struct Critic;
///
/// #[no_grad]
/// impl Critic {
///     fn target(&self) -> bool {
///         is_grad_enabled()
///     }
///
///     #[enable_grad]
///     fn penalty(&self) -> bool {
///         is_grad_enabled()
///     }
/// }
///
/// assert_eq!((Critic.target(), Critic.penalty()), (false, true));
/// ```
///
/// With `backend = …` the scope is that backend's:
///
/// ```
/// use grad_runtime::prelude::*;
///
/// #[no_grad(backend = Mlx)]
/// fn on_mlx() -> (GradMode, GradMode) {
///     (Mlx.grad_mode(), Cpu.grad_mode())
/// }
///
/// assert_eq!(on_mlx(), (GradMode::NoGrad, GradMode::Enabled));
/// ```
#[proc_macro_attribute]
pub fn no_grad(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::NoGrad, arguments.into(), item.into()).into()
}

/// Runs a function and records again inside, where a `no_grad` scope had switched recording off, as
/// `@torch.enable_grad()`. In inference mode it changes nothing.
///
/// ```
/// use grad_runtime::{attr::enable_grad, is_grad_enabled};
///
/// #[enable_grad]
/// fn penalty() -> bool {
///     is_grad_enabled()
/// }
///
/// let _guard = grad_runtime::no_grad();
/// assert!(penalty());
/// ```
#[proc_macro_attribute]
pub fn enable_grad(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::EnableGrad, arguments.into(), item.into()).into()
}

/// Runs a function and records inside if the condition is true, which may use the arguments and `self`.
///
/// The condition is evaluated once for each call, outside of the scope; in an `async fn`, at the first poll.
///
/// ```
/// use grad_runtime::{attr::set_grad_enabled, is_grad_enabled};
///
/// struct Critic {
///     training: bool,
/// }
///
/// impl Critic {
///     #[set_grad_enabled(self.training)]
///     fn value(&self) -> bool {
///         is_grad_enabled()
///     }
/// }
///
/// assert!(Critic { training: true }.value());
/// assert!(!Critic { training: false }.value());
/// ```
#[proc_macro_attribute]
pub fn set_grad_enabled(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::SetGradEnabled, arguments.into(), item.into()).into()
}

/// Runs a function in inference mode; with a condition, in inference mode or out of it.
///
/// In inference mode nothing is recorded, and `#[enable_grad]` does not change that; `#[inference_mode(false)]` does.
///
/// ```
/// use grad_runtime::{GradMode, attr::inference_mode, grad_mode};
///
/// #[inference_mode]
/// fn serve() -> (GradMode, GradMode) {
///     (grad_mode(), learn())
/// }
///
/// #[inference_mode(false)]
/// fn learn() -> GradMode {
///     grad_mode()
/// }
///
/// assert_eq!(serve(), (GradMode::Inference, GradMode::Enabled));
/// ```
#[proc_macro_attribute]
pub fn inference_mode(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::InferenceMode, arguments.into(), item.into()).into()
}

/// Implements `grad_runtime::Detach` for a struct or an enum: field by field, less those marked `#[detach(skip)]`.
///
/// Type parameters must be `Detach` too.
///
/// ```
/// use grad_runtime::Detach;
///
/// #[derive(Clone, Detach)]
/// struct Output<A> {
///     hidden: Vec<A>,
///     #[detach(skip)]
///     label: &'static std::sync::Mutex<u8>,
/// }
/// ```
#[proc_macro_derive(Detach, attributes(detach))]
pub fn derive_detach(input: TokenStream) -> TokenStream {
    derive::DETACH.expand(input.into()).into()
}

/// Implements `grad_runtime::Params` for a struct or an enum: field by field, less those marked `#[params(skip)]`, which
/// are cloned as they are.
///
/// The arrays are those of the type parameter that is bounded by `Array`. Where there is no such parameter they are
/// those of the fields: the type is `Params` for the arrays for which each of its fields is.
///
/// `#[params(crate = path)]` on the type says where `grad_runtime` is. The trait's page has examples.
#[proc_macro_derive(Params, attributes(params))]
pub fn derive_params(input: TokenStream) -> TokenStream {
    derive::PARAMS.expand(input.into()).into()
}

/// What `no_grad!` and its siblings expand to: `block! { [$crate no_grad] … }`.
#[doc(hidden)]
#[proc_macro]
pub fn block(input: TokenStream) -> TokenStream {
    block::expand(input.into()).into()
}

/// What `carry!` expands to: `carry! { [$crate] … }`.
#[doc(hidden)]
#[proc_macro]
pub fn carry(input: TokenStream) -> TokenStream {
    tail::expand_carry(input.into()).into()
}

fn is_punct(token: &TokenTree, expected: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == expected)
}

/// The tests crate runs these in edition 2024.
#[cfg(doctest)]
#[doc = concat!("```edition2021\n", include_str!("../../tests/macros/editions.rs"), "\nfn main() { check() }\n```")]
mod edition_2021 {}
