//! `Adam`, and `AdamW` with decoupled weight decay.

use std::hash::Hasher;

use crate::array::Array;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::no_grad;
use crate::params::{Params, Path, Replace, Role, Visit};

use super::update::{Slots, update, zeros};
use super::{check_decay, check_option};

/// The options of [`Adam`]. The default is that of PyTorch.
///
/// ```
/// use grad_runtime::optim::AdamOptions;
///
/// let options = AdamOptions { lr: 3e-4, ..AdamOptions::default() };
/// assert_eq!((options.betas, options.eps, options.weight_decay), ((0.9, 0.999), 1e-8, 0.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamOptions {
    /// The learning rate, by default 0.001.
    pub lr: f64,
    /// The factors of the moving averages of gradients and of their squares, by default 0.9 and 0.999.
    pub betas: (f64, f64),
    /// What is added to the denominator, by default 1e-8.
    pub eps: f64,
    /// The factor of the penalty `weight_decay / 2 × parameter²`, whose gradient is added; by default 0.
    pub weight_decay: f64,
    /// Whether to divide by the largest average of squares so far; by default not.
    pub amsgrad: bool,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

/// The options of [`AdamW`]. The default is that of PyTorch.
///
/// ```
/// use grad_runtime::optim::AdamWOptions;
///
/// let options = AdamWOptions { lr: 3e-4, ..AdamWOptions::default() };
/// assert_eq!((options.betas, options.eps, options.weight_decay), ((0.9, 0.999), 1e-8, 0.01));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// The learning rate, by default 0.001.
    pub lr: f64,
    /// The factors of the moving averages of gradients and of their squares, by default 0.9 and 0.999.
    pub betas: (f64, f64),
    /// What is added to the denominator, by default 1e-8.
    pub eps: f64,
    /// The part of each parameter, times the learning rate, that a step takes away; by default 0.01.
    pub weight_decay: f64,
    /// Whether to divide by the largest average of squares so far; by default not.
    pub amsgrad: bool,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, amsgrad: false }
    }
}

impl AdamWOptions {
    /// Returns the options of the same step without weight decay.
    const fn without_decay(self) -> AdamOptions {
        let Self { lr, betas, eps, amsgrad, .. } = self;
        AdamOptions { lr, betas, eps, weight_decay: 0.0, amsgrad }
    }
}

/// Adam, as `torch.optim.Adam`: its weight decay is a part of the gradient.
///
/// It implements [`Params`]: its state is the number of steps, `step`, and for each trainable array its `exp_avg` and `exp_avg_sq`,
/// such as `exp_avg.layers.0.weight`; with `amsgrad`, its `max_exp_avg_sq` too.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::optim::{Adam, AdamOptions};
/// use grad_runtime::{Params, cpu, params};
///
/// let mut x = vec![cpu::Array::scalar(1.0_f32)?];
/// let mut optimizer = Adam::new(&x, AdamOptions { lr: 0.1, ..AdamOptions::default() })?;
/// for _ in 0..200 {
///     let gradient = params::grad(|x: &Vec<cpu::Array>| x[0].square(), &x)?;
///     optimizer.step(&mut x, &gradient)?;
/// }
/// assert!(x[0].item::<f32>()?.abs() < 1e-3);
/// assert!(optimizer.named().into_keys().eq(["exp_avg.0", "exp_avg_sq.0", "step"]));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Adam<A> {
    options: AdamOptions,
    moments: Moments<A>,
}

