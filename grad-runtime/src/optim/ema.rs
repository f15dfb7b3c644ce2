//! Exponential moving averages of models.

use std::hash::Hasher;

use crate::array::Array;
use crate::error::Result;
use crate::no_grad;
use crate::params::{Params, Path, Replace, Role, Visit};

use super::{check_decay, lerp};

/// An exponential moving average of a model: a target network, a teacher, or the weights to evaluate with.
///
/// Each [`update`](Self::update) replaces every floating point array by `decay × average + (1 - decay) × array`, also those that
/// are not trained, such as running means, and copies every other array. It is computed in float32 and keeps the dtype. With
/// float16 or bfloat16 and a `decay` near 1, the change is lost in rounding: average float32 arrays.
///
/// It implements [`Params`] with the names of the model, and none of its arrays is trainable.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::cpu;
/// use grad_runtime::optim::Ema;
///
/// let mut target = Ema::new(&vec![cpu::Array::scalar(0.0_f32)?], 0.75)?;
/// let online = vec![cpu::Array::scalar(1.0_f32)?];
/// target.update(&online)?;
/// target.update(&online)?;
/// assert_eq!(target.model()[0].item::<f32>()?, 0.4375);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ema<P> {
    decay: f64,
    model: P,
}

impl<P> Ema<P> {
    /// Creates an average that starts as a copy of `model`.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::Ema;
    ///
    /// let model = cpu::Array::scalar(1.0_f32)?;
    /// assert_eq!(Ema::new(&model, 0.999)?.model().item::<f32>()?, 1.0);
    /// let error = Ema::new(&model, 1.5).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot create Ema: `decay` is 1.5; it must be at least 0 and less than 1");
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if `decay` is not at least 0 and less than 1.
    #[track_caller]
    pub fn new<A: Array>(model: &P, decay: f64) -> Result<Self>
    where
        P: Params<A>,
    {
        check_decay("create Ema", "decay", decay)?;
        let model = no_grad!(model.try_map(|_, array| Ok::<_, crate::Error>(array.clone().detached()))?);
        Ok(Self { decay, model })
    }

    /// Moves the average towards `model`. If it fails, nothing has changed.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::Ema;
    ///
    /// // An integer array is copied.
    /// let mut average = Ema::new(&(cpu::Array::scalar(0.0_f32)?, cpu::Array::scalar(0_i32)?), 0.5)?;
    /// average.update(&(cpu::Array::scalar(1.0_f32)?, cpu::Array::scalar(10_i32)?))?;
    /// let (mean, count) = average.model();
    /// assert_eq!((mean.item::<f32>()?, count.item::<i32>()?), (0.5, 10));
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if `model` does not have the structure, the shapes and the dtypes of the average,
    /// or if the decay is out of its range.
    #[track_caller]
    pub fn update<A: Array>(&mut self, model: &P) -> Result<()>
    where
        P: Params<A>,
    {
        const OP: &str = "update";
        check_decay(OP, "decay", self.decay)?;
        let next = no_grad! {
            self.model.try_map_with([model], |path, average: &A, [array]| {
                if (average.shape(), average.dtype()) != (array.shape(), array.dtype()) {
                    let reason = format!("`{path}` must have the same shape and dtype in both; pass the model that is averaged");
                    return Err(crate::array::refused(OP, &[average, array], reason));
                }
                if array.dtype().is_float() { lerp(average, array, 1.0 - self.decay) } else { Ok(array.clone().detached()) }
            })
        };
        self.model = next.map_err(|error: crate::Error| error.with_op(OP))?;
        Ok(())
    }

    /// Returns the average.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::Ema;
    ///
    /// assert_eq!(Ema::new(&cpu::Array::scalar(1.0_f32)?, 0.9)?.model().item::<f32>()?, 1.0);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub const fn model(&self) -> &P {
        &self.model
    }

    /// Changes the decay of the updates from now on.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::Ema;
    ///
    /// let mut average = Ema::new(&cpu::Array::scalar(0.0_f32)?, 0.9)?;
    /// average.set_decay(0.5);
    /// average.update(&cpu::Array::scalar(1.0_f32)?)?;
    /// assert_eq!(average.model().item::<f32>()?, 0.5);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub const fn set_decay(&mut self, decay: f64) {
        self.decay = decay;
    }
}

impl<A: Array, P: Params<A>> Params<A> for Ema<P> {
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        self.model.visit_arrays(&path.with_role(Role::Buffer), visit);
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        Ok(Self { decay: self.decay, model: self.model.replace_arrays(&path.with_role(Role::Buffer), replace)? })
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        hasher.write_u64(self.decay.to_bits());
        self.model.hash_values(hasher);
    }
}
