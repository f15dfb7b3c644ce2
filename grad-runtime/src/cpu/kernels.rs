//! Forward kernels: those of candle, and ours where candle has none or computes something else.
//!
//! Callers have checked the shapes of the operands and converted them to a common dtype.
#![allow(clippy::inline_always, reason = "loops are compiled for several instruction sets, as rows.rs says")]

use candle_core::cpu_backend::{binary_map, unary_map};
use candle_core::{D, DType, Device, Result, Storage, Tensor, WithDType};
use num_traits::Float;

use super::elementwise;
use super::rows::{self, BLOCK_OF_FUNCTIONS, Real, map_rows, not_on_the_cpu, zip_elements};

/// Computes a floating point kernel, of half precision in float32, whose result is rounded once.
pub(super) fn in_full_precision(x: &Tensor, kernel: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dtype() {
        DType::F32 | DType::F64 => kernel(x),
        half => kernel(&x.to_dtype(DType::F32)?)?.to_dtype(half),
    }
}

/// As [`in_full_precision`], for two operands.
fn binary_in_full_precision(
    x: &Tensor,
    y: &Tensor,
    kernel: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    in_full_precision(x, |x| kernel(x, &y.to_dtype(x.dtype())?))
}

/// Calls a generic kernel with the element type of an integer tensor, or returns the other value.
macro_rules! with_integers {
    ($dtype:expr, $integer:ident => $kernel:expr, _ => $other:expr) => {
        match $dtype {
            DType::U8 => {
                type $integer = u8;
                $kernel
            }
            DType::U32 => {
                type $integer = u32;
                $kernel
            }
            DType::I16 => {
                type $integer = i16;
                $kernel
            }
            DType::I32 => {
                type $integer = i32;
                $kernel
            }
            DType::I64 => {
                type $integer = i64;
                $kernel
            }
            _ => $other,
        }
    };
}

