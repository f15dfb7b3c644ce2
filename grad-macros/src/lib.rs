//! The procedural macros of [`grad-runtime`](https://docs.rs/grad-runtime): the attributes `#[no_grad]`,
//! `#[enable_grad]`, `#[set_grad_enabled(…)]` and `#[inference_mode]`, the parser behind the block macros of the same
//! names, and the derives `Detach` and `Params`.
//!
//! Depend on `grad-runtime` instead, which re-exports the attributes as `grad_runtime::attr`: the generated code calls it.
//! The page of [`#[no_grad]`](macro@no_grad) documents what the attributes apply to and their arguments.

// An expansion has three stages, each in its own module; none imports a later one:
//
// - parse: reads the user's tokens into data;
// - validate: checks the data, and writes the error messages;
// - expand: generates the code.
//
// The derives are in one module, and their error messages are with the others.

mod derive;
mod expand;
mod parse;
mod scope;
mod span;
mod tokens;
mod types;
mod validate;

use proc_macro::TokenStream;

use crate::scope::ScopeKind;

/// Runs a function with gradient recording disabled, like `@torch.no_grad()`.
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
/// Import it with `use grad_runtime::attr::no_grad;` or with the prelude, in each module that uses it, or write
/// `#[grad_runtime::attr::no_grad]`. Where rustc "cannot find attribute `no_grad` in this scope", see
/// [Imports](https://docs.rs/grad-runtime/latest/grad_runtime/#imports).
///
/// The attribute applies to any function with a body that is not `const`: free, associated and nested functions,
/// methods of an `impl` block, default methods of a trait; also if they are generic, `unsafe`, `extern` or `async`.
///
/// # Async functions
///
/// The scope of an `async fn` is entered at each poll, and while its state is dropped. Between two polls, the mode is the
/// caller's.
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
/// # Deferred results
///
/// A future, iterator, stream or closure that a function returns runs later. It enters the scope again each time it is
/// polled, advanced or called, and while it is dropped.
///
/// ```
/// use grad_runtime::{attr::no_grad, is_grad_enabled};
///
/// #[no_grad]
/// fn batches(values: &[f32]) -> impl Iterator<Item = (bool, f32)> {
///     values.chunks(2).map(|batch| (is_grad_enabled(), batch.iter().sum()))
/// }
///
/// assert!(batches(&[1.0, 2.0, 3.0]).eq([(false, 3.0), (false, 3.0)]));
/// ```
///
/// Deferred results are recognized by the return type as it is written: `impl Trait` or a boxed trait object, also in
/// `Option`, in tuples, on the `Ok` side of `Result`, and as outputs and items of each other. The guide
/// [What a scope covers](https://docs.rs/grad-runtime/latest/grad_runtime/guide/what_a_scope_covers/) lists the types.
///
/// # Impl blocks and traits
///
/// On an `impl` block or a trait, the attribute applies to each method that has a body, is not `const`, and has no scope
/// attribute of its own.
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
/// # Arguments
///
/// Arguments are separated by commas: `#[no_grad(backend = Mlx, detach)]`. The other scope attributes take them too.
///
/// ## `backend = path`
///
/// Switches one backend instead of every installed one. The path is that of a unit struct or a static whose type
/// implements `grad_runtime::Backend`. To switch two backends, write the attribute twice.
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
///
/// ## `crate = path`
///
/// Sets the path of `grad_runtime`, for a dependency that is renamed in Cargo.toml or re-exported by another crate.
///
/// ```
/// extern crate grad_runtime as autograd; // In Cargo.toml: autograd = { package = "grad-runtime", … }
///
/// #[autograd::attr::no_grad(crate = autograd)]
/// fn evaluate() -> bool {
///     autograd::is_grad_enabled()
/// }
///
/// assert!(!evaluate());
/// ```
///
/// ## `detach`
///
/// Detaches the result from the graph by the trait `grad_runtime::Detach`. It is for arrays of a framework without a grad
/// mode, such as candle used directly: they are recorded in a scope too. Of a deferred result, each output or item is
/// detached; of a `Result`, the `Ok` side.
///
/// ```
/// use grad_runtime::{Detach, attr::no_grad};
///
/// struct Tensor {
///     requires_grad: bool,
/// }
///
/// impl Detach for Tensor {
///     fn detach_in_place(&mut self) {
///         self.requires_grad = false;
///     }
/// }
///
/// #[no_grad(detach)]
/// fn forward() -> Result<Vec<Tensor>, String> {
///     Ok(vec![Tensor { requires_grad: true }])
/// }
///
/// assert!(!forward().unwrap()[0].requires_grad);
/// ```
///
/// ## `detach = path`
///
/// Detaches the result by a function instead, for types of other crates. The function takes and returns the result's
/// type, or that of its outputs or items if it is deferred.
///
/// ```
/// # struct Tensor {
/// #     requires_grad: bool,
/// # }
/// use grad_runtime::attr::no_grad;
///
/// impl Tensor {
///     fn detach(self) -> Self {
///         Self { requires_grad: false, ..self }
///     }
/// }
///
/// #[no_grad(detach = Tensor::detach)]
/// fn layers() -> impl Iterator<Item = Tensor> {
///     (0..3).map(|_| Tensor { requires_grad: true })
/// }
///
/// assert!(layers().all(|tensor| !tensor.requires_grad));
/// ```
///
/// ## `detach(args)` and `detach(x, y)`
///
/// Detaches the arguments of the function, all or by name, before the body uses them. An argument passed by value is
/// detached; a `&` reference is replaced by one to a detached copy; `self` and arguments behind `&mut` stay as they are.
/// It goes together with `detach` for the result.
///
/// ```
/// # use grad_runtime::Detach;
/// #
/// # #[derive(Clone)]
/// # struct Tensor {
/// #     requires_grad: bool,
/// # }
/// #
/// # impl Detach for Tensor {
/// #     fn detach_in_place(&mut self) {
/// #         self.requires_grad = false;
/// #     }
/// # }
/// use grad_runtime::attr::no_grad;
///
/// #[no_grad(detach(args))]
/// fn forward(x: &Tensor, weight: Tensor) -> [bool; 2] {
///     [x.requires_grad, weight.requires_grad]
/// }
///
/// #[no_grad(detach(weight))]
/// fn forward_input(x: &Tensor, weight: Tensor) -> [bool; 2] {
///     [x.requires_grad, weight.requires_grad]
/// }
///
/// let x = Tensor { requires_grad: true };
/// assert_eq!(forward(&x, x.clone()), [false, false]);
/// assert_eq!(forward_input(&x, x.clone()), [true, false]);
/// assert!(x.requires_grad);
/// ```
///
/// ## `eager`
///
/// Ends the scope when the function returns, for deferred results too: only their creation is in the scope.
///
/// ```
/// use grad_runtime::{attr::no_grad, is_grad_enabled};
///
/// #[no_grad(eager)]
/// fn modes() -> impl Iterator<Item = bool> {
///     let during_creation = is_grad_enabled();
///     (0..1).flat_map(move |_| [during_creation, is_grad_enabled()])
/// }
///
/// assert!(modes().eq([false, true]));
/// ```
///
/// ## `skip`
///
/// Leaves a method out of the attribute on its `impl` block or trait. It stands alone.
///
/// ```
/// use grad_runtime::{attr::no_grad, is_grad_enabled};
///
/// struct Critic;
///
/// #[no_grad]
/// impl Critic {
///     fn target(&self) -> bool {
///         is_grad_enabled()
///     }
///
///     #[no_grad(skip)]
///     fn loss(&self) -> bool {
///         is_grad_enabled()
///     }
/// }
///
/// assert_eq!((Critic.target(), Critic.loss()), (false, true));
/// ```
///
/// # What is dropped inside the scope
///
/// The scope ends after the body's local variables and the temporaries of its last expression are dropped, in every
/// edition. Arguments belong to the call and are dropped after the scope. An `async fn` and a returned closure drop the
/// arguments that they capture inside the scope.
///
/// ```
/// use std::cell::RefCell;
///
/// use grad_runtime::{attr::no_grad, is_grad_enabled};
///
/// thread_local!(static DROPS: RefCell<Vec<(&'static str, bool)>> = const { RefCell::new(Vec::new()) });
///
/// struct Buffer(&'static str);
///
/// impl Buffer {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
/// }
///
/// impl Drop for Buffer {
///     fn drop(&mut self) {
///         DROPS.with_borrow_mut(|drops| drops.push((self.0, is_grad_enabled())));
///     }
/// }
///
/// #[no_grad]
/// fn step(_argument: Buffer) -> usize {
///     let _local = Buffer("local");
///     Buffer("temporary").len()
/// }
///
/// step(Buffer("argument"));
/// assert_eq!(DROPS.take(), [("temporary", false), ("local", false), ("argument", true)]);
///
/// #[no_grad]
/// async fn asynchronous_step(argument: Buffer) -> usize {
///     argument.len()
/// }
///
/// futures::executor::block_on(asynchronous_step(Buffer("argument")));
/// assert_eq!(DROPS.take(), [("argument", false)]);
/// ```
#[proc_macro_attribute]
pub fn no_grad(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::attribute::expand(ScopeKind::NoGrad, arguments.into(), item.into()).into()
}

