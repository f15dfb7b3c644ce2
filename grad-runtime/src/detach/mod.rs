//! `Detach`: cuts values off from the graph that computed them, for arrays of frameworks without a switch.

use std::borrow::Borrow;

#[cfg(feature = "cpu")]
mod candle;
mod std_impls;

/// A value that can be detached from the graph that computed it, so that no gradient flows back through it.
///
/// A scope switches backends. A framework without a switch (candle used directly, for example) records its operations inside a
/// scope too. For its arrays, `#[no_grad(detach)]` and `no_grad!(detach { … })` detach the value that leaves the scope, through
/// this trait. `#[derive(Detach)]` implements it for structs and enums: it detaches each field not marked `#[detach(skip)]`.
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
/// Inside such a scope the framework still records, and keeps the graph in memory until the result is detached. Where memory
/// matters, detach after each layer, or detach the weights that are arguments;
/// [Moving in](crate::guide::moving_in#from-candles-detach) has measurements.
///
/// # Implementations
///
/// - grad-runtime's arrays, which become constants to every transform, and `candle_core::Tensor` with the feature `cpu`;
/// - numbers, `bool`, `char`, strings, paths and `()`, which have no graph;
/// - tuples of up to twelve elements, arrays, slices, `Vec`, `VecDeque`, `Option`, `Box`, `&mut`, and `Result`, whose `Ok` value
///   is detached;
/// - `Rc`, `Arc` and `Cow` of a `Clone` type: a shared value is cloned, and the other owners keep the original;
/// - `HashMap` and `BTreeMap`, whose values are detached, not their keys.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be detached from the graph",
    label = "does not implement `grad_runtime::Detach`",
    note = "for a type of this crate, write `#[derive(Detach)]`",
    note = "for a result of another crate's type, name a function: `#[no_grad(detach = path::to::function)]`"
)]
pub trait Detach {
    /// Detaches this value from the graph.
    ///
    /// ```
    /// use grad_runtime::Detach;
    ///
    /// struct Tensor { value: f32, recorded: bool }
    ///
    /// impl Detach for Tensor {
    ///     fn detach_in_place(&mut self) {
    ///         self.recorded = false;
    ///     }
    /// }
    ///
    /// let mut tensors = [Some(Tensor { value: 1.0, recorded: true }), None];
    /// tensors.detach_in_place();
    /// assert!(tensors.iter().flatten().all(|tensor| tensor.value == 1.0 && !tensor.recorded));
    /// ```
    #[track_caller]
    fn detach_in_place(&mut self);

    /// Returns this value, detached from the graph.
    ///
    /// ```
    /// use grad_runtime::Detach;
    ///
    /// assert_eq!(vec![1.0, 2.0].detached(), [1.0, 2.0]); // Numbers have no graph.
    /// ```
    #[must_use]
    #[track_caller]
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

/// Returns a detached copy of an argument that is a reference.
pub fn detached_copy<T>(argument: &T) -> T::Owned
where
    T: ToOwned<Owned: Detach> + ?Sized,
{
    argument.to_owned().detached()
}

/// Returns a reference to the copy, of the same type as the argument.
pub fn borrowed_like<'a, T>(_argument: &T, copy: &'a T::Owned) -> &'a T
where
    T: ToOwned + ?Sized,
{
    copy.borrow()
}
