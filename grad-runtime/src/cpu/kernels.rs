//! Forward kernels: those of candle, and ours where candle has none or computes something else.
//!
//! Callers have checked the shapes of the operands and converted them to a common dtype.

use candle_core::cpu_backend::{binary_map, unary_map};
use candle_core::{D, DType, Device, Error, Result, Storage, Tensor, WithDType};
use rayon::prelude::*;

use super::elementwise;

/// Computes a floating point kernel in float32 and rounds the result once to the dtype of `x`.
pub(super) fn in_float32(x: &Tensor, kernel: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dtype() {
        DType::F32 => kernel(x),
        half => kernel(&x.to_dtype(DType::F32)?)?.to_dtype(half),
    }
}

/// As [`in_float32`], for two operands.
fn binary_in_float32(
    x: &Tensor,
    y: &Tensor,
    kernel: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    in_float32(x, |x| kernel(x, &y.to_dtype(DType::F32)?))
}

/// Replaces an empty view, which may begin past the end of the elements, by an empty tensor: candle's kernels would look there.
pub(super) fn rebase_if_empty(x: Tensor) -> Result<Tensor> {
    if x.elem_count() > 0 {
        return Ok(x);
    }
    Tensor::zeros(x.shape(), x.dtype(), x.device())
}

/// Computes `f` of each element.
fn map<T: WithDType>(x: &Tensor, f: impl FnMut(T) -> T) -> Result<Tensor> {
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(not_on_the_cpu());
    };
    Tensor::from_vec(unary_map(storage.as_slice::<T>()?, layout, f), x.shape(), &Device::Cpu)
}

/// Computes `f` of each pair of elements, broadcast.
fn zip<T: WithDType>(x: &Tensor, y: &Tensor, f: impl FnMut(T, T) -> T) -> Result<Tensor> {
    let shape = x.shape().broadcast_shape_binary_op(y.shape(), "zip")?;
    let (x, y) = (x.broadcast_as(&shape)?, y.broadcast_as(&shape)?);
    let ((x_storage, x_layout), (y_storage, y_layout)) = (x.storage_and_layout(), y.storage_and_layout());
    let (Storage::Cpu(x), Storage::Cpu(y)) = (&*x_storage, &*y_storage) else {
        return Err(not_on_the_cpu());
    };
    let elements = binary_map(x_layout, y_layout, x.as_slice::<T>()?, y.as_slice::<T>()?, f);
    Tensor::from_vec(elements, shape, &Device::Cpu)
}

/// Calls `kernel` on blocks of whole rows of a float32 tensor, with a slice of the same length for the results.
///
/// A block is large enough to be worth another thread; a smaller array is computed on this one.
fn map_rows(x: &Tensor, row: usize, kernel: impl Fn(&[f32], &mut [f32]) + Sync) -> Result<Tensor> {
    const BLOCK: usize = 1 << 14;
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(not_on_the_cpu());
    };
    let elements = &storage.as_slice::<f32>()?[layout.start_offset()..][..x.elem_count()];
    let mut results = vec![0.0; elements.len()];
    let block = (BLOCK / row).max(1) * row;
    if elements.len() <= block {
        kernel(elements, &mut results);
    } else {
        let blocks = elements.par_chunks(block).zip(results.par_chunks_mut(block));
        blocks.for_each(|(elements, results)| kernel(elements, results));
    }
    Tensor::from_vec(results, x.shape(), &Device::Cpu)
}

/// Computes `f` of each element of a float32 tensor, in a loop that the compiler vectorizes.
fn map_float32(x: &Tensor, f: impl Fn(f32) -> f32 + Sync) -> Result<Tensor> {
    map_rows(x, 1, |xs, results| results.iter_mut().zip(xs).for_each(|(result, x)| *result = f(*x)))
}

fn not_on_the_cpu() -> Error {
    Error::Msg("the elements are not on the CPU".into())
}

