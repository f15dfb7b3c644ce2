//! Describes the code that each form of scope covers, the code that no scope can cover, and how to find such code.
//!
//! A scope belongs to one thread and covers everything that runs on it between entering and leaving. Work that runs later
//! or on another thread keeps the scope in three cases: an annotated function returns it in a type that this crate
//! recognizes, it is the last expression of a block, or it is carried explicitly.
//!
//! # Functions
//!
//! A scope on a function covers its body, including the drop of its locals and of the temporaries of its last expression.
//! Arguments belong to the caller: they are evaluated before the scope and dropped after it.
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
//! The attribute applies to each method that has a body. In a trait these are the provided methods; an `impl` that
//! overrides one is not covered. A method's own attribute replaces that of the block, and `#[no_grad(skip)]` exempts a
//! method.
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
//! # Async functions and futures
//!
//! The scope is entered each time the future is polled, and while it is dropped. Between two polls the caller's mode is
//! in force, so the scope does not affect other tasks of the thread. The same holds for a future that a function
//! *returns*.
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
//! The scope is entered each time the iterator is advanced, as PyTorch's decorators do for generators, and while it is
//! dropped. The iterator stays double-ended, exact-size, fused, `Clone` and `Send` where the signature says that it is. A
//! closure that the *consumer* passes to it, as in `for_each` or `fold`, runs in the consumer's mode. Streams need the
//! feature `stream`.
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
//! The scope is entered each time the closure is called, and while it is dropped.
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
//! An async closure enters the scope at each poll of the future that a call returns.
//!
//! ```
//! use grad_runtime::prelude::*;
//!
//! #[no_grad]
//! fn scorer(bias: usize) -> impl AsyncFn(&str) -> (bool, usize) {
//!     async move |text| (is_grad_enabled(), text.len() + bias)
//! }
//!
//! let score = scorer(1);
//! assert_eq!(futures::executor::block_on(score("text")), (false, 5));
//! ```
//!
//! # Recognized types
//!
//! Deferred results are recognized by the type in the signature:
//!
//! - `impl` of [`Future`], [`Iterator`] and its subtraits, [`IntoIterator`], `Stream`, `Fn`, `FnMut`, `FnOnce`, `AsyncFn`,
//!   `AsyncFnMut` and `AsyncFnOnce`. An `impl IntoIterator` is turned into its iterator when the function returns;
//! - `dyn` of the same traits in `Box` and `Pin<Box<…>>`, and of `Fn` in `Rc` and `Arc`; `BoxFuture`, `BoxStream` and their
//!   `Local` variants;
//! - each of them in an `Option`, in a tuple, as the `Ok` type of a `Result`, as the output of a future or closure, and as the
//!   item of an iterator or stream; and these in each other.
//!
//! To cover only the code that *makes* the result, write `#[no_grad(eager)]`.
//!
//! ```
//! use grad_runtime::prelude::*;
//!
//! type Error = Box<dyn std::error::Error>;
//!
//! #[no_grad]
//! async fn open(size: &str) -> Result<(usize, impl Iterator<Item = Box<dyn Fn() -> bool>>), Error> {
//!     let size = size.parse()?;
//!     Ok((size, (0..size).map(|_| Box::new(is_grad_enabled) as Box<dyn Fn() -> bool>)))
//! }
//!
//! let (size, mut batches) = futures::executor::block_on(open("2"))?;
//! assert_eq!(size, 2);
//! assert!(batches.all(|load| !load()));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Blocks
//!
//! A block macro covers everything in the block. If its last expression is a closure or an async block, that runs in the
//! scope too, each time: `no_grad!(|x| …)` and `no_grad!(async move { … })` make a closure and a future that record
//! nothing. `.await` in a block is a compile error: while the task waits, the mode would apply to other tasks of the
//! thread.
//!
//! ```
//! use grad_runtime::{is_grad_enabled, no_grad};
//!
//! let target = no_grad! { [1.0, 2.0].map(|x: f32| if is_grad_enabled() { 0.0 } else { x }) };
//! assert_eq!(target, [1.0, 2.0]);
//!
//! let double = no_grad!(|x: f32| (is_grad_enabled(), 2.0 * x));
//! assert_eq!(double(1.0), (false, 2.0));
//!
//! let future = no_grad!(async { is_grad_enabled() });
//! assert!(!futures::executor::block_on(future));
//! ```
//!
//! # Guards
//!
//! A guard covers everything on its thread until it is dropped. It cannot be sent to another thread. It may be stored in a
//! struct.
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
//! A spawned task runs later, on any thread of the runtime. Give it a mode, or the modes of the code that spawns it.
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
//! A new thread starts Enabled. A pool's thread has the mode that its last job left, which is Enabled unless that job
//! leaked a guard. To take the modes of the current thread along:
//!
//! - [`thread::spawn`](crate::thread::spawn) does so for a new thread;
//! - [`carry`](fn@crate::carry) for a closure without arguments that runs once;
//! - [`carry!`](crate::carry!) for a closure that has arguments or runs more than once;
//! - [`ModeSnapshot`](crate::ModeSnapshot) where none of these fits.
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
//! # Not covered
//!
//! - Work that other code moves to its own threads without [`carry`](fn@crate::carry): a `par_iter` inside a library, a
//!   data loader's workers, a C++ thread pool that calls back. It starts Enabled there.
//! - A deferred result whose type does not show that it is one: a type alias, a struct that implements `Iterator`, a type
//!   parameter. Call `.in_current_grad_mode()` on it inside the function.
//! - Deferred results in other positions: in a `Vec`, an array or another collection, in a struct, behind a reference, on the
//!   `Err` side of a `Result`. Call `.in_current_grad_mode()` on an iterator or a future before it is stored there, and
//!   [`carry!`](crate::carry!) for a closure.
//! - A value that does its work later in a method of its own, such as a plan that is executed. Annotate that method.
//! - The drop of arguments, which happens after the scope. In an `async fn` or a returned closure, arguments that were
//!   moved into it are dropped inside.
//! - Arrays of a framework without a switch, such as candle used directly, which records in every mode. Detach the results
//!   with `#[no_grad(detach)]` and [`Detach`](crate::Detach); [the section on candle](super::moving_in#from-candles-detach)
//!   describes how much memory that frees.
//! - A closure that leaves a block by assignment, through a field or through a channel rather than as its last expression.
//! - In a transform *started* inside a scope: values that its function computes from primals of an outer transform and
//!   stores elsewhere than in its result. The outer transform records them.
//! - A guard leaked with [`std::mem::forget`]: its scope never ends.
//!
//! # What the attribute changes
//!
//! A deferred result is wrapped. In a few places, the wrapper shows:
//!
//! - An `impl Trait` of a deferred result has no other traits than auto traits, `Clone`, `Debug`, and those of iterators. A closure
//!   may be `Copy`, a future, iterator or stream may not: it is dropped in the scope.
//! - `Rc` and `Arc` point to the wrapper, so [`Arc::ptr_eq`](std::sync::Arc::ptr_eq) tells it from the function's own pointer. An
//!   `Arc<dyn Fn() + Send>` must be `Sync` too.
//! - An annotated `async fn` is a future in a future. It stores an argument twice; without the attribute, the compiler does so
//!   only if the argument is used after an `.await`. A chain of ten annotated functions that
//!   await each other needs no `#![recursion_limit]`, one of plain functions may have about 35. Box a future in a longer
//!   chain, or raise the limit.
//! - `#[track_caller]` has no effect on the body of a function that returns a deferred or detached result if the body contains
//!   `return`, `?` or a macro that may: it is moved to a closure, to which the attribute cannot be applied in stable Rust. A
//!   function with a deferred result keeps it if another function, which it calls, contains the early exits.
//!
//! # How to find uncovered code
//!
//! Uncovered code does not fail: its values are right, and memory grows with a graph that is never used. Assert the mode
//! where your code relies on it. [`assert_grad_mode`](crate::assert_grad_mode) names the thread, the scope that is on and what to do;
//! [`is_grad_enabled`](crate::is_grad_enabled) inside a `debug_assert!` costs nothing in release builds.
//!
//! ```
//! use grad_runtime::{GradMode, assert_grad_mode, is_grad_enabled, no_grad};
//!
//! fn embed(text: &str) -> usize {
//!     debug_assert!(!is_grad_enabled(), "embeddings must be computed in a no-grad scope");
//!     text.len()
//! }
//!
//! no_grad! {
//!     assert_grad_mode(GradMode::NoGrad);
//!     assert_eq!(embed("text"), 4);
//!
//!     // A new thread does not inherit the scope:
//!     let uncovered = std::thread::spawn(|| assert_grad_mode(GradMode::NoGrad)).join();
//!     let message = uncovered.unwrap_err().downcast::<String>().unwrap();
//!     assert!(message.starts_with("expected grad mode NoGrad on thread"));
//! }
//! ```
