//! The array type and its operations: for each the kernel, and next to it the vjp.

use std::borrow::Cow;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};
use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Error as CandleError, Tensor};

use super::kernels;
use super::shapes::{self, common_dtype};
use super::tape::{self, Node, Step, hand_out, record};
use crate::array::{Array as Operations, Buffer, Dtype, cannot_make, check_length, refused};
use crate::detach::Detach;
use crate::error::{Error, Result};
use grad_core::{Backend, Cpu};

/// An n-dimensional array on the CPU: the fallback where there is no MLX.
///
/// Cloning shares the elements. Arrays may be sent to and shared with other threads; each thread has its own grad mode.
///
/// ```
/// use grad_runtime::{Array, cpu, no_grad};
///
/// let x = cpu::Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
/// let y = no_grad! { x.matmul(&x)? };
/// assert_eq!(y.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
/// assert_eq!(format!("{y:?}"), "Array { shape: [2, 2], dtype: Float32, traced: false }");
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Array {
    /// Without candle's own autograd.
    pub(super) tensor: Tensor,
    /// How it was made, if a transform was running on what it was made from.
    pub(super) node: Option<Arc<Node>>,
}

const fn is_shared_between_threads<T: Send + Sync>() {}
const _: () = is_shared_between_threads::<Array>();

#[allow(clippy::missing_fields_in_debug, reason = "no values, and of the node whether it counts")]
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("shape", &self.tensor.dims())
            .field("dtype", &self.dtype())
            .field("traced", &self.is_tracer())
            .finish()
    }
}