/// Defines an operation by candle's kernel for floats, and for integers by one that wraps around, because candle's panics in
/// debug builds. A bool is a number that saturates at 1.
macro_rules! arithmetic {
    ($name:ident, $candle:ident, $wrapping:ident, $bool:tt) => {
        pub(super) fn $name(x: &Tensor, y: &Tensor) -> Result<Tensor> {
            match x.dtype() {
                DType::I32 => zip::<i32>(x, y, i32::$wrapping),
                DType::U32 => zip::<u32>(x, y, u32::$wrapping),
                DType::U8 => zip::<u8>(x, y, |x, y| x $bool y),
                _ => x.$candle(y),
            }
        }
    };
}
arithmetic!(add, broadcast_add, wrapping_add, |);
arithmetic!(subtract, broadcast_sub, wrapping_sub, ^);
arithmetic!(multiply, broadcast_mul, wrapping_mul, &);

/// Computes the larger element, or NaN if either is NaN; candle's kernel loses NaN.
pub(super) fn maximum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::I32 | DType::U32 | DType::U8 => x.broadcast_maximum(y),
        _ => binary_in_float32(x, y, |x, y| zip(x, y, larger)),
    }
}

/// Computes the smaller element, or NaN if either is NaN; candle's kernel loses NaN.
pub(super) fn minimum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::I32 | DType::U32 | DType::U8 => x.broadcast_minimum(y),
        _ => binary_in_float32(x, y, |x, y| zip(x, y, smaller)),
    }
}

fn larger(x: f32, y: f32) -> f32 {
    if x > y || x.is_nan() { x } else { y }
}

fn smaller(x: f32, y: f32) -> f32 {
    if x < y || x.is_nan() { x } else { y }
}

/// Computes `x` to the power of `y`. candle's kernel is `exp(y · log(x))`, which is NaN for a negative base.
pub(super) fn power(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::I32 => zip::<i32>(x, y, |x, y| match u32::try_from(y) {
            Ok(y) => x.wrapping_pow(y),
            // The quotient 1 / x^|y|, without its fraction.
            Err(_) if x.unsigned_abs() == 1 => x.wrapping_pow(y.unsigned_abs() % 2),
            Err(_) => 0,
        }),
        DType::U32 => zip::<u32>(x, y, u32::wrapping_pow),
        DType::U8 => zip::<u8>(x, y, |x, y| x | (y ^ 1)),
        _ => binary_in_float32(x, y, |x, y| zip(x, y, f32::powf)),
    }
}

pub(super) fn abs(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::I32 => map(x, i32::wrapping_abs),
        DType::U32 | DType::U8 => Ok(x.clone()),
        _ => x.abs(),
    }
}

pub(super) fn negative(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::I32 => map(x, i32::wrapping_neg),
        DType::U32 => map(x, u32::wrapping_neg),
        _ => x.neg(),
    }
}

pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::I32 => map(x, |x: i32| x.max(0)),
        DType::U32 | DType::U8 => Ok(x.clone()),
        // Not `max`, which turns NaN into 0.
        _ => in_float32(x, |x| map(x, |x: f32| if x <= 0.0 { 0.0 } else { x })),
    }
}

/// Computes the error function. candle's kernel calls a function for each element.
pub(super) fn erf(x: &Tensor) -> Result<Tensor> {
    map_float32(x, elementwise::erf)
}

/// Computes gelu. candle's kernel calls a function for each element.
pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    map_float32(x, elementwise::gelu)
}

/// Reduces the elements along `axes`, which `f` is given as one slice, to a tensor of `shape`.
fn fold<T: WithDType>(x: &Tensor, axes: &[usize], shape: &[usize], f: impl Fn(&[T]) -> T) -> Result<Tensor> {
    let kept = (0..x.rank()).filter(|axis| !axes.contains(axis));
    let x = x.permute(kept.chain(axes.iter().copied()).collect::<Vec<_>>())?.contiguous()?;
    let length = x.dims()[x.rank() - axes.len()..].iter().product::<usize>().max(1);
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(not_on_the_cpu());
    };
    let elements = &storage.as_slice::<T>()?[layout.start_offset()..][..x.elem_count()];
    Tensor::from_vec(elements.chunks_exact(length).map(f).collect(), shape, &Device::Cpu)
}

