//! The array type and its operations: for each the kernel, and beside it the vjp.

use std::borrow::Cow;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::kernels;
use super::operation::{Reason, bail, creation, operation};
use super::shapes::{self, without};
use super::tape::{self, Node, VjpArgs, finish_output, record};
use crate::array::docs::array_doc;
use crate::array::operands::{self, common_dtype};
use crate::array::{self, Sealed, all_axes, check_length, forward_to_inherent};
use crate::detach::Detach;
use crate::dtype::{Buffer, Dtype, Element};
use crate::error::{Error, Operand, Result};
use crate::explain;
use grad_core::{Backend, Cpu};

/// An n-dimensional array on the CPU: the fallback where there is no MLX.
///
/// Cloning shares the elements. Arrays may be sent to and shared with other threads; each thread has its own grad mode.
/// The methods are those of the [`Array`](crate::Array) trait, in the same groups, and the conversions from and to candle.
///
/// ```
/// use grad_runtime::cpu::Array;
/// use grad_runtime::no_grad;
///
/// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
/// let y = no_grad! { x.matmul(&x)? };
/// assert_eq!(y.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
/// assert_eq!(format!("{y:?}"), "Array { shape: [2, 2], dtype: Float32, traced: false }");
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Array {
    /// The elements, without candle's own autograd.
    pub(super) tensor: Tensor,
    /// The record of how it was computed, if a transform was running on the operands.
    pub(super) node: Option<Arc<Node>>,
}

const fn is_shared_between_threads<T: Send + Sync>() {}
const _: () = is_shared_between_threads::<Array>();

#[allow(clippy::missing_fields_in_debug, reason = "no values, and of the node whether it counts")]
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("shape", &self.dims())
            .field("dtype", &self.dtype())
            .field("traced", &self.is_tracer())
            .finish()
    }
}

/// Makes the array a constant to every transform.
impl Detach for Array {
    #[track_caller]
    fn detach_in_place(&mut self) {
        if self.node.is_some() || explain::record::is_recording() {
            *self = self.constant_from("detach");
        }
    }
}

impl Sealed for Array {
    #[track_caller]
    fn value_and_grad_as<F, E>(op: &'static str, function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        tape::value_and_grad(op, function, primals)
    }

    type Shared = Self;

    fn share_all(arrays: &[Self]) -> Result<Vec<Self>> {
        Ok(arrays.iter().map(|array| Self::constant(array.tensor.clone())).collect())
    }

    fn open(shared: &Self) -> Result<Self> {
        if !explain::record::is_recording() {
            return Ok(shared.clone());
        }
        // A tensor of its own, which tells the array from the one that was shared.
        Ok(Self::constant(shared.tensor.copy().unwrap_or_else(|_| shared.tensor.clone())))
    }

    fn describe(shared: &Self) -> Operand {
        Operand { shape: shared.shape(), dtype: shared.dtype() }
    }

    fn key(&self) -> explain::record::Key {
        self.explain_key()
    }
}

forward_to_inherent!(Array);

/// # Creation
impl Array {
    #[doc = array_doc!(from_slice, "cpu")]
    #[track_caller]
    pub fn from_slice<T: Element>(elements: &[T], shape: &[usize]) -> Result<Self> {
        Self::from_buffer(T::buffer(elements), shape).map_err(|error| error.with_op("from_slice"))
    }

