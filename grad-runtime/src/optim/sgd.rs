//! Stochastic gradient descent.

use std::hash::Hasher;

use crate::array::Array;
use crate::error::Result;
use crate::no_grad;
use crate::params::{Params, Path, Replace, Role, Visit};

use super::update::{Slots, update, zeros};
use super::{check_option, error};

/// The options of [`Sgd`]. The default is that of PyTorch: a learning rate of 0.001, and everything else off.
///
/// ```
/// use grad_runtime::optim::SgdOptions;
///
/// let options = SgdOptions { lr: 0.1, momentum: 0.9, nesterov: true, ..SgdOptions::default() };
/// assert_eq!((options.dampening, options.weight_decay), (0.0, 0.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdOptions {
    /// The learning rate.
    pub lr: f64,
    /// The factor of the moving sum of gradients; with 0, there is no such sum and no state.
    pub momentum: f64,
    /// How much less than whole a gradient is added to that sum, after the first step.
    pub dampening: f64,
    /// The factor of the penalty `weight_decay / 2 × parameter²`, whose gradient is added.
    pub weight_decay: f64,
    /// Whether to take the gradient at the place to which the momentum leads. It needs a momentum, and a dampening of 0.
    pub nesterov: bool,
}

impl Default for SgdOptions {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

/// Stochastic gradient descent, with momentum, as `torch.optim.SGD`.
///
/// It implements [`Params`]: its state is the number of steps, `step`, and with momentum a `momentum_buffer` for each trainable
/// array, such as `momentum_buffer.layers.0.weight`.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::optim::{Sgd, SgdOptions};
/// use grad_runtime::{cpu, params};
///
/// let mut x = cpu::Array::scalar(1.0_f32)?;
/// let mut optimizer = Sgd::new(&x, SgdOptions { lr: 0.25, ..SgdOptions::default() })?;
/// for _ in 0..3 {
///     let gradient = params::grad(|x: &cpu::Array| x.square(), &x)?; // 2x
///     optimizer.step(&mut x, &gradient)?;
/// }
/// assert_eq!(x.item::<f32>()?, 0.125);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sgd<A> {
    options: SgdOptions,
    step: A,
    momentum_buffer: Slots<A>,
}

impl<A: Array> Sgd<A> {
    /// Creates an optimizer for the trainable arrays of `model`.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::optim::{Sgd, SgdOptions};
    /// use grad_runtime::{Params, cpu};
    ///
    /// let model = vec![cpu::Array::scalar(1.0_f32)?];
    /// let optimizer = Sgd::new(&model, SgdOptions { momentum: 0.9, ..SgdOptions::default() })?;
    /// assert!(optimizer.named().into_keys().eq(["momentum_buffer.0", "step"]));
    ///
    /// let options = SgdOptions { nesterov: true, ..SgdOptions::default() };
    /// let error = Sgd::new(&model, options).unwrap_err();
    /// assert!(error.to_string().starts_with("cannot create Sgd: `nesterov` is set, and `momentum` is 0"));
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if an option is out of its range, a trainable array is not floating point, or two
    /// of them have the same name.
    #[track_caller]
    pub fn new<P: Params<A>>(model: &P, options: SgdOptions) -> Result<Self> {
        const OP: &str = "create Sgd";
        let SgdOptions { lr, momentum, dampening, weight_decay, nesterov } = options;
        check_option(OP, "lr", lr)?;
        check_option(OP, "momentum", momentum)?;
        check_option(OP, "dampening", dampening)?;
        check_option(OP, "weight_decay", weight_decay)?;
        if nesterov && (momentum == 0.0 || dampening != 0.0) {
            let reason = format!(
                "`nesterov` is set, and `momentum` is {momentum} and `dampening` {dampening}; it needs a momentum, and no dampening"
            );
            return Err(error(OP, reason));
        }
        no_grad! {
            let slots = zeros(OP, model)?;
            let momentum_buffer = if momentum == 0.0 { Slots::new() } else { slots };
            Ok(Self { options, step: A::scalar(0_i64)?, momentum_buffer })
        }
    }