/// Runs a function with gradient recording enabled again inside a `no_grad` scope, like `@torch.enable_grad()`.
///
/// In inference mode it has no effect.
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
///
/// It applies to the same items as [`#[no_grad]`](macro@no_grad), and takes
/// [the same arguments](macro@no_grad#arguments).
#[proc_macro_attribute]
pub fn enable_grad(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::attribute::expand(ScopeKind::EnableGrad, arguments.into(), item.into()).into()
}

/// Runs a function with gradient recording enabled if a condition is true, and disabled otherwise, like
/// `torch.set_grad_enabled`.
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
///
/// # The condition
///
/// The condition is an expression of type `bool`, and may use `self` and the function's arguments. It is evaluated once
/// for each call, before the scope is entered; in an `async fn`, at the first poll. A true condition lifts a `no_grad`
/// scope, as `#[enable_grad]` does; in inference mode it has no effect.
///
/// The condition comes first, followed by [the arguments of `#[no_grad]`](macro@no_grad#arguments):
///
/// ```
/// use grad_runtime::prelude::*;
///
/// #[set_grad_enabled(training, backend = Mlx)]
/// fn on_mlx(training: bool) -> (GradMode, GradMode) {
///     (Mlx.grad_mode(), Cpu.grad_mode())
/// }
///
/// assert_eq!(on_mlx(false), (GradMode::NoGrad, GradMode::Enabled));
/// ```
///
/// It applies to the same items as [`#[no_grad]`](macro@no_grad).
#[proc_macro_attribute]
pub fn set_grad_enabled(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::attribute::expand(ScopeKind::SetGradEnabled, arguments.into(), item.into()).into()
}

