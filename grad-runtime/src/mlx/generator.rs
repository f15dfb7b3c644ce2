//! Random numbers by MLX's generator.

use super::{Array, random};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::random::{Distribution, Draw, largest_whole};

impl Draw for Array {
    #[track_caller]
    fn draw(
        _op: &'static str,
        distribution: Distribution,
        shape: &[usize],
        dtype: Dtype,
        key: &Self,
    ) -> Result<Self> {
        match distribution {
            Distribution::Bits => random::bits(shape, key),
            Distribution::Uniform { low, high } => {
                random::uniform(&Self::scalar(low)?, &Self::scalar(high)?, shape, dtype, key)
            }
            Distribution::Normal { loc, scale } => random::normal(shape, dtype, loc, scale, key),
            Distribution::TruncatedNormal { lower, upper } => {
                random::truncated_normal(&Self::scalar(lower)?, &Self::scalar(upper)?, shape, dtype, key)
            }
            Distribution::Laplace { loc, scale } => random::laplace(shape, dtype, loc, scale, key),
            Distribution::Gumbel => random::gumbel(shape, dtype, key),
            Distribution::Integers { low, high } => integers(low, high, shape, dtype, key),
            Distribution::Bernoulli { p } => random::bernoulli(&Self::scalar(p)?, shape, key),
            Distribution::Permutation => random::bits(shape, key)?.argsort(0),
        }
    }

    #[track_caller]
    fn draw_indices(logits: &Self, axis: usize, num_samples: usize, key: &Self) -> Result<Self> {
        random::categorical(logits, axis.cast_signed(), num_samples, key)
    }
}

/// Draws integers as MLX's `randint` does, whose bounds are arrays: the upper one may be the first number that its dtype lacks.
#[track_caller]
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "MLX draws in float32")]
fn integers(low: i64, high: i64, shape: &[usize], dtype: Dtype, key: &Array) -> Result<Array> {
    let integer = |value: i64| match u32::try_from(value) {
        Ok(value) if dtype == Dtype::UInt32 => Array::scalar(value),
        _ => Array::scalar(value as i32),
    };
    let (from, to, largest) = (low as f32, high as f32, largest_whole(dtype));
    let mut draws =
        random::uniform(&Array::scalar(from)?, &Array::scalar(to)?, shape, Dtype::Float32, key)?.floor()?;
    if to > largest {
        // MLX does not define how a number that the dtype lacks is converted.
        draws = draws.minimum(&Array::scalar(largest)?)?;
    }
    draws.astype(dtype)?.minimum(&integer(high - 1)?)?.maximum(&integer(low)?)
}