    #[doc = array_doc!(from_buffer, "cpu")]
    #[track_caller]
    pub fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self> {
        creation("from_buffer", shape, buffer.dtype(), || {
            shapes::check(shape)?;
            check_length(&buffer, shape)?;
            let tensor = match buffer {
                Buffer::Float32(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Float16(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::BFloat16(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Int32(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::UInt32(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Bool(data) => {
                    let bytes: Vec<u8> = data.iter().copied().map(u8::from).collect();
                    Tensor::from_vec(bytes, shape, &Device::Cpu)
                }
            };
            Ok(Self::constant(tensor?))
        })
    }

    #[doc = array_doc!(scalar, "cpu")]
    #[track_caller]
    pub fn scalar<T: Element>(value: T) -> Result<Self> {
        Self::from_slice(&[value], &[]).map_err(|error| error.with_op("scalar"))
    }

    #[doc = array_doc!(full, "cpu")]
    #[track_caller]
    pub fn full(shape: &[usize], value: f32, dtype: Dtype) -> Result<Self> {
        creation("full", shape, dtype, || {
            shapes::check(shape)?;
            let value = kernels::convert(&Tensor::full(value, (), &Device::Cpu)?, storage(dtype))?;
            Ok(Self::constant(value.broadcast_as(shape)?.contiguous()?))
        })
    }

    #[doc = array_doc!(zeros, "cpu")]
    #[track_caller]
    pub fn zeros(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::full(shape, 0.0, dtype).map_err(|error| error.with_op("zeros"))
    }

    #[doc = array_doc!(ones, "cpu")]
    #[track_caller]
    pub fn ones(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::full(shape, 1.0, dtype).map_err(|error| error.with_op("ones"))
    }
}

/// # Inspection
impl Array {
    #[doc = array_doc!(shape, "cpu")]
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.dims().to_vec()
    }

    #[doc = array_doc!(is_traced, "cpu")]
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.is_tracer()
    }

    #[doc = array_doc!(ndim, "cpu")]
    #[must_use]
    pub fn ndim(&self) -> usize {
        self.tensor.rank()
    }

    #[doc = array_doc!(size, "cpu")]
    #[must_use]
    pub fn size(&self) -> usize {
        self.tensor.elem_count()
    }

    #[doc = array_doc!(dtype, "cpu")]
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        dtype(self.tensor.dtype())
            .unwrap_or_else(|| unreachable!("`from_tensor` refuses other dtypes, and no kernel returns them"))
    }

    #[doc = array_doc!(to_vec, "cpu")]
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        array::to_vec(self)
    }

    #[doc = array_doc!(item, "cpu")]
    #[track_caller]
    pub fn item<T: Element>(&self) -> Result<T> {
        array::item(self)
    }

    #[doc = array_doc!(to_buffer, "cpu")]
    #[track_caller]
    pub fn to_buffer(&self) -> Result<Buffer<'static>> {
        fn read<T: candle_core::WithDType>(x: &Array) -> Result<Vec<T>, Reason> {
            Ok(elements(&x.tensor)?)
        }
        if explain::record::is_recording() {
            explain::record::read(self, Location::caller());
        }
        operation("to_buffer", &[self], || {
            Ok(match self.dtype() {
                Dtype::Float32 => Buffer::Float32(Cow::Owned(read(self)?)),
                Dtype::Float16 => Buffer::Float16(Cow::Owned(read(self)?)),
                Dtype::BFloat16 => Buffer::BFloat16(Cow::Owned(read(self)?)),
                Dtype::Int32 => Buffer::Int32(Cow::Owned(read(self)?)),
                Dtype::UInt32 => Buffer::UInt32(Cow::Owned(read(self)?)),
                Dtype::Bool => Buffer::Bool(read::<u8>(self)?.into_iter().map(|element| element != 0).collect()),
            })
        })
    }

    #[doc = array_doc!(eval, "cpu")]
    #[track_caller]
    pub fn eval(&self) -> Result<()> {
        Ok(())
    }

    #[doc = array_doc!(backend, "cpu")]
    #[must_use]
    pub fn backend() -> &'static dyn Backend {
        &Cpu
    }
}

/// # Elementwise functions
impl Array {
    #[doc = array_doc!(abs, "cpu")]
    #[track_caller]
    pub fn abs(&self) -> Result<Self> {
        self.unary("abs", kernels::abs, |args| {
            let (x, zero) = (&args.operands[0], args.cotangent.scalar_like(0.0)?);
            let sign = x.greater(&zero)?.astype(x.dtype())?.subtract(&x.less(&zero)?.astype(x.dtype())?)?;
            args.cotangent.multiply(&sign)
        })
    }

    #[doc = array_doc!(negative, "cpu")]
    #[track_caller]
    pub fn negative(&self) -> Result<Self> {
        operation("negative", &[self], || {
            operands::negative(self.dtype())?;
            Ok(self.unary("negative", kernels::negative, |args| args.cotangent.negative())?)
        })
    }

    #[doc = array_doc!(exp, "cpu")]
    #[track_caller]
    pub fn exp(&self) -> Result<Self> {
        self.float_unary("exp", Tensor::exp, |args| args.cotangent.multiply(args.output))
    }

    #[doc = array_doc!(log, "cpu")]
    #[track_caller]
    pub fn log(&self) -> Result<Self> {
        self.float_unary("log", Tensor::log, |args| args.cotangent.divide(&args.operands[0]))
    }

    #[doc = array_doc!(sqrt, "cpu")]
    #[track_caller]
    pub fn sqrt(&self) -> Result<Self> {
        self.float_unary("sqrt", Tensor::sqrt, |args| args.cotangent.affine(0.5, 0.0)?.divide(args.output))
    }

    #[doc = array_doc!(square, "cpu")]
    #[track_caller]
    pub fn square(&self) -> Result<Self> {
        self.unary(
            "square",
            |x| kernels::multiply(x, x),
            |args| args.cotangent.multiply(&args.operands[0].affine(2.0, 0.0)?),
        )
    }

    #[doc = array_doc!(sin, "cpu")]
    #[track_caller]
    pub fn sin(&self) -> Result<Self> {
        self.float_unary("sin", Tensor::sin, |args| args.cotangent.multiply(&args.operands[0].cos()?))
    }

    #[doc = array_doc!(cos, "cpu")]
    #[track_caller]
    pub fn cos(&self) -> Result<Self> {
        self.float_unary("cos", Tensor::cos, |args| args.cotangent.multiply(&args.operands[0].sin()?.negative()?))
    }

    #[doc = array_doc!(tanh, "cpu")]
    #[track_caller]
    pub fn tanh(&self) -> Result<Self> {
        self.float_unary("tanh", Tensor::tanh, |args| {
            args.cotangent.multiply(&args.output.square()?.affine(-1.0, 1.0)?)
        })
    }