/// Runs a function in inference mode, like `@torch.inference_mode()`.
///
/// Inference mode disables recording; `#[enable_grad]` cannot lift it, `#[inference_mode(false)]` can.
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
///
/// # The condition
///
/// A condition may choose whether the function runs in inference mode or out of it. It is an expression of type `bool`,
/// as for [`#[set_grad_enabled]`](macro@set_grad_enabled#the-condition), and comes first:
///
/// ```
/// use grad_runtime::{GradMode, attr::inference_mode, grad_mode};
///
/// #[inference_mode(!training, eager)]
/// fn forward(training: bool) -> GradMode {
///     grad_mode()
/// }
///
/// assert_eq!((forward(true), forward(false)), (GradMode::Enabled, GradMode::Inference));
/// ```
///
/// It applies to the same items as [`#[no_grad]`](macro@no_grad), and takes
/// [the same arguments](macro@no_grad#arguments).
#[proc_macro_attribute]
pub fn inference_mode(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::attribute::expand(ScopeKind::InferenceMode, arguments.into(), item.into()).into()
}

/// Derives `grad_runtime::Detach` for a struct or an enum: detaches each field that is not marked `#[detach(skip)]`.
///
/// Type parameters must implement `Detach` too.
///
/// ```
/// use grad_runtime::Detach;
///
/// struct Tensor {
///     requires_grad: bool,
/// }
///
/// impl Detach for Tensor {
///     fn detach_in_place(&mut self) {
///         self.requires_grad = false;
///     }
/// }
///
/// #[derive(Detach)]
/// struct Output<A> {
///     hidden: Vec<A>,
///     #[detach(skip)]
///     weight: Tensor,
/// }
///
/// let tensor = || Tensor { requires_grad: true };
/// let output = Output { hidden: vec![tensor()], weight: tensor() }.detached();
/// assert!(!output.hidden[0].requires_grad && output.weight.requires_grad);
/// ```
///
/// `#[detach(crate = path)]` on the type sets the path of `grad_runtime`.
#[proc_macro_derive(Detach, attributes(detach))]
pub fn derive_detach(input: TokenStream) -> TokenStream {
    derive::DETACH.expand(input.into()).into()
}

