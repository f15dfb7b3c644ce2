//! Explains how to make an autograd engine obey scopes, and how to test that it does.
//!
//! There are two ways. Most engines need only the first.
//!
//! | | query the mode | implement `Backend` |
//! | --- | --- | --- |
//! | code to write | one call of [`is_grad_enabled()`](crate::is_grad_enabled) | the trait [`Backend`], three methods |
//! | mode obeyed | this thread's, which is the mode of [`Cpu`] | the engine's own switch |
//! | obeys `no_grad! { … }` | yes | once it is [installed](crate::install) |
//! | obeys `no_grad! { <Cpu> … }` | yes | no |
//! | obeys `no_grad! { <MyTape> … }` | there is no such backend | yes, installed or not |
//! | suitable for | a new engine in Rust | a library that already has a switch, or that is switched apart from others |
//!
//! An engine needs the crate `grad-core` only, which has no dependency beyond std. This crate re-exports all of it, and the
//! examples below use this crate.
//!
//! # Query the mode
//!
//! Find the point where operations return their results, and decide there whether to record. If recording is off, return
//! a constant: the same value, without a reference to its inputs.
//!
//! ```
//! use std::cell::RefCell;
//! use std::ops::Mul;
//! use grad_runtime::{is_grad_enabled, no_grad};
//!
//! /// For each operation: the positions of its inputs on the tape, and the derivatives with respect to them.
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
//!     /// Every operation returns its result through this function.
//!     fn finish_output(&self, value: f64, inputs: [(Option<usize>, f64); 2]) -> Var<'_> {
//!         let inputs = inputs.map(|(at, derivative)| Some((at?, derivative)));
//!         let depends_on_a_leaf = inputs.iter().any(Option::is_some);
//!         let recorded = depends_on_a_leaf && is_grad_enabled(); // The only query.
//!         Var { tape: self, at: recorded.then(|| self.push(inputs)), value }
//!     }
//! }
//!
//! impl<'t> Mul for Var<'t> {
//!     type Output = Var<'t>;
//!     fn mul(self, other: Self) -> Self {
//!         self.tape.finish_output(self.value * other.value, [(self.at, other.value), (other.at, self.value)])
//!     }
//! }
//!
//! let tape = Tape::default();
//! let x = tape.var(3.0);
//! let square = no_grad!(x * x);
//! assert_eq!((square.value, square.at), (9.0, None));
//! assert_eq!(tape.0.borrow().len(), 1); // The leaf: nothing was recorded in the scope.
//! assert!((x * square).at.is_some());   // Outside the scope the product is recorded.
//! ```
//!
//! Attributes, blocks, guards, async functions and carried closures now switch this engine.
//!
//! Three common mistakes:
//!
//! - Some operations do not query the mode. Query it in one function that all operations use.
//! - The mode is queried when a *leaf* is made, or once for a whole tape. It may change in between.
//! - Values are computed differently where nothing is recorded. A faster kernel that rounds differently makes training and
//!   evaluation disagree.
//!
//! ## Explain missing gradients
//!
//! Where the answer is that nothing is recorded, call [`not_recorded`](crate::not_recorded) with the name of the operation. It costs
//! a test of a thread-local unless someone [watches](crate::watch_scopes) the thread's scopes. Then it keeps the place of the
//! call and of each scope that was on, and [`take_not_recorded`](crate::take_not_recorded) returns them:
//!
//! ```
//! use grad_runtime::{Cpu, is_grad_enabled, no_grad, not_recorded, take_not_recorded, watch_scopes};
//!
//! #[track_caller] // So that the place is the user's.
//! fn finish_output() -> bool {
//!     let recorded = is_grad_enabled();
//!     if !recorded {
//!         not_recorded(&Cpu, "multiply");
//!     }
//!     recorded
//! }
//!
//! let _watch = watch_scopes();
//! assert!(!no_grad!(finish_output()));
//! let [reason] = &take_not_recorded()[..] else { unreachable!() };
//! assert!(reason.to_string().starts_with("multiply at "));
//! assert!(reason.to_string().contains(": not recorded in no_grad at "));
//! ```
//!
//! # Implement `Backend`
//!
//! A library with a switch keeps it and lets scopes set it. Implement [`Backend`] on a unit type:
//!
//! ```
//! use std::cell::Cell;
//! use grad_runtime::{no_grad, prelude::*};
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
//! /// Returns whether operations on this tape are recorded.
//! fn recording() -> bool {
//!     MyTape.grad_mode().is_enabled()
//! }
//!
//! #[grad_runtime::attr::no_grad(backend = MyTape)]
//! fn evaluate() -> bool {
//!     recording()
//! }
//!
//! # fn main() -> grad_runtime::Result<()> {
//! // Selective scopes name the type; it need not be installed.
//! assert!(!evaluate());
//! assert!(!no_grad! { <MyTape> recording() });
//! assert!(no_grad! { <MyTape> is_grad_enabled() }); // The CPU's mode is separate.
//! assert!(no_grad! { <Cpu> recording() });
//!
//! // Universal scopes switch it once it is installed, which lasts for the rest of the process.
//! assert!(no_grad!(recording()));
//! grad_runtime::install(&MyTape)?;
//! assert!(!no_grad!(recording()));
//! # Ok(())
//! # }
//! ```
//!
//! Requirements of the methods:
//!
//! - [`name`](Backend::name) returns a literal in lower case, such as the name of your crate. It identifies the backend
//!   and must be unique.
//! - [`grad_mode`](Backend::grad_mode) returns the mode of the calling thread and has no side effect. A new thread is
//!   Enabled.
//! - [`set_grad_mode`](Backend::set_grad_mode) sets the mode of the calling thread. It neither counts calls nor keeps a
//!   stack, since scopes save and restore modes. It must not panic, since scopes end during unwinding too.
//!
//! Keep the mode in a thread-local without a destructor, as above. A thread-local with one, such as a `RefCell` that also
//! holds a `Vec` of nodes, is destroyed while its thread exits, when other destructors may still leave scopes.
//!
//! A library that is only on or off treats `Inference` as `NoGrad` and reports `NoGrad`. Scopes remember the mode that they
//! set, so `enable_grad` inside inference mode leaves recording off:
//!
//! ```
//! use std::cell::Cell;
//! use grad_runtime::{Backend, GradMode, enable_grad, inference_mode};
//!
//! thread_local!(static RECORDING: Cell<bool> = const { Cell::new(true) }); // The library's switch.
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
//! // The library's own scopes nest with ours in any order: a scope restores the mode that it found.
//! RECORDING.set(false);
//! enable_grad! { <OnOff> assert!(RECORDING.get()); }
//! assert!(!RECORDING.get());
//! ```
//!
//! # Test it
//!
//! With the feature `test-util`, the module `testing` checks an engine or a backend against the
//! [guarantees](super::guarantees). A failure names the broken guarantee, the calls that were made, the expected result,
//! the result found, and how to fix it.
//!
//! ```toml
//! [dev-dependencies]
//! grad-runtime = { version = "0.1", features = ["test-util"] }
//! ```
//!
//! ```
//! # #[cfg(feature = "test-util")] mod tests {
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
//!     fn backend(&self) -> &'static dyn Backend { &MyTape } // Omit it in an engine that calls `is_grad_enabled()`.
//!     fn leaf(&self) -> Var { Var::leaf(0.7) }
//!     fn operation(&self, input: &Var) -> Var { input.exp() }
//!     fn is_recorded(&self, array: &Var) -> bool { array.at.is_some() }
//!     fn values(&self, array: &Var) -> Vec<f64> { vec![array.value] }
//! }
//!
//! // #[test]
//! # pub
//! fn my_tape_keeps_the_guarantees() {
//!     testing::assert_backend(&MyTape); // Checks the switch.
//!     testing::assert_engine(&Exp);     // Checks recording; call it for each operation.
//! }
//! # }
//! # #[cfg(feature = "test-util")] tests::my_tape_keeps_the_guarantees();
//! ```
//!
//! A backend that keeps one `static` for all threads fails with this message:
//!
//! ```text
//! backend `my-tape` breaks guarantee 1: a scope is this thread's alone, and a new thread starts Enabled
//!     what was done: `set_grad_mode(NoGrad)` on one thread, then `grad_mode()` on a new one
//!     expected: Enabled
//!     found: NoGrad
//!     what to do: keep the mode in a `thread_local!`, not in a `static` that every thread shares
//! ```
//!
//! # A complete example
//!
//! `examples/my-tape` in the repository is a tape of about 150 lines with a backward pass, plugged in both ways, with its
//! tests. `cargo run -p grad-example-tape` prints derivatives inside and outside of scopes.

#[cfg(doc)]
use crate::{Backend, Cpu};
