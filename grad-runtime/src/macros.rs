//! `no_grad!` and its siblings: blocks that run in a scope. They only forward to `grad-macros`, which looks inside.

/// Runs a block and records nothing inside, on every installed backend.
///
/// The block may do whatever a plain block may: `?`, `return`, `break` and `continue` leave the scope on their way
/// out. Temporaries of the last expression are dropped inside the scope. `.await` is an error, and so are `join!`,
/// `select!` and their like: annotate an `async fn` with [`#[no_grad]`](crate::attr::no_grad) instead. A macro of your own
/// may hide an `.await` from this one; clippy finds it, as [`GradGuard`](crate::GradGuard) says.
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
/// A backend's name in angle brackets comes first to switch that backend only:
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

/// Runs a block and records again inside, where a `no_grad` scope had switched recording off. In inference mode it
/// changes nothing.
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

/// Runs a block and records inside if the condition before it is true.
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

/// Runs a block in inference mode; with a condition before it, in inference mode or out of it.
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

/// Takes this thread's modes along with a closure of any arguments, or with an async block: they are in force each
/// time it is called or polled, on whichever thread that happens.
///
/// What the closure borrows it still borrows, it is called as often as before, and its arguments get their types from
/// the place where the macro stands. For a closure without arguments that runs once, there is the function
/// [`carry`](fn@crate::carry), which also drops in these modes what the closure holds.
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
///             assert_grad_mode(GradMode::NoGrad); // On every thread of rayon's.
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