/// Adam with decoupled weight decay, as `torch.optim.AdamW`: a step first scales each parameter by
/// `1 - lr × weight_decay`.
///
/// It implements [`Params`]: its state is the number of steps, `step`, and for each trainable array its `exp_avg` and `exp_avg_sq`,
/// such as `exp_avg.layers.0.weight`; with `amsgrad`, its `max_exp_avg_sq` too.
///
/// To decay some arrays only, make an optimizer for each part of the model: `step(&mut model.head, &gradients.head)`.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::optim::{AdamW, AdamWOptions};
/// use grad_runtime::{cpu, params};
///
/// let mut x = cpu::Array::scalar(1.0_f32)?;
/// let mut optimizer = AdamW::new(&x, AdamWOptions { lr: 0.1, ..AdamWOptions::default() })?;
/// for _ in 0..200 {
///     let gradient = params::grad(|x: &cpu::Array| x.square(), &x)?;
///     optimizer.step(&mut x, &gradient)?;
/// }
/// assert!(x.item::<f32>()?.abs() < 1e-3);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AdamW<A> {
    options: AdamWOptions,
    moments: Moments<A>,
}

impl<A: Array> Adam<A> {
    /// Creates an optimizer for the trainable arrays of `model`.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{Adam, AdamOptions};
    ///
    /// let model = vec![cpu::Array::scalar(1.0_f32)?];
    /// let options = AdamOptions { betas: (0.9, 1.0), ..AdamOptions::default() };
    /// let error = Adam::new(&model, options).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot create Adam: `betas.1` is 1; it must be at least 0 and less than 1");
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if an option is out of its range, a trainable array is not floating point, or two
    /// of them have the same name.
    #[track_caller]
    pub fn new<P: Params<A>>(model: &P, options: AdamOptions) -> Result<Self> {
        const OP: &str = "create Adam";
        check_option(OP, "weight_decay", options.weight_decay)?;
        Ok(Self { options, moments: Moments::new(OP, model, &options)? })
    }

    /// Returns the learning rate.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{Adam, AdamOptions};
    ///
    /// assert_eq!(Adam::new(&cpu::Array::scalar(1.0_f32)?, AdamOptions::default())?.lr(), 1e-3);
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
    /// use grad_runtime::optim::{Adam, AdamOptions};
    ///
    /// let mut optimizer = Adam::new(&cpu::Array::scalar(1.0_f32)?, AdamOptions::default())?;
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
    /// use grad_runtime::optim::{Adam, AdamOptions};
    ///
    /// let mut x = cpu::Array::scalar(1.0_f32)?;
    /// let mut optimizer = Adam::new(&x, AdamOptions::default())?;
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
        super::step_count(&self.moments.step)
    }

    /// Replaces the trainable arrays of `model`, given their gradients. If it fails, nothing has changed.
    ///
    /// The other arrays stay, whatever their gradients. See [the module](super) for scopes, half precision and evaluation on MLX.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{Adam, AdamOptions};
    ///
    /// // The first step changes each parameter by the learning rate, against the sign of its gradient.
    /// let mut model = (cpu::Array::scalar(1.0_f32)?, vec![cpu::Array::scalar(2.0_f32)?]);
    /// let gradients = (cpu::Array::scalar(0.5_f32)?, vec![cpu::Array::scalar(-1.0_f32)?]);
    /// let mut optimizer = Adam::new(&model, AdamOptions { lr: 0.125, ..AdamOptions::default() })?;
    /// optimizer.step(&mut model, &gradients)?;
    /// let (first, second) = (model.0.item::<f32>()?, model.1[0].item::<f32>()?);
    /// assert!((first - 0.875).abs() < 1e-6 && (second - 2.125).abs() < 1e-6);
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
        self.moments.step(&self.options, 1.0, model, gradients)
    }
}

impl<A: Array> AdamW<A> {
    /// Creates an optimizer for the trainable arrays of `model`.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{AdamW, AdamWOptions};
    ///
    /// let model = vec![cpu::Array::scalar(1.0_f32)?];
    /// let options = AdamWOptions { eps: -1.0, ..AdamWOptions::default() };
    /// let error = AdamW::new(&model, options).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot create AdamW: `eps` is -1; it must be finite and at least 0");
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if an option is out of its range, a trainable array is not floating point, or two
    /// of them have the same name.
    #[track_caller]
    pub fn new<P: Params<A>>(model: &P, options: AdamWOptions) -> Result<Self> {
        const OP: &str = "create AdamW";
        check_option(OP, "weight_decay", options.weight_decay)?;
        Ok(Self { options, moments: Moments::new(OP, model, &options.without_decay())? })
    }

