//! Random numbers, from keys: for any [`Array`], and the same on every backend.
//!
//! A key decides what is drawn. There is no state: a function draws the same numbers whenever it is given the same key, so a
//! program makes one key from a seed and splits it, and uses each of the keys that it gets for one draw.
//!
//! ```
//! # #[cfg(feature = "cpu")] {
//! use grad_runtime::{cpu::Array, prelude::*, random};
//!
//! let [weights, mask] = random::split_into(&random::key::<Array>(7)?)?;
//! let x = random::normal(&[4, 3], Dtype::Float32, 0.0, 0.02, &weights)?;
//!
//! // Dropout: keeps 9 of 10 elements, and scales them for the same mean.
//! let kept = random::bernoulli(0.9, &x.shape(), &mask)?.astype(x.dtype())?;
//! let y = x.multiply(&kept)?.divide(&Array::scalar(0.9_f32)?)?;
//! assert_eq!(y.shape(), [4, 3]);
//! # }
//! # Ok::<(), grad_runtime::Error>(())
//! ```
//!
//! | | functions |
//! | --- | --- |
//! | keys | [`key`], [`split`], [`split_into`] |
//! | floats | [`uniform`], [`normal`], [`truncated_normal`], [`laplace`], [`gumbel`] |
//! | integers and bools | [`bits`], [`randint`], [`bernoulli`], [`categorical`] |
//! | order | [`permutation`], [`randperm`] |
//!
//! # The numbers
//!
//! Names and argument order are those of `mlx.core.random`, with the key last. The generator is Threefry-2x32 with 20 rounds, as
//! described by Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011). The bits of an array depend on the key and
//! on the number of elements. `mlx::Array` calls MLX's generator, and `cpu::Array` computes the same: the results of `split`,
//! `bits`, `uniform`, `bernoulli`, `randint` and `randperm` are equal on both and to those of Python's MLX 0.32.4 on a CPU, the
//! others up to rounding. An element of `categorical` differs where a number that it compares is rounded otherwise.
//!
//! Python's functions draw their key from a global generator if none is given. There is none here: `mx.random.seed(7)` and a draw
//! is a draw with the second of the keys that `split` makes of `key(7)`.
//!
//! # Gradients
//!
//! Draws are constants, in a scope and outside. Parameters are numbers, so a gradient with respect to one needs the parameter
//! outside of the draw: with arrays `loc` and `scale`, `loc + scale * normal(…, 0.0, 1.0, key)` is differentiable with respect to
//! both, and `low + (high - low) * uniform(0.0, 1.0, …)` to its bounds. For a probability for each element, compare:
//! `uniform(0.0, 1.0, …).less(&p)`. The functions of `mlx::random` accept arrays.
//!
//! # Errors
//!
//! Each function returns [`Error::Operation`], with the requested shape and dtype, if the key is not uint32 of shape `[2]`, the
//! shape is too large, or the dtype or a parameter is not one that the function documents.

use crate::array::operands::{self, Checked};
use crate::array::{Array, cannot_make, refused};
use crate::dtype::Dtype;
use crate::error::{Error, Result};

mod distribution;

pub(crate) use distribution::{Distribution, Draw, largest_whole};

/// Returns the key of a seed, uint32 of shape `[2]`: the high and the low half of its bits.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu::Array, random};
///
/// assert_eq!(random::key::<Array>(7)?.to_vec::<u32>()?, [0, 7]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
#[allow(clippy::cast_possible_truncation, reason = "the halves of the bits")]
pub fn key<A: Array>(seed: u64) -> Result<A> {
    A::from_slice(&[(seed >> 32) as u32, seed as u32], &[2]).map_err(|error| error.with_op("key"))
}

/// Returns `num` keys that are derived from one, uint32 of shape `[num, 2]`.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu::Array, random};
///
/// let keys = random::split(&random::key::<Array>(7)?, 3)?;
/// let second = keys.take(&Array::scalar(1)?, 0)?;
/// assert_eq!((keys.shape(), second.shape()), (vec![3, 2], vec![2]));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn split<A: Array>(key: &A, num: usize) -> Result<A> {
    draw("split", Distribution::Bits, &[num, 2], Dtype::UInt32, key)
}

/// Returns `N` keys that are derived from one, each uint32 of shape `[2]`: the rows of [`split`].
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu::Array, random};
///
/// let [first, second] = random::split_into(&random::key::<Array>(7)?)?;
/// assert_ne!(random::bits(&[2], &first)?.to_vec::<u32>()?, random::bits(&[2], &second)?.to_vec::<u32>()?);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn split_into<A: Array, const N: usize>(key: &A) -> Result<[A; N]> {
    let keys = split(key, N).map_err(|error| error.with_op("split_into"))?;
    let mut rows = Vec::with_capacity(N);
    for row in 0..N {
        rows.push(keys.slice(&[row, 0], &[row + 1, 2])?.squeeze(0)?);
    }
    Ok(rows.try_into().unwrap_or_else(|_| unreachable!("there are as many rows as keys")))
}

