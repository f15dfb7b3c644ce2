//! The `Array` trait: one vocabulary for MLX arrays and the CPU fallback.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};

use crate::detach::Detach;
use crate::error::{Error, Result};
use crate::params::Params;
use grad_core::Backend;
use grad_core::GradMode;

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit floating point.
    Float32,
    /// 16-bit floating point, IEEE 754 binary16.
    Float16,
    /// 16-bit floating point with the range of float32.
    BFloat16,
    /// 32-bit signed integer.
    Int32,
    /// 32-bit unsigned integer.
    UInt32,
    /// `true` or `false`.
    Bool,
}

impl Dtype {
    /// Whether arrays of this dtype have gradients.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float16 | Self::BFloat16)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Int32 => "int32",
            Self::UInt32 => "uint32",
            Self::Bool => "bool",
        })
    }
}

/// Elements on their way into or out of an array, in row-major order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is named after its dtype")]
pub enum Buffer<'a> {
    Float32(Cow<'a, [f32]>),
    Float16(Cow<'a, [f16]>),
    BFloat16(Cow<'a, [bf16]>),
    Int32(Cow<'a, [i32]>),
    UInt32(Cow<'a, [u32]>),
    Bool(Cow<'a, [bool]>),
}

impl Buffer<'_> {
    /// The dtype of the elements.
    #[must_use]
    pub const fn dtype(&self) -> Dtype {
        match self {
            Self::Float32(_) => Dtype::Float32,
            Self::Float16(_) => Dtype::Float16,
            Self::BFloat16(_) => Dtype::BFloat16,
            Self::Int32(_) => Dtype::Int32,
            Self::UInt32(_) => Dtype::UInt32,
            Self::Bool(_) => Dtype::Bool,
        }
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Float32(data) => data.len(),
            Self::Float16(data) => data.len(),
            Self::BFloat16(data) => data.len(),
            Self::Int32(data) => data.len(),
            Self::UInt32(data) => data.len(),
            Self::Bool(data) => data.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A Rust type that can be an array's element: `f32`, [`struct@f16`], [`bf16`], `i32`, `u32` or `bool`.
pub trait Element: Copy + sealed::Sealed + 'static {
    /// The dtype of arrays with such elements.
    const DTYPE: Dtype;

    /// Lends the elements to an array under construction.
    fn buffer(elements: &[Self]) -> Buffer<'_>;

    /// The elements, if the buffer holds this type.
    fn elements(buffer: Buffer<'_>) -> Option<Vec<Self>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($element:ty => $dtype:ident),*) => {$(
        impl sealed::Sealed for $element {}
        impl Element for $element {
            const DTYPE: Dtype = Dtype::$dtype;

            fn buffer(elements: &[Self]) -> Buffer<'_> {
                Buffer::$dtype(Cow::Borrowed(elements))
            }

            fn elements(buffer: Buffer<'_>) -> Option<Vec<Self>> {
                match buffer {
                    Buffer::$dtype(data) => Some(data.into_owned()),
                    _ => None,
                }
            }
        }
    )*};
}
elements!(f32 => Float32, f16 => Float16, bf16 => BFloat16, i32 => Int32, u32 => UInt32, bool => Bool);

/// An n-dimensional array: `mlx::Array` or `cpu::Array`, so that a model is written once.
///
/// Names and meanings are MLX's: operands broadcast as in NumPy, and a negative axis counts from the end. An array
/// made while the grad mode is off is a constant to every transform around it; outside a transform a scope changes
/// nothing about an array.
///
/// # Errors
///
/// Every operation answers [`Error::Operation`], with the operation's name and the operands' shapes and dtypes, where
/// they do not fit. It never panics on its arguments.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, Result, cpu, no_grad};
///
/// // d/dx (x · stop(x²)) = x²: what is made in the scope is a constant.
/// fn loss<A: Array>(x: &A) -> Result<A> {
///     let target = no_grad! { x.square()? };
///     x.multiply(&target)?.sum_all()
/// }
///
/// let x = cpu::Array::from_slice(&[3.0_f32], &[1])?;
/// let (value, gradients) = cpu::Array::value_and_grad(|primals| loss(&primals[0]), &[x])?;
/// assert_eq!(value.item::<f32>()?, 27.0);
/// assert_eq!(gradients[0].to_vec::<f32>()?, [9.0]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Operators
///
/// The arrays of this crate also have `+`, `-`, `*`, `/` and the sign `-`, with operands borrowed or owned. They are
/// [`add`](Array::add), [`subtract`](Array::subtract), [`multiply`](Array::multiply), [`divide`](Array::divide) and
/// [`negative`](Array::negative): the result is a [`Result`], and scopes count. An `f32` may stand on either side. It takes
/// the dtype of the array, so that float16 stays float16; beside an integer or bool array it is float32, and so is the
/// result, as in MLX.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, cpu, no_grad};
///
/// let x = cpu::Array::from_slice(&[2.0_f32, 4.0], &[2])?;
/// let target = no_grad! { (&x * &x)? };
/// let error = (1.0 - (&x / target)?)?;
/// assert_eq!((-(error * 3.0)?)?.to_vec::<f32>()?, [-1.5, -2.25]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// Generic code has the methods, or asks for the operators that it uses:
/// `where for<'a> &'a A: Mul<&'a A, Output = Result<A>>`.
pub trait Array: Clone + Detach + Params<Self> + fmt::Debug + Sized + 'static {
    /// The backend whose grad mode these arrays obey.
    fn backend() -> &'static dyn Backend;

    // Making arrays

    /// An array of `shape` with the buffer's elements in row-major order.
    fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self>;

    /// An array of `shape` with every element `value`, converted to `dtype`.
    fn full(shape: &[usize], value: f32, dtype: Dtype) -> Result<Self>;

    /// An array of `shape` with the given elements in row-major order.
    fn from_slice<T: Element>(elements: &[T], shape: &[usize]) -> Result<Self> {
        Self::from_buffer(T::buffer(elements), shape)
    }

    /// A scalar, shape `[]`.
    fn scalar<T: Element>(value: T) -> Result<Self> {
        Self::from_slice(&[value], &[])
    }

    /// Zeros.
    fn zeros(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::full(shape, 0.0, dtype)
    }

    /// Ones.
    fn ones(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::full(shape, 1.0, dtype)
    }

    // Looking at arrays

    /// The length of each axis.
    fn shape(&self) -> Vec<usize>;

    /// The type of the elements.
    fn dtype(&self) -> Dtype;

    /// The elements in row-major order. A lazy backend computes them now.
    fn to_buffer(&self) -> Result<Buffer<'static>>;

    /// Computes the elements now, if the backend is lazy and has not yet.
    fn eval(&self) -> Result<()>;

    /// The number of axes.
    fn ndim(&self) -> usize {
        self.shape().len()
    }

    /// The number of elements.
    fn size(&self) -> usize {
        self.shape().iter().product()
    }

    /// The elements in row-major order. `T` must be the array's own dtype: convert with [`astype`](Array::astype).
    fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if self.dtype() != T::DTYPE {
            let wanted = T::DTYPE;
            return Err(refused(
                "to_vec",
                &[self],
                format!("the elements are not {wanted}: convert them with `astype` first"),
            ));
        }
        let buffer = self.to_buffer()?;
        Ok(T::elements(buffer).expect("a buffer has its array's dtype"))
    }

    /// The one element of an array of size 1.
    fn item<T: Element>(&self) -> Result<T> {
        match self.to_vec::<T>()?[..] {
            [item] => Ok(item),
            _ => Err(refused("item", &[self], "only an array of size 1 has an item".into())),
        }
    }

    // Elementwise

    /// The absolute value.
    fn abs(&self) -> Result<Self>;
    /// The sign turned around.
    fn negative(&self) -> Result<Self>;
    /// e to the power of each element.
    fn exp(&self) -> Result<Self>;
    /// The natural logarithm.
    fn log(&self) -> Result<Self>;
    /// The square root.
    fn sqrt(&self) -> Result<Self>;
    /// Each element times itself.
    fn square(&self) -> Result<Self>;
    /// The sine, of radians.
    fn sin(&self) -> Result<Self>;
    /// The cosine, of radians.
    fn cos(&self) -> Result<Self>;
    /// The hyperbolic tangent.
    fn tanh(&self) -> Result<Self>;
    /// The error function.
    fn erf(&self) -> Result<Self>;
    /// `1 / (1 + exp(-x))`.
    fn sigmoid(&self) -> Result<Self>;
    /// `max(x, 0)`.
    fn relu(&self) -> Result<Self>;
    /// `x · Φ(x)` with the exact normal distribution function, as BERT has it.
    fn gelu(&self) -> Result<Self>;

    /// The sum of both, broadcast.
    fn add(&self, other: &Self) -> Result<Self>;
    /// The difference, broadcast.
    fn subtract(&self, other: &Self) -> Result<Self>;
    /// The elementwise product, broadcast.
    fn multiply(&self, other: &Self) -> Result<Self>;
    /// The elementwise quotient, broadcast.
    fn divide(&self, other: &Self) -> Result<Self>;
    /// The larger of each pair, broadcast.
    fn maximum(&self, other: &Self) -> Result<Self>;
    /// The smaller of each pair, broadcast.
    fn minimum(&self, other: &Self) -> Result<Self>;
    /// Each element to the power of the other, broadcast.
    fn power(&self, other: &Self) -> Result<Self>;
    /// Whether both are equal, broadcast; dtype bool.
    fn equal(&self, other: &Self) -> Result<Self>;
    /// Whether this one is greater, broadcast; dtype bool.
    fn greater(&self, other: &Self) -> Result<Self>;
    /// Whether this one is less, broadcast; dtype bool.
    fn less(&self, other: &Self) -> Result<Self>;
    /// `on_true` where this bool array is true, else `on_false`; all three are broadcast. MLX's and NumPy's `where`.
    fn where_cond(&self, on_true: &Self, on_false: &Self) -> Result<Self>;

    // Reductions

    /// The sum over `axes`; with `keepdims` they stay, with length 1.
    fn sum(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    /// The mean over `axes`.
    fn mean(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    /// The largest element over `axes`.
    fn max(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    /// The smallest element over `axes`.
    fn min(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    /// `log(sum(exp(x)))` over `axes`, without overflow.
    fn logsumexp(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    /// The index of the largest element along `axis`, the first of equals; dtype uint32.
    fn argmax(&self, axis: isize, keepdims: bool) -> Result<Self>;
    /// `exp(x) / sum(exp(x))` along `axis`.
    fn softmax(&self, axis: isize) -> Result<Self>;

    /// The sum of all elements, shape `[]`.
    fn sum_all(&self) -> Result<Self> {
        self.sum(&every_axis(self), false)
    }

    /// The mean of all elements, shape `[]`.
    fn mean_all(&self) -> Result<Self> {
        self.mean(&every_axis(self), false)
    }

    // Linear algebra and normalization

    /// The matrix product of the last two axes; the axes before them are broadcast. A one-dimensional operand is a row
    /// on the left and a column on the right.
    fn matmul(&self, other: &Self) -> Result<Self>;

    /// Over the last axis: `(x - mean) / sqrt(variance + eps) · weight + bias`. `weight` and `bias` have the length of
    /// that axis.
    fn layer_norm(&self, weight: &Self, bias: &Self, eps: f32) -> Result<Self>;

    // Shapes and indexing

    /// The same elements in another shape.
    fn reshape(&self, shape: &[usize]) -> Result<Self>;
    /// The axes in the order that `axes` names them.
    fn transpose(&self, axes: &[isize]) -> Result<Self>;
    /// A new axis of length 1 that becomes number `axis` of the result.
    fn expand_dims(&self, axis: isize) -> Result<Self>;
    /// Without `axis`, which must have length 1.
    fn squeeze(&self, axis: isize) -> Result<Self>;
    /// Broadcast to `shape`.
    fn broadcast_to(&self, shape: &[usize]) -> Result<Self>;
    /// Several arrays one after the other along `axis`, where alone their shapes may differ.
    fn concatenate(arrays: &[Self], axis: isize) -> Result<Self>;
    /// The elements `start..stop` of each axis.
    fn slice(&self, start: &[usize], stop: &[usize]) -> Result<Self>;
    /// The entries of `axis` that `indices` (uint32 or int32, from 0 on) name, in their shape: for a matrix and
    /// `axis` 0 the lookup of an embedding.
    ///
    /// # Errors
    ///
    /// An index outside of `axis` is an error; but where MLX has not computed the indices yet, they are clamped to the
    /// axis, as JAX does, since to look at them would be to compute them now.
    fn take(&self, indices: &Self, axis: isize) -> Result<Self>;

    /// The elements converted to `dtype`: towards zero from a float to an integer, and to bool whether they are not zero.
    /// A float that the integer type cannot hold gives some integer: on the CPU fallback the nearest, on MLX whatever the
    /// device makes of it.
    fn astype(&self, dtype: Dtype) -> Result<Self>;

    // Gradients

    /// The same values, a constant to every transform, whatever the grad mode.
    fn stop_gradient(&self) -> Result<Self>;

    /// The value of a scalar function and its gradient with respect to each of `primals`.
    ///
    /// `function` is called once, with grad mode `Enabled`, whatever scope the call stands in; scopes inside it count.
    /// Called inside a no-grad scope, the results are constants to the transforms around. A primal that the value does
    /// not depend on has gradient zero.
    ///
    /// Enabled is the mode of this backend, and of [`Cpu`](crate::Cpu), so that `is_grad_enabled()` says so; other
    /// backends keep theirs. What is constant is what the call returns: an array that `function` makes of a primal of a
    /// transform further out, and stores elsewhere, is recorded for that transform.
    ///
    /// # Errors
    ///
    /// What `function` returns; [`Error::InferenceMode`] in inference mode; [`Error::Operation`] if there are no
    /// primals, one of them is not of a float dtype, or the value is not a float scalar.
    ///
    /// # Panics
    ///
    /// If `function` panics, with its payload; the grad mode is as before.
    fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>;

    /// The gradient of a scalar function with respect to each of `primals`: [`value_and_grad`](Array::value_and_grad)
    /// without the value.
    fn grad<F, E>(function: F, primals: &[Self]) -> Result<Vec<Self>, E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Ok(Self::value_and_grad(function, primals)?.1)
    }
}

/// The error of an operation that refuses its operands.
pub(crate) fn refused<A: Array>(op: &'static str, operands: &[&A], reason: String) -> Error {
    let operands = operands.iter().map(|operand| (operand.shape(), operand.dtype())).collect();
    Error::Operation { op, operands, reason }
}

/// The error of an operation that refuses to make an array.
pub(crate) fn cannot_make(op: &'static str, shape: &[usize], dtype: Dtype, reason: String) -> Error {
    Error::Operation { op, operands: vec![(shape.to_vec(), dtype)], reason }
}

/// Whether `buffer` fills `shape`, whose size does not overflow; if not, why.
pub(crate) fn check_length(buffer: &Buffer<'_>, shape: &[usize]) -> Result<(), String> {
    let (found, wanted) = (buffer.len(), shape.iter().product::<usize>());
    if found == wanted { Ok(()) } else { Err(format!("the shape holds {wanted} elements, and {found} were given")) }
}

/// What any transform asks before it starts.
pub(crate) fn require_primals<A: Array>(transform: &'static str, primals: &[A]) -> Result<()> {
    if A::backend().grad_mode() == GradMode::Inference {
        return Err(Error::InferenceMode { transform });
    }
    let operands: Vec<&A> = primals.iter().collect();
    if primals.is_empty() {
        return Err(refused::<A>(transform, &[], "there are no primals to differentiate with respect to".into()));
    }
    if primals.iter().any(|primal| !primal.dtype().is_float()) {
        return Err(refused(
            transform,
            &operands,
            "only floating point arrays have gradients: convert with `astype`".into(),
        ));
    }
    Ok(())
}

/// What a gradient asks of the value that the function returned.
pub(crate) fn require_loss<A: Array>(transform: &'static str, loss: &A) -> Result<()> {
    if loss.ndim() == 0 && loss.dtype().is_float() {
        return Ok(());
    }
    let reason = "the function must return a floating point scalar: reduce it, for example with `sum_all`";
    Err(refused(transform, &[loss], reason.into()))
}

fn every_axis<A: Array>(array: &A) -> Vec<isize> {
    (0..array.ndim().cast_signed()).collect()
}
