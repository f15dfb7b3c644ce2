//! Random numbers: Threefry-2x32, laid out as in MLX, and the conversions of its bits to each distribution.
//!
//! Each conversion rounds where MLX rounds, so equal keys give equal numbers; `erfinv`, `ln` and `exp` are ours, and differ from
//! MLX's by a few units in the last place.

use std::f32::consts::SQRT_2;
use std::ops::Range;

use candle_core::{Device, Tensor, WithDType};
use half::{bf16, f16};
use rayon::prelude::*;

use super::array::{Array, elements};
use super::elementwise::{erfinv, ln, ln_1p};
use super::operation::{Reason, bail, creation, operation};
use super::shapes::{self, without};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::random::{Distribution, Draw, largest_whole};

/// This many elements are worth another thread.
const BLOCK: usize = 1 << 14;

/// The bounds between which MLX draws what it gives to an inverse distribution function: -1 itself would be infinite.
const OPEN: (f32, f32) = (-1.0 + f32::EPSILON / 2.0, 1.0);

impl Draw for Array {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range of integers fits the dtype"
    )]
    fn draw(
        op: &'static str,
        distribution: Distribution,
        shape: &[usize],
        dtype: Dtype,
        key: &Self,
    ) -> Result<Self> {
        creation(op, shape, dtype, || {
            shapes::check(shape)?;
            let bits = Bits::new(key, shape.iter().product())?;
            let tensor = match (distribution, dtype) {
                (Distribution::Bits, _) => Tensor::from_vec(bits.0, shape, &Device::Cpu),
                (Distribution::Permutation, _) => Tensor::from_vec(bits.order()?, shape, &Device::Cpu),
                (Distribution::Bernoulli { p }, _) => bits.to_tensor(shape, |bits| u8::from(is_success(bits, p))),
                (Distribution::Integers { low, high }, Dtype::UInt32) => {
                    bits.to_tensor(shape, |bits| integer(bits, low..high, largest_whole(dtype)) as u32)
                }
                (Distribution::Integers { low, high }, _) => {
                    bits.to_tensor(shape, |bits| integer(bits, low..high, largest_whole(dtype)) as i32)
                }
                (_, Dtype::Float16) => bits.to_floats::<f16>(distribution, shape),
                (_, Dtype::BFloat16) => bits.to_floats::<bf16>(distribution, shape),
                _ => bits.to_floats::<f32>(distribution, shape),
            };
            Ok(Self::constant(tensor?, dtype))
        })
    }

    #[track_caller]
    fn draw_indices(logits: &Self, axis: usize, num_samples: usize, key: &Self) -> Result<Self> {
        operation("categorical", &[logits, key], || {
            let length = logits.shape()[axis];
            let mut shape = without(&logits.shape(), &[axis]);
            shape.push(num_samples);
            if logits.size() == length {
                shapes::check(&shape)?;
                let logits = elements(&logits.astype(Dtype::Float32)?.tensor)?;
                let draws = from_one_distribution(&logits, &Bits::new(key, num_samples)?);
                return Ok(Self::constant(Tensor::from_vec(draws, shape, &Device::Cpu)?, Dtype::UInt32));
            }
            // The largest of the logits with Gumbel noise is at an index of the distribution that they describe.
            shape.insert(axis, length);
            let noise = Self::draw("gumbel", Distribution::Gumbel, &shape, Dtype::Float32, key)?;
            let sums = logits.stop_gradient()?.expand_dims(-1)?.add(&noise)?;
            Ok(sums.argmax(axis.cast_signed(), false)?)
        })
    }
}

/// Draws from one distribution by the inverse of its distribution function.
fn from_one_distribution(logits: &[f32], bits: &Bits) -> Vec<u32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, |x, y| if x > y || x.is_nan() { x } else { y });
    // Where the largest is infinite, all that are as large are equally likely.
    let weight = |x: f32| match (largest.is_infinite(), x < largest) {
        (true, is_smaller) => f32::from(u8::from(!is_smaller)),
        (false, _) => (x - largest).exp(),
    };
    let mut sum = 0.0;
    let mut below = Vec::with_capacity(logits.len());
    for &logit in logits {
        below.push(sum);
        sum += weight(logit);
    }
    let index = |bits: u32| {
        let draw = uniform::<f32>(bits, (0.0, 1.0)) * sum;
        // Of NaN, the last index, as in MLX.
        counter(below.partition_point(|below| draw.is_nan() || *below <= draw) - 1)
    };
    bits.map(index)
}

/// Random bits, which depend on a key and on how many there are.
struct Bits(Vec<u32>);

