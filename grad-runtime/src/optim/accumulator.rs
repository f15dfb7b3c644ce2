//! Accumulation of gradients over several batches.

use crate::array::Array;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::no_grad;
use crate::params::{Params, Path};

use super::{error, widened};

/// A sum of gradients, for a step with the mean over several batches that do not fit in memory at once.
///
/// The sum of float16 and bfloat16 gradients is float32, and the mean has the dtype of the gradients.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::cpu;
/// use grad_runtime::optim::Accumulator;
///
/// let mut accumulator = Accumulator::new();
/// for gradient in [1.0_f32, 2.0, 6.0] {
///     accumulator.add(&vec![cpu::Array::scalar(gradient)?])?;
/// }
/// assert_eq!((accumulator.len(), accumulator.mean()?[0].item::<f32>()?), (3, 3.0));
/// accumulator.reset();
/// assert!(accumulator.is_empty());
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Accumulator<P> {
    sum: Option<P>,
    /// The dtypes of the gradients, in order.
    dtypes: Vec<Dtype>,
    len: u32,
}

impl<P> Accumulator<P> {
    /// Creates an empty sum.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::Accumulator;
    ///
    /// let error = Accumulator::<cpu::Array>::new().mean().unwrap_err();
    /// assert_eq!(error.to_string(), "cannot take the mean: nothing was added; call `add` first");
    /// # }
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { sum: None, dtypes: Vec::new(), len: 0 }
    }

    /// Adds the gradients of a batch. If it fails, nothing has changed.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::Accumulator;
    ///
    /// let mut accumulator = Accumulator::new();
    /// accumulator.add(&cpu::Array::scalar(1.0_f32)?)?;
    /// assert_eq!(accumulator.len(), 1);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if the gradients do not have the structure, the shapes and the dtypes of those that
    /// were added before.
    #[track_caller]
    pub fn add<A: Array>(&mut self, gradients: &P) -> Result<()>
    where
        P: Params<A>,
    {
        const OP: &str = "add";
        let mut dtypes = Vec::new();
        gradients.visit_arrays(&Path::root(), &mut |_, gradient| dtypes.push(gradient.dtype()));
        let sum = no_grad! {
            match &self.sum {
                None => gradients.try_map(|_, gradient| Ok(widened(gradient)?.detached())),
                Some(sum) => {
                    let mut expected = self.dtypes.iter();
                    sum.try_map_with([gradients], |path, sum: &A, [gradient]| {
                        if sum.shape() != gradient.shape() || expected.next() != Some(&gradient.dtype()) {
                            let reason = format!("`{path}` had another shape or dtype before; add gradients of one model");
                            return Err(crate::array::refused(OP, &[sum, gradient], reason));
                        }
                        if gradient.dtype().is_float() { sum.add(&widened(gradient)?) } else { Ok(sum.clone()) }
                    })
                }
            }
        };
        self.sum = Some(sum.map_err(|error: crate::Error| error.with_op(OP))?);
        self.dtypes = dtypes;
        self.len += 1;
        Ok(())
    }

    /// Returns the mean of the gradients that were added. Arrays that are not floating point are those of the first.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::Accumulator;
    ///
    /// let mut accumulator = Accumulator::new();
    /// accumulator.add(&cpu::Array::scalar(1.0_f32)?)?;
    /// accumulator.add(&cpu::Array::scalar(2.0_f32)?)?;
    /// assert_eq!(accumulator.mean()?.item::<f32>()?, 1.5);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if nothing was added.
    #[track_caller]
    pub fn mean<A: Array>(&self) -> Result<P>
    where
        P: Params<A>,
    {
        const OP: &str = "take the mean";
        let Some(sum) = &self.sum else {
            return Err(error(OP, "nothing was added; call `add` first".into()));
        };
        let mut dtypes = self.dtypes.iter();
        let mean = no_grad! {
            sum.try_map(|_, sum: &A| match dtypes.next() {
                Some(dtype) if dtype.is_float() => sum.multiply(1.0 / f64::from(self.len))?.astype(*dtype),
                _ => Ok(sum.clone()),
            })
        };
        mean.map_err(|error: crate::Error| error.with_op(OP))
    }

    /// Removes what was added.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::Accumulator;
    ///
    /// let mut accumulator = Accumulator::new();
    /// accumulator.add(&cpu::Array::scalar(1.0_f32)?)?;
    /// accumulator.reset();
    /// assert!(accumulator.is_empty());
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Returns how many times gradients were added.
    ///
    /// ```
    /// use grad_runtime::optim::Accumulator;
    ///
    /// assert_eq!(Accumulator::<()>::new().len(), 0);
    /// ```
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Returns whether nothing was added.
    ///
    /// ```
    /// use grad_runtime::optim::Accumulator;
    ///
    /// assert!(Accumulator::<()>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<P> Default for Accumulator<P> {
    fn default() -> Self {
        Self::new()
    }
}