    /// Returns the learning rate.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{AdamW, AdamWOptions};
    ///
    /// assert_eq!(AdamW::new(&cpu::Array::scalar(1.0_f32)?, AdamWOptions::default())?.lr(), 1e-3);
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
    /// use grad_runtime::optim::{AdamW, AdamWOptions};
    ///
    /// let mut optimizer = AdamW::new(&cpu::Array::scalar(1.0_f32)?, AdamWOptions::default())?;
    /// // A linear warm-up over 1000 steps.
    /// let step = (optimizer.step_count()? + 1) as f64;
    /// optimizer.set_lr(1e-3 * (step / 1000.0).min(1.0));
    /// assert!((optimizer.lr() - 1e-6).abs() < 1e-12);
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
    /// use grad_runtime::optim::{AdamW, AdamWOptions};
    ///
    /// let mut x = cpu::Array::scalar(1.0_f32)?;
    /// let mut optimizer = AdamW::new(&x, AdamWOptions::default())?;
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
        super::step_count(&self.moments.step)
    }

    /// Replaces the trainable arrays of `model`, given their gradients. If it fails, nothing has changed.
    ///
    /// The other arrays stay, whatever their gradients. See [the module](super) for scopes, half precision and evaluation on MLX.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::cpu;
    /// use grad_runtime::optim::{AdamW, AdamWOptions};
    ///
    /// // The first step changes each parameter by the learning rate, after its decay.
    /// let mut model = vec![cpu::Array::scalar(1.0_f32)?];
    /// let mut optimizer = AdamW::new(&model, AdamWOptions { lr: 0.125, weight_decay: 0.5, ..AdamWOptions::default() })?;
    /// optimizer.step(&mut model, &vec![cpu::Array::scalar(0.5_f32)?])?;
    /// assert!((model[0].item::<f32>()? - 0.8125).abs() < 1e-6);
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
        let decay = 1.0 - self.options.lr * self.options.weight_decay;
        self.moments.step(&self.options.without_decay(), decay, model, gradients)
    }
}

/// The state of both optimizers: moving averages of the gradients and of their squares.
#[derive(Debug, Clone)]
struct Moments<A> {
    exp_avg: Slots<A>,
    exp_avg_sq: Slots<A>,
    /// Empty without `amsgrad`.
    max_exp_avg_sq: Slots<A>,
    step: A,
}

impl<A: Array> Moments<A> {
    #[track_caller]
    fn new<P: Params<A>>(op: &'static str, model: &P, options: &AdamOptions) -> Result<Self> {
        let AdamOptions { lr, betas, eps, amsgrad, .. } = *options;
        check_option(op, "lr", lr)?;
        check_decay(op, "betas.0", betas.0)?;
        check_decay(op, "betas.1", betas.1)?;
        check_option(op, "eps", eps)?;
        no_grad! {
            let zeros = zeros(op, model)?;
            let max_exp_avg_sq = if amsgrad { zeros.clone() } else { Slots::new() };
            Ok(Self { exp_avg: zeros.clone(), exp_avg_sq: zeros, max_exp_avg_sq, step: A::scalar(0_i64)? })
        }
    }