/// Draws random bits, 32 for each element, as uint32.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu::Array, random};
///
/// let bits = random::bits(&[3], &random::key::<Array>(7)?)?;
/// assert_eq!(bits.to_vec::<u32>()?.len(), 3);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn bits<A: Array>(shape: &[usize], key: &A) -> Result<A> {
    draw("bits", Distribution::Bits, shape, Dtype::UInt32, key)
}

/// Draws uniformly from `low` up to but without `high`. `dtype` is float32, float16 or bfloat16.
///
/// `low` must not be above `high`, and both and their difference must be finite in `dtype`. Rounding may reach `high`, as in MLX, where
/// the bounds are large for their difference.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu::Array, random};
///
/// let draws = random::uniform(2.0, 4.0, &[100], Dtype::Float32, &random::key::<Array>(7)?)?;
/// assert!(draws.to_vec::<f32>()?.iter().all(|x| (2.0..4.0).contains(x)));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn uniform<A: Array>(low: f64, high: f64, shape: &[usize], dtype: Dtype, key: &A) -> Result<A> {
    draw("uniform", Distribution::Uniform { low: narrow(low), high: narrow(high) }, shape, dtype, key)
}

/// Draws from the normal distribution with mean `loc` and standard deviation `scale`, which is not negative. `dtype` is float32,
/// float16 or bfloat16.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu::Array, random};
///
/// let draws = random::normal(&[10_000], Dtype::Float32, 2.0, 3.0, &random::key::<Array>(7)?)?;
/// assert!((draws.mean_all()?.item::<f32>()? - 2.0).abs() < 0.2);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn normal<A: Array>(shape: &[usize], dtype: Dtype, loc: f64, scale: f64, key: &A) -> Result<A> {
    draw("normal", Distribution::Normal { loc: narrow(loc), scale: narrow(scale) }, shape, dtype, key)
}

/// Draws from the standard normal distribution between `lower` and `upper`, which may be infinite; `lower` must not be above `upper`.
/// `dtype` is float32, float16 or bfloat16.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu::Array, random};
///
/// let draws = random::truncated_normal(-2.0, 2.0, &[100], Dtype::Float32, &random::key::<Array>(7)?)?;
/// assert!(draws.to_vec::<f32>()?.iter().all(|x| (-2.0..=2.0).contains(x)));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn truncated_normal<A: Array>(lower: f64, upper: f64, shape: &[usize], dtype: Dtype, key: &A) -> Result<A> {
    let distribution = Distribution::TruncatedNormal { lower: narrow(lower), upper: narrow(upper) };
    draw("truncated_normal", distribution, shape, dtype, key)
}

/// Draws from the Laplace distribution with mean `loc` and `scale`, which is not negative. `dtype` is float32, float16 or bfloat16.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu::Array, random};
///
/// let draws = random::laplace(&[10_000], Dtype::Float32, 1.0, 2.0, &random::key::<Array>(7)?)?;
/// assert!((draws.mean_all()?.item::<f32>()? - 1.0).abs() < 0.2);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn laplace<A: Array>(shape: &[usize], dtype: Dtype, loc: f64, scale: f64, key: &A) -> Result<A> {
    draw("laplace", Distribution::Laplace { loc: narrow(loc), scale: narrow(scale) }, shape, dtype, key)
}

/// Draws from the standard Gumbel distribution, `-log(-log(u))` of a uniform `u`. `dtype` is float32, float16 or bfloat16.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu::Array, random};
///
/// let draws = random::gumbel(&[10_000], Dtype::Float32, &random::key::<Array>(7)?)?;
/// assert!((draws.mean_all()?.item::<f32>()? - 0.5772).abs() < 0.1); // Euler's constant
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn gumbel<A: Array>(shape: &[usize], dtype: Dtype, key: &A) -> Result<A> {
    draw("gumbel", Distribution::Gumbel, shape, dtype, key)
}

/// Draws integers from `low` up to but without `high`. `dtype` is one of integers, and holds them all; in 64 bits, as much as int32
/// or uint32 holds.
///
/// MLX draws in float32, and so does the CPU fallback: of a range longer than 2²⁴, not every integer is drawn.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu::Array, random};
///
/// let draws = random::randint(0, 6, &[100], Dtype::Int32, &random::key::<Array>(7)?)?;
/// assert!(draws.to_vec::<i32>()?.iter().all(|x| (0..6).contains(x)));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn randint<A: Array>(low: i64, high: i64, shape: &[usize], dtype: Dtype, key: &A) -> Result<A> {
    let distribution = Distribution::Integers { low, high };
    distribution.check(dtype).map_err(|reason| cannot_make("randint", shape, dtype, reason))?;
    let drawn = match dtype {
        Dtype::UInt32 => dtype,
        _ if high > 1 << 31 => Dtype::UInt32,
        _ => Dtype::Int32,
    };
    draw("randint", distribution, shape, drawn, key)?.astype(dtype).map_err(|error| error.with_op("randint"))
}

