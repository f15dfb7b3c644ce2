//! Shows how to port code from PyTorch, Python MLX, tch, candle, burn and mlx-rs.
//!
//! # From PyTorch
//!
//! | PyTorch | grad-runtime |
//! | --- | --- |
//! | `with torch.no_grad():` | [`no_grad! { … }`](crate::no_grad!), or a guard: `let _guard =` [`no_grad()`](fn@crate::no_grad)`;` |
//! | `@torch.no_grad()` on a function | [`#[no_grad]`](crate::attr::no_grad) |
//! | `@torch.no_grad()` on each method of a class | `#[no_grad]` on an `impl` block |
//! | `torch.enable_grad()` | `enable_grad`, as an attribute, a block or a guard |
//! | `with torch.set_grad_enabled(flag):` | `set_grad_enabled!(flag, { … })`, `#[set_grad_enabled(self.training)]` |
//! | `with torch.inference_mode():` | `inference_mode! { … }`, `#[inference_mode]` |
//! | `with torch.inference_mode(False):` | `inference_mode!(false, { … })`, `#[inference_mode(false)]` |
//! | `torch.is_grad_enabled()` | [`is_grad_enabled()`](crate::is_grad_enabled); [`grad_mode()`](crate::grad_mode) returns the mode |
//! | `tensor.detach()` | `array.stop_gradient()`; `value.detached()` for any type that implements [`Detach`](crate::Detach) |
//! | `torch.func.grad(f)` | `A::grad(f, primals)` |
//! | `torch.func.grad(f, argnums=(0, 1))(x, y)` | `params::grad(\|(x, y)\| f(x, y), &(x, y))` |
//! | `torch.func.grad_and_value(f, has_aux=True)(params)` | `params::value_and_grad_with_aux(f, &params)` |
//! | `module.requires_grad_(False)`, `register_buffer` | `#[params(frozen)]`, `params::Frozen`; `#[params(buffer)]` |
//! | `torch.optim.AdamW`, `clip_grad_norm_`, `AveragedModel` | `optim::AdamW`, `optim::clip_grad_norm`, `optim::Ema`; the page "A training loop" shows them |
//! | a model in several threads | `params::share`; an MLX array itself stays on its thread |
//!
//! ```
//! use grad_runtime::{no_grad, prelude::*};
//!
//! struct Trainer { training: bool }
//!
//! impl Trainer {
//!     #[grad_runtime::attr::no_grad]       // @torch.no_grad()
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
//! ```
//!
//! In PyTorch, a decorated generator runs in the scope each time it is advanced, and the caller's mode is restored in
//! between. Here the same holds for an iterator that an annotated function returns, and also for futures, streams and
//! closures:
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
//! A scope belongs to one thread, as in PyTorch. To take its mode to another thread or task, use
//! [`carry`](fn@crate::carry), [`carry!`](crate::carry!), [`thread::spawn`](crate::thread::spawn) or
//! [`in_current_grad_mode`](crate::Carry::in_current_grad_mode). PyTorch has no equivalent.
//!
//! Differences from PyTorch:
//!
//! - In inference mode `enable_grad` changes nothing, and starting a transform is an error. In PyTorch `enable_grad` turns
//!   the switch on, and the tensors stay inference tensors. In both, `inference_mode(false)` lifts inference mode.
//! - Inference mode saves nothing beyond `no_grad` on any backend: arrays have no version counters.
//! - MLX and the CPU fallback record only inside a transform; outside of one a scope changes nothing.
//! - A scope around `torch.func.grad` does not reach into it, in PyTorch and here. Here the *returned* arrays are also
//!   constants to the transforms further out.
//! - `.await` inside a block macro is a compile error: while the task waits, the mode would apply to other tasks of the
//!   thread.
//! - Scopes apply to forward mode too. In PyTorch, `inference_mode` does and `no_grad` does not: a dual tensor keeps its tangent
//!   there, and `no_grad`'s documentation says that it "does not apply to forward-mode AD". Here, under
//!   [`mlx::jvp`](crate::mlx), an array that is made in a scope has tangent zero:
//!
#![cfg_attr(feature = "mlx", doc = "```")]
#![cfg_attr(not(feature = "mlx"), doc = "```text")]
//! use grad_runtime::{Result, mlx, mlx::Array, no_grad};
//!
//! // x · x², where x² is a constant: the tangent is x² · dx, as in reverse mode, and not 3x² · dx.
//! let function = |x: &[Array]| -> Result<Vec<Array>> { Ok(vec![x[0].multiply(&no_grad! { x[0].square()? })?]) };
//! let (x, dx) = (Array::scalar(3.0_f32)?, Array::scalar(1.0_f32)?);
//! let (_, tangents) = mlx::jvp(function, &[x], &[dx])?;
//! assert_eq!(tangents[0].item::<f32>()?, 9.0);
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # From Python MLX
//!
//! MLX has no `no_grad`: gradients exist only inside a transform such as `value_and_grad`. Ported PyTorch code fails with
//! `module 'mlx.core' has no attribute 'no_grad'`, and the usual fix adds a context manager that does nothing. Inside a
//! transform, gradient then flows through code that its author marked gradient-free.
//!
//! | in such a fix | grad-runtime |
//! | --- | --- |
//! | `with mlx_no_grad():` | `no_grad! { <Mlx> … }`, or a guard: `let _guard = Scope::NoGrad.enter_for(&Mlx);` |
//! | `patch_mlx_no_grad()`, automatic patching on import | nothing: a scope switches MLX without patching |
//! | `with safe_no_grad_context():` (MLX, PyTorch, or neither) | `no_grad! { … }`: it switches every installed backend and requires none |
//! | the decorator | `#[no_grad]` |
//! | a fallback where MLX is missing | the same binary: [`mlx::check_available()`](crate::mlx::check_available) returns the reason, `cpu::Array` computes |
//! | support for a future switch of MLX's own | no change: where MLX's headers declare one, scopes turn it too |
//! | an embedding engine that runs unchanged, on its device | `MiniLm` in `examples/src/minilm.rs`, generic over the backend; a scope does not change the device |
//!
//! # From `tch::no_grad`
//!
//! With the feature `torch`, scopes turn libtorch's own switch, the one that tch's functions turn. Both kinds of scope
//! nest, so code can be ported piece by piece.
//!
//! | tch | grad-runtime |
//! | --- | --- |
//! | `tch::no_grad(\|\| f())` | `no_grad! { f() }`; `?` and `return` work, and the mode is restored after a panic |
//! | `let _guard = tch::no_grad_guard();` | `let _guard = grad_runtime::no_grad();`, which cannot be sent to another thread |
//! | `tch::with_grad(\|\| f())` | `enable_grad! { f() }` |
//!
//! ```
//! use grad_runtime::{is_grad_enabled, no_grad};
//!
//! fn parse(text: &str) -> Result<f64, std::num::ParseFloatError> {
//!     // In a closure passed to `tch::no_grad`, `?` would return from the closure only.
//!     let target = no_grad! { text.parse::<f64>()? };
//!     Ok(2.0 * target)
//! }
//!
//! assert_eq!(parse("1.5"), Ok(3.0));
//! assert!(parse("x").is_err() && is_grad_enabled());
//! ```
//!
//! The tests in `tests/packages/torch` check these forms, and their nestings, on tch's tensors.
//!
//! # From candle's `detach`
//!
//! candle has no switch: it records an operation if one of its inputs is recorded, and the result keeps its inputs alive.
//! A scope can detach the arrays that leave it, or those that enter it.
//!
//! | candle | grad-runtime |
//! | --- | --- |
//! | `Ok(model.forward(&x)?.detach())` at each return | `#[no_grad(detach)]` on the function |
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
//! // The target is a constant t, so d/dw of x·w·t is x·t.
//! let gradients = loss.backward()?;
//! assert_eq!(gradients.get(&weight).unwrap().to_vec2::<f32>()?, [[4.0, 6.0], [4.0, 6.0]]);
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! Inside the scope candle still records, and a recorded tensor keeps its inputs alive. How much memory a forward pass
//! takes therefore depends on what is detached, and where. The table gives the peak during the pass and the memory held
//! while the result is alive, in MB, for layers that return 1.05 MB each.
//! `cargo test -p grad-tests --test memory -- --nocapture` prints these numbers and asserts how they grow:
//!
//! | | 20 layers | 200 layers |
//! | --- | --- | --- |
//! | recorded, or in a scope that detaches nothing | 21.0, then 21.0 | 209.8, then 209.8 |
//! | `#[no_grad(detach)]` on the whole pass: held to its end, then freed | 21.0, then 1.0 | 209.8, then 1.0 |
//! | `no_grad!(detach { layer.forward(&x)? })` for each layer | 2.1, then 1.0 | 2.1, then 1.0 |
//! | `#[no_grad(detach(weights))]` on the whole pass | 2.1, then 1.0 | 2.2, then 1.0 |
//! | `cpu::Array` in a scope, within a transform | 2.1, then 1.0 | 2.1, then 1.0 |
//!
//! To keep memory from growing with depth:
//!
//! - Detach *results* as often as memory should be freed. The peak is that of the longest computation detached as a
//!   whole: within one expression, or within a layer of another crate, everything recorded is held until the result is
//!   detached.
//! - Or detach the *variables* on their way in, so that nothing is recorded; only a handle of about 200 bytes for each
//!   of them remains. The variables must then be arguments other than `self`, of types that implement
//!   [`Detach`](crate::Detach); `candle_nn`'s layers do not.
//! - Or use `cpu::Array`, which runs candle's kernels and obeys scopes.
//!
//! # From burn
//!
//! burn has no switch either. Its users detach single tensors or a whole module:
//!
//! | burn 0.22 | grad-runtime |
//! | --- | --- |
//! | `self.forward(x).detach()` at each return | `#[no_grad(detach = Tensor::detach)]` on the function |
//! | `let target = critic.forward(x).detach();` | `no_grad!(detach { … })`, or `#[no_grad(detach)]`, by [`Detach`](crate::Detach) |
//! | `critic.valid().forward(x)` | `#[no_grad(detach(critic))]`, where `Detach` for the module calls `valid()` |
//!
//! Rust's orphan rule lets only burn or this crate implement [`Detach`](crate::Detach) for burn's tensors. Either name a
//! function that takes a tensor and returns it detached, or implement the trait for a type of your crate that wraps it.
//!
#![doc = concat!("```ignore\n", include_str!("burn.rs"), "```")]
//!
//! burn's `detach()` does not make a *parameter* a constant: no gradient flows back to the module, but operations on the
//! result are still recorded. Where a scope may return a parameter itself, name `Tensor::inner`, or call
//! `set_require_grad(false)` in your `Detach`: both make a constant. Inside a scope that detaches results burn still
//! records, as candle does. With a module that is detached on the way in it does not, unless the input is recorded.
//! `valid()` also switches dropout off; `no_grad()`, burn's own method of modules, does not.
//!
//! `tests/packages/burn` compiles and runs the file shown here, and tests these statements about burn.
//!
//! # From mlx-rs
//!
//! mlx-rs's arrays are another crate's too, so name a function: one of mlx-rs, or one of yours that wraps it. mlx-rs does
//! not build on Linux, where this crate is tested, so the example uses a stand-in type.
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
//! Code for mlx-rs can also be ported to `mlx::Array`, which has MLX's names and argument order, and obeys scopes.
