//! What a backend draws, and the arguments that are refused on all of them.

use crate::array::operands::{Checked, refuse};
use crate::dtype::Dtype;
use crate::error::Result;

/// A distribution with the parameters that MLX computes with.
#[derive(Debug, Clone, Copy)]
pub enum Distribution {
    /// 32 random bits.
    Bits,
    Uniform {
        low: f32,
        high: f32,
    },
    Normal {
        loc: f32,
        scale: f32,
    },
    TruncatedNormal {
        lower: f32,
        upper: f32,
    },
    Laplace {
        loc: f32,
        scale: f32,
    },
    Gumbel,
    /// Integers from `low` up to but without `high`.
    Integers {
        low: i64,
        high: i64,
    },
    Bernoulli {
        p: f32,
    },
    /// The indices of a vector in random order.
    Permutation,
}

/// Draws random numbers: what each backend implements. The arguments have been checked.
pub trait Draw: Sized {
    /// Draws an array from a distribution. `op` is the function that the user called.
    #[doc(hidden)]
    #[track_caller]
    fn draw(
        op: &'static str,
        distribution: Distribution,
        shape: &[usize],
        dtype: Dtype,
        key: &Self,
    ) -> Result<Self>;

    /// Draws `num_samples` indices of `axis`, counted from the front, whose entries are unnormalized log-probabilities.
    #[doc(hidden)]
    #[track_caller]
    fn draw_indices(logits: &Self, axis: usize, num_samples: usize, key: &Self) -> Result<Self>;
}

impl Distribution {
    /// Refuses dtypes and parameters that the distribution does not have.
    pub(super) fn check(self, dtype: Dtype) -> Checked<()> {
        match self {
            Self::Bits | Self::Permutation => Ok(()),
            Self::Uniform { low, high } => {
                let largest = largest_float(dtype)?;
                if low.is_nan() || high.is_nan() || low > high {
                    refuse!("the range is {low:?} to {high:?}; the lower bound must not be above the upper one");
                }
                if [low, high, high - low].into_iter().any(|x| x.abs() > largest) {
                    refuse!("the range is {low:?} to {high:?}, whose bounds or length are not finite in {dtype}");
                }
                Ok(())
            }
            Self::TruncatedNormal { lower, upper } => {
                largest_float(dtype)?;
                if lower.is_nan() || upper.is_nan() || lower > upper {
                    refuse!("the range is {lower:?} to {upper:?}; the lower bound must not be above the upper one");
                }
                Ok(())
            }
            Self::Normal { scale, .. } | Self::Laplace { scale, .. } => {
                largest_float(dtype)?;
                if scale.is_nan() || scale < 0.0 {
                    refuse!("the scale is {scale:?}; it must not be negative");
                }
                Ok(())
            }
            Self::Gumbel => largest_float(dtype).map(drop),
            Self::Integers { low, high } => {
                let (least, largest) = integers(dtype)?;
                if low >= high {
                    refuse!("the range {low}..{high} is empty; the upper bound is not part of it");
                }
                if low < least || high - 1 > largest {
                    refuse!("the range {low}..{high} exceeds {dtype}, which holds {least} to {largest}");
                }
                Ok(())
            }
            Self::Bernoulli { p } => {
                if !(0.0..=1.0).contains(&p) {
                    refuse!("the probability is {p:?}; it must be from 0 to 1");
                }
                Ok(())
            }
        }
    }
}

/// Returns the largest number of a dtype that floats are drawn in.
fn largest_float(dtype: Dtype) -> Checked<f32> {
    match dtype {
        Dtype::Float32 => Ok(f32::MAX),
        Dtype::Float16 => Ok(half::f16::MAX.to_f32()),
        Dtype::BFloat16 => Ok(half::bf16::MAX.to_f32()),
        _ => refuse!("floats are drawn as float32, float16 or bfloat16; convert them with `astype`"),
    }
}

/// Returns the least and the largest number of a dtype that integers are drawn in.
fn integers(dtype: Dtype) -> Checked<(i64, i64)> {
    match dtype {
        Dtype::Int32 => Ok((i32::MIN.into(), i32::MAX.into())),
        Dtype::Int8 => Ok((i8::MIN.into(), i8::MAX.into())),
        Dtype::Int16 => Ok((i16::MIN.into(), i16::MAX.into())),
        Dtype::UInt8 => Ok((0, u8::MAX.into())),
        Dtype::UInt16 => Ok((0, u16::MAX.into())),
        // The draws have 32 random bits.
        Dtype::Int64 => Ok((i32::MIN.into(), u32::MAX.into())),
        Dtype::UInt32 | Dtype::UInt64 => Ok((0, u32::MAX.into())),
        _ => refuse!("{dtype} is not a dtype of integers; use another, or convert with `astype`"),
    }
}

/// Returns the largest number of float32 that a dtype of integers holds. A draw in float32 may be rounded up to the next.
pub fn largest_whole(dtype: Dtype) -> f32 {
    let end: f32 = if dtype == Dtype::UInt32 { 4_294_967_296.0 } else { 2_147_483_648.0 };
    end.next_down()
}