/// Computes the sum. Integers wrap around; half precision is accumulated in float32.
pub(super) fn sum(x: &Tensor, axes: &[usize], shape: &[usize]) -> Result<Tensor> {
    match x.dtype() {
        _ if x.elem_count() == 0 => Tensor::zeros(shape, x.dtype(), x.device()),
        DType::I32 => fold(x, axes, shape, |xs: &[i32]| xs.iter().fold(0, |sum, x| sum.wrapping_add(*x))),
        DType::U32 => fold(x, axes, shape, |xs: &[u32]| xs.iter().fold(0, |sum, x| sum.wrapping_add(*x))),
        _ => in_float32(x, |x| x.sum_keepdim(axes)?.reshape(shape)),
    }
}

macro_rules! extremum {
    ($name:ident, $larger:expr, $ord:ident) => {
        /// Computes the extremum, or NaN if an element is NaN.
        pub(super) fn $name(x: &Tensor, axes: &[usize], shape: &[usize]) -> Result<Tensor> {
            match x.dtype() {
                DType::I32 => fold(x, axes, shape, |xs: &[i32]| xs[1..].iter().fold(xs[0], |x, y| x.$ord(*y))),
                DType::U32 => fold(x, axes, shape, |xs: &[u32]| xs[1..].iter().fold(xs[0], |x, y| x.$ord(*y))),
                DType::U8 => fold(x, axes, shape, |xs: &[u8]| xs[1..].iter().fold(xs[0], |x, y| x.$ord(*y))),
                _ => in_float32(x, |x| {
                    fold(x, axes, shape, |xs: &[f32]| xs[1..].iter().fold(xs[0], |x, y| $larger(x, *y)))
                }),
            }
        }
    };
}
extremum!(max, larger, max);
extremum!(min, smaller, min);

/// Computes `log(sum(exp(x)))`. The largest element is subtracted first, against overflow.
pub(super) fn logsumexp(x: &Tensor, axes: &[usize], shape: &[usize]) -> Result<Tensor> {
    in_float32(x, |x| {
        fold(x, axes, shape, |xs: &[f32]| {
            let largest = xs.iter().copied().fold(f32::NEG_INFINITY, larger);
            if largest.is_infinite() {
                return largest;
            }
            xs.iter().map(|x| (x - largest).exp()).sum::<f32>().ln() + largest
        })
    })
}

/// Computes the softmax along the last axis. candle's kernel calls a function for each element.
pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.elem_count() == 0 {
        return Ok(x.clone());
    }
    let length = x.dim(D::Minus1)?;
    in_float32(x, |x| {
        map_rows(x, length, |rows, results| {
            for (row, weights) in rows.chunks_exact(length).zip(results.chunks_exact_mut(length)) {
                // This may lose a NaN; the sum does not.
                let max = |x: f32, y: f32| if y > x { y } else { x };
                let largest = reduce(row, f32::NEG_INFINITY, max, max);
                let exp = |x: &f32| elementwise::exp_nonpositive(x - largest);
                weights.iter_mut().zip(row).for_each(|(weight, x)| *weight = exp(x));
                let sum = sum_by(weights, |weight| weight);
                for weight in weights {
                    *weight /= sum;
                }
            }
        })
    })
}