/// Calls a generic kernel with the element type of a tensor in full precision.
macro_rules! with_reals {
    ($dtype:expr, $real:ident => $kernel:expr) => {
        match $dtype {
            DType::F64 => {
                type $real = f64;
                $kernel
            }
            _ => {
                type $real = f32;
                $kernel
            }
        }
    };
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

/// Computes `f` of each element of a float32 tensor, in a loop that the compiler vectorizes.
#[inline(always)]
fn map_float32(x: &Tensor, f: impl Fn(f32) -> f32 + Sync) -> Result<Tensor> {
    map_rows(
        x,
        1,
        BLOCK_OF_FUNCTIONS,
        #[inline(always)]
        |xs| {
            for x in xs {
                *x = f(*x);
            }
        },
    )
}

/// Defines an operation by candle's kernel for floats, and for integers by one that wraps around, because candle's panics in
/// debug builds. Floats that need no broadcast have one that uses several threads.
macro_rules! arithmetic {
    ($name:ident, $candle:ident, $wrapping:ident, $operator:tt) => {
        pub(super) fn $name(x: &Tensor, y: &Tensor) -> Result<Tensor> {
            let is_alike = x.dims() == y.dims() && x.is_contiguous() && y.is_contiguous();
            with_integers!(x.dtype(), T => zip(x, y, T::$wrapping), _ => match x.dtype() {
                DType::F32 if is_alike => zip_elements(x, y, #[inline(always)] |x: f32, y| x $operator y),
                DType::F64 if is_alike => zip_elements(x, y, #[inline(always)] |x: f64, y| x $operator y),
                _ => x.$candle(y),
            })
        }
    };
}
arithmetic!(add, broadcast_add, wrapping_add, +);
arithmetic!(subtract, broadcast_sub, wrapping_sub, -);
arithmetic!(multiply, broadcast_mul, wrapping_mul, *);

/// Computes the larger element, or NaN if either is NaN; candle's kernel loses NaN.
pub(super) fn maximum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    with_integers!(x.dtype(), T => zip(x, y, T::max), _ => binary_in_full_precision(x, y, |x, y| {
        with_reals!(x.dtype(), T => zip(x, y, larger::<T>))
    }))
}

/// Computes the smaller element, or NaN if either is NaN; candle's kernel loses NaN.
pub(super) fn minimum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    with_integers!(x.dtype(), T => zip(x, y, T::min), _ => binary_in_full_precision(x, y, |x, y| {
        with_reals!(x.dtype(), T => zip(x, y, smaller::<T>))
    }))
}

fn larger<T: Float>(x: T, y: T) -> T {
    if x > y || x.is_nan() { x } else { y }
}

fn smaller<T: Float>(x: T, y: T) -> T {
    if x < y || x.is_nan() { x } else { y }
}

/// Computes `x` to the power of `y`. candle's kernel is `exp(y · log(x))`, which is NaN for a negative base.
pub(super) fn power(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    with_integers!(x.dtype(), T => zip(x, y, <T as Integer>::power), _ => binary_in_full_precision(x, y, |x, y| {
        with_reals!(x.dtype(), T => zip(x, y, T::powf))
    }))
}

/// What candle's kernels do not do for integers.
trait Integer {
    /// Computes the power, which wraps around. That of a negative exponent is the quotient 1 / x^|y|, without its fraction.
    fn power(self, exponent: Self) -> Self;
    fn absolute(self) -> Self;
    /// Returns -1, 0 or 1.
    fn sign(self) -> Self;
    /// Returns the number, or 0 if it is negative.
    fn positive_part(self) -> Self;
}

macro_rules! integers {
    ($($integer:ty, $absolute:expr, $sign:expr;)*) => {$(
        impl Integer for $integer {
            #[allow(unused_comparisons, clippy::cast_sign_loss, reason = "the exponent of unsigned integers is not negative")]
            fn power(self, exponent: Self) -> Self {
                if exponent < 0 {
                    return match self {
                        1 => 1,
                        _ if self.wrapping_add(1) == 0 && exponent % 2 == 0 => 1,
                        _ if self.wrapping_add(1) == 0 => self,
                        _ => 0,
                    };
                }
                // By squaring, since the exponent may have more than 32 bits.
                let (mut power, mut square, mut rest) = (1, self, exponent);
                while rest > 0 {
                    if rest % 2 == 1 {
                        power = Self::wrapping_mul(power, square);
                    }
                    square = square.wrapping_mul(square);
                    rest /= 2;
                }
                power
            }

            fn sign(self) -> Self {
                let sign: fn(Self) -> Self = $sign;
                sign(self)
            }

            #[allow(clippy::unnecessary_min_or_max, reason = "unsigned integers are not negative")]
            fn positive_part(self) -> Self {
                self.max(0)
            }

            fn absolute(self) -> Self {
                let absolute: fn(Self) -> Self = $absolute;
                absolute(self)
            }
        }
    )*};
}
integers! {
    u8, |x| x, |x| x.min(1);
    u32, |x| x, |x| x.min(1);
    i16, i16::wrapping_abs, i16::signum;
    i32, i32::wrapping_abs, i32::signum;
    i64, i64::wrapping_abs, i64::signum;
}

pub(super) fn abs(x: &Tensor) -> Result<Tensor> {
    with_integers!(x.dtype(), T => map(x, <T as Integer>::absolute), _ => x.abs())
}

pub(super) fn negative(x: &Tensor) -> Result<Tensor> {
    with_integers!(x.dtype(), T => map(x, T::wrapping_neg), _ => x.neg())
}

pub(super) fn sign(x: &Tensor) -> Result<Tensor> {
    let of_real = |x: &Tensor| {
        // Not `signum`, which is 1 for 0. NaN stays NaN.
        with_reals!(x.dtype(), T => map(x, |x: T| if x == 0.0 { x } else { x.signum() }))
    };
    with_integers!(x.dtype(), T => map(x, <T as Integer>::sign), _ => in_full_precision(x, of_real))
}

pub(super) fn floor(x: &Tensor) -> Result<Tensor> {
    if x.dtype().is_float() { x.floor() } else { Ok(x.clone()) }
}

pub(super) fn ceil(x: &Tensor) -> Result<Tensor> {
    if x.dtype().is_float() { x.ceil() } else { Ok(x.clone()) }
}

pub(super) fn expm1(x: &Tensor) -> Result<Tensor> {
    with_reals!(x.dtype(), T => map(x, T::exp_m1))
}

pub(super) fn log1p(x: &Tensor) -> Result<Tensor> {
    with_reals!(x.dtype(), T => map(x, T::ln_1p))
}

pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    with_integers!(
        x.dtype(),
        T => map(x, <T as Integer>::positive_part),
        // Not `max`, which turns NaN into 0.
        _ => in_full_precision(x, |x| with_reals!(x.dtype(), T => map(x, |x: T| if x <= 0.0 { 0.0 } else { x })))
    )
}

