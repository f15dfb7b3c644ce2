//! The block macros: `no_grad!` and its siblings, and `carry!`. They forward to `grad-macros`, which parses their input.

/// Runs a block with recording disabled, on every installed backend.
///
/// Import it by name, `use grad_runtime::no_grad;`, which also imports the guard function of that name. Without the import, rustc
/// "cannot find macro `no_grad` in this scope"; the [crate's page](crate#imports) explains such errors.
///
/// The block is an ordinary block: `?`, `return`, `break` and `continue` work, and leave the scope on their way out.
/// Temporaries of the last expression are dropped inside the scope. `.await` is an error, and so are macros that hide one, such
/// as `join!` and `select!`: annotate an `async fn` with [`#[no_grad]`](crate::attr::no_grad) instead. A macro that this one
/// does not know may hide an `.await`; clippy finds it if it is configured as [`GradGuard`](crate::GradGuard) says.
///
/// ```
/// use grad_runtime::{is_grad_enabled, no_grad};
///
/// fn half(text: &str) -> Result<i32, std::num::ParseIntError> {
///     let number: i32 = no_grad! {
///         assert!(!is_grad_enabled());
///         text.parse()?
///     };
///     assert!(is_grad_enabled());
///     Ok(number / 2)
/// }
/// assert_eq!(half("42"), Ok(21));
/// assert!(half("x").is_err());
/// assert!(is_grad_enabled());
/// ```
///
/// To switch one backend only, name it first, in angle brackets:
///
/// ```
/// use grad_runtime::{Backend, Cpu, Mlx, no_grad};
///
/// no_grad! { <Mlx>
///     assert!(!Mlx.grad_mode().is_enabled());
///     assert!(Cpu.grad_mode().is_enabled());
/// }
/// ```
#[macro_export]
macro_rules! no_grad {
    ($($body:tt)*) => { $crate::__private::block! { [$crate no_grad] $($body)* } };
}

/// Runs a block with recording re-enabled inside a `no_grad` scope. In inference mode it changes nothing.
///
/// Forms and behavior are those of [`no_grad!`].
///
/// ```
/// use grad_runtime::{enable_grad, is_grad_enabled, no_grad};
///
/// no_grad! {
///     assert!(enable_grad!(is_grad_enabled()));
///     assert!(!is_grad_enabled());
/// }
/// ```
#[macro_export]
macro_rules! enable_grad {
    ($($body:tt)*) => { $crate::__private::block! { [$crate enable_grad] $($body)* } };
}

/// Runs a block with recording enabled if the condition before it is true, and disabled otherwise.
///
/// Forms and behavior are those of [`no_grad!`].
///
/// ```
/// use grad_runtime::{is_grad_enabled, set_grad_enabled};
///
/// for training in [true, false] {
///     assert_eq!(set_grad_enabled!(training, { is_grad_enabled() }), training);
/// }
/// ```
#[macro_export]
macro_rules! set_grad_enabled {
    ($($body:tt)*) => { $crate::__private::block! { [$crate set_grad_enabled] $($body)* } };
}

/// Runs a block in inference mode; with `false` before it, outside of inference mode and `no_grad`.
///
/// Forms and behavior are those of [`no_grad!`].
///
/// ```
/// use grad_runtime::{GradMode, grad_mode, inference_mode};
///
/// inference_mode! {
///     assert_eq!(grad_mode(), GradMode::Inference);
///     assert_eq!(inference_mode!(false, { grad_mode() }), GradMode::Enabled);
/// }
/// ```
#[macro_export]
macro_rules! inference_mode {
    ($($body:tt)*) => { $crate::__private::block! { [$crate inference_mode] $($body)* } };
}

/// Carries this thread's modes with a closure of any arguments, or with an async block: they are in force each time it is called
/// or polled, on any thread.
///
/// The closure keeps its captures, its kind (`Fn`, `FnMut` or `FnOnce`) and the types of its arguments. For a closure without
/// arguments that runs once, the function [`carry`](fn@crate::carry) also drops the captures in these modes.
///
/// ```
/// use grad_runtime::{GradMode, assert_grad_mode, carry, no_grad};
/// use rayon::prelude::*;
///
/// let weights = [0.5, 2.0];
/// let scaled: Vec<f64> = no_grad! {
///     let scale = 10.0;
///     weights
///         .par_iter()
///         .map(carry!(|weight| {
///             assert_grad_mode(GradMode::NoGrad); // on every thread of rayon's pool
///             weight * scale
///         }))
///         .collect()
/// };
/// assert_eq!(scaled, [5.0, 20.0]);
/// ```
#[macro_export]
macro_rules! carry {
    ($($work:tt)*) => { $crate::__private::carry! { [$crate] $($work)* } };
}