    /// Returns the learning rate.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{Sgd, SgdOptions};
    ///
    /// assert_eq!(Sgd::new(&cpu::Array::scalar(1.0_f32)?, SgdOptions::default())?.lr(), 1e-3);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub const fn lr(&self) -> f64 {
        self.options.lr
    }

    /// Changes the learning rate of the steps from now on.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{Sgd, SgdOptions};
    ///
    /// let mut optimizer = Sgd::new(&cpu::Array::scalar(1.0_f32)?, SgdOptions::default())?;
    /// optimizer.set_lr(optimizer.lr() / 10.0);
    /// assert_eq!(optimizer.lr(), 1e-4);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub const fn set_lr(&mut self, lr: f64) {
        self.options.lr = lr;
    }

    /// Returns the number of steps, also of those before the state was saved.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{Sgd, SgdOptions};
    ///
    /// let mut x = cpu::Array::scalar(1.0_f32)?;
    /// let mut optimizer = Sgd::new(&x, SgdOptions::default())?;
    /// optimizer.step(&mut x, &cpu::Array::scalar(0.5_f32)?)?;
    /// assert_eq!(optimizer.step_count()?, 1);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) while a compilation traces the step.
    pub fn step_count(&self) -> Result<u64> {
        super::step_count(&self.step)
    }

    /// Replaces the trainable arrays of `model`, given their gradients. If it fails, nothing has changed.
    ///
    /// The other arrays stay, whatever their gradients. See [the module](super) for scopes, half precision and evaluation on MLX.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{Sgd, SgdOptions};
    ///
    /// let mut model = (cpu::Array::scalar(1.0_f32)?, vec![cpu::Array::scalar(2.0_f32)?]);
    /// let gradients = (cpu::Array::scalar(0.5_f32)?, vec![cpu::Array::scalar(-1.0_f32)?]);
    /// let mut optimizer = Sgd::new(&model, SgdOptions { lr: 1.0, ..SgdOptions::default() })?;
    /// optimizer.step(&mut model, &gradients)?;
    /// assert_eq!((model.0.item::<f32>()?, model.1[0].item::<f32>()?), (0.5, 3.0));
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if the gradients do not have the structure, the shapes and the dtypes of the model,
    /// if the optimizer was made from another model, or if the learning rate is negative or not finite.
    #[track_caller]
    pub fn step<P: Params<A>>(&mut self, model: &mut P, gradients: &P) -> Result<()> {
        const OP: &str = "step";
        let SgdOptions { lr, momentum, dampening, weight_decay, nesterov } = self.options;
        check_option(OP, "lr", lr)?;
        no_grad! {
            // The first gradient is added whole.
            let weight = self.step.equal(0)?.where_cond(1.0, 1.0 - dampening)?;
            let mut momentum_buffer = self.momentum_buffer.clone();
            let updated = update(OP, model, gradients, |trained| {
                let mut direction = trained.gradient.clone();
                if weight_decay != 0.0 {
                    direction = direction.add(trained.value.multiply(weight_decay)?)?;
                }
                if momentum != 0.0 {
                    let buffer = trained.state(&momentum_buffer)?.multiply(momentum)?.add(direction.multiply(&weight)?)?;
                    trained.set_state(&mut momentum_buffer, &buffer)?;
                    direction = if nesterov { direction.add(buffer.multiply(momentum)?)? } else { buffer };
                }
                trained.value.subtract(direction.multiply(lr)?)
            })?;
            self.step = self.step.add(1)?;
            self.momentum_buffer = momentum_buffer;
            *model = updated;
        }
        Ok(())
    }
}

impl<A: Array> Params<A> for Sgd<A> {
    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        let path = path.with_role(Role::Buffer);
        self.momentum_buffer.visit_arrays(&path.then(&"momentum_buffer"), visit);
        self.step.visit_arrays(&path.then(&"step"), visit);
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        let path = path.with_role(Role::Buffer);
        Ok(Self {
            options: self.options,
            momentum_buffer: self.momentum_buffer.replace_arrays(&path.then(&"momentum_buffer"), replace)?,
            step: self.step.replace_arrays(&path.then(&"step"), replace)?,
        })
    }

    fn hash_values(&self, hasher: &mut dyn Hasher) {
        let SgdOptions { lr, momentum, dampening, weight_decay, nesterov } = self.options;
        for option in [lr, momentum, dampening, weight_decay] {
            hasher.write_u64(option.to_bits());
        }
        hasher.write_u8(nesterov.into());
    }
}
