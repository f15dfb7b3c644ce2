//! # Plugging in your own
//!
//! An autograd engine obeys scopes in one of two ways. Most need the first only.
//!
//! | | an engine that asks | a backend of its own |
//! | --- | --- | --- |
//! | what you write | one question, [`is_grad_enabled()`](crate::is_grad_enabled) | the trait [`Backend`], three methods |
//! | whose mode | this thread's, which is the mode of [`Cpu`] | a switch that you keep |
//! | obeys `no_grad! { … }` | yes | once it is [installed](crate::install) |
//! | obeys `no_grad! { <Cpu> … }` | yes | no |
//! | obeys `no_grad! { <MyTape> … }` | there is no such name | yes, installed or not |
//! | when | a new engine in Rust | a library that has a switch already, or that users switch apart from others |
//!
//! # An engine that asks
//!
//! Find the place where operations hand out their results. There is the one question: was this made while recording is
//! on? If not, hand out a constant: the same value, with no way back to its inputs.
//!
//! ```
//! use std::cell::RefCell;
//! use std::ops::Mul;
//! use grad_runtime::{is_grad_enabled, no_grad};
//!
//! /// Each operation: the places of its inputs, and the derivatives by them.
//! #[derive(Default)]
//! struct Tape(RefCell<Vec<[Option<(usize, f64)>; 2]>>);
//!
//! #[derive(Clone, Copy)]
//! struct Var<'t> {
//!     tape: &'t Tape,
//!     at: Option<usize>, // None: a constant.
//!     value: f64,
//! }
//!
//! impl Tape {
//!     fn var(&self, value: f64) -> Var<'_> {
//!         Var { tape: self, at: Some(self.push([None; 2])), value }
//!     }
//!
//!     fn push(&self, node: [Option<(usize, f64)>; 2]) -> usize {
//!         self.0.borrow_mut().push(node);
//!         self.0.borrow().len() - 1
//!     }
//!
//!     /// The one place where operations hand out their results.
//!     fn hand_out(&self, value: f64, inputs: [(Option<usize>, f64); 2]) -> Var<'_> {
//!         let inputs = inputs.map(|(at, derivative)| Some((at?, derivative)));
//!         let depends_on_a_leaf = inputs.iter().any(Option::is_some);
//!         let recorded = depends_on_a_leaf && is_grad_enabled(); // The one question.
//!         Var { tape: self, at: recorded.then(|| self.push(inputs)), value }
//!     }
//! }
//!
//! impl<'t> Mul for Var<'t> {
//!     type Output = Var<'t>;
//!     fn mul(self, other: Self) -> Self {
//!         self.tape.hand_out(self.value * other.value, [(self.at, other.value), (other.at, self.value)])
//!     }
//! }
//!
//! let tape = Tape::default();
//! let x = tape.var(3.0);
//! let square = no_grad!(x * x);
//! assert_eq!((square.value, square.at), (9.0, None));
//! assert_eq!(tape.0.borrow().len(), 1); // The leaf: nothing was recorded in the scope.
//! assert!((x * square).at.is_some());   // What depends on a leaf outside of it is.
//! ```
//!
//! That is all: attributes, blocks, guards, async functions and carried threads now switch this engine.
//!
//! Three mistakes are easily made. A question asked in most operations, and forgotten in some: ask in one place, which
//! all of them use. A question asked when a *leaf* is made, or once for a whole tape: the mode changes in between. And a
//! value that is computed another way where nothing is recorded: a faster kernel that rounds otherwise makes training and
//! evaluation disagree.
//!
//! # A backend of its own
//!
//! A library that came with a switch keeps it, and lets this crate move it. Implement [`Backend`] on a unit type:
//!
//! ```standalone_crate
//! # #[macro_use] extern crate grad_runtime;
//! use std::cell::Cell;
//! use grad_runtime::prelude::*;
//!
//! pub struct MyTape;
//!
//! thread_local!(static MODE: Cell<GradMode> = const { Cell::new(GradMode::Enabled) });
//!
//! impl Backend for MyTape {
//!     fn name(&self) -> &'static str { "my-tape" }
//!     fn grad_mode(&self) -> GradMode { MODE.get() }
//!     fn set_grad_mode(&self, mode: GradMode) { MODE.set(mode) }
//! }
//!
//! /// What operations on this tape ask.
//! fn recording() -> bool {
//!     MyTape.grad_mode().is_enabled()
//! }
//!
//! #[no_grad(backend = MyTape)]
//! fn evaluate() -> bool {
//!     recording()
//! }
//!
//! # fn main() -> grad_runtime::Result<()> {
//! // Selective scopes know it by its type, at once.
//! assert!(!evaluate());
//! assert!(!no_grad! { <MyTape> recording() });
//! assert!(no_grad! { <MyTape> is_grad_enabled() }); // The CPU's mode is another.
//! assert!(no_grad! { <Cpu> recording() });
//!
//! // Universal ones from when it is installed: once, as the program starts, and for good.
//! assert!(no_grad!(recording()));
//! grad_runtime::install(&MyTape)?;
//! assert!(!no_grad!(recording()));
//! # Ok(())
//! # }
//! ```
//!
//! What the methods owe:
//!
//! - [`name`](Backend::name): a literal in lower case, that of your crate perhaps. Scopes tell backends apart by it, so
//!   that no two have the same.
//! - [`grad_mode`](Backend::grad_mode): the mode of the calling thread, and nothing done on the way. A new thread is
//!   Enabled.
//! - [`set_grad_mode`](Backend::set_grad_mode): the calling thread's mode from here on. No counting and no stack: who
//!   was there before, who is innermost and what to put back is known here. It must not panic, since scopes are left while
//!   threads unwind.
//!
//! Keep the mode in a thread-local without a destructor, as above. One that lies in a `RefCell` beside a `Vec` of nodes is
//! gone while its thread is torn down, when other destructors may still leave scopes.
//!
//! A library that only knows on and off treats `Inference` as `NoGrad`, and says `NoGrad` when it is asked. Scopes
//! remember what they wanted, so that `enable_grad` inside inference mode leaves it off:
//!
//! ```
//! use std::cell::Cell;
//! use grad_runtime::{Backend, GradMode, enable_grad, inference_mode};
//!
//! thread_local!(static RECORDING: Cell<bool> = const { Cell::new(true) }); // The library's own switch.
//!
//! struct OnOff;
//! impl Backend for OnOff {
//!     fn name(&self) -> &'static str { "on-off" }
//!     fn grad_mode(&self) -> GradMode {
//!         if RECORDING.get() { GradMode::Enabled } else { GradMode::NoGrad }
//!     }
//!     fn set_grad_mode(&self, mode: GradMode) { RECORDING.set(mode.is_enabled()) }
//! }
//!
//! inference_mode! { <OnOff>
//!     assert_eq!(OnOff.grad_mode(), GradMode::NoGrad);
//!     enable_grad! { <OnOff> assert!(!RECORDING.get()); }
//! }
//! assert!(RECORDING.get());
//!
//! // The library's own scopes nest with ours in any order: what was found is what is put back.
//! RECORDING.set(false);
//! enable_grad! { <OnOff> assert!(RECORDING.get()); }
//! assert!(!RECORDING.get());
//! ```
//!
//! # Does it keep the law?
//!
//! With the feature `testing`, the module `testing` holds your work to what scopes promise, and says which promise is
//! broken, what was done, what was expected, what was found and what to do:
//!
//! ```toml
//! [dev-dependencies]
//! grad-runtime = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```
//! # #[cfg(feature = "testing")] mod tests {
//! # use std::cell::Cell;
//! use grad_runtime::{Backend, GradMode, testing};
//! # pub struct MyTape;
//! # thread_local!(static MODE: Cell<GradMode> = const { Cell::new(GradMode::Enabled) });
//! # impl Backend for MyTape {
//! #     fn name(&self) -> &'static str { "my-tape" }
//! #     fn grad_mode(&self) -> GradMode { MODE.get() }
//! #     fn set_grad_mode(&self, mode: GradMode) { MODE.set(mode) }
//! # }
//! # #[derive(Clone, Copy)]
//! # pub struct Var { value: f64, at: Option<usize> }
//! # impl Var {
//! #     fn leaf(value: f64) -> Self { Self { value, at: Some(0) } }
//! #     fn exp(self) -> Self {
//! #         Self { value: self.value.exp(), at: self.at.filter(|_| MyTape.grad_mode().is_enabled()) }
//! #     }
//! # }
//!
//! struct Exp;
//!
//! impl testing::Engine for Exp {
//!     type Array = Var;
//!     fn backend(&self) -> &'static dyn Backend { &MyTape } // Left out by an engine that asks `is_grad_enabled()`.
//!     fn leaf(&self) -> Var { Var::leaf(0.7) }
//!     fn operation(&self, input: &Var) -> Var { input.exp() }
//!     fn is_recorded(&self, array: &Var) -> bool { array.at.is_some() }
//!     fn values(&self, array: &Var) -> Vec<f64> { vec![array.value] }
//! }
//!
//! // #[test]
//! # pub
//! fn my_tape_keeps_the_law() {
//!     testing::assert_backend(&MyTape); // Its switch.
//!     testing::assert_engine(&Exp);     // What it records; once for each operation, or for the place they share.
//! }
//! # }
//! # #[cfg(feature = "testing")] tests::my_tape_keeps_the_law();
//! ```
//!
//! A backend with one `static` for all threads, the most common mistake, hears this:
//!
//! ```text
//! backend `my-tape` breaks law 1: a scope is this thread's alone, and a new thread starts Enabled
//!     what was done: `set_grad_mode(NoGrad)` on one thread, then `grad_mode()` on a new one
//!     expected: Enabled
//!     found: NoGrad
//!     what to do: keep the mode in a `thread_local!`, not in a `static` that every thread shares
//! ```
//!
//! # A whole one
//!
//! `examples/src/tape.rs` in the repository is a tape of about 150 lines with a backward pass, plugged in both ways, and
//! `examples/tests/my_tape.rs` its checks. `cargo run -p grad-examples --bin my-tape` prints derivatives in and out of
//! scopes.

#[cfg(doc)]
use crate::backend::{Backend, Cpu};