impl Bits {
    fn new(key: &Array, size: usize) -> Result<Self, Reason> {
        let key = elements::<u32>(&key.tensor)?;
        let [first, second] = key[..] else {
            bail!("the key has {} elements, not 2", key.len());
        };
        Ok(Self(threefry_bits([first, second], size)))
    }

    /// Computes `f` of each element.
    fn map<T: Copy + Default + Send>(&self, f: impl Fn(u32) -> T + Sync) -> Vec<T> {
        let mut results = vec![T::default(); self.0.len()];
        let blocks = results.par_chunks_mut(BLOCK).zip(self.0.par_chunks(BLOCK));
        for_each_block(self.0.len(), blocks, |(results, bits)| {
            results.iter_mut().zip(bits).for_each(|(result, bits)| *result = f(*bits));
        });
        results
    }

    fn to_tensor<T: WithDType + Default>(
        &self,
        shape: &[usize],
        f: impl Fn(u32) -> T + Sync,
    ) -> candle_core::Result<Tensor> {
        Tensor::from_vec(self.map(f), shape, &Device::Cpu)
    }

    fn to_floats<T: Float>(&self, distribution: Distribution, shape: &[usize]) -> candle_core::Result<Tensor> {
        match distribution {
            Distribution::Uniform { low, high } => {
                self.to_tensor(shape, |bits| T::new(uniform::<T>(bits, (low, high))))
            }
            Distribution::Normal { loc, scale } => {
                let (loc, scale) = (T::round(loc), T::round(T::round(SQRT_2) * T::round(scale)));
                self.to_tensor(shape, |bits| {
                    T::new(loc + T::round(scale * T::round(erfinv(uniform::<f32>(bits, OPEN)))))
                })
            }
            Distribution::Laplace { loc, scale } => {
                let (loc, scale) = (T::round(loc), T::round(scale));
                self.to_tensor(shape, |bits| T::new(loc + T::round(scale * T::round(laplace(bits)))))
            }
            Distribution::TruncatedNormal { lower, upper } => {
                let (lower, upper, sqrt_2) = (T::round(lower), T::round(upper), T::round(SQRT_2));
                let bound = |x: f32| T::round(erf(T::round(x / sqrt_2)));
                let bounds = (bound(lower), bound(upper));
                self.to_tensor(shape, |bits| {
                    let draw = T::round(sqrt_2 * T::round(erfinv(uniform::<T>(bits, bounds))));
                    T::new(if draw > upper {
                        upper
                    } else if draw < lower {
                        lower
                    } else {
                        draw
                    })
                })
            }
            _ => self.to_tensor(shape, |bits| {
                let exponential = -T::round(ln(uniform::<T>(bits, (0.0, 1.0))));
                T::new(-ln(exponential))
            }),
        }
    }

    /// Returns the indices in the order of their bits.
    #[allow(clippy::cast_possible_truncation, reason = "the largest is checked")]
    fn order(&self) -> Result<Vec<u32>, Reason> {
        let size = self.0.len();
        if u32::try_from(size).is_err() {
            bail!("{size} indices do not fit uint32");
        }
        let mut order: Vec<u32> = (0..size as u32).collect();
        order.sort_by_key(|index| self.0[*index as usize]);
        Ok(order)
    }
}

/// Calls `f` on each block, on several threads if there are elements for more than one.
fn for_each_block<B: Send>(
    size: usize,
    blocks: impl IndexedParallelIterator<Item = B>,
    f: impl Fn(B) + Send + Sync,
) {
    if size <= BLOCK {
        blocks.with_min_len(size.max(1)).for_each(f);
    } else {
        blocks.for_each(f);
    }
}

/// Computes `size` random numbers of a key, as MLX lays them out: a block of counters gives one number of the first half and one
/// of the second, and in an odd number, the one between the halves has a block of its own.
fn threefry_bits(key: [u32; 2], size: usize) -> Vec<u32> {
    let mut bits = vec![0; size];
    let half = size / 2;
    let (firsts, rest) = bits.split_at_mut(half);
    let (middle, seconds) = rest.split_at_mut(size % 2);
    for middle in middle {
        [*middle, _] = threefry(key, [counter(half), 0]);
    }
    let offset = counter(size - half);
    let blocks = firsts.par_chunks_mut(BLOCK).zip(seconds.par_chunks_mut(BLOCK)).enumerate();
    for_each_block(half, blocks, |(block, (firsts, seconds))| {
        let start = counter(block * BLOCK);
        for (count, (first, second)) in (start..).zip(firsts.iter_mut().zip(seconds)) {
            [*first, *second] = threefry(key, [count, count.wrapping_add(offset)]);
        }
    });
    bits
}