/// Computes the layer norm. candle's kernel computes the variance as `mean(x²) - mean(x)²`, which is wrong far from zero and may
/// be negative.
#[allow(clippy::cast_precision_loss, reason = "the length of an axis, as an f32 divisor")]
pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    if x.elem_count() == 0 {
        return Ok(x.clone());
    }
    let read = |x: &Tensor| x.to_dtype(DType::F32)?.to_vec1::<f32>();
    let (weight, bias) = (read(weight)?, read(bias)?);
    let length = weight.len() as f32;
    in_float32(x, |x| {
        map_rows(x, weight.len(), |rows, results| {
            for (row, normal) in rows.chunks_exact(weight.len()).zip(results.chunks_exact_mut(weight.len())) {
                // Relative to the first element: no precision is lost where the mean is large and the deviation small.
                let first = row[0];
                let mean = sum_by(row, |x| x - first) / length;
                let variance = sum_by(row, |x| (x - first - mean).powi(2)) / length;
                let scale = (variance + eps).sqrt().recip();
                let affine = weight.iter().zip(&bias);
                for ((normal, x), (weight, bias)) in normal.iter_mut().zip(row).zip(affine) {
                    *normal = (x - first - mean) * scale * weight + bias;
                }
            }
        })
    })
}

/// Computes the sum of `f` of each element.
fn sum_by(xs: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    reduce(xs, 0.0, |sum, x| sum + f(x), |x, y| x + y)
}

/// Reduces `xs` by `add` in SIMD lanes, and the lanes by `join`.
fn reduce(xs: &[f32], start: f32, add: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; 16];
    let chunks = xs.chunks_exact(lanes.len());
    let rest = chunks.remainder().iter().fold(start, |rest, x| add(rest, *x));
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = add(*lane, *x));
    }
    lanes.into_iter().fold(rest, join)
}

/// Multiplies matrices, or batches of matrices whose leading axes are the same.
pub(super) fn matmul(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::BF16 {
        return binary_in_float32(x, y, matmul); // candle's kernel has no bfloat16.
    }
    if x.rank() == 2 {
        return x.matmul(y);
    }
    let mut shape = x.dims().to_vec();
    shape[x.rank() - 1] = y.dim(D::Minus1)?;
    as_batch(x)?.matmul(&as_batch(y)?)?.reshape(shape)
}

/// Returns a batch of matrices with one leading axis, in a layout that candle multiplies: contiguous matrices, each of them
/// row-major or column-major.
fn as_batch(x: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (x.rank() - 2, x.rank() - 1);
    let dims = x.dims();
    let batch = dims[..rows].iter().product::<usize>();
    if x.stride()[rows] == 1 && x.stride()[columns] != 1 {
        x.transpose(rows, columns)?.contiguous()?.reshape((batch, dims[columns], dims[rows]))?.transpose(1, 2)
    } else {
        x.contiguous()?.reshape((batch, dims[rows], dims[columns]))
    }
}

/// Computes `sums[indices[i]] += x[i]` along `axis`, which has `length` in the result.
pub(super) fn scatter_add(x: &Tensor, indices: &Tensor, axis: usize, length: usize) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    shape[axis] = length;
    in_float32(x, |x| Tensor::zeros(shape, DType::F32, x.device())?.index_add(indices, &x.contiguous()?, axis))
}

/// Pads with zeros to `shape`, in which `x` begins at `before`.
pub(super) fn pad(x: &Tensor, before: &[usize], shape: &[usize]) -> Result<Tensor> {
    let mut padded = x.clone();
    for (axis, (&before, &length)) in before.iter().zip(shape).enumerate() {
        padded = padded.pad_with_zeros(axis, before, length - before - x.dims()[axis])?;
    }
    Ok(padded)
}

/// Converts as Rust's `as` does. A bool is whether the number is not zero.
pub(super) fn convert(x: &Tensor, dtype: DType) -> Result<Tensor> {
    match (x.dtype(), dtype) {
        (DType::U8, DType::U8) => Ok(x.clone()),
        (_, DType::U8) => x.ne(&x.zeros_like()?),
        _ => x.to_dtype(dtype),
    }
}