/// Derives `grad_runtime::Params` for a struct or an enum: visits each field that is not marked `#[params(skip)]`.
/// Skipped fields are cloned.
///
/// The arrays are of the type parameter that is bounded by `Array`. Without such a parameter they are those of the fields:
/// the type implements `Params<A>` for each array type `A` for which every field does.
///
/// ```
/// use grad_runtime::{Array, Params, cpu, params};
///
/// #[derive(Params)]
/// struct Scale<A: Array> {
///     factor: A,
///     #[params(skip)]
///     name: &'static str,
/// }
///
/// let model = Scale { factor: cpu::Array::scalar(3.0_f32)?, name: "scale" };
/// let loss = |model: &Scale<cpu::Array>| model.factor.square()?.mean_all();
/// let (_loss, gradients) = params::value_and_grad(loss, &model)?;
/// assert_eq!((gradients.factor.item::<f32>()?, gradients.name), (6.0, "scale"));
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// A field marked `#[params(frozen)]` or `#[params(buffer)]` is visited and has no gradient. The three exclude each other.
///
/// `#[params(crate = path)]` on the type sets the path of `grad_runtime`. The page of the trait has more examples.
#[proc_macro_derive(Params, attributes(params))]
pub fn derive_params(input: TokenStream) -> TokenStream {
    derive::PARAMS.expand(input.into()).into()
}

/// Makes the boxes of a trait structures of arrays: `Box<dyn Layer<A>>` implements `Params<A>`, so a model can hold layers of
/// different types in a `Vec`.
///
/// The trait has a parameter that is bounded by `Array`. The types that implement it implement `Params` too, and borrow nothing. The
/// attribute is `grad_runtime::params::object`.
///
/// ```
/// use grad_runtime::{Array, Params, Result, cpu, params};
///
/// #[params::object]
/// trait Layer<A: Array> {
///     fn forward(&self, x: &A) -> Result<A>;
/// }
///
/// #[derive(Params)]
/// struct Scale<A: Array> {
///     factor: A,
/// }
///
/// impl<A: Array> Layer<A> for Scale<A> {
///     fn forward(&self, x: &A) -> Result<A> {
///         x.multiply(&self.factor)
///     }
/// }
///
/// #[derive(Params)]
/// struct Relu;
///
/// impl<A: Array> Layer<A> for Relu {
///     fn forward(&self, x: &A) -> Result<A> {
///         x.relu()
///     }
/// }
///
/// let scale = Scale { factor: cpu::Array::scalar(3.0_f32)? };
/// let layers: Vec<Box<dyn Layer<cpu::Array>>> = vec![Box::new(scale), Box::new(Relu)];
/// let x = cpu::Array::scalar(2.0_f32)?;
/// let loss = |layers: &Vec<Box<dyn Layer<cpu::Array>>>| layers.iter().try_fold(x.clone(), |x, layer| layer.forward(&x));
/// let gradients = params::grad(loss, &layers)?;
/// assert_eq!(gradients.named()["0.factor"].item::<f32>()?, 2.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// `#[params::object(crate = path)]` sets the path of `grad_runtime`.
#[proc_macro_attribute]
pub fn params_object(arguments: TokenStream, item: TokenStream) -> TokenStream {
    derive::object::expand(&arguments.into(), item.into()).into()
}

/// Expands `no_grad!` and its siblings, which call it as `block! { [$crate no_grad] … }`.
#[doc(hidden)]
#[proc_macro]
pub fn block(input: TokenStream) -> TokenStream {
    expand::block::expand(input.into()).into()
}

/// Expands `carry!`, which calls it as `carry! { [$crate] … }`.
#[doc(hidden)]
#[proc_macro]
pub fn carry(input: TokenStream) -> TokenStream {
    expand::carry::expand(input.into()).into()
}

/// Runs `tests/macros/editions.rs`, which the tests run in edition 2024, in edition 2021.
#[cfg(doctest)]
#[doc = concat!("```edition2021\n", include_str!("../../tests/macros/editions.rs"), "\nfn main() { check() }\n```")]
mod edition_2021 {}

/// Runs the example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
