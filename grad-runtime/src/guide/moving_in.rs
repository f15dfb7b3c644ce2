//! Moving in from PyTorch, tch, candle, burn and mlx-rs.
//!
//! # From PyTorch
//!
//! | PyTorch | here |
//! | --- | --- |
//! | `with torch.no_grad():` | [`no_grad!`](crate::no_grad!), or a guard: [`no_grad()`](fn@crate::no_grad) |
//! | `@torch.no_grad()` on a function | [`#[no_grad]`](crate::attr::no_grad) |
//! | `@torch.no_grad()` on each method of a class | `#[no_grad]` on an `impl` block |
//! | `torch.enable_grad()`, `torch.set_grad_enabled(mode)` | the same names, in each form |
//! | `torch.inference_mode()` | the same name, in each form |
//! | `torch.is_grad_enabled()` | [`is_grad_enabled()`](crate::is_grad_enabled) |
//! | `tensor.detach()` | `stop_gradient()` on our arrays, [`Detach`](crate::Detach) for whatever holds some |
//! | `torch.func.grad(f)` | `A::grad(f, primals)` |
//! | `torch.func.grad(f, argnums=(0, 1))(x, y)` | `params::grad(\|(x, y)\| f(x, y), &(x, y))` |
//! | `torch.func.grad_and_value(f, has_aux=True)(params)` | `params::value_and_grad_with_aux(f, &params)` |
//!
//! ```standalone_crate
//! #[macro_use] extern crate grad_runtime;
//! # fn main() {
//! use grad_runtime::prelude::*;
//!
//! struct Trainer { training: bool }
//!
//! impl Trainer {
//!     #[no_grad]                           // @torch.no_grad()
//!     fn evaluate(&self) -> bool {
//!         is_grad_enabled()
//!     }
//!
//!     #[set_grad_enabled(self.training)]   // with torch.set_grad_enabled(self.training):
//!     fn step(&mut self) -> bool {
//!         is_grad_enabled()
//!     }
//! }
//!
//! let mut trainer = Trainer { training: true };
//! let target = no_grad! { trainer.step() }; // with torch.no_grad(): target = trainer.step()
//! assert_eq!((trainer.evaluate(), trainer.step(), target), (false, true, true));
//! # }
//! ```
//!
//! A generator that is decorated runs in the scope each time it is advanced, and the caller's mode is back in between. Here
//! that holds for an iterator that a function returns, and for futures, streams and closures, which PyTorch leaves out:
//!
//! ```
//! use grad_runtime::prelude::*;
//!
//! #[no_grad] // @torch.no_grad() def batches(n): for i in range(n): yield ...
//! fn batches(n: u32) -> impl Iterator<Item = bool> {
//!     (0..n).map(|_| is_grad_enabled())
//! }
//!
//! assert!(batches(2).eq([false, false]));
//! assert!(is_grad_enabled());
//! ```
//!
//! A scope is one thread's, as there. What PyTorch has no means for is to take it along: [`carry`](fn@crate::carry),
//! [`carry!`](crate::carry!), [`thread::spawn`](crate::thread::spawn) and
//! [`in_current_grad_mode`](crate::Carry::in_current_grad_mode).
//!
//! What differs:
//!
//! - `enable_grad` in inference mode changes nothing, and a transform that is started in it is an error; in PyTorch the
//!   first turns the switch, and the tensors stay inference tensors. `inference_mode(false)` lifts it, here and there.
//! - An inference mode saves nothing beyond what `no_grad` saves, on any backend here: arrays have no version counters.
//! - MLX and the CPU fallback record in a transform and nowhere else, so outside of one a scope changes nothing.
//! - A scope that surrounds `torch.func.grad` and its like does not reach into it, here as there; but what is *returned* is
//!   a constant to the transforms further out.
//!
//! # From `tch::no_grad`
//!
//! With the feature `torch` scopes turn libtorch's own switch, the one that tch's functions turn, so that both kinds nest
//! and code can move over piece by piece.
//!
//! | tch | here |
//! | --- | --- |
//! | `tch::no_grad(\|\| f())` | `no_grad! { f() }`; `?` and `return` work, and a panic leaves no mode behind |
//! | `let _guard = tch::no_grad_guard();` | `let _guard = grad_runtime::no_grad();`, which stays on its thread |
//! | `tch::with_grad(\|\| f())` | `enable_grad! { f() }` |
//!
//! ```
//! use grad_runtime::{is_grad_enabled, no_grad};
//!
//! fn parse(text: &str) -> Result<f64, std::num::ParseFloatError> {
//!     // In a closure of tch's, `?` would leave the closure alone.
//!     let target = no_grad! { text.parse::<f64>()? };
//!     Ok(2.0 * target)
//! }
//!
//! assert_eq!(parse("1.5"), Ok(3.0));
//! assert!(parse("x").is_err() && is_grad_enabled());
//! ```
//!
//! The tests in `tests/torch` run these, and their nestings, on tch's tensors.
//!
//! # From candle's `detach`
//!
//! candle has no switch: a tensor is recorded where one of its inputs is, and holds them. What a scope can do is to detach
//! what comes out of it, or goes in.
//!
//! | candle | here |
//! | --- | --- |
//! | `Ok(model.forward(&x)?.detach())` at each way out | `#[no_grad(detach)]` on the function |
//! | `let target = model.forward(&x)?.detach();` | `let target = no_grad!(detach { model.forward(&x)? });` |
//! | `forward(&x.detach())` | `#[no_grad(detach(args))]` on `forward` |
//!
#![cfg_attr(feature = "cpu", doc = "```")]
#![cfg_attr(not(feature = "cpu"), doc = "```text")]
//! use candle_core::{Device, Result, Tensor, Var};
//! use grad_runtime::attr::no_grad;
//!
//! #[no_grad(detach)]
//! fn target(weight: &Tensor, x: &Tensor) -> Result<Tensor> {
//!     x.matmul(weight)
//! }
//!
//! let weight = Var::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
//! let x = Tensor::new(&[[1.0_f32, 1.0]], &Device::Cpu)?;
//! let loss = (x.matmul(&weight)? * target(&weight, &x)?)?.sum_all()?;
//! // The target counts as a number: d/dw of x·w·t is t.
//! let gradients = loss.backward()?;
//! assert_eq!(gradients.get(&weight).unwrap().to_vec2::<f32>()?, [[4.0, 6.0], [4.0, 6.0]]);
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! Within the scope candle records as ever, and a tensor that is recorded holds its inputs. So what a forward pass takes
//! in memory depends on what is detached, and where. With layers that return 1.05 MB each, at most and then, while the
//! result is there, in MB (`tests/detach/memory.rs` counts and asserts this):
//!
//! | | 20 layers | 200 layers |
//! | --- | --- | --- |
//! | recorded; and so in a scope that detaches nothing | 21.0, then 21.0 | 209.8, then 209.8 |
//! | `#[no_grad(detach)]` on the whole pass: held to its end, then freed | 21.0, then 1.0 | 209.8, then 1.0 |
//! | `no_grad!(detach { layer.forward(&x)? })` for each layer | 2.1, then 1.0 | 2.1, then 1.0 |
//! | `#[no_grad(detach(weights))]` on the whole pass | 2.1, then 1.0 | 2.2, then 1.0 |
//! | `cpu::Array` in a scope, within a transform | 2.1, then 1.0 | 2.1, then 1.0 |
//!
//! So memory need not grow with depth, though a scope around candle's code cannot see to that by itself:
//!
//! - Detach *results*, as often as memory is to be freed. The most is that of the longest piece that is detached as a
//!   whole: in one expression, or in a layer of someone else's, what is recorded is held until the result is detached.
//! - Detach the *variables* on their way in, and nothing is recorded that could hold anything; what grows is a handle of
//!   about 200 bytes for each. They must be arguments for that, `self` not among them, of types that implement
//!   [`Detach`](crate::Detach), which `candle_nn`'s layers do not.
//! - `cpu::Array` needs no such care: it has the same kernels, and obeys scopes.
//!
//! # From burn
//!
//! burn has no switch either. Its users mark one tensor after the other, or a whole module:
//!
//! | burn 0.22 | here |
//! | --- | --- |
//! | `self.forward(x).detach()` at each way out | `#[no_grad(detach = Tensor::detach)]` on the function |
//! | `let target = critic.forward(x).detach();` | `no_grad!(detach { … })`, or `#[no_grad(detach)]`, by [`Detach`](crate::Detach) |
//! | `critic.valid().forward(x)` | `#[no_grad(detach(critic))]`, where `Detach` for the module is `valid()` |
//!
//! Rust lets nobody implement [`Detach`](crate::Detach) for a type of another crate but that crate or this one. So name
//! a function that takes a tensor and hands it back detached, or implement the trait for a type of yours around it.
//!
#![doc = concat!("```ignore\n", include_str!("burn.rs"), "```")]
//!
//! burn's `detach()` leaves a *parameter* one that asks for a gradient: nothing flows back to the module, and yet what is
//! made of it is recorded. Where a scope may hand out a parameter itself, name `Tensor::inner`, or call
//! `set_require_grad(false)` in your `Detach`: either makes a constant of it. Within a scope that detaches results burn
//! records, as candle does. With a module that is detached on the way in it does not, unless the input is recorded; but
//! `valid()` switches dropout off as well, and `no_grad()`, burn's own method of modules, does not.
//!
//! `tests/burn` compiles and runs the file that is shown here, and what is said about burn.
//!
//! # From mlx-rs
//!
//! Its arrays are another crate's too, so name a function: one of theirs, or one of yours around it. mlx-rs does not build
//! on Linux, where this crate is tested, so a type of ours stands in here.
//!
//! ```
//! use grad_runtime::attr::no_grad;
//! # mod theirs { #[derive(Clone)] pub struct Array(pub f32, pub bool);
//! #   impl Array { pub fn constant(self) -> Self { Self(self.0, false) } } }
//! # use theirs::Array;
//!
//! #[no_grad(detach = Array::constant)]
//! fn target(x: &Array) -> Array {
//!     x.clone()
//! }
//! # assert!(!target(&Array(1.0, true)).1);
//! ```
//!
//! Code for mlx-rs can also move to `mlx::Array`, which has MLX's names and argument order, and obeys scopes.
