//! Explains how to find out why a parameter has no gradient, or why memory grows, and what to write instead.
//!
//! A gradient that is missing is zero here, as in JAX and MLX: a parameter that no gradient reaches looks like one that has been
//! learned. [`explain::gradients`] runs the function once, and reports for each parameter whether a gradient reaches it, and if not,
//! which scope or operation cut it, at which line:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Dtype, Params, Result, cpu, explain, no_grad};
//!
//! #[derive(Params)]
//! struct Model<A: Array> {
//!     encoder: A,
//!     head: A,
//!     decoder: A,
//! }
//!
//! fn loss<A: Array>(model: &Model<A>, x: &A) -> Result<A> {
//!     let features = no_grad! { x.matmul(&model.encoder)?.tanh()? };
//!     features.matmul(&model.head)?.square()?.mean_all()
//! }
//!
//! let ones = |shape| cpu::Array::ones(shape, Dtype::Float32);
//! let model = Model { encoder: ones(&[3, 2])?, head: ones(&[2, 1])?, decoder: ones(&[2, 3])? };
//! let x = ones(&[4, 3])?;
//! let report = explain::gradients(|model| loss(model, &x), &model)?;
//! report.print();
//! # let text = report.to_string();
//! # assert!(text.starts_with("3 parameters: 1 receives a gradient, 2 do not\n"), "{text}");
//! # assert!(text.contains("\n  encoder  float32[3, 2]  no gradient: cut by no_grad at "), "{text}");
//! # assert!(text.contains(" (matmul -> float32[4, 2])\n"), "{text}");
//! # assert!(text.contains("\n  head     float32[2, 1]  receives a gradient, norm 5.601\n"), "{text}");
//! # assert!(text.contains("\n  decoder  float32[2, 3]  no gradient: the function does not use it"), "{text}");
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! ```text
//! 3 parameters: 1 receives a gradient, 2 do not
//!   encoder  float32[3, 2]  no gradient: cut by no_grad at src/main.rs:11:20 (matmul -> float32[4, 2])
//!   head     float32[2, 1]  receives a gradient, norm 5.601
//!   decoder  float32[2, 3]  no gradient: the function does not use it
//! ```
//!
//! The paths are those of [`Params::named`](crate::Params::named). [`Report::parameters`] has the same as values: a
//! [`Gradient`](crate::explain::Gradient) for each parameter. [`Report::require_all`] is an error if a gradient is missing, for a test of
//! a model. With the feature `serde` a report can be serialized.
//!
//! A gradient that *exists* may be zero too, for instance behind a `relu` whose input is negative. The report calls it received, with
//! norm 0. Nothing is cut then; look at the values.
//!
//! # Cut by a scope
//!
//! > no gradient: cut by no_grad at src/model.rs:42:5 (matmul -> float32\[32, 384\])
//!
//! The place is that of the scope, and the operation is the first one in it that used the parameter. Often a helper has the scope, and
//! is called in training as well as in evaluation. Let the caller decide, or record again inside with `enable_grad`:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Dtype, Result, cpu, explain, no_grad};
//!
//! fn encode<A: Array>(weight: &A, x: &A) -> Result<A> {
//!     x.matmul(weight)?.tanh() // No scope here.
//! }
//!
//! #[grad_runtime::attr::no_grad]
//! fn evaluate<A: Array>(weight: &A, x: &A) -> Result<A> {
//!     encode(weight, x)
//! }
//!
//! let weight = cpu::Array::ones(&[2, 2], Dtype::Float32)?;
//! let trained = explain::gradients(|w| encode(w, &weight)?.sum_all(), &weight)?;
//! assert!(trained.require_all().is_ok());
//! let evaluated = explain::gradients(|w| evaluate(w, &weight)?.sum_all(), &weight)?;
//! assert!(evaluated.require_all().is_err());
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! A scope around a *transform* does not change its gradients, but makes them constants: the report then names `grad` or
//! `value_and_grad` as the operation. A penalty of a gradient must be computed outside of scopes. To find a scope that is entered far
//! from the place that it affects, see [Which scopes are open](#which-scopes-are-open).
//!
//! # Cut by `stop_gradient` or `detach`
//!
//! > no gradient: cut by detach at src/train.rs:88:31
//!
//! Detach the side that must not be trained alone. A loss of detached images does not train the generator; detach them for the
//! discriminator's loss, and use the recorded ones for the generator's:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Detach, Dtype, cpu, explain};
//!
//! let model = (cpu::Array::ones(&[2, 2], Dtype::Float32)?, cpu::Array::ones(&[2, 1], Dtype::Float32)?);
//! let noise = cpu::Array::ones(&[3, 2], Dtype::Float32)?;
//! let report = explain::gradients(
//!     |(generator, discriminator): &(cpu::Array, cpu::Array)| {
//!         let fake = noise.matmul(generator)?;
//!         let for_discriminator = fake.clone().detached().matmul(discriminator)?.mean_all()?;
//!         let for_generator = fake.matmul(&discriminator.stop_gradient()?)?.mean_all()?;
//!         for_discriminator.subtract(&for_generator)
//!     },
//!     &model,
//! )?;
//! assert!(report.require_all().is_ok());
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # Cut by an operation without a gradient
//!
//! > no gradient: cut by argmax -> uint32\[32\] at src/model.rs:17:30: integers and bools have no gradient
//!
//! `argmax`, comparisons and `astype` to an integer or a bool return arrays without a gradient, and converting the result back to a
//! float restores none.
//!
//! | instead of | write |
//! | --- | --- |
//! | the class `argmax` as the input of a module | the probabilities of `softmax` |
//! | the count of wrong classes as a loss | the cross entropy |
//! | the mean of a mask `x > t` | `sigmoid` of `(x - t) / temperature`, or `relu` of `x - t` |
//! | rounded values | the straight-through estimator: `x + stop_gradient(round(x) - x)` |
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Dtype, Result, cpu, explain};
//!
//! fn rounded<A: Array>(x: &A) -> Result<A> {
//!     let whole = x.astype(Dtype::Int32)?.astype(Dtype::Float32)?;
//!     x.add(&whole.subtract(x)?.stop_gradient()?)
//! }
//!
//! let x = cpu::Array::from_slice(&[1.2_f32, 3.9], &[2])?;
//! let cut = explain::gradients(|x: &cpu::Array| x.greater(&x.mean_all()?)?.astype(Dtype::Float32)?.sum_all(), &x)?;
//! assert!(cut.to_string().contains("no gradient: cut by greater -> bool[2] at "));
//! let soft = explain::gradients(|x: &cpu::Array| x.subtract(&cpu::Array::scalar(2.0_f32)?)?.sigmoid()?.sum_all(), &x)?;
//! assert!(soft.require_all().is_ok());
//! let straight_through = explain::gradients(|x: &cpu::Array| rounded(x)?.sum_all(), &x)?;
//! assert!(straight_through.require_all().is_ok());
//! assert_eq!(rounded(&x)?.to_vec::<f32>()?, [1.0, 3.0]);
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # Elements that were read
//!
//! > no gradient: only its elements were read, at src/loss.rs:9:31; elements are constants
//!
//! [`item`](crate::Array::item), [`to_vec`](crate::Array::to_vec) and [`to_buffer`](crate::Array::to_buffer) return numbers, and an
//! array that is made of numbers depends on nothing. Compute with arrays up to the value, and read for logs alone:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, cpu, explain};
//!
//! let x = cpu::Array::from_slice(&[3.0_f32, 4.0], &[2])?;
//! let read = explain::gradients(
//!     |x: &cpu::Array| {
//!         let largest = x.to_vec::<f32>()?.into_iter().fold(0.0, f32::max);
//!         cpu::Array::scalar(largest)
//!     },
//!     &x,
//! )?;
//! assert!(read.to_string().contains("no gradient: only its elements were read, at "));
//! let computed = explain::gradients(|x: &cpu::Array| x.max(&[0], false), &x)?;
//! assert!(computed.require_all().is_ok());
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # Captured instead of passed
//!
//! > no gradient: captured by the function; only its argument is differentiated
//!
//! The function used the model from outside, which has the same values as its argument. Give the argument the name of the model, so
//! that the function cannot reach the other:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Dtype, cpu, explain};
//!
//! let model = cpu::Array::ones(&[2], Dtype::Float32)?;
//! let captured = explain::gradients(|_| model.square()?.sum_all(), &model)?;
//! assert!(captured.to_string().contains("no gradient: captured by the function"));
//! let passed = explain::gradients(|model: &cpu::Array| model.square()?.sum_all(), &model)?;
//! assert!(passed.require_all().is_ok());
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! A checkpointed or custom function of MLX that captures an array is reported as a cut, at the place of the capture: make the array
//! an input of the function.
//!
//! # Unused, or used for nothing
//!
//! > no gradient: the function does not use it
//!
//! > no gradient: the value does not depend on what was made of it (softmax -> float32\[32, 10\], at src/model.rs:51:9)
//!
//! The parameter has no part in the value. Either add the missing term to the loss, or keep the parameter out of the
//! [`Params`](crate::Params) that are differentiated. The second line names the last array that was made of it, which is where the way
//! to the loss ends.
//!
//! # Errors instead of zeros
//!
//! [`explain::strict`] makes it an error to differentiate a value that depends on no parameter at all. It keeps no record of
//! operations, so it can stay on in production. [`Report::require_all`] is stricter: it requires a gradient of every parameter.
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, cpu, explain, no_grad};
//!
//! let x = cpu::Array::scalar(2.0_f32)?;
//! let step = || cpu::Array::grad(|x| no_grad!(x[0].square()), &[x.clone()]);
//! assert_eq!(step()?[0].item::<f32>()?, 0.0);
//! let error = explain::strict(step).unwrap_err();
//! assert!(error.to_string().contains("the value depends on no primal"));
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # A program that is not changed
//!
//! `GRAD_EXPLAIN=1 cargo run` prints a report to standard error for each transform that leaves a parameter without a gradient.
//! [`explain::watch`] does the same for one thread, until its guard is dropped. A report that equals the one before is printed once.
//! Both make every transform slower, so use them to search for a mistake and not in production.
//!
//! # Whether an array is recorded
//!
//! [`is_traced`](crate::Array::is_traced) tells of one array whether a gradient, a `vmap` or a compilation that is running follows it.
//! Assert it half-way to find the place by halves:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, cpu, no_grad};
//!
//! let x = cpu::Array::scalar(2.0_f32)?;
//! cpu::Array::grad(
//!     |x| {
//!         let target = no_grad! { x[0].square()? };
//!         let product = x[0].multiply(&target)?;
//!         assert!(product.is_traced() && !target.is_traced());
//!         Ok::<_, grad_runtime::Error>(product)
//!     },
//!     &[x],
//! )?;
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # Which scopes are open
//!
//! [`explain::scopes`] returns the scopes that this thread is in, the innermost first, with the places where they were entered. Places
//! are noted while [`explain::watch_scopes`] or a [`Watch`](crate::explain::Watch) is alive, so that scopes cost nothing otherwise:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{explain, no_grad};
//!
//! fn helper() {
//!     for scope in explain::scopes() {
//!         println!("inside {scope}"); // inside no_grad at src/main.rs:10:1
//!     }
//! }
//!
//! let _watching = explain::watch_scopes();
//! no_grad! { helper() }
//! # }
//! ```
//!
//! # Why does memory grow?
//!
//! Arrays that are recorded for a gradient stay in memory until the gradient is computed. [`Report::undifferentiated`] lists the arrays that
//! were recorded and that the value does not depend on, by the line that made them, the largest first. They are the work of metrics,
//! logs and targets; `no_grad!` around them keeps their values and frees the record:
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{Array, Dtype, Result, cpu, explain, no_grad};
//!
//! fn accuracy<A: Array>(logits: &A) -> Result<f32> {
//!     logits.softmax(1)?.max(&[1], false)?.mean_all()?.item()
//! }
//!
//! let logits = cpu::Array::ones(&[64, 10], Dtype::Float32)?;
//! let recorded = explain::gradients(
//!     |logits: &cpu::Array| {
//!         accuracy(logits)?;
//!         logits.square()?.mean_all()
//!     },
//!     &logits,
//! )?;
//! let largest = &recorded.undifferentiated()[0];
//! assert_eq!((largest.op, largest.bytes), ("softmax", 64 * 10 * 4));
//! println!("{recorded}"); // … softmax at src/main.rs:5:12: 1 array, 2560 bytes …
//!
//! let in_scope = explain::gradients(
//!     |logits: &cpu::Array| {
//!         no_grad! { accuracy(logits)? };
//!         logits.square()?.mean_all()
//!     },
//!     &logits,
//! )?;
//! assert!(in_scope.undifferentiated().is_empty());
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! Outside of a transform this crate records nothing, so an evaluation loop holds no record, with or without a scope. `no_grad` on the
//! evaluation still helps where it is called from a transform, and in a libtorch that shares the process.
//!
#![cfg_attr(
    feature = "mlx",
    doc = "MLX is lazy, which is a cause of its own: an array that is updated in a loop and never evaluated keeps every update since the\n\
           start, in a scope too. See [Evaluate state that is updated in a loop](super::computing_with_mlx)."
)]
#![cfg_attr(
    not(feature = "mlx"),
    doc = "MLX is lazy, which is a cause of its own: an array that is updated in a loop and never evaluated keeps every update since the\n\
           start, in a scope too. The page `computing_with_mlx`, of the feature `mlx`, describes it."
)]
//!
//! [`explain::gradients`]: crate::explain::gradients
//! [`explain::strict`]: crate::explain::strict
//! [`explain::watch`]: crate::explain::watch()
//! [`explain::scopes`]: crate::explain::scopes
//! [`explain::watch_scopes`]: crate::explain::watch_scopes
//! [`Report::parameters`]: crate::explain::Report::parameters
//! [`Report::require_all`]: crate::explain::Report::require_all
//! [`Report::undifferentiated`]: crate::explain::Report::undifferentiated
