//! Optimizers, and what else a training program computes without gradients: clipping, moving averages, accumulation.
//!
//! | PyTorch | here |
//! | --- | --- |
//! | `torch.optim.SGD`, `Adam`, `AdamW` | [`Sgd`], [`Adam`], [`AdamW`] |
//! | `param_group["lr"] = lr` | [`optimizer.set_lr(lr)`](AdamW::set_lr) |
//! | `optimizer.step()` | [`optimizer.step(&mut model, &gradients)`](AdamW::step) |
//! | `optimizer.state_dict()` | the optimizer is [`Params`](crate::Params): `optimizer.named()`, or a `Checkpoint` |
//! | `torch.nn.utils.clip_grad_norm_`, `clip_grad_value_` | [`clip_grad_norm`], [`clip_grad_value`] |
//! | `torch.optim.swa_utils.AveragedModel` with `get_ema_avg_fn(decay)` | [`Ema`] |
//! | `loss.backward()` several times, then `optimizer.step()` | [`Accumulator`] |
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::optim::{AdamW, AdamWOptions};
//! use grad_runtime::{Array, Dtype, Result, cpu, params};
//!
//! // The line 2x + 1, from four of its points.
//! fn loss<A: Array>((weight, bias): &(A, A), x: &A, y: &A) -> Result<A> {
//!     x.multiply(weight)?.add(bias)?.subtract(y)?.square()?.mean_all()
//! }
//!
//! let x = cpu::Array::from_slice(&[0.0_f32, 1.0, 2.0, 3.0], &[4])?;
//! let y = cpu::Array::from_slice(&[1.0_f32, 3.0, 5.0, 7.0], &[4])?;
//! let zero = cpu::Array::zeros(&[], Dtype::Float32)?;
//! let mut model = (zero.clone(), zero);
//! let mut optimizer = AdamW::new(&model, AdamWOptions { lr: 0.1, weight_decay: 0.0, ..AdamWOptions::default() })?;
//! for _ in 0..300 {
//!     let (_loss, gradients) = params::value_and_grad(|model| loss(model, &x, &y), &model)?;
//!     optimizer.step(&mut model, &gradients)?;
//! }
//! assert!((model.0.item::<f32>()? - 2.0).abs() < 1e-2);
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! # Scopes
//!
//! Everything in this module computes in a no-grad scope. So nothing is recorded, and the arrays that it returns are constants
//! to each enclosing transform.
//!
//! # Precision
//!
//! Parameters, state and averages keep their dtype. A step on float16 or bfloat16 arrays is computed in float32 and rounded once, when
//! its results are stored. With few digits, an update that is small beside its parameter is lost in that rounding: train float32
//! arrays, and convert copies of them for the forward pass.
//!
//! # Evaluation on MLX
//!
//! MLX is lazy: a step adds operations to a graph, which grows from step to step until it is evaluated. Evaluate the model and the
//! state of the optimizer after each step. [Computing with MLX](crate::guide) says what happens otherwise.

use crate::array::Array;
use crate::dtype::Dtype;
use crate::error::{Error, Result};

mod accumulator;
mod adam;
mod clip;
mod ema;
mod sgd;
mod update;

pub use accumulator::Accumulator;
pub use adam::{Adam, AdamOptions, AdamW, AdamWOptions};
pub use clip::{clip_grad_norm, clip_grad_value};
pub use ema::Ema;
pub use sgd::{Sgd, SgdOptions};

/// Returns the array in the dtype that updates are computed in.
fn widened<A: Array>(array: &A) -> Result<A> {
    match array.dtype() {
        Dtype::Float16 | Dtype::BFloat16 => array.astype(Dtype::Float32),
        _ => Ok(array.clone()),
    }
}

/// Returns `average + weight × (value - average)` in the dtype of `average`.
fn lerp<A: Array>(average: &A, value: &A, weight: f64) -> Result<A> {
    let (wide, value) = (widened(average)?, widened(value)?);
    wide.add(value.subtract(&wide)?.multiply(weight)?)?.astype(average.dtype())
}

/// Returns an error that is about no array in particular.
fn error(op: &'static str, reason: String) -> Error {
    Error::Operation { op, operands: Vec::new(), reason }
}

/// Checks that an option is finite and at least 0.
fn check_option(op: &'static str, name: &str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(error(op, format!("`{name}` is {value}; it must be finite and at least 0")))
}

/// Checks that a factor of a moving average is in its range.
fn check_decay(op: &'static str, name: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(error(op, format!("`{name}` is {value}; it must be at least 0 and less than 1")))
}

/// Returns the number of steps that the counter of an optimizer holds.
fn step_count<A: Array>(step: &A) -> Result<u64> {
    let step = step.item::<i64>().map_err(|error| error.with_op("step_count"))?;
    u64::try_from(step)
        .map_err(|_| error("step_count", format!("the counter is {step}; restore the state from another file")))
}
