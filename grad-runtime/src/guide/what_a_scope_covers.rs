//! What a scope covers, form by form, what it cannot cover, and how to find such a place.
//!
//! A scope is a thread's, from the moment it is entered to the moment it is left. That is enough for work that is done
//! while the scope lasts. Work that is handed on, to be done later or elsewhere, keeps its scope where this crate can
//! see it: in the type of an annotated function's result, at the end of a block, or because you carry it.
//!
//! # Functions
//!
//! All that the body does, the drop of its locals and of the temporaries of its last expression included. The arguments
//! are the caller's: they are evaluated before the scope, and dropped after it.
//!
//! ```
//! use grad_runtime::prelude::*;
//!
//! #[no_grad]
//! fn evaluate(scale: f32) -> (bool, f32) {
//!     (is_grad_enabled(), 2.0 * scale)
//! }
//!
//! assert_eq!(evaluate(1.0), (false, 2.0));
//! ```
//!
//! # Whole `impl` blocks and traits
//!
//! Each method with a body, as if the attribute stood on it; in a trait, those are the provided methods, and not what an
//! `impl` puts in their place. An attribute that a method has itself counts instead, and `#[no_grad(skip)]` leaves one
//! out.
//!
//! ```
//! use grad_runtime::prelude::*;
//!
//! struct Critic;
//!
//! #[no_grad]
//! impl Critic {
//!     fn target(&self) -> bool { is_grad_enabled() }
//!
//!     #[enable_grad]
//!     fn penalty(&self) -> bool { is_grad_enabled() }
//!
//!     #[no_grad(skip)]
//!     fn loss(&self) -> bool { is_grad_enabled() }
//! }
//!
//! let _guard = grad_runtime::inference_mode(false);
//! assert_eq!((Critic.target(), Critic.penalty(), Critic.loss()), (false, true, true));
//! ```
//!
//! # Async functions, and futures
//!
//! The body each time it is polled, and the drop of what is left of it. Between two polls the mode is the caller's, so
//! other tasks of the thread never see it. A future that the function *returns* is treated alike.
//!
//! ```
//! use grad_runtime::prelude::*;
//! use std::pin::Pin;
//!
//! #[no_grad]
//! async fn embed() -> bool {
//!     std::future::ready(()).await;
//!     is_grad_enabled()
//! }
//!
//! #[no_grad]
//! fn boxed<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = (bool, usize)> + Send + 'a>> {
//!     Box::pin(async move { (is_grad_enabled(), text.len()) })
//! }
//!
//! # futures::executor::block_on(async {
//! assert!(!embed().await);
//! assert_eq!(boxed("text").await, (false, 4));
//! assert!(is_grad_enabled());
//! # })
//! ```
//!
//! # Iterators and streams
//!
//! The iterator each time it is advanced, as PyTorch's decorators do for generators, and its drop. It stays
//! double-ended, of exact size, fused, cloneable and `Send` where it was, so far as the signature says so. A closure
//! that the *consumer* hands to it, as in `for_each` or `fold`, is the consumer's code and runs in the consumer's mode.
//! Streams need the feature `stream`.
//!
//! ```
//! use grad_runtime::prelude::*;
//!
//! #[no_grad]
//! fn batches(of: &[f32]) -> impl ExactSizeIterator<Item = (bool, f32)> {
//!     of.chunks(2).map(|batch| (is_grad_enabled(), batch.iter().sum()))
//! }
//!
//! for (recorded, _) in batches(&[1.0, 2.0, 3.0]) {
//!     assert!(!recorded);
//!     assert!(is_grad_enabled());
//! }
//! assert_eq!(batches(&[1.0, 2.0, 3.0]).len(), 2);
//! ```
//!
//! # Closures
//!
//! The closure each time it is called, and its drop.
//!
//! ```
//! use grad_runtime::prelude::*;
//!
//! #[no_grad]
//! fn scorer(bias: f32) -> impl Fn(f32) -> (bool, f32) {
//!     move |x| (is_grad_enabled(), x + bias)
//! }
//!
//! let score = scorer(1.0);
//! assert_eq!(score(2.0), (false, 3.0));
//! ```
//!
//! These results are recognized by the type that is written: `impl` or boxed `dyn` of [`Future`], [`Iterator`] (and the
//! traits below it), `Stream`, `Fn`, `FnMut` and `FnOnce`, `BoxFuture` and its like, and each of them inside of an
//! `Option` or on the `Ok` side of a `Result`. Where only *making* the result belongs to the scope, write
//! `#[no_grad(eager)]`.
//!
//! # Blocks
//!
//! All that the block does. Where its last expression is a closure or an async block, that too runs in the scope, each
//! time; so `no_grad!(|x| …)` and `no_grad!(async move { … })` are a closure and a future that record nothing. `.await`
//! in a block is an error, for the mode would be everybody's while the task waits.
//!
//! ```standalone_crate
//! #[macro_use] extern crate grad_runtime;
//! # fn main() {
//! use grad_runtime::is_grad_enabled;
//!
//! let target = no_grad! { [1.0, 2.0].map(|x: f32| if is_grad_enabled() { 0.0 } else { x }) };
//! assert_eq!(target, [1.0, 2.0]);
//!
//! let double = no_grad!(|x: f32| (is_grad_enabled(), 2.0 * x));
//! assert_eq!(double(1.0), (false, 2.0));
//!
//! let future = no_grad!(async { is_grad_enabled() });
//! assert!(!futures::executor::block_on(future));
//! # }
//! ```
//!
//! # Guards
//!
//! The thread, until the guard is dropped. A guard stays on its thread, and may be kept in a struct.
//!
//! ```
//! use grad_runtime::{is_grad_enabled, no_grad};
//!
//! struct Evaluation {
//!     _scope: grad_runtime::GradGuard,
//! }
//!
//! let evaluation = Evaluation { _scope: no_grad() };
//! assert!(!is_grad_enabled());
//! drop(evaluation);
//! assert!(is_grad_enabled());
//! ```
//!
//! # Tasks
//!
//! A task that is spawned runs later, on whichever thread: give it its mode, or the modes of the place that spawns it.
//!
//! ```
//! use grad_runtime::prelude::*;
//!
//! async fn serve() -> bool { is_grad_enabled() }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let stated = tokio::spawn(serve().with_grad_mode(GradMode::Inference));
//! let carried = grad_runtime::no_grad! { tokio::spawn(serve().in_current_grad_mode()) };
//! assert_eq!((stated.await.unwrap(), carried.await.unwrap()), (false, false));
//! # })
//! ```
//!
//! # Threads and pools
//!
//! A new thread starts Enabled, and a pool's thread has the mode that its last job left, which is Enabled as well.
//! [`thread::spawn`](crate::thread::spawn) takes the modes along, [`carry`](fn@crate::carry) does so for any closure
//! that is handed elsewhere to run once, [`carry!`](crate::carry!) for one that has arguments or runs often, and
//! [`Modes`](crate::Modes) where neither fits.
//!
//! ```
//! use grad_runtime::{carry, is_grad_enabled, no_grad};
//! use rayon::prelude::*;
//!
//! no_grad! {
//!     let (left, right) = rayon::join(carry(is_grad_enabled), carry(is_grad_enabled));
//!     assert_eq!((left, right), (false, false));
//!     assert!((0..100).into_par_iter().all(carry!(|_| !is_grad_enabled())));
//!     std::thread::scope(|threads| assert!(!threads.spawn(carry(is_grad_enabled)).join().unwrap()));
//! }
//! ```
//!
//! # What it cannot cover
//!
//! - Work that somebody else's code moves to a thread of its own, without [`carry`](fn@crate::carry): a `par_iter` in a
//!   library that you call, a data loader's workers, a C++ thread pool that calls back. It starts Enabled there.
//! - A lazy result whose type does not show that it is one: a type alias, a struct of your own that implements
//!   `Iterator`, a type parameter, a tuple. Call `.in_current_grad_mode()` on it inside of the function.
//! - A value that comes out of the scope and does its work later by a method of its own, such as a plan that is executed.
//!   Annotate that method.
//! - What arguments do when they are dropped, which is after the scope; but in an `async fn` or a returned closure, those
//!   that it took in are dropped inside.
//! - Lazy results in a place that is not looked into: in a tuple, in `Arc` or `Rc`, as `impl IntoIterator` or `impl AsyncFn`, as the
//!   output of a future or the item of an iterator.
//! - Arrays of a framework that has no switch, such as candle used directly: it records whatever the mode is. Detach what
//!   comes out, with `#[no_grad(detach)]` and [`Detach`](crate::Detach). What that does for memory, and what it cannot, is
//!   in [Moving in](super::moving_in#from-candles-detach).
//! - A closure that is not the last expression of a block but handed out of it by assignment, a field or a channel.
//! - For a transform that is *started* in a scope, what its function makes of a value of the transform around it and
//!   stores elsewhere than in its result: the outer transform records that.
//! - A guard that is leaked with [`std::mem::forget`]: its scope never ends.
//!
//! # How to find such a place
//!
//! Nothing fails there: the values are right, and memory grows with a graph that nobody wanted. So state the mode where
//! you rely on it. [`assert_grad_mode`](crate::assert_grad_mode) panics with the thread's name and with what to write;
//! [`is_grad_enabled`](crate::is_grad_enabled) inside a `debug_assert!` costs nothing in release builds.
//!
//! ```
//! use grad_runtime::{GradMode, assert_grad_mode, is_grad_enabled, no_grad};
//!
//! fn embed(text: &str) -> usize {
//!     debug_assert!(!is_grad_enabled(), "embeddings are made in a scope");
//!     text.len()
//! }
//!
//! no_grad! {
//!     assert_grad_mode(GradMode::NoGrad);
//!     assert_eq!(embed("text"), 4);
//!
//!     // A pool that forgets the scope:
//!     let forgotten = std::thread::spawn(|| assert_grad_mode(GradMode::NoGrad)).join();
//!     let message = forgotten.unwrap_err().downcast::<String>().unwrap();
//!     assert!(message.starts_with("expected grad mode NoGrad on thread"));
//! }
//! ```