/// Returns a position as a counter of 32 bits, in which MLX counts.
#[allow(clippy::cast_possible_truncation, reason = "the counters wrap around, in MLX too")]
fn counter(position: usize) -> u32 {
    position as u32
}

/// Computes a block of Threefry-2x32 with 20 rounds, as described by Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
/// (2011).
#[inline]
fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    const PARITY: u32 = 0x1bd1_1bda;

    let keys = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let [mut x, mut y] = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for group in 0..5_u32 {
        let at = group as usize;
        for rotation in ROTATIONS[at % 2] {
            x = x.wrapping_add(y);
            y = y.rotate_left(rotation) ^ x;
        }
        x = x.wrapping_add(keys[(at + 1) % 3]);
        y = y.wrapping_add(keys[(at + 2) % 3]).wrapping_add(group + 1);
    }
    [x, y]
}

/// A dtype that floats are drawn in: its numbers as float32, in which a sum or product is rounded once more.
trait Float: WithDType + Default {
    /// The largest number below 1.
    const BELOW_ONE: f32;

    /// Converts a number.
    fn new(x: f32) -> Self;

    /// Rounds a number to this dtype.
    fn round(x: f32) -> f32;
}

impl Float for f32 {
    const BELOW_ONE: f32 = 1.0 - f32::EPSILON / 2.0;

    fn new(x: f32) -> Self {
        x
    }

    fn round(x: f32) -> f32 {
        x
    }
}

macro_rules! half_float {
    ($type:ty) => {
        impl Float for $type {
            const BELOW_ONE: f32 = 1.0 - <$type>::EPSILON.to_f32_const() / 2.0;

            fn new(x: f32) -> Self {
                <$type>::from_f32(x)
            }

            fn round(x: f32) -> f32 {
                <$type>::from_f32(x).to_f32()
            }
        }
    };
}
half_float!(f16);
half_float!(bf16);

/// Returns a number between 0 and the largest below 1, inclusive.
#[inline]
#[allow(clippy::cast_precision_loss, reason = "MLX rounds, too")]
fn fraction<T: Float>(bits: u32) -> f32 {
    /// MLX divides by the largest of 32 bits, which is 2³² in float32.
    const SCALE: f32 = 1.0 / (1_u64 << 32) as f32;
    let fraction = bits as f32 * SCALE;
    T::round(if fraction < T::BELOW_ONE { fraction } else { T::BELOW_ONE })
}

/// Returns a number between two bounds, of the dtype `T` that they are rounded to.
#[inline]
fn uniform<T: Float>(bits: u32, (low, high): (f32, f32)) -> f32 {
    let (low, high) = (T::round(low), T::round(high));
    T::round(T::round(T::round(high - low) * fraction::<T>(bits)) + low)
}

/// Returns a number of the standard Laplace distribution, by the inverse of its distribution function.
#[inline]
fn laplace(bits: u32) -> f32 {
    let draw = uniform::<f32>(bits, OPEN);
    let size = ln_1p(-draw.abs());
    if draw > 0.0 { size } else { -size }
}

/// Returns an integer of a range. It is drawn in float32, where the bounds may not be numbers; hence the clamps.
#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "MLX draws in float32")]
fn integer(bits: u32, range: Range<i64>, largest: f32) -> i64 {
    let draw = uniform::<f32>(bits, (range.start as f32, range.end as f32)).floor();
    (if draw < largest { draw } else { largest } as i64).clamp(range.start, range.end - 1)
}

/// Returns whether an event of probability `p` happens.
#[inline]
#[allow(clippy::cast_precision_loss, reason = "MLX rounds, too")]
fn is_success(bits: u32, p: f32) -> bool {
    /// The first number after 2³²: all numbers of 32 bits are below it, and none is below its product with 0.
    const AFTER_ALL: f32 = (1_u64 << 32) as f32 * (1.0 + f32::EPSILON);
    (bits as f32) < p * AFTER_ALL
}

/// Computes the error function of a bound as MLX does on a CPU, by formula 7.1.26 of Abramowitz and Stegun (1964), whose error of
/// 1e-7 moves the numbers in the tails.
fn erf(x: f32) -> f32 {
    let t = 1.0 / (0.327_591_1 * x.abs() + 1.0);
    let series = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6_f32];
    let polynomial = series.into_iter().reduce(|sum, coefficient| sum * t + coefficient).unwrap_or_default();
    (1.0 - (-x * x).exp() * t * polynomial).copysign(x)
}