/// Computes the error function. candle's kernel calls a function for each element.
pub(super) fn erf(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::F64 { x.erf() } else { map_float32(x, elementwise::erf) }
}

/// Computes gelu. candle's kernel calls a function for each element.
pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::F64 { x.gelu_erf() } else { map_float32(x, elementwise::gelu) }
}

/// Reduces the elements along `axes`, which `f` is given as one slice, to a tensor of `shape`.
fn fold<T: WithDType>(x: &Tensor, axes: &[usize], shape: &[usize], f: impl Fn(&[T]) -> T) -> Result<Tensor> {
    let kept = (0..x.rank()).filter(|axis| !axes.contains(axis));
    let x = x.permute(kept.chain(axes.iter().copied()).collect::<Vec<_>>())?.contiguous()?;
    let length = x.dims()[x.rank() - axes.len()..].iter().product::<usize>().max(1);
    let (storage, layout) = x.storage_and_layout();
    let elements = rows::contiguous::<T>(&storage, layout)?;
    Tensor::from_vec(elements.chunks_exact(length).map(f).collect(), shape, &Device::Cpu)
}

/// Computes the sum. Integers wrap around; half precision is accumulated in float32.
pub(super) fn sum(x: &Tensor, axes: &[usize], shape: &[usize]) -> Result<Tensor> {
    match x.dtype() {
        _ if x.elem_count() == 0 => Tensor::zeros(shape, x.dtype(), x.device()),
        dtype => with_integers!(
            dtype,
            T => fold(x, axes, shape, |xs: &[T]| xs.iter().fold(0, |sum: T, x| sum.wrapping_add(*x))),
            _ => in_full_precision(x, |x| x.sum_keepdim(axes)?.reshape(shape))
        ),
    }
}

macro_rules! extremum {
    ($name:ident, $larger:ident, $ord:ident) => {
        /// Computes the extremum, or NaN if an element is NaN.
        pub(super) fn $name(x: &Tensor, axes: &[usize], shape: &[usize]) -> Result<Tensor> {
            with_integers!(
                x.dtype(),
                T => fold(x, axes, shape, |xs: &[T]| xs[1..].iter().fold(xs[0], |x, y| x.$ord(*y))),
                _ => in_full_precision(x, |x| with_reals!(x.dtype(), T => {
                    fold(x, axes, shape, |xs: &[T]| xs[1..].iter().fold(xs[0], |x, y| $larger(x, *y)))
                }))
            )
        }
    };
}
extremum!(max, larger, max);
extremum!(min, smaller, min);

/// Computes `log(sum(exp(x)))`. The largest element is subtracted first, against overflow.
pub(super) fn logsumexp(x: &Tensor, axes: &[usize], shape: &[usize]) -> Result<Tensor> {
    fn row<T: Real>(xs: &[T]) -> T {
        let largest = xs.iter().copied().fold(T::neg_infinity(), larger);
        if largest.is_infinite() {
            return largest;
        }
        xs.iter().fold(T::zero(), |sum, x| sum + (*x - largest).exp()).ln() + largest
    }
    in_full_precision(x, |x| with_reals!(x.dtype(), T => fold(x, axes, shape, row::<T>)))
}

/// Computes the softmax along the last axis. candle's kernel calls a function for each element.
pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.elem_count() == 0 {
        return Ok(x.clone());
    }
    let length = x.dim(D::Minus1)?;
    in_full_precision(x, |x| match x.dtype() {
        DType::F64 => softmax_of_rows(x, length, |x: f64| x.exp()),
        _ => softmax_of_rows(x, length, elementwise::exp_nonpositive),
    })
}

/// Computes the softmax of rows of `length`, given the exponential function.
#[inline(always)]
fn softmax_of_rows<T: Real>(x: &Tensor, length: usize, exp: impl Fn(T) -> T + Sync) -> Result<Tensor> {
    map_rows(
        x,
        length,
        BLOCK_OF_FUNCTIONS,
        #[inline(always)]
        |rows: &mut [T]| {
            for row in rows.chunks_exact_mut(length) {
                softmax_of_row(row, &exp);
            }
        },
    )
}

/// Replaces a row of numbers by their softmax, given the exponential function.
#[inline(always)]
fn softmax_of_row<T: Real>(row: &mut [T], exp: &impl Fn(T) -> T) {
    let sum = exponentials_of_row(row, exp);
    for weight in row {
        *weight /= sum;
    }
}