    /// Replaces the trainable arrays of `model`, each of which is multiplied by `decay` first.
    #[track_caller]
    fn step<P: Params<A>>(
        &mut self,
        options: &AdamOptions,
        decay: f64,
        model: &mut P,
        gradients: &P,
    ) -> Result<()> {
        const OP: &str = "step";
        let AdamOptions { lr, betas: (beta1, beta2), eps, weight_decay, amsgrad } = *options;
        check_option(OP, "lr", lr)?;
        no_grad! {
            let mut next = self.clone();
            next.step = self.step.add(1)?;
            let step_size = bias_correction(beta1, &next.step)?.reciprocal()?.multiply(lr)?;
            let correction_sqrt = bias_correction(beta2, &next.step)?.sqrt()?;
            let updated = update(OP, model, gradients, |trained| {
                let mut gradient = trained.gradient.clone();
                if weight_decay != 0.0 {
                    gradient = gradient.add(trained.value.multiply(weight_decay)?)?;
                }
                let average = trained.state(&next.exp_avg)?.multiply(beta1)?.add(gradient.multiply(1.0 - beta1)?)?;
                let square = gradient.square()?.multiply(1.0 - beta2)?;
                let mut average_sq = trained.state(&next.exp_avg_sq)?.multiply(beta2)?.add(square)?;
                trained.set_state(&mut next.exp_avg, &average)?;
                trained.set_state(&mut next.exp_avg_sq, &average_sq)?;
                if amsgrad {
                    average_sq = average_sq.maximum(&trained.state(&next.max_exp_avg_sq)?)?;
                    trained.set_state(&mut next.max_exp_avg_sq, &average_sq)?;
                }
                let denominator = average_sq.sqrt()?.divide(&correction_sqrt)?.add(eps)?;
                let decayed = if decay < 1.0 { trained.value.multiply(decay)? } else { trained.value.clone() };
                decayed.subtract(&average.divide(&denominator)?.multiply(&step_size)?)
            })?;
            *self = next;
            *model = updated;
        }
        Ok(())
    }

    fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
        let path = path.with_role(Role::Buffer);
        self.exp_avg.visit_arrays(&path.then(&"exp_avg"), visit);
        self.exp_avg_sq.visit_arrays(&path.then(&"exp_avg_sq"), visit);
        self.max_exp_avg_sq.visit_arrays(&path.then(&"max_exp_avg_sq"), visit);
        self.step.visit_arrays(&path.then(&"step"), visit);
    }

    fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
        let path = path.with_role(Role::Buffer);
        Ok(Self {
            exp_avg: self.exp_avg.replace_arrays(&path.then(&"exp_avg"), replace)?,
            exp_avg_sq: self.exp_avg_sq.replace_arrays(&path.then(&"exp_avg_sq"), replace)?,
            max_exp_avg_sq: self.max_exp_avg_sq.replace_arrays(&path.then(&"max_exp_avg_sq"), replace)?,
            step: self.step.replace_arrays(&path.then(&"step"), replace)?,
        })
    }
}

/// Returns `1 - beta^step` as a float32 scalar.
///
/// In float32, the subtraction would lose the digits of the first steps: with `beta` at 0.999, four of them.
fn bias_correction<A: Array>(beta: f64, step: &A) -> Result<A> {
    step.astype(Dtype::Float32)?.multiply(beta.ln())?.expm1()?.negative()
}

macro_rules! impl_params {
    ($($optimizer:ident)*) => {$(
        impl<A: Array> Params<A> for $optimizer<A> {
            fn visit_arrays(&self, path: &Path<'_>, visit: &mut Visit<'_, A>) {
                self.moments.visit_arrays(path, visit);
            }

            fn replace_arrays<E>(&self, path: &Path<'_>, replace: &mut Replace<'_, A, E>) -> Result<Self, E> {
                Ok(Self { options: self.options, moments: self.moments.replace_arrays(path, replace)? })
            }

            fn hash_values(&self, hasher: &mut dyn Hasher) {
                let options = self.options;
                for option in [options.lr, options.betas.0, options.betas.1, options.eps, options.weight_decay] {
                    hasher.write_u64(option.to_bits());
                }
                hasher.write_u8(options.amsgrad.into());
            }
        }
    )*};
}
impl_params! { Adam AdamW }