/// Draws true with probability `p`, from 0 to 1. The result is of dtype bool.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu::Array, random};
///
/// let draws = random::bernoulli(0.25, &[10_000], &random::key::<Array>(7)?)?;
/// let successes = draws.sum_all()?.item::<i32>()?;
/// assert!((2_300..2_700).contains(&successes));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn bernoulli<A: Array>(p: f64, shape: &[usize], key: &A) -> Result<A> {
    draw("bernoulli", Distribution::Bernoulli { p: narrow(p) }, shape, Dtype::Bool, key)
}

/// Draws `num_samples` indices of `axis`, where `logits` are unnormalized log-probabilities. The samples replace that axis, at the
/// end. The result is of dtype uint32.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu::Array, random};
///
/// let logits = Array::from_slice(&[f32::NEG_INFINITY, 0.0], &[2])?;
/// let draws = random::categorical(&logits, 0, 3, &random::key(7)?)?;
/// assert_eq!(draws.to_vec::<u32>()?, [1, 1, 1]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Operation`] if the axis is out of range or empty, or the key is not uint32 of shape `[2]`.
#[track_caller]
pub fn categorical<A: Array>(logits: &A, axis: isize, num_samples: usize, key: &A) -> Result<A> {
    let refuse = |reason| refused("categorical", &[logits, key], reason);
    let axis = check_logits(logits, axis, num_samples, key).map_err(refuse)?;
    A::draw_indices(logits, axis, num_samples, key).map_err(|error| match error {
        Error::Operation { reason, .. } => refuse(reason),
        other => other,
    })
}

/// Returns the axis, counted from the front.
fn check_logits<A: Array>(logits: &A, axis: isize, num_samples: usize, key: &A) -> Checked<usize> {
    operands::key(&key.shape(), key.dtype())?;
    let mut shape = logits.shape();
    operands::nonempty_axes(&shape, &[axis])?;
    let axis = operands::axis(axis, shape.len())?;
    shape.push(num_samples);
    operands::size(&shape)?;
    Ok(axis)
}

/// Shuffles the entries of `axis`. Gradients flow to the entries that they came from.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu::Array, random};
///
/// let x = Array::from_slice(&[1, 2, 3, 4, 5, 6], &[3, 2])?;
/// let shuffled = random::permutation(&x, 0, &random::key(7)?)?;
/// assert_eq!((shuffled.shape(), shuffled.sum_all()?.item::<i32>()?), (vec![3, 2], 21));
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Operation`] if the axis is out of range, or the key is not uint32 of shape `[2]`.
#[track_caller]
pub fn permutation<A: Array>(x: &A, axis: isize, key: &A) -> Result<A> {
    let shape = x.shape();
    let checked = operands::axis(axis, shape.len()).and_then(|axis| {
        operands::key(&key.shape(), key.dtype())?;
        Ok(shape[axis])
    });
    let length = checked.map_err(|reason| refused("permutation", &[x, key], reason))?;
    let indices = randperm(length, key).map_err(|error| error.with_op("permutation"))?;
    x.take(&indices, axis).map_err(|error| error.with_op("permutation"))
}

/// Returns the numbers below `n` in random order, uint32 of shape `[n]`: MLX's `permutation` of an integer.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{cpu::Array, random};
///
/// let mut order = random::randperm(5, &random::key::<Array>(7)?)?.to_vec::<u32>()?;
/// order.sort();
/// assert_eq!(order, [0, 1, 2, 3, 4]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn randperm<A: Array>(n: usize, key: &A) -> Result<A> {
    draw("randperm", Distribution::Permutation, &[n], Dtype::UInt32, key)
}

/// Draws from a distribution whose arguments have not been checked.
#[track_caller]
fn draw<A: Array>(
    op: &'static str,
    distribution: Distribution,
    shape: &[usize],
    dtype: Dtype,
    key: &A,
) -> Result<A> {
    let refuse = |reason| cannot_make(op, shape, dtype, reason);
    operands::key(&key.shape(), key.dtype()).map_err(refuse)?;
    operands::size(shape).map_err(refuse)?;
    distribution.check(dtype).map_err(refuse)?;
    A::draw(op, distribution, shape, dtype, key).map_err(|error| match error {
        Error::Operation { reason, .. } => refuse(reason),
        other => other,
    })
}

/// Returns a parameter as MLX takes it.
#[allow(clippy::cast_possible_truncation, reason = "MLX computes in float32")]
fn narrow(parameter: f64) -> f32 {
    parameter as f32
}
