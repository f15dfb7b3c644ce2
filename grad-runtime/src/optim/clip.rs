//! Clipping of gradients.

use crate::array::Array;
use crate::error::Result;
use crate::no_grad;
use crate::params::{Params, Path};

use super::{check_option, error, widened};

/// Scales gradients so that their norm is at most `max_norm`, and returns them with the norm that they had, as
/// `torch.nn.utils.clip_grad_norm_`.
///
/// The norm is the Euclidean norm of all trainable arrays as one vector: a float32 scalar. The other arrays stay, and do not count.
/// Each gradient keeps its dtype. Where the norm is infinite or NaN, the scaled gradients are NaN or 0: read the norm before a step.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu, optim};
///
/// let gradients = (cpu::Array::scalar(3.0_f32)?, vec![cpu::Array::scalar(4.0_f32)?]);
/// let (clipped, norm) = optim::clip_grad_norm(&gradients, 1.0)?;
/// assert_eq!(norm.item::<f32>()?, 5.0);
/// assert!((clipped.0.item::<f32>()? - 0.6).abs() < 1e-6);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Operation`](crate::Error::Operation) if `max_norm` is negative or NaN.
#[track_caller]
pub fn clip_grad_norm<A: Array, P: Params<A>>(gradients: &P, max_norm: f64) -> Result<(P, A)> {
    const OP: &str = "clip_grad_norm";
    if max_norm.is_nan() || max_norm < 0.0 {
        return Err(error(OP, format!("`max_norm` is {max_norm}; it must be at least 0")));
    }
    let clip = || {
        no_grad! {
            let mut total = A::scalar(0.0_f32);
            gradients.visit_arrays(&Path::root(), &mut |path, gradient| {
                if let Ok(sum) = &total && path.is_trainable() {
                    total = widened(gradient).and_then(|gradient| sum.add(&gradient.square()?.sum_all()?));
                }
            });
            let norm = total?.sqrt()?;
            // The constant is PyTorch's.
            let factor = norm.add(1e-6)?.reciprocal()?.multiply(max_norm)?.minimum(1.0)?;
            let clipped = map_trainable(gradients, |gradient| gradient.multiply(&factor))?;
            Ok((clipped, norm))
        }
    };
    clip().map_err(|error: crate::Error| error.with_op(OP))
}

/// Limits each element of gradients to the range from `-max_value` to `max_value`, as `torch.nn.utils.clip_grad_value_`.
///
/// Each gradient keeps its dtype. Arrays that are not trainable stay.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu, optim};
///
/// let gradients = vec![cpu::Array::from_slice(&[-3.0_f32, 0.25, 4.0], &[3])?];
/// let clipped = optim::clip_grad_value(&gradients, 0.5)?;
/// assert_eq!(clipped[0].to_vec::<f32>()?, [-0.5, 0.25, 0.5]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Operation`](crate::Error::Operation) if `max_value` is negative or not finite.
#[track_caller]
pub fn clip_grad_value<A: Array, P: Params<A>>(gradients: &P, max_value: f64) -> Result<P> {
    const OP: &str = "clip_grad_value";
    check_option(OP, "max_value", max_value)?;
    let clip = || {
        no_grad! {
            map_trainable(gradients, |gradient| gradient.clip(-max_value, max_value))
        }
    };
    clip().map_err(|error: crate::Error| error.with_op(OP))
}

/// Replaces each trainable array by the result of `function`, which is given the array in float32.
fn map_trainable<A: Array, P: Params<A>>(gradients: &P, function: impl Fn(&A) -> Result<A>) -> Result<P> {
    gradients.try_map(|path, gradient| {
        if path.is_trainable() {
            function(&widened(gradient)?)?.astype(gradient.dtype())
        } else {
            Ok(gradient.clone().detached())
        }
    })
}