/// Replaces each number of a row by the exponential of its distance to the largest, and returns their sum.
#[inline(always)]
pub(super) fn exponentials_of_row<T: Real>(row: &mut [T], exp: &impl Fn(T) -> T) -> T {
    // This may lose a NaN; the sum does not.
    let max = |x: T, y: T| if y > x { y } else { x };
    let largest = reduce(row, T::neg_infinity(), max, max);
    for x in row.iter_mut() {
        *x = exp(*x - largest);
    }
    sum_by(row, |weight| weight)
}

/// Computes the layer norm. candle's kernel computes the variance as `mean(x²) - mean(x)²`, which is wrong far from zero and may
/// be negative.
pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    if x.elem_count() == 0 {
        return Ok(x.clone());
    }
    in_full_precision(x, |x| with_reals!(x.dtype(), T => layer_norm_of_rows::<T>(x, weight, bias, eps)))
}

fn layer_norm_of_rows<T: Real>(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    let read = |x: &Tensor| x.to_dtype(T::DTYPE)?.to_vec1::<T>();
    let (weight, bias) = (read(weight)?, read(bias)?);
    let eps = T::from(eps).unwrap_or_else(T::nan);
    map_rows(
        x,
        weight.len(),
        BLOCK_OF_FUNCTIONS,
        #[inline(always)]
        |rows: &mut [T]| {
            for row in rows.chunks_exact_mut(weight.len()) {
                layer_norm_of_row(row, [&weight, &bias], eps);
            }
        },
    )
}

#[inline(always)]
fn layer_norm_of_row<T: Real>(row: &mut [T], [weight, bias]: [&[T]; 2], eps: T) {
    let length = T::from(row.len()).unwrap_or_else(T::infinity);
    // Relative to the first element: no precision is lost where the mean is large and the deviation small.
    let first = row[0];
    let mean = sum_by(row, |x| x - first) / length;
    let variance = sum_by(row, |x| (x - first - mean).powi(2)) / length;
    let scale = (variance + eps).sqrt().recip();
    for (x, (weight, bias)) in row.iter_mut().zip(weight.iter().zip(bias)) {
        *x = (*x - first - mean) * scale * *weight + *bias;
    }
}

/// Computes the sum of `f` of each element.
#[inline(always)]
fn sum_by<T: Real>(xs: &[T], f: impl Fn(T) -> T) -> T {
    reduce(xs, T::zero(), |sum, x| sum + f(x), |x, y| x + y)
}

/// Reduces `xs` by `add` in SIMD lanes, and the lanes by `join`.
#[inline(always)]
fn reduce<T: Real>(xs: &[T], start: T, add: impl Fn(T, T) -> T, join: impl Fn(T, T) -> T) -> T {
    let mut lanes = [start; 16];
    let chunks = xs.chunks_exact(lanes.len());
    let rest = chunks.remainder().iter().fold(start, |rest, x| add(rest, *x));
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = add(*lane, *x));
    }
    // By halves, which do not wait for each other.
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
    }
    join(lanes[0], rest)
}

/// Computes `sums[indices[i]] += x[i]` along `axis`, which has `length` in the result.
pub(super) fn scatter_add(x: &Tensor, indices: &Tensor, axis: usize, length: usize) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    shape[axis] = length;
    in_full_precision(x, |x| {
        Tensor::zeros(shape, x.dtype(), x.device())?.index_add(indices, &x.contiguous()?, axis)
    })
}

/// Computes `sums[…, indices[…, i, …], …] += x[…, i, …]` along `axis`, for sums of `shape`.
pub(super) fn scatter_add_along(x: &Tensor, indices: &Tensor, axis: usize, shape: &[usize]) -> Result<Tensor> {
    in_full_precision(x, |x| {
        Tensor::zeros(shape, x.dtype(), x.device())?.scatter_add(indices, &x.contiguous()?, axis)
    })
}

/// Pads with zeros to `shape`, in which `x` begins at `before`.
pub(super) fn pad(x: &Tensor, before: &[usize], shape: &[usize]) -> Result<Tensor> {
    let mut padded = x.clone();
    for (axis, (&before, &length)) in before.iter().zip(shape).enumerate() {
        padded = padded.pad_with_zeros(axis, before, length - before - x.dims()[axis])?;
    }
    Ok(padded)
}

/// Returns whether each element is not zero.
pub(super) fn is_nonzero(x: &Tensor) -> Result<Tensor> {
    x.ne(&x.zeros_like()?)
}