    #[doc = array_doc!(erf, "cpu")]
    #[track_caller]
    pub fn erf(&self) -> Result<Self> {
        self.float_unary("erf", kernels::erf, |args| {
            let slope = args.operands[0].square()?.negative()?.exp()?.affine(FRAC_2_SQRT_PI, 0.0)?;
            args.cotangent.multiply(&slope)
        })
    }

    #[doc = array_doc!(sigmoid, "cpu")]
    #[track_caller]
    pub fn sigmoid(&self) -> Result<Self> {
        self.float_unary("sigmoid", candle_nn::ops::sigmoid, |args| {
            let slope = args.output.multiply(&args.output.affine(-1.0, 1.0)?)?;
            args.cotangent.multiply(&slope)
        })
    }

    #[doc = array_doc!(relu, "cpu")]
    #[track_caller]
    pub fn relu(&self) -> Result<Self> {
        self.unary("relu", kernels::relu, |args| {
            let zero = args.cotangent.scalar_like(0.0)?;
            args.operands[0].greater(&zero)?.where_cond(args.cotangent, &zero)
        })
    }

    #[doc = array_doc!(gelu, "cpu")]
    #[track_caller]
    pub fn gelu(&self) -> Result<Self> {
        self.float_unary("gelu", kernels::gelu, |args| {
            let x = &args.operands[0];
            let distribution = x.affine(FRAC_1_SQRT_2, 0.0)?.erf()?.affine(0.5, 0.5)?;
            let density = x.square()?.affine(-0.5, 0.0)?.exp()?.affine((2.0 * PI).sqrt().recip(), 0.0)?;
            args.cotangent.multiply(&distribution.add(&x.multiply(&density)?)?)
        })
    }

