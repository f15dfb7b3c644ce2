//! `Detach`: values cut off from the graph that made them, for arrays whose framework has no switch.

use std::borrow::Borrow;

mod items;
#[cfg(feature = "cpu")]
mod of_candle;
mod of_std;

pub use items::{Detached, detached_future, detached_iterator, detached_stream};

/// A value that can be cut off from the graph that made it, so that no gradient flows back through it.
///
/// A scope switches backends. An array of a framework without a switch (candle used directly, for one) is recorded all
/// the same where one of its inputs is, scope or no scope; so what matters is what comes *out* of the scope.
/// `#[no_grad(detach)]` and `no_grad!(detach { … })` call this trait on it. `#[derive(Detach)]` implements it for structs
/// and enums, field by field, less those marked `#[detach(skip)]`.
///
/// ```
/// use grad_runtime::Detach;
/// use grad_runtime::attr::no_grad;
///
/// /// An array of a framework without a switch.
/// #[derive(Clone, Debug, PartialEq)]
/// struct Tensor { value: f32, recorded: bool }
///
/// impl Detach for Tensor {
///     fn detach_in_place(&mut self) {
///         self.recorded = false;
///     }
/// }
///
/// #[derive(Detach)]
/// struct Output {
///     hidden: Vec<Tensor>,
///     #[detach(skip)]
///     started: std::time::Instant,
/// }
///
/// #[no_grad(detach)]
/// fn forward(x: &Tensor) -> Result<Output, String> {
///     let hidden = vec![x.clone(), Tensor { value: 2.0 * x.value, recorded: x.recorded }];
///     Ok(Output { hidden, started: std::time::Instant::now() })
/// }
///
/// let output = forward(&Tensor { value: 1.0, recorded: true })?;
/// assert!(output.hidden.iter().all(|hidden| !hidden.recorded));
/// # Ok::<(), String>(())
/// ```
///
/// Within such a scope the framework records as ever, and holds what it recorded until the result is detached. So detach
/// layer by layer, or detach the weights on their way in, where memory counts;
/// [Moving in](crate::guide::moving_in#from-candles-detach) has figures.
///
/// # What is implemented
///
/// - this crate's arrays, which become constants to every transform, and with feature `cpu` `candle_core::Tensor`;
/// - numbers, `bool`, `char`, strings, paths and `()`, in which there is nothing to cut off;
/// - tuples of up to twelve, arrays, slices, `Vec`, `VecDeque`, `Option`, `Box`, `&mut`, and the `Ok` side of `Result`;
/// - `Rc`, `Arc` and `Cow` of what can be cloned: a value that is shared is cloned, and the others keep theirs;
/// - the values of `HashMap` and `BTreeMap`, not their keys.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how it is detached from the graph",
    label = "does not implement `grad_runtime::Detach`",
    note = "for a type of your own, write `#[derive(Detach)]`",
    note = "for a result of another crate's type, name a function: `#[no_grad(detach = path::to::function)]`"
)]
pub trait Detach {
    /// Cuts this value off.
    fn detach_in_place(&mut self);

    /// This value, cut off.
    ///
    /// ```
    /// use grad_runtime::Detach;
    ///
    /// assert_eq!(vec![1.0, 2.0].detached(), [1.0, 2.0]); // Numbers have no graph.
    /// ```
    #[must_use]
    fn detached(mut self) -> Self
    where
        Self: Sized,
    {
        self.detach_in_place();
        self
    }
}

/// Returns `detach(value)`.
#[inline]
pub fn detach_with<T>(value: T, detach: impl FnOnce(T) -> T) -> T {
    detach(value)
}

/// A copy of an argument that is a reference, detached.
pub fn detached_copy<T>(argument: &T) -> T::Owned
where
    T: ToOwned<Owned: Detach> + ?Sized,
{
    argument.to_owned().detached()
}

/// A reference to the copy, of the type that the argument has.
pub fn borrowed_like<'a, T>(_argument: &T, copy: &'a T::Owned) -> &'a T
where
    T: ToOwned + ?Sized,
{
    copy.borrow()
}