impl Array {
    /// The elements of a candle tensor, shared with it and without its autograd: a constant to every transform.
    ///
    /// A later in-place change of a `candle_core::Var` shows in an array made from it.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] if the tensor is not on the CPU, has more than 8 axes, or has a dtype for which there is no
    /// [`Dtype`]. `U8` becomes `Bool` if every element is 0 or 1.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use grad_runtime::{Array, cpu};
    ///
    /// let tensor = Tensor::new(&[1_f32, 2.0], &Device::Cpu).unwrap();
    /// let array = cpu::Array::from_tensor(&tensor)?;
    /// assert_eq!(array.square()?.to_vec::<f32>()?, [1.0, 4.0]);
    ///
    /// let tensor = Tensor::new(&[1_f64, 2.0], &Device::Cpu).unwrap();
    /// assert!(cpu::Array::from_tensor(&tensor).is_err());
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        const OP: &str = "from_tensor";
        if !tensor.device().is_cpu() {
            let place = tensor.device().location();
            return Err(refused::<Self>(OP, &[], format!("the tensor is on {place:?}: move it with `to_device`")));
        }
        let Some(dtype) = dtype(tensor.dtype()) else {
            let dtype = tensor.dtype();
            return Err(refused::<Self>(
                OP,
                &[],
                format!("there are no arrays of {dtype:?}: convert it with `to_dtype`"),
            ));
        };
        shapes::check(OP, &[], tensor.dims())?;
        let tensor = kernels::from_its_start_if_empty(tensor.detach()).map_err(failed(OP, &[]))?;
        let array = Self::constant(tensor);
        if dtype == Dtype::Bool {
            let elements = elements::<u8>(&array.tensor).map_err(failed(OP, &[&array]))?;
            if let Some(element) = elements.into_iter().find(|element| *element > 1) {
                let reason = format!(
                    "a u8 tensor becomes bool, but one element is {element}: \
                     compare it with zero first"
                );
                return Err(refused(OP, &[&array], reason));
            }
        }
        Ok(array)
    }

    /// The elements as a candle tensor, shared with it; candle knows nothing of their gradients.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// An array that depends on nothing.
    pub(super) fn constant(tensor: Tensor) -> Self {
        Self { tensor, node: None }
    }

    fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// `mul · x + add`, for a float array.
    pub(super) fn affine(&self, mul: f64, add: f64) -> Result<Self> {
        let tensor =
            kernels::in_float32(&self.tensor, |x| x.affine(mul, add)).map_err(failed("affine", &[self]))?;
        Ok(record(tensor, &[self], move |_, step| step.cotangent.affine(mul, 0.0)))
    }

    /// A scalar of this array's dtype.
    fn scalar_like(&self, value: f32) -> Result<Self> {
        Self::full(&[], value, self.dtype())
    }

    /// This array where it is of a float dtype, else as float32.
    fn at_least_float(&self) -> Result<Self> {
        if self.dtype().is_float() { Ok(self.clone()) } else { self.astype(Dtype::Float32) }
    }

    /// A function of each element.
    fn unary(
        &self,
        op: &'static str,
        kernel: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
        vjp: fn(&Step<'_>) -> Result<Self>,
    ) -> Result<Self> {
        let tensor = kernel(&self.tensor).map_err(failed(op, &[self]))?;
        Ok(record(tensor, &[self], move |_, step| vjp(step)))
    }

    /// A function of each real number.
    fn real(
        &self,
        op: &'static str,
        kernel: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
        vjp: fn(&Step<'_>) -> Result<Self>,
    ) -> Result<Self> {
        self.at_least_float()?.unary(op, |x| kernels::in_float32(x, kernel), vjp)
    }

    /// A function of each pair of elements, in their common dtype and broadcast.
    fn binary(
        &self,
        op: &'static str,
        other: &Self,
        kernel: impl FnOnce(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
        vjp: fn(usize, &Step<'_>) -> Result<Self>,
    ) -> Result<Self> {
        let operands = [self, other];
        let dtype = common_dtype(op, &operands)?;
        shapes::broadcast(op, &operands, &[self.dims(), other.dims()])?;
        let (x, y) = (self.astype(dtype)?, other.astype(dtype)?);
        let tensor = kernel(&x.tensor, &y.tensor).map_err(failed(op, &operands))?;
        Ok(record(tensor, &[&x, &y], move |at, step| vjp(at, step)?.sum_to(step.inputs[at].dims())))
    }

    /// Whether each pair of elements, in their common dtype and broadcast, compares so.
    fn compare(
        &self,
        op: &'static str,
        other: &Self,
        kernel: fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<Self> {
        self.binary(op, other, kernel, |_, _| unreachable!("a bool has no gradient"))
    }

    /// The cotangent of what was broadcast from `shape`.
    fn sum_to(&self, shape: &[usize]) -> Result<Self> {
        if self.dims() == shape {
            return Ok(self.clone());
        }
        let new = self.ndim() - shape.len();
        let stretched = |axis: &usize| *axis < new || shape[axis - new] != self.dims()[*axis];
        let axes: Vec<_> = (0..self.ndim()).filter(stretched).map(usize::cast_signed).collect();
        self.sum(&axes, true)?.reshape(shape)
    }

    /// A reduction over `axes`. The vjp is given the cotangent and the output with the axes kept.
    fn reduce(
        &self,
        op: &'static str,
        axes: &[isize],
        keepdims: bool,
        kernel: fn(&Tensor, &[usize], &[usize]) -> candle_core::Result<Tensor>,
        vjp: impl Fn(&Step<'_>) -> Result<Self> + Send + Sync + 'static,
    ) -> Result<Self> {
        let axes = shapes::axes(op, self, axes)?;
        let kept = shapes::reduced(self.dims(), &axes);
        let tensor = kernel(&self.tensor, &axes, &kept).map_err(failed(op, &[self]))?;
        let reduced = record(tensor, &[self], move |_, step| vjp(step));
        if keepdims { Ok(reduced) } else { reduced.reshape(&without(&kept, &axes)) }
    }

    /// Refuses to reduce nothing.
    fn not_empty(&self, op: &'static str, axes: &[isize]) -> Result<()> {
        let axes = shapes::axes(op, self, axes)?;
        let Some(empty) = axes.into_iter().find(|at| self.dims()[*at] == 0) else {
            return Ok(());
        };
        let reason = format!("axis {empty} is empty, and nothing has no {op}");
        Err(refused(op, &[self], reason))
    }

    /// The cotangent shared out equally among the elements that are equal to the output.
    fn share_among_equals(step: &Step<'_>) -> Result<Self> {
        let x = &step.inputs[0];
        let chosen = x.equal(step.output)?.astype(x.dtype())?;
        let count = chosen.sum_to(step.output.dims())?;
        chosen.multiply(&step.cotangent.divide(&count)?)
    }

    /// The matrix product of arrays with the same leading axes and the same dtype.
    fn matmul_batch(&self, other: &Self) -> Result<Self> {
        let tensor = kernels::matmul(&self.tensor, &other.tensor).map_err(failed("matmul", &[self, other]))?;
        Ok(record(tensor, &[self, other], |at, step| match at {
            0 => step.cotangent.matmul_batch(&step.inputs[1].swap_last_axes()?),
            _ => step.inputs[0].swap_last_axes()?.matmul_batch(step.cotangent),
        }))
    }

    /// The same elements in a shape that holds them.
    fn reshape_as(&self, op: &'static str, shape: &[usize]) -> Result<Self> {
        shapes::check(op, &[self], shape)?;
        let tensor = self.tensor.reshape(shape).map_err(failed(op, &[self]))?;
        Ok(record(tensor, &[self], |_, step| step.cotangent.reshape(step.inputs[0].dims())))
    }

    fn swap_last_axes(&self) -> Result<Self> {
        let mut axes: Vec<_> = (0..self.ndim()).map(usize::cast_signed).collect();
        axes.swap(self.ndim() - 2, self.ndim() - 1);
        self.transpose(&axes)
    }

    /// Zeros around this array, which begins at `start` in an array of `shape`: the vjp of `slice`.
    fn pad(&self, start: &[usize], shape: &[usize]) -> Result<Self> {
        let tensor = kernels::pad(&self.tensor, start, shape).map_err(failed("pad", &[self]))?;
        let (start, stop) = (
            start.to_vec(),
            start.iter().zip(self.dims()).map(|(start, length)| start + length).collect::<Vec<_>>(),
        );
        Ok(record(tensor, &[self], move |_, step| step.cotangent.slice(&start, &stop)))
    }

    /// The entries of `axis` that `indices`, in range and with one axis, name.
    fn select(&self, indices: &Tensor, axis: usize) -> Result<Self> {
        let select = || self.tensor.contiguous()?.index_select(indices, axis);
        let tensor = select().map_err(failed("take", &[self]))?;
        let indices = indices.clone();
        Ok(record(tensor, &[self], move |_, step| {
            step.cotangent.scatter_add(&indices, axis, step.inputs[0].dims()[axis])
        }))
    }

    /// Entries added up where `indices` say, in an axis that gets `length`: the vjp of `select`.
    fn scatter_add(&self, indices: &Tensor, axis: usize, length: usize) -> Result<Self> {
        let tensor = kernels::scatter_add(&self.tensor, indices, axis, length).map_err(failed("take", &[self]))?;
        let indices = indices.clone();
        Ok(record(tensor, &[self], move |_, step| step.cotangent.select(&indices, axis)))
    }
}

/// The array becomes a constant to every transform.
impl Detach for Array {
    fn detach_in_place(&mut self) {
        if self.node.is_some() {
            *self = Self::detached(self);
        }
    }
}

impl Operations for Array {
    fn backend() -> &'static dyn Backend {
        &Cpu
    }

    fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self> {
        let dtype = buffer.dtype();
        let refuse = |reason| cannot_make("from_buffer", shape, dtype, reason);
        shapes::fits(shape).map_err(refuse)?;
        check_length(&buffer, shape).map_err(refuse)?;
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
        tensor.map(Self::constant).map_err(|error| refuse(reason(error)))
    }

    fn full(shape: &[usize], value: f32, dtype: Dtype) -> Result<Self> {
        let refuse = |reason| cannot_make("full", shape, dtype, reason);
        shapes::fits(shape).map_err(refuse)?;
        let tensor = Tensor::full(value, (), &Device::Cpu)
            .and_then(|value| kernels::convert(&value, storage(dtype))?.broadcast_as(shape)?.contiguous());
        tensor.map(Self::constant).map_err(|error| refuse(reason(error)))
    }

    fn shape(&self) -> Vec<usize> {
        self.dims().to_vec()
    }

    fn dtype(&self) -> Dtype {
        dtype(self.tensor.dtype()).expect("`from_tensor` refuses other dtypes, and no kernel returns them")
    }

    fn to_buffer(&self) -> Result<Buffer<'static>> {
        fn read<T: candle_core::WithDType>(x: &Array) -> Result<Vec<T>> {
            elements(&x.tensor).map_err(failed("to_buffer", &[x]))
        }
        Ok(match self.dtype() {
            Dtype::Float32 => Buffer::Float32(Cow::Owned(read(self)?)),
            Dtype::Float16 => Buffer::Float16(Cow::Owned(read(self)?)),
            Dtype::BFloat16 => Buffer::BFloat16(Cow::Owned(read(self)?)),
            Dtype::Int32 => Buffer::Int32(Cow::Owned(read(self)?)),
            Dtype::UInt32 => Buffer::UInt32(Cow::Owned(read(self)?)),
            Dtype::Bool => Buffer::Bool(read::<u8>(self)?.into_iter().map(|element| element != 0).collect()),
        })
    }

    fn eval(&self) -> Result<()> {
        Ok(())
    }

    fn ndim(&self) -> usize {
        self.tensor.rank()
    }

    fn abs(&self) -> Result<Self> {
        self.unary("abs", kernels::abs, |step| {
            let (x, zero) = (&step.inputs[0], step.cotangent.scalar_like(0.0)?);
            let sign = x.greater(&zero)?.astype(x.dtype())?.subtract(&x.less(&zero)?.astype(x.dtype())?)?;
            step.cotangent.multiply(&sign)
        })
    }

    fn negative(&self) -> Result<Self> {
        if self.dtype() == Dtype::Bool {
            return Err(refused("negative", &[self], "a bool has no sign: convert it with `astype`".into()));
        }
        self.unary("negative", kernels::negative, |step| step.cotangent.negative())
    }

    fn exp(&self) -> Result<Self> {
        self.real("exp", Tensor::exp, |step| step.cotangent.multiply(step.output))
    }

    fn log(&self) -> Result<Self> {
        self.real("log", Tensor::log, |step| step.cotangent.divide(&step.inputs[0]))
    }

    fn sqrt(&self) -> Result<Self> {
        self.real("sqrt", Tensor::sqrt, |step| step.cotangent.affine(0.5, 0.0)?.divide(step.output))
    }

    fn square(&self) -> Result<Self> {
        self.unary(
            "square",
            |x| kernels::multiply(x, x),
            |step| step.cotangent.multiply(&step.inputs[0].affine(2.0, 0.0)?),
        )
    }

    fn sin(&self) -> Result<Self> {
        self.real("sin", Tensor::sin, |step| step.cotangent.multiply(&step.inputs[0].cos()?))
    }

    fn cos(&self) -> Result<Self> {
        self.real("cos", Tensor::cos, |step| step.cotangent.multiply(&step.inputs[0].sin()?.negative()?))
    }

    fn tanh(&self) -> Result<Self> {
        self.real("tanh", Tensor::tanh, |step| step.cotangent.multiply(&step.output.square()?.affine(-1.0, 1.0)?))
    }

    fn erf(&self) -> Result<Self> {
        self.real("erf", kernels::erf, |step| {
            let slope = step.inputs[0].square()?.negative()?.exp()?.affine(FRAC_2_SQRT_PI, 0.0)?;
            step.cotangent.multiply(&slope)
        })
    }

    fn sigmoid(&self) -> Result<Self> {
        self.real("sigmoid", candle_nn::ops::sigmoid, |step| {
            let slope = step.output.multiply(&step.output.affine(-1.0, 1.0)?)?;
            step.cotangent.multiply(&slope)
        })
    }

    fn relu(&self) -> Result<Self> {
        self.unary("relu", kernels::relu, |step| {
            let zero = step.cotangent.scalar_like(0.0)?;
            step.inputs[0].greater(&zero)?.where_cond(step.cotangent, &zero)
        })
    }

    fn gelu(&self) -> Result<Self> {
        self.real("gelu", kernels::gelu, |step| {
            let x = &step.inputs[0];
            let distribution = x.affine(FRAC_1_SQRT_2, 0.0)?.erf()?.affine(0.5, 0.5)?;
            let density = x.square()?.affine(-0.5, 0.0)?.exp()?.affine((2.0 * PI).sqrt().recip(), 0.0)?;
            step.cotangent.multiply(&distribution.add(&x.multiply(&density)?)?)
        })
    }

    fn add(&self, other: &Self) -> Result<Self> {
        self.binary("add", other, kernels::add, |_, step| Ok(step.cotangent.clone()))
    }

    fn subtract(&self, other: &Self) -> Result<Self> {
        self.binary("subtract", other, kernels::subtract, |at, step| match at {
            0 => Ok(step.cotangent.clone()),
            _ => step.cotangent.negative(),
        })
    }

    fn multiply(&self, other: &Self) -> Result<Self> {
        self.binary("multiply", other, kernels::multiply, |at, step| step.cotangent.multiply(&step.inputs[1 - at]))
    }

    fn divide(&self, other: &Self) -> Result<Self> {
        if !self.dtype().is_float() && !other.dtype().is_float() {
            return self.at_least_float()?.divide(&other.at_least_float()?);
        }
        self.binary("divide", other, Tensor::broadcast_div, |at, step| {
            let quotient = step.cotangent.divide(&step.inputs[1])?;
            if at == 0 { Ok(quotient) } else { quotient.multiply(step.output)?.negative() }
        })
    }

    fn maximum(&self, other: &Self) -> Result<Self> {
        self.binary("maximum", other, kernels::maximum, |at, step| {
            step.share_if(at == 0, &step.inputs[0].greater(&step.inputs[1])?)
        })
    }

    fn minimum(&self, other: &Self) -> Result<Self> {
        self.binary("minimum", other, kernels::minimum, |at, step| {
            step.share_if(at == 0, &step.inputs[0].less(&step.inputs[1])?)
        })
    }

    fn power(&self, other: &Self) -> Result<Self> {
        self.binary("power", other, kernels::power, |at, step| {
            let [base, exponent] = step.inputs else { unreachable!("power has two operands") };
            let (zero, one) = (base.scalar_like(0.0)?, base.scalar_like(1.0)?);
            let slope = if at == 0 {
                // The slope of x⁰ is 0, at 0 too.
                let lower = exponent.equal(&zero)?.where_cond(&one, &exponent.affine(1.0, -1.0)?)?;
                exponent.multiply(&base.power(&lower)?)?
            } else {
                // 0 · log 0 is 0.
                step.output.multiply(&base.equal(&zero)?.where_cond(&one, base)?.log()?)?
            };
            step.cotangent.multiply(&slope)
        })
    }

    fn equal(&self, other: &Self) -> Result<Self> {
        self.compare("equal", other, Tensor::broadcast_eq)
    }

    fn greater(&self, other: &Self) -> Result<Self> {
        self.compare("greater", other, Tensor::broadcast_gt)
    }

    fn less(&self, other: &Self) -> Result<Self> {
        self.compare("less", other, Tensor::broadcast_lt)
    }

    fn where_cond(&self, on_true: &Self, on_false: &Self) -> Result<Self> {
        const OP: &str = "where_cond";
        let operands = [self, on_true, on_false];
        if self.dtype() != Dtype::Bool {
            return Err(refused(
                OP,
                &operands,
                "the condition must be bool: compare, or convert it with `astype`".into(),
            ));
        }
        let shape = shapes::broadcast(OP, &operands, &operands.map(Self::dims))?;
        let dtype = common_dtype(OP, &[on_true, on_false])?;
        let (on_true, on_false) = (on_true.astype(dtype)?, on_false.astype(dtype)?);
        let broadcast = |x: &Self| x.tensor.broadcast_as(shape.as_slice());
        let select = || broadcast(self)?.where_cond(&broadcast(&on_true)?, &broadcast(&on_false)?);
        let tensor = select().map_err(failed(OP, &operands))?;
        Ok(record(tensor, &[self, &on_true, &on_false], |at, step| {
            step.share_if(at == 1, &step.inputs[0])?.sum_to(step.inputs[at].dims())
        }))
    }

    fn sum(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        if axes.is_empty() {
            return Ok(hand_out(self));
        }
        if self.dtype() == Dtype::Bool {
            return self.astype(Dtype::Int32)?.sum(axes, keepdims);
        }
        self.reduce("sum", axes, keepdims, kernels::sum, |step| step.cotangent.broadcast_to(step.inputs[0].dims()))
    }

    #[allow(clippy::cast_precision_loss, reason = "a mean over 2^53 elements is not computed here")]
    fn mean(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        let x = self.at_least_float()?;
        let count: usize = shapes::axes("mean", &x, axes)?.into_iter().map(|axis| x.dims()[axis]).product();
        x.sum(axes, keepdims)?.affine((count as f64).recip(), 0.0)
    }

    fn max(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.not_empty("max", axes)?;
        self.reduce("max", axes, keepdims, kernels::max, Self::share_among_equals)
    }

    fn min(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.not_empty("min", axes)?;
        self.reduce("min", axes, keepdims, kernels::min, Self::share_among_equals)
    }

    fn logsumexp(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.not_empty("logsumexp", axes)?;
        self.at_least_float()?.reduce("logsumexp", axes, keepdims, kernels::logsumexp, |step| {
            step.cotangent.multiply(&step.inputs[0].subtract(step.output)?.exp()?)
        })
    }

    fn argmax(&self, axis: isize, keepdims: bool) -> Result<Self> {
        self.not_empty("argmax", &[axis])?;
        let kernel = |x: &Tensor, axes: &[usize], shape: &[usize]| {
            if x.elem_count() == 0 {
                return Tensor::zeros(shape, DType::U32, x.device());
            }
            x.argmax_keepdim(axes[0])
        };
        self.reduce("argmax", &[axis], keepdims, kernel, |_| unreachable!("an index has no gradient"))
    }

    fn softmax(&self, axis: isize) -> Result<Self> {
        let x = self.at_least_float()?;
        let axis = shapes::axis("softmax", &x, axis, x.ndim())?;
        let last = x.ndim() - 1;
        let kernel = || kernels::softmax(&x.tensor.transpose(axis, last)?)?.transpose(axis, last);
        let tensor = kernel().map_err(failed("softmax", &[self]))?;
        Ok(record(tensor, &[&x], move |_, step| {
            let product = step.cotangent.multiply(step.output)?;
            let sum = product.sum(&[axis.cast_signed()], true)?;
            product.subtract(&step.output.multiply(&sum)?)
        }))
    }

    fn matmul(&self, other: &Self) -> Result<Self> {
        const OP: &str = "matmul";
        let operands = [self, other];
        let dtype = common_dtype(OP, &operands)?;
        if !dtype.is_float() {
            return Err(refused(OP, &operands, "only floats are multiplied: convert with `astype`".into()));
        }
        if self.ndim() == 0 || other.ndim() == 0 {
            return Err(refused(OP, &operands, "a scalar is no matrix: use `multiply`".into()));
        }
        let (length, other_length) = (self.dims()[self.ndim() - 1], other.dims()[other.ndim().saturating_sub(2)]);
        if length != other_length {
            let which = if other.ndim() == 1 { "the only axis" } else { "the last but one" };
            let reason = format!(
                "the last axis on the left has length {length}, {which} on the right {other_length}: \
                 they must be equal"
            );
            return Err(refused(OP, &operands, reason));
        }
        if self.ndim() == 1 {
            return self.expand_dims(0)?.matmul(other)?.squeeze(if other.ndim() == 1 { -1 } else { -2 });
        }
        if other.ndim() == 1 {
            return self.matmul(&other.expand_dims(1)?)?.squeeze(-1);
        }
        let (x, y) = (self.astype(dtype)?, other.astype(dtype)?);
        let (batch_x, [rows, length]) = x.dims().split_last_chunk::<2>().expect("two axes or more");
        let (batch_y, [_, columns]) = y.dims().split_last_chunk::<2>().expect("two axes or more");
        let batch = shapes::broadcast(OP, &operands, &[batch_x, batch_y])?;
        let shape = [&batch[..], &[*rows, *columns]].concat();
        shapes::check(OP, &operands, &shape)?;
        if y.ndim() == 2 && x.ndim() > 2 {
            // One matrix on the right: the batch is so many more rows.
            let rows = shape[..shape.len() - 1].iter().product();
            return x.reshape(&[rows, *length])?.matmul_batch(&y)?.reshape(&shape);
        }
        let x = x.broadcast_to(&[&batch[..], &[*rows, *length]].concat())?;
        let y = y.broadcast_to(&[&batch[..], &[*length, *columns]].concat())?;
        x.matmul_batch(&y)
    }

    fn layer_norm(&self, weight: &Self, bias: &Self, eps: f32) -> Result<Self> {
        const OP: &str = "layer_norm";
        let operands = [self, weight, bias];
        let dtype = match common_dtype(OP, &operands)? {
            float if float.is_float() => float,
            _ => Dtype::Float32,
        };
        let Some(length) = self.dims().last() else {
            return Err(refused(OP, &operands, "a scalar has no last axis".into()));
        };
        if weight.dims() != [*length] || bias.dims() != [*length] {
            let reason = format!("weight and bias must have shape [{length}], the length of the last axis");
            return Err(refused(OP, &operands, reason));
        }
        let (x, weight, bias) = (self.astype(dtype)?, weight.astype(dtype)?, bias.astype(dtype)?);
        let kernel = kernels::layer_norm(&x.tensor, &weight.tensor, &bias.tensor, eps);
        Ok(record(kernel.map_err(failed(OP, &operands))?, &[&x, &weight, &bias], move |at, step| {
            let [x, weight, _] = step.inputs else { unreachable!("layer_norm has three operands") };
            if at == 2 {
                return step.cotangent.sum_to(weight.dims());
            }
            let centered = x.subtract(&x.mean(&[-1], true)?)?;
            let deviation = centered.square()?.mean(&[-1], true)?.affine(1.0, f64::from(eps))?.sqrt()?;
            let normal = centered.divide(&deviation)?;
            if at == 1 {
                return step.cotangent.multiply(&normal)?.sum_to(weight.dims());
            }
            let cotangent = step.cotangent.multiply(weight)?;
            let along = normal.multiply(&cotangent.multiply(&normal)?.mean(&[-1], true)?)?;
            cotangent.subtract(&cotangent.mean(&[-1], true)?)?.subtract(&along)?.divide(&deviation)
        }))
    }

    fn reshape(&self, shape: &[usize]) -> Result<Self> {
        shapes::check("reshape", &[self], shape)?;
        if shape.iter().product::<usize>() != self.size() {
            let reason = format!("shape {shape:?} does not hold its {} elements", self.size());
            return Err(refused("reshape", &[self], reason));
        }
        self.reshape_as("reshape", shape)
    }

    fn transpose(&self, axes: &[isize]) -> Result<Self> {
        let order = shapes::axes("transpose", self, axes)?;
        if order.len() != self.ndim() {
            return Err(refused(
                "transpose",
                &[self],
                format!("{axes:?} does not name each of its {} axes", self.ndim()),
            ));
        }
        let tensor = self.tensor.permute(order.as_slice()).map_err(failed("transpose", &[self]))?;
        Ok(record(tensor, &[self], move |_, step| {
            let mut back = vec![0; order.len()];
            order.iter().enumerate().for_each(|(to, from)| back[*from] = to.cast_signed());
            step.cotangent.transpose(&back)
        }))
    }

    fn expand_dims(&self, axis: isize) -> Result<Self> {
        let mut shape = self.shape();
        shape.insert(shapes::axis("expand_dims", self, axis, shape.len() + 1)?, 1);
        self.reshape_as("expand_dims", &shape)
    }

    fn squeeze(&self, axis: isize) -> Result<Self> {
        let axis = shapes::axis("squeeze", self, axis, self.ndim())?;
        let mut shape = self.shape();
        match shape.remove(axis) {
            1 => self.reshape_as("squeeze", &shape),
            length => {
                Err(refused("squeeze", &[self], format!("axis {axis} has length {length}, and only 1 can go")))
            }
        }
    }

    fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        const OP: &str = "broadcast_to";
        if self.dims() == shape {
            return Ok(hand_out(self));
        }
        if shapes::broadcast(OP, &[self], &[self.dims(), shape])? != shape {
            return Err(refused(OP, &[self], format!("it does not broadcast to {shape:?}")));
        }
        let tensor = self.tensor.broadcast_as(shape).map_err(failed(OP, &[self]))?;
        Ok(record(tensor, &[self], |_, step| step.cotangent.sum_to(step.inputs[0].dims())))
    }

    fn concatenate(arrays: &[Self], axis: isize) -> Result<Self> {
        const OP: &str = "concatenate";
        let operands: Vec<_> = arrays.iter().collect();
        let Some(first) = arrays.first() else {
            return Err(refused::<Self>(OP, &[], "there is nothing to concatenate".into()));
        };
        let axis = shapes::axis(OP, first, axis, first.ndim())?;
        let elsewhere = |array: &Self| without(array.dims(), &[axis]);
        let mut shape = first.shape();
        shape[axis] = 0;
        let mut starts = Vec::with_capacity(arrays.len());
        for array in arrays {
            if array.ndim() != first.ndim() || elsewhere(array) != elsewhere(first) {
                return Err(refused(OP, &operands, format!("shapes may differ along axis {axis} only")));
            }
            starts.push(shape[axis]);
            shape[axis] = shape[axis].saturating_add(array.dims()[axis]);
        }
        shapes::check(OP, &operands, &shape)?;
        let dtype = common_dtype(OP, &operands)?;
        let arrays = arrays.iter().map(|array| array.astype(dtype)).collect::<Result<Vec<_>>>()?;
        let tensors: Vec<_> = arrays.iter().map(|array| &array.tensor).collect();
        let tensor = Tensor::cat(&tensors, axis).map_err(failed(OP, &operands))?;
        Ok(record(tensor, &arrays.iter().collect::<Vec<_>>(), move |at, step| {
            let mut start = vec![0; step.output.ndim()];
            let mut stop = step.inputs[at].shape();
            start[axis] = starts[at];
            stop[axis] += starts[at];
            step.cotangent.slice(&start, &stop)
        }))
    }

    fn slice(&self, start: &[usize], stop: &[usize]) -> Result<Self> {
        const OP: &str = "slice";
        if start.len() != self.ndim() || stop.len() != self.ndim() {
            let reason = format!(
                "{start:?}..{stop:?} does not give a start and a stop for each of its {} axes",
                self.ndim()
            );
            return Err(refused(OP, &[self], reason));
        }
        let mut tensor = self.tensor.clone();
        for (axis, (&start, &stop)) in start.iter().zip(stop).enumerate() {
            let length = self.dims()[axis];
            if start > stop || stop > length {
                let reason = format!("{start}..{stop} is no range of axis {axis}, which has length {length}");
                return Err(refused(OP, &[self], reason));
            }
            tensor = tensor.narrow(axis, start, stop - start).map_err(failed(OP, &[self]))?;
        }
        let tensor = kernels::from_its_start_if_empty(tensor).map_err(failed(OP, &[self]))?;
        let start = start.to_vec();
        Ok(record(tensor, &[self], move |_, step| step.cotangent.pad(&start, step.inputs[0].dims())))
    }

    fn take(&self, indices: &Self, axis: isize) -> Result<Self> {
        const OP: &str = "take";
        let operands = [self, indices];
        if !matches!(indices.dtype(), Dtype::UInt32 | Dtype::Int32) {
            return Err(refused(
                OP,
                &operands,
                "indices must be uint32 or int32: convert them with `astype`".into(),
            ));
        }
        let axis = shapes::axis(OP, self, axis, self.ndim())?;
        let length = self.dims()[axis];
        let mut shape = self.shape();
        shape.splice(axis..=axis, indices.shape());
        shapes::check(OP, &operands, &shape)?;

        // As i64, which holds both dtypes, so that a negative index is named as it was given.
        let given = indices.tensor.to_dtype(DType::I64).and_then(|indices| elements::<i64>(&indices));
        let given = given.map_err(failed(OP, &operands))?;
        let in_range = |index: i64| u32::try_from(index).ok().filter(|index| (*index as usize) < length);
        let mut checked = Vec::with_capacity(given.len());
        for index in given {
            checked.push(in_range(index).ok_or_else(|| {
                refused(
                    OP,
                    &operands,
                    format!("index {index} is out of range for axis {axis}, which has length {length}"),
                )
            })?);
        }
        let checked = Tensor::from_vec(checked, indices.size(), &Device::Cpu).map_err(failed(OP, &operands))?;
        self.select(&checked, axis)?.reshape_as(OP, &shape)
    }

    fn astype(&self, dtype: Dtype) -> Result<Self> {
        if self.dtype() == dtype {
            return Ok(hand_out(self));
        }
        self.unary(
            "astype",
            |x| kernels::convert(x, storage(dtype)),
            |step| step.cotangent.astype(step.inputs[0].dtype()),
        )
    }

    fn stop_gradient(&self) -> Result<Self> {
        Ok(self.detached())
    }

    fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        tape::value_and_grad(function, primals)
    }
}

impl Step<'_> {
    /// The cotangent where `condition` is `wanted`, else zero.
    fn share_if(&self, wanted: bool, condition: &Array) -> Result<Array> {
        let zero = self.cotangent.scalar_like(0.0)?;
        if wanted {
            condition.where_cond(self.cotangent, &zero)
        } else {
            condition.where_cond(&zero, self.cotangent)
        }
    }
}

/// `shape` without `axes`.
fn without(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, length)| *length).collect()
}

/// Row-major.
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

/// candle's reason as our error.
fn failed(op: &'static str, operands: &[&Array]) -> impl FnOnce(CandleError) -> Error {
    move |error| refused(op, operands, reason(error))
}

/// candle's reason. It carries a backtrace if `RUST_BACKTRACE` is set; our messages are the same either way.
fn reason(mut error: CandleError) -> String {
    while let CandleError::WithBacktrace { inner, .. } = error {
        error = *inner;
    }
    error.to_string()
}