    /// Computes a function of each element.
    #[track_caller]
    fn unary(
        &self,
        op: &'static str,
        kernel: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
        vjp: fn(&VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self> {
        operation(op, &[self], || Ok(record(kernel(&self.tensor)?, &[self], move |_, args| vjp(args))))
    }

    /// Computes a function of each element, which becomes float32 if it is an integer or a bool.
    #[track_caller]
    fn float_unary(
        &self,
        op: &'static str,
        kernel: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
        vjp: fn(&VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self> {
        operation(op, &[self], || Ok(self.to_float()?.unary(op, |x| kernels::in_float32(x, kernel), vjp)?))
    }

    /// Computes `mul · x + add` of each element of a float array.
    #[track_caller]
    pub(super) fn affine(&self, mul: f64, add: f64) -> Result<Self> {
        operation("affine", &[self], || {
            let tensor = kernels::in_float32(&self.tensor, |x| x.affine(mul, add))?;
            Ok(record(tensor, &[self], move |_, args| args.cotangent.affine(mul, 0.0)))
        })
    }
}

/// # Arithmetic
impl Array {
    #[doc = array_doc!(add, "cpu")]
    #[track_caller]
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.binary("add", other, kernels::add, |_, args| Ok(args.cotangent.clone()))
    }

    #[doc = array_doc!(subtract, "cpu")]
    #[track_caller]
    pub fn subtract(&self, other: &Self) -> Result<Self> {
        self.binary("subtract", other, kernels::subtract, |index, args| match index {
            0 => Ok(args.cotangent.clone()),
            _ => args.cotangent.negative(),
        })
    }

    #[doc = array_doc!(multiply, "cpu")]
    #[track_caller]
    pub fn multiply(&self, other: &Self) -> Result<Self> {
        self.binary("multiply", other, kernels::multiply, |index, args| {
            args.cotangent.multiply(&args.operands[1 - index])
        })
    }

    #[doc = array_doc!(divide, "cpu")]
    #[track_caller]
    pub fn divide(&self, other: &Self) -> Result<Self> {
        if !self.dtype().is_float() && !other.dtype().is_float() {
            return operation("divide", &[self, other], || Ok(self.to_float()?.divide(&other.to_float()?)?));
        }
        self.binary("divide", other, Tensor::broadcast_div, |index, args| {
            let quotient = args.cotangent.divide(&args.operands[1])?;
            if index == 0 { Ok(quotient) } else { quotient.multiply(args.output)?.negative() }
        })
    }

    #[doc = array_doc!(maximum, "cpu")]
    #[track_caller]
    pub fn maximum(&self, other: &Self) -> Result<Self> {
        self.binary("maximum", other, kernels::maximum, |index, args| {
            args.cotangent_where(&args.operands[0].greater(&args.operands[1])?, index == 0)
        })
    }

    #[doc = array_doc!(minimum, "cpu")]
    #[track_caller]
    pub fn minimum(&self, other: &Self) -> Result<Self> {
        self.binary("minimum", other, kernels::minimum, |index, args| {
            args.cotangent_where(&args.operands[0].less(&args.operands[1])?, index == 0)
        })
    }

    #[doc = array_doc!(power, "cpu")]
    #[track_caller]
    pub fn power(&self, other: &Self) -> Result<Self> {
        self.binary("power", other, kernels::power, |index, args| {
            let [base, exponent] = args.operands else { unreachable!("power has two operands") };
            let (zero, one) = (base.scalar_like(0.0)?, base.scalar_like(1.0)?);
            let slope = if index == 0 {
                // The slope of x⁰ is 0, at 0 too. Elsewhere the slope of this one at exponent 0 is 1 / x.
                let lower = exponent.affine(1.0, -1.0)?;
                let at_zero = exponent.equal(&zero)?.where_cond(&one, &lower)?;
                exponent.multiply(&base.power(&base.equal(&zero)?.where_cond(&at_zero, &lower)?)?)?
            } else {
                // 0 · log 0 is 0.
                args.output.multiply(&base.equal(&zero)?.where_cond(&one, base)?.log()?)?
            };
            args.cotangent.multiply(&slope)
        })
    }

    /// Computes a function of each pair of elements, in their common dtype and broadcast.
    #[track_caller]
    fn binary(
        &self,
        op: &'static str,
        other: &Self,
        kernel: impl FnOnce(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
        vjp: fn(usize, &VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self> {
        operation(op, &[self, other], || {
            let dtype = common_dtype(&[self.dtype(), other.dtype()])?;
            shapes::broadcast(&[self.dims(), other.dims()])?;
            let (x, y) = (self.astype(dtype)?, other.astype(dtype)?);
            let tensor = kernel(&x.tensor, &y.tensor)?;
            Ok(record(tensor, &[&x, &y], move |index, args| vjp(index, args)?.sum_to(args.operands[index].dims())))
        })
    }

    /// Computes the cotangent of an operand of `shape` that was broadcast, from that of the broadcast one.
    fn sum_to(&self, shape: &[usize]) -> Result<Self> {
        if self.dims() == shape {
            return Ok(self.clone());
        }
        let new = self.ndim() - shape.len();
        let is_broadcast = |axis: &usize| *axis < new || shape[axis - new] != self.dims()[*axis];
        let axes: Vec<_> = (0..self.ndim()).filter(is_broadcast).map(usize::cast_signed).collect();
        self.sum(&axes, true)?.reshape(shape)
    }
}

/// # Comparison and selection
impl Array {
    #[doc = array_doc!(equal, "cpu")]
    #[track_caller]
    pub fn equal(&self, other: &Self) -> Result<Self> {
        self.compare("equal", other, Tensor::broadcast_eq)
    }

    #[doc = array_doc!(greater, "cpu")]
    #[track_caller]
    pub fn greater(&self, other: &Self) -> Result<Self> {
        self.compare("greater", other, Tensor::broadcast_gt)
    }

    #[doc = array_doc!(less, "cpu")]
    #[track_caller]
    pub fn less(&self, other: &Self) -> Result<Self> {
        self.compare("less", other, Tensor::broadcast_lt)
    }

    #[doc = array_doc!(where_cond, "cpu")]
    #[track_caller]
    pub fn where_cond(&self, on_true: &Self, on_false: &Self) -> Result<Self> {
        operation("where_cond", &[self, on_true, on_false], || {
            operands::condition(self.dtype())?;
            let shape = shapes::broadcast(&[self.dims(), on_true.dims(), on_false.dims()])?;
            let dtype = common_dtype(&[on_true.dtype(), on_false.dtype()])?;
            let (on_true, on_false) = (on_true.astype(dtype)?, on_false.astype(dtype)?);
            let broadcast = |x: &Self| x.tensor.broadcast_as(shape.as_slice());
            let tensor = broadcast(self)?.where_cond(&broadcast(&on_true)?, &broadcast(&on_false)?)?;
            Ok(record(tensor, &[self, &on_true, &on_false], |index, args| {
                args.cotangent_where(&args.operands[0], index == 1)?.sum_to(args.operands[index].dims())
            }))
        })
    }

    #[track_caller]
    fn compare(
        &self,
        op: &'static str,
        other: &Self,
        kernel: fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<Self> {
        if !matches!((self.dtype(), other.dtype()), (Dtype::Int32, Dtype::UInt32) | (Dtype::UInt32, Dtype::Int32)) {
            return self.binary(op, other, kernel, |_, _| unreachable!("a bool has no gradient"));
        }
        // Their common dtype, int64, has tensors but no arrays.
        operation(op, &[self, other], || {
            operands::broadcast(&[self.dims(), other.dims()])?;
            let [x, y] = [self, other].map(|operand| operand.tensor.to_dtype(DType::I64));
            Ok(record(kernel(&x?, &y?)?, &[self, other], |_, _| unreachable!("a bool has no gradient")))
        })
    }
}

impl VjpArgs<'_> {
    /// Returns the cotangent where `condition` equals `expected`, else zero.
    fn cotangent_where(&self, condition: &Array, expected: bool) -> Result<Array> {
        let zero = self.cotangent.scalar_like(0.0)?;
        if expected {
            condition.where_cond(self.cotangent, &zero)
        } else {
            condition.where_cond(&zero, self.cotangent)
        }
    }
}

/// # Reductions
impl Array {
    #[doc = array_doc!(sum, "cpu")]
    #[track_caller]
    pub fn sum(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("sum", &[self], || {
            if axes.is_empty() {
                return Ok(finish_output("sum", self));
            }
            if self.dtype() == Dtype::Bool {
                return Ok(self.astype(Dtype::Int32)?.sum(axes, keepdims)?);
            }
            self.reduce(axes, keepdims, kernels::sum, |args| args.cotangent.broadcast_to(args.operands[0].dims()))
        })
    }

    #[doc = array_doc!(sum_all, "cpu")]
    #[track_caller]
    pub fn sum_all(&self) -> Result<Self> {
        self.sum(&all_axes(self.ndim()), false).map_err(|error| error.with_op("sum_all"))
    }

    #[doc = array_doc!(mean, "cpu")]
    #[allow(clippy::cast_precision_loss, reason = "a mean over 2^53 elements is not computed here")]
    #[track_caller]
    pub fn mean(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("mean", &[self], || {
            let count: usize =
                operands::axes(axes, self.ndim())?.into_iter().map(|axis| self.dims()[axis]).product();
            let x = self.to_float()?;
            // The sum of numbers of half precision may be too large for them where the mean is not.
            let sum = x.astype(Dtype::Float32)?.sum(axes, keepdims)?;
            Ok(sum.affine((count as f64).recip(), 0.0)?.astype(x.dtype())?)
        })
    }

    #[doc = array_doc!(mean_all, "cpu")]
    #[track_caller]
    pub fn mean_all(&self) -> Result<Self> {
        self.mean(&all_axes(self.ndim()), false).map_err(|error| error.with_op("mean_all"))
    }

    #[doc = array_doc!(max, "cpu")]
    #[track_caller]
    pub fn max(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("max", &[self], || {
            operands::nonempty_axes(self.dims(), axes)?;
            self.reduce(axes, keepdims, kernels::max, Self::split_ties)
        })
    }

    #[doc = array_doc!(min, "cpu")]
    #[track_caller]
    pub fn min(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("min", &[self], || {
            operands::nonempty_axes(self.dims(), axes)?;
            self.reduce(axes, keepdims, kernels::min, Self::split_ties)
        })
    }

    #[doc = array_doc!(logsumexp, "cpu")]
    #[track_caller]
    pub fn logsumexp(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("logsumexp", &[self], || {
            operands::nonempty_axes(self.dims(), axes)?;
            self.to_float()?.reduce(axes, keepdims, kernels::logsumexp, |args| {
                args.cotangent.multiply(&args.operands[0].subtract(args.output)?.exp()?)
            })
        })
    }

    #[doc = array_doc!(argmax, "cpu")]
    #[track_caller]
    pub fn argmax(&self, axis: isize, keepdims: bool) -> Result<Self> {
        operation("argmax", &[self], || {
            operands::nonempty_axes(self.dims(), &[axis])?;
            let kernel = |x: &Tensor, axes: &[usize], shape: &[usize]| {
                if x.elem_count() == 0 {
                    return Tensor::zeros(shape, DType::U32, x.device());
                }
                // candle divides by the strides, of which those of a broadcast axis are zero. To `contiguous`, an axis of length 1
                // is in order whatever its stride.
                x.force_contiguous()?.argmax_keepdim(axes[0])
            };
            self.reduce(&[axis], keepdims, kernel, |_| unreachable!("an index has no gradient"))
        })
    }

    /// Reduces over `axes`. The vjp is given the cotangent and the output with the axes kept.
    #[track_caller]
    fn reduce(
        &self,
        axes: &[isize],
        keepdims: bool,
        kernel: fn(&Tensor, &[usize], &[usize]) -> candle_core::Result<Tensor>,
        vjp: fn(&VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self, Reason> {
        let axes = operands::axes(axes, self.ndim())?;
        let kept = shapes::keepdims(self.dims(), &axes);
        let tensor = kernel(&self.tensor, &axes, &kept)?;
        let reduced = record(tensor, &[self], move |_, args| vjp(args));
        if keepdims { Ok(reduced) } else { Ok(reduced.reshape(&without(&kept, &axes))?) }
    }

    /// Splits the cotangent equally between the elements that are equal to the output.
    fn split_ties(args: &VjpArgs<'_>) -> Result<Self> {
        let x = &args.operands[0];
        let is_chosen = x.equal(args.output)?.astype(x.dtype())?;
        let count = is_chosen.sum_to(args.output.dims())?;
        is_chosen.multiply(&args.cotangent.divide(&count)?)
    }
}

/// # Linear algebra and normalization
impl Array {
    #[doc = array_doc!(matmul, "cpu")]
    #[track_caller]
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        operation("matmul", &[self, other], || {
            let dtype = operands::matmul([self.dims(), other.dims()], [self.dtype(), other.dtype()])?;
            if self.ndim() == 1 {
                let removed = if other.ndim() == 1 { -1 } else { -2 };
                return Ok(self.expand_dims(0)?.matmul(other)?.squeeze(removed)?);
            }
            if other.ndim() == 1 {
                return Ok(self.matmul(&other.expand_dims(1)?)?.squeeze(-1)?);
            }
            self.astype(dtype)?.matmul_matrices(&other.astype(dtype)?)
        })
    }

    #[doc = array_doc!(softmax, "cpu")]
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Result<Self> {
        operation("softmax", &[self], || {
            let x = self.to_float()?;
            let axis = operands::axis(axis, x.ndim())?;
            let last = x.ndim() - 1;
            let tensor = kernels::softmax(&x.tensor.transpose(axis, last)?)?.transpose(axis, last)?;
            Ok(record(tensor, &[&x], move |_, args| {
                let product = args.cotangent.multiply(args.output)?;
                let sum = product.sum(&[axis.cast_signed()], true)?;
                product.subtract(&args.output.multiply(&sum)?)
            }))
        })
    }

    #[doc = array_doc!(layer_norm, "cpu")]
    #[track_caller]
    pub fn layer_norm(&self, weight: &Self, bias: &Self, eps: f32) -> Result<Self> {
        operation("layer_norm", &[self, weight, bias], || {
            let dtype = operands::layer_norm(
                [self.dims(), weight.dims(), bias.dims()],
                [self.dtype(), weight.dtype(), bias.dtype()],
            )?;
            let (x, weight, bias) = (self.astype(dtype)?, weight.astype(dtype)?, bias.astype(dtype)?);
            let tensor = kernels::layer_norm(&x.tensor, &weight.tensor, &bias.tensor, eps)?;
            Ok(record(tensor, &[&x, &weight, &bias], move |index, args| {
                let [x, weight, _] = args.operands else { unreachable!("layer_norm has three operands") };
                if index == 2 {
                    return args.cotangent.sum_to(weight.dims());
                }
                let centered = x.subtract(&x.mean(&[-1], true)?)?;
                let deviation = centered.square()?.mean(&[-1], true)?.affine(1.0, f64::from(eps))?.sqrt()?;
                let normal = centered.divide(&deviation)?;
                if index == 1 {
                    return args.cotangent.multiply(&normal)?.sum_to(weight.dims());
                }
                let cotangent = args.cotangent.multiply(weight)?;
                let along = normal.multiply(&cotangent.multiply(&normal)?.mean(&[-1], true)?)?;
                cotangent.subtract(&cotangent.mean(&[-1], true)?)?.subtract(&along)?.divide(&deviation)
            }))
        })
    }

    /// Multiplies matrices, or batches of them, whose inner lengths and dtypes agree.
    fn matmul_matrices(&self, other: &Self) -> Result<Self, Reason> {
        let (x_batch, [rows, length]) = self.dims().split_last_chunk::<2>().expect("two axes or more");
        let (y_batch, [_, columns]) = other.dims().split_last_chunk::<2>().expect("two axes or more");
        let batch = shapes::broadcast(&[x_batch, y_batch])?;
        let shape = [&batch[..], &[*rows, *columns]].concat();
        shapes::check(&shape)?;
        if other.ndim() == 2 && self.ndim() > 2 {
            // One matrix on the right: the batch is so many more rows.
            let rows = shape[..shape.len() - 1].iter().product();
            return Ok(self.reshape(&[rows, *length])?.matmul_batch(other)?.reshape(&shape)?);
        }
        let x = self.broadcast_to(&[&batch[..], &[*rows, *length]].concat())?;
        let y = other.broadcast_to(&[&batch[..], &[*length, *columns]].concat())?;
        Ok(x.matmul_batch(&y)?)
    }

    /// Multiplies matrices with the same leading axes and the same dtype.
    #[track_caller]
    fn matmul_batch(&self, other: &Self) -> Result<Self> {
        operation("matmul", &[self, other], || {
            let tensor = kernels::matmul(&self.tensor, &other.tensor)?;
            Ok(record(tensor, &[self, other], |index, args| match index {
                0 => args.cotangent.matmul_batch(&args.operands[1].swap_last_axes()?),
                _ => args.operands[0].swap_last_axes()?.matmul_batch(args.cotangent),
            }))
        })
    }

    fn swap_last_axes(&self) -> Result<Self> {
        let mut axes = all_axes(self.ndim());
        axes.swap(self.ndim() - 2, self.ndim() - 1);
        self.transpose(&axes)
    }
}

/// # Shapes and indexing
impl Array {
    #[doc = array_doc!(reshape, "cpu")]
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        operation("reshape", &[self], || {
            operands::reshape(self.dims(), shape)?;
            self.reshape_same_size(shape)
        })
    }

    #[doc = array_doc!(transpose, "cpu")]
    #[track_caller]
    pub fn transpose(&self, axes: &[isize]) -> Result<Self> {
        operation("transpose", &[self], || {
            let order = operands::transpose(self.ndim(), axes)?;
            let tensor = self.tensor.permute(order.as_slice())?;
            Ok(record(tensor, &[self], move |_, args| {
                let mut inverse = vec![0; order.len()];
                order.iter().enumerate().for_each(|(to, from)| inverse[*from] = to.cast_signed());
                args.cotangent.transpose(&inverse)
            }))
        })
    }

    #[doc = array_doc!(expand_dims, "cpu")]
    #[track_caller]
    pub fn expand_dims(&self, axis: isize) -> Result<Self> {
        operation("expand_dims", &[self], || {
            let mut shape = self.shape();
            shape.insert(operands::axis(axis, shape.len() + 1)?, 1);
            self.reshape_same_size(&shape)
        })
    }

    #[doc = array_doc!(squeeze, "cpu")]
    #[track_caller]
    pub fn squeeze(&self, axis: isize) -> Result<Self> {
        operation("squeeze", &[self], || {
            let axis = operands::squeeze(self.dims(), axis)?;
            self.reshape_same_size(&without(self.dims(), &[axis]))
        })
    }

    #[doc = array_doc!(broadcast_to, "cpu")]
    #[track_caller]
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        operation("broadcast_to", &[self], || {
            if self.dims() == shape {
                return Ok(finish_output("broadcast_to", self));
            }
            operands::broadcast_to(self.dims(), shape)?;
            shapes::check(shape)?;
            let tensor = self.tensor.broadcast_as(shape)?;
            Ok(record(tensor, &[self], |_, args| args.cotangent.sum_to(args.operands[0].dims())))
        })
    }

    #[doc = array_doc!(concatenate, "cpu")]
    #[track_caller]
    pub fn concatenate(arrays: &[Self], axis: isize) -> Result<Self> {
        operation("concatenate", &arrays.iter().collect::<Vec<_>>(), || {
            let dims: Vec<_> = arrays.iter().map(Self::dims).collect();
            let axis = operands::concatenate(&dims, axis)?;
            let mut shape = arrays[0].shape();
            shape[axis] = 0;
            let mut starts = Vec::with_capacity(arrays.len());
            for array in arrays {
                starts.push(shape[axis]);
                shape[axis] = shape[axis].saturating_add(array.dims()[axis]);
            }
            shapes::check(&shape)?;
            let dtype = common_dtype(&arrays.iter().map(Self::dtype).collect::<Vec<_>>())?;
            let arrays = arrays.iter().map(|array| array.astype(dtype)).collect::<Result<Vec<_>>>()?;
            let tensors: Vec<_> = arrays.iter().map(|array| &array.tensor).collect();
            let tensor = Tensor::cat(&tensors, axis)?;
            Ok(record(tensor, &arrays.iter().collect::<Vec<_>>(), move |index, args| {
                let mut start = vec![0; args.output.ndim()];
                let mut stop = args.operands[index].shape();
                start[axis] = starts[index];
                stop[axis] += starts[index];
                args.cotangent.slice(&start, &stop)
            }))
        })
    }

    #[doc = array_doc!(slice, "cpu")]
    #[track_caller]
    pub fn slice(&self, start: &[usize], stop: &[usize]) -> Result<Self> {
        operation("slice", &[self], || {
            operands::slice(self.dims(), start, stop)?;
            let mut tensor = self.tensor.clone();
            for (axis, (&start, &stop)) in start.iter().zip(stop).enumerate() {
                tensor = tensor.narrow(axis, start, stop - start)?;
            }
            let tensor = kernels::rebase_if_empty(tensor)?;
            let start = start.to_vec();
            Ok(record(tensor, &[self], move |_, args| args.cotangent.pad(&start, args.operands[0].dims())))
        })
    }

    #[doc = array_doc!(take, "cpu")]
    #[track_caller]
    pub fn take(&self, indices: &Self, axis: isize) -> Result<Self> {
        operation("take", &[self, indices], || {
            let axis = operands::take(self.dims(), (indices.dims(), indices.dtype()), axis)?;
            let length = self.dims()[axis];
            let mut shape = self.shape();
            shape.splice(axis..=axis, indices.shape());
            shapes::check(&shape)?;

            // As i64, which holds both dtypes, so the error names a negative index as it was given.
            let given = elements::<i64>(&indices.tensor.to_dtype(DType::I64)?)?;
            let mut checked = Vec::with_capacity(given.len());
            for index in given {
                match u32::try_from(index) {
                    Ok(index) if (index as usize) < length => checked.push(index),
                    _ => bail!("index {index} is out of bounds for an axis of length {length}"),
                }
            }
            let checked = Tensor::from_vec(checked, indices.size(), &Device::Cpu)?;
            self.select(&checked, axis)?.reshape_same_size(&shape)
        })
    }

    /// Returns the same elements in another shape of the same size.
    #[track_caller]
    fn reshape_same_size(&self, shape: &[usize]) -> Result<Self, Reason> {
        shapes::check(shape)?;
        let tensor = self.tensor.reshape(shape)?;
        Ok(record(tensor, &[self], |_, args| args.cotangent.reshape(args.operands[0].dims())))
    }

    /// Pads with zeros to `shape`, in which this array begins at `start`: the vjp of `slice`.
    #[track_caller]
    fn pad(&self, start: &[usize], shape: &[usize]) -> Result<Self> {
        operation("pad", &[self], || {
            let tensor = kernels::pad(&self.tensor, start, shape)?;
            let stop: Vec<_> = start.iter().zip(self.dims()).map(|(start, length)| start + length).collect();
            let start = start.to_vec();
            Ok(record(tensor, &[self], move |_, args| args.cotangent.slice(&start, &stop)))
        })
    }

    /// Selects the entries of `axis` at `indices`, which have one axis and are in range.
    #[track_caller]
    fn select(&self, indices: &Tensor, axis: usize) -> Result<Self> {
        operation("select", &[self], || {
            let tensor = self.tensor.contiguous()?.index_select(indices, axis)?;
            let indices = indices.clone();
            Ok(record(tensor, &[self], move |_, args| {
                args.cotangent.scatter_add(&indices, axis, args.operands[0].dims()[axis])
            }))
        })
    }

    /// Adds the entries of `axis` up at `indices`, in an axis of `length`: the vjp of `select`.
    #[track_caller]
    fn scatter_add(&self, indices: &Tensor, axis: usize, length: usize) -> Result<Self> {
        operation("scatter_add", &[self], || {
            let tensor = kernels::scatter_add(&self.tensor, indices, axis, length)?;
            let indices = indices.clone();
            Ok(record(tensor, &[self], move |_, args| args.cotangent.select(&indices, axis)))
        })
    }
}

/// # Conversion
impl Array {
    #[doc = array_doc!(astype, "cpu")]
    #[track_caller]
    pub fn astype(&self, dtype: Dtype) -> Result<Self> {
        if self.dtype() == dtype {
            return Ok(finish_output("astype", self));
        }
        self.unary(
            "astype",
            |x| kernels::convert(x, storage(dtype)),
            |args| args.cotangent.astype(args.operands[0].dtype()),
        )
    }

    /// Creates an array that shares the elements of a candle tensor. It is a constant to every transform.
    ///
    /// A later in-place change of a `candle_core::Var` shows in an array made from it.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] if the tensor is not on the CPU, has more than 8 axes, or has a dtype without a corresponding
    /// [`Dtype`]. `U8` becomes `Bool` if every element is 0 or 1.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use grad_runtime::cpu::Array;
    ///
    /// let tensor = Tensor::new(&[1_f32, 2.0], &Device::Cpu).unwrap();
    /// let array = Array::from_tensor(&tensor)?;
    /// assert_eq!(array.square()?.to_vec::<f32>()?, [1.0, 4.0]);
    ///
    /// let tensor = Tensor::new(&[1_f64, 2.0], &Device::Cpu).unwrap();
    /// assert!(Array::from_tensor(&tensor).is_err());
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[track_caller]
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        operation("from_tensor", &[], || {
            if !tensor.device().is_cpu() {
                let device = tensor.device().location();
                bail!("the tensor is on {device:?}; move it to the CPU with `to_device`");
            }
            let Some(dtype) = dtype(tensor.dtype()) else {
                let dtype = tensor.dtype();
                bail!("there are no arrays of {dtype:?}; convert the tensor with `to_dtype`");
            };
            shapes::check(tensor.dims())?;
            let tensor = kernels::rebase_if_empty(tensor.detach())?;
            if dtype == Dtype::Bool
                && let Some(element) = elements::<u8>(&tensor)?.into_iter().find(|element| *element > 1)
            {
                bail!("a u8 tensor becomes bool, but one element is {element}; compare the tensor with zero first");
            }
            Ok(Self::constant(tensor))
        })
    }

    /// Returns the elements as a candle tensor that shares them. candle records no gradients for it.
    ///
    /// ```
    /// use grad_runtime::cpu::Array;
    ///
    /// let array = Array::from_slice(&[1.0_f32, 2.0], &[2])?;
    /// assert_eq!(array.tensor().to_vec1::<f32>().unwrap(), [1.0, 2.0]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Returns this array if it is floating point, else its elements as float32.
    fn to_float(&self) -> Result<Self> {
        if self.dtype().is_float() { Ok(self.clone()) } else { self.astype(Dtype::Float32) }
    }
}

/// # Gradients
impl Array {
    #[doc = array_doc!(stop_gradient, "cpu")]
    #[track_caller]
    pub fn stop_gradient(&self) -> Result<Self> {
        Ok(self.constant_from("stop_gradient"))
    }

    #[doc = array_doc!(value_and_grad, "cpu")]
    #[track_caller]
    pub fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Self::value_and_grad_as("value_and_grad", function, primals)
    }

    #[doc = array_doc!(grad, "cpu")]
    #[track_caller]
    pub fn grad<F, E>(function: F, primals: &[Self]) -> Result<Vec<Self>, E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Self::value_and_grad_as("grad", function, primals).map(|(_, gradients)| gradients)
    }
}

impl Array {
    /// Creates an array that depends on nothing.
    pub(super) fn constant(tensor: Tensor) -> Self {
        Self { tensor, node: None }
    }

    fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// Creates a scalar of this array's dtype.
    fn scalar_like(&self, value: f32) -> Result<Self> {
        Self::full(&[], value, self.dtype())
    }
}

/// Returns the elements in row-major order.
fn elements<T: candle_core::WithDType>(x: &Tensor) -> candle_core::Result<Vec<T>> {
    x.flatten_all()?.to_vec1()
}

fn dtype(storage: DType) -> Option<Dtype> {
    Some(match storage {
        DType::F32 => Dtype::Float32,
        DType::F16 => Dtype::Float16,
        DType::BF16 => Dtype::BFloat16,
        DType::I32 => Dtype::Int32,
        DType::U32 => Dtype::UInt32,
        DType::U8 => Dtype::Bool,
        _ => return None,
    })
}

fn storage(dtype: Dtype) -> DType {
    match dtype {
        Dtype::Float32 => DType::F32,
        Dtype::Float16 => DType::F16,
        Dtype::BFloat16 => DType::BF16,
        Dtype::Int32 => DType::I32,
        Dtype::UInt32 => DType::U32,
        Dtype::Bool => DType::U8,
    }
}
