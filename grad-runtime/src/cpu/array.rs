//! The array type and its operations: for each the kernel, and beside it the vjp.

use std::borrow::Cow;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::operation::{Reason, bail, operation};
use super::products::{self, Right};
use super::tape::{self, Node, VjpArgs, finish_output, record};
use super::{kernels, shapes};
use crate::array::docs::array_doc;
use crate::array::{self, IntoOperand, Sealed, all_axes, forward_to_inherent, operands};
use crate::detach::Detach;
use crate::dtype::{Buffer, Dtype, Element};
use crate::error::{Error, Operand, Result};
use crate::explain;
use crate::params::compiled::Compiler;
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
    /// Tells `bool` from `uint8`: candle stores both as `U8`.
    pub(super) dtype: Dtype,
    /// The record of how it was computed, if a transform was running on the operands.
    pub(super) node: Option<Arc<Node>>,
    /// The elements of a prepacked matrix in the order in which products read them.
    pub(super) panels: Option<Tensor>,
}

/// A function of each pair of elements of tensors of the same dtype.
pub(super) type BinaryKernel = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;

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

/// Prints the elements, the shape and the dtype.
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        array::display::display(self, f)
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
        Ok(arrays.iter().map(Self::constant_copy).collect())
    }

    fn open(shared: &Self) -> Result<Self> {
        if !explain::record::is_recording() {
            return Ok(shared.clone());
        }
        Ok(shared.distinct_copy())
    }

    fn describe(shared: &Self) -> Operand {
        Operand { shape: shared.shape(), dtype: shared.dtype() }
    }

    fn eval_all(_arrays: &[Self]) -> Result<()> {
        Ok(())
    }

    fn async_eval_all(_arrays: &[Self]) -> Result<()> {
        Ok(())
    }

    fn compiler() -> Option<Compiler<Self>> {
        None
    }

    fn peek(&self) -> Result<Buffer<'static>> {
        self.read()
    }

    fn key(&self) -> explain::record::Key {
        self.explain_key()
    }
}

forward_to_inherent!(Array);

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
        self.dtype
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
        if explain::record::is_recording() {
            explain::record::read(self, Location::caller());
        }
        self.read()
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
        self.unary("abs", kernels::abs, |args| args.cotangent.multiply(args.operands[0].sign()?))
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

    #[doc = array_doc!(sign, "cpu")]
    #[track_caller]
    pub fn sign(&self) -> Result<Self> {
        self.unary("sign", kernels::sign, Self::no_slope)
    }

    #[doc = array_doc!(floor, "cpu")]
    #[track_caller]
    pub fn floor(&self) -> Result<Self> {
        self.unary("floor", kernels::floor, Self::no_slope)
    }

    #[doc = array_doc!(ceil, "cpu")]
    #[track_caller]
    pub fn ceil(&self) -> Result<Self> {
        self.unary("ceil", kernels::ceil, Self::no_slope)
    }

    #[doc = array_doc!(reciprocal, "cpu")]
    #[track_caller]
    pub fn reciprocal(&self) -> Result<Self> {
        operation("reciprocal", &[self], || Ok(self.to_float()?.scalar_like(1.0)?.divide(self)?))
    }

    #[doc = array_doc!(rsqrt, "cpu")]
    #[track_caller]
    pub fn rsqrt(&self) -> Result<Self> {
        self.float_unary(
            "rsqrt",
            |x| x.sqrt()?.recip(),
            |args| {
                let slope = args.output.divide(&args.operands[0])?.affine(-0.5, 0.0)?;
                args.cotangent.multiply(slope)
            },
        )
    }

    #[doc = array_doc!(expm1, "cpu")]
    #[track_caller]
    pub fn expm1(&self) -> Result<Self> {
        self.float_unary("expm1", kernels::expm1, |args| args.cotangent.multiply(args.output.affine(1.0, 1.0)?))
    }

    #[doc = array_doc!(log1p, "cpu")]
    #[track_caller]
    pub fn log1p(&self) -> Result<Self> {
        self.float_unary("log1p", kernels::log1p, |args| args.cotangent.divide(args.operands[0].affine(1.0, 1.0)?))
    }

    #[doc = array_doc!(silu, "cpu")]
    #[track_caller]
    pub fn silu(&self) -> Result<Self> {
        operation("silu", &[self], || Ok(self.to_float()?.multiply(self.sigmoid()?)?))
    }

    /// The vjp of steps.
    fn no_slope(args: &VjpArgs<'_>) -> Result<Self> {
        Self::zeros(args.cotangent.dims(), args.cotangent.dtype)
    }

    /// Computes a function of each element.
    #[track_caller]
    pub(super) fn unary(
        &self,
        op: &'static str,
        kernel: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
        vjp: fn(&VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self> {
        operation(op, &[self], || Ok(record(kernel(&self.tensor)?, self.dtype, &[self], move |_, args| vjp(args))))
    }

    /// Computes a function of each element, which becomes float32 if it is an integer or a bool.
    #[track_caller]
    fn float_unary(
        &self,
        op: &'static str,
        kernel: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
        vjp: fn(&VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self> {
        operation(op, &[self], || Ok(self.to_float()?.unary(op, |x| kernels::in_full_precision(x, kernel), vjp)?))
    }

    /// Computes `mul · x + add` of each element of a float array.
    #[track_caller]
    pub(super) fn affine(&self, mul: f64, add: f64) -> Result<Self> {
        operation("affine", &[self], || {
            let tensor = kernels::in_full_precision(&self.tensor, |x| x.affine(mul, add))?;
            Ok(record(tensor, self.dtype, &[self], move |_, args| args.cotangent.affine(mul, 0.0)))
        })
    }
}

/// # Arithmetic
impl Array {
    #[doc = array_doc!(add, "cpu")]
    #[track_caller]
    pub fn add(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("add", || self.dtype)?;
        self.arithmetic("add", other, [kernels::add, kernels::maximum], |_, args| Ok(args.cotangent.clone()))
    }

    #[doc = array_doc!(subtract, "cpu")]
    #[track_caller]
    pub fn subtract(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("subtract", || self.dtype)?;
        self.arithmetic("subtract", other, [kernels::subtract, Tensor::broadcast_ne], |index, args| match index {
            0 => Ok(args.cotangent.clone()),
            _ => args.cotangent.negative(),
        })
    }

    #[doc = array_doc!(multiply, "cpu")]
    #[track_caller]
    pub fn multiply(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("multiply", || self.dtype)?;
        self.arithmetic("multiply", other, [kernels::multiply, kernels::minimum], |index, args| {
            args.cotangent.multiply(&args.operands[1 - index])
        })
    }

    #[doc = array_doc!(divide, "cpu")]
    #[track_caller]
    pub fn divide(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("divide", || self.dtype)?;
        if !self.dtype.is_float() && !other.dtype.is_float() {
            return operation("divide", &[self, other], || Ok(self.to_float()?.divide(other.to_float()?)?));
        }
        self.arithmetic("divide", other, [Tensor::broadcast_div; 2], |index, args| {
            let quotient = args.cotangent.divide(&args.operands[1])?;
            if index == 0 { Ok(quotient) } else { quotient.multiply(args.output)?.negative() }
        })
    }

    #[doc = array_doc!(maximum, "cpu")]
    #[track_caller]
    pub fn maximum(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("maximum", || self.dtype)?;
        self.arithmetic("maximum", other, [kernels::maximum; 2], |index, args| {
            args.cotangent_where(&args.operands[0].greater(&args.operands[1])?, index == 0)
        })
    }

    #[doc = array_doc!(minimum, "cpu")]
    #[track_caller]
    pub fn minimum(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("minimum", || self.dtype)?;
        self.arithmetic("minimum", other, [kernels::minimum; 2], |index, args| {
            args.cotangent_where(&args.operands[0].less(&args.operands[1])?, index == 0)
        })
    }

    #[doc = array_doc!(power, "cpu")]
    #[track_caller]
    pub fn power(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("power", || self.dtype)?;
        self.arithmetic("power", other, [kernels::power, Tensor::broadcast_ge], |index, args| {
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

    #[doc = array_doc!(clip, "cpu")]
    #[track_caller]
    pub fn clip(&self, min: impl IntoOperand<Self>, max: impl IntoOperand<Self>) -> Result<Self> {
        let min = &*min.into_operand("clip", || self.dtype)?;
        let max = &*max.into_operand("clip", || self.dtype)?;
        operation("clip", &[self, min, max], || Ok(self.maximum(min)?.minimum(max)?))
    }

    /// Computes a function of each pair of elements, in their common dtype and broadcast: the first kernel that of numbers, the
    /// second that of bools.
    #[track_caller]
    fn arithmetic(
        &self,
        op: &'static str,
        other: &Self,
        [of_numbers, of_bools]: [BinaryKernel; 2],
        vjp: fn(usize, &VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self> {
        let dtype = self.dtype.promote(other.dtype);
        let kernel = if dtype == Dtype::Bool { of_bools } else { of_numbers };
        self.binary(op, other, kernel, dtype, vjp)
    }

    /// Computes a function of each pair of elements, in their common dtype and broadcast. The result has `dtype`.
    #[track_caller]
    pub(super) fn binary(
        &self,
        op: &'static str,
        other: &Self,
        kernel: BinaryKernel,
        dtype: Dtype,
        vjp: fn(usize, &VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self> {
        operation(op, &[self, other], || {
            let common = self.dtype.promote(other.dtype);
            shapes::broadcast(&[self.dims(), other.dims()])?;
            let (x, y) = (self.astype(common)?, other.astype(common)?);
            let tensor = kernel(&x.tensor, &y.tensor)?;
            Ok(record(tensor, dtype, &[&x, &y], move |index, args| {
                vjp(index, args)?.sum_to(args.operands[index].dims())
            }))
        })
    }

    /// Computes the cotangent of an operand of `shape` that was broadcast, from that of the broadcast one.
    pub(super) fn sum_to(&self, shape: &[usize]) -> Result<Self> {
        if self.dims() == shape {
            return Ok(self.clone());
        }
        let new = self.ndim() - shape.len();
        let is_broadcast = |axis: &usize| *axis < new || shape[axis - new] != self.dims()[*axis];
        let axes: Vec<_> = (0..self.ndim()).filter(is_broadcast).map(usize::cast_signed).collect();
        self.sum(&axes, true)?.reshape(shape)
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

    #[doc = array_doc!(addmm, "cpu")]
    #[track_caller]
    pub fn addmm(&self, a: &Self, b: &Self, alpha: f32, beta: f32) -> Result<Self> {
        operation("addmm", &[self, a, b], || {
            let (dtype, shape) =
                operands::addmm([self.dims(), a.dims(), b.dims()], [self.dtype(), a.dtype(), b.dtype()])?;
            shapes::check(&shape)?;
            let (c, a, b) = (self.astype(dtype)?, a.astype(dtype)?, b.astype(dtype)?);
            if b.ndim() > 2 {
                return Ok(a.matmul(&b)?.scaled(alpha)?.add(c.scaled(beta)?)?);
            }
            // One matrix on the right: the batch on the left is so many more rows. A matrix is not reshaped, which would copy it if
            // it is transposed, as weights are.
            let b = if b.ndim() == 1 { b.expand_dims(1)? } else { b };
            let (length, columns) = (b.dims()[0], b.dims()[1]);
            let rows = a.dims()[..a.ndim() - 1].iter().product();
            let a = if a.ndim() == 2 { a } else { a.reshape(&[rows, length])? };
            let c = if c.size() == columns && shape.last() == Some(&columns) && c.dims().last() == Some(&columns) {
                c.reshape(&[columns])?
            } else {
                c.broadcast_to(&shape)?.reshape(&[rows, columns])?
            };
            let product = c.addmm_matrices(&a, &b, alpha, beta)?;
            Ok(product.reshape(&shape)?)
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
            Ok(record(tensor, x.dtype, &[&x], move |_, args| {
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
            Ok(record(tensor, dtype, &[&x, &weight, &bias], move |index, args| {
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

    #[doc = array_doc!(log_softmax, "cpu")]
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Result<Self> {
        operation("log_softmax", &[self], || {
            let x = self.to_float()?;
            Ok(x.subtract(x.logsumexp(&[axis], true)?)?)
        })
    }

    #[doc = array_doc!(cross_entropy, "cpu")]
    #[track_caller]
    pub fn cross_entropy(&self, targets: &Self) -> Result<Self> {
        operation("cross_entropy", &[self, targets], || {
            operands::cross_entropy(self.dims(), (targets.dims(), targets.dtype))?;
            let x = self.to_float()?;
            let of_targets = x.take_along_axis(&targets.expand_dims(-1)?, -1)?.squeeze(-1)?;
            Ok(x.logsumexp(&[-1], false)?.subtract(of_targets)?)
        })
    }

    /// Multiplies matrices, or batches of them, whose inner lengths and dtypes agree.
    fn matmul_matrices(&self, other: &Self) -> Result<Self, Reason> {
        let (x_batch, [rows, length]) = self.dims().split_last_chunk::<2>().expect("two axes or more");
        let (y_batch, [_, columns]) = other.dims().split_last_chunk::<2>().expect("two axes or more");
        let batch = shapes::broadcast(&[x_batch, y_batch])?;
        let shape = [&batch[..], &[*rows, *columns]].concat();
        shapes::check(&shape)?;
        if other.ndim() == 2 {
            if self.ndim() == 2 {
                return Ok(self.matmul_batch(other)?);
            }
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
            let tensor = products::matmul(&self.tensor, other.as_right())?;
            Ok(record(tensor, self.dtype, &[self, other], |index, args| match index {
                0 => args.cotangent.matmul_batch(&args.operands[1].swap_last_axes()?),
                _ => args.operands[0].swap_last_axes()?.matmul_batch(args.cotangent),
            }))
        })
    }

    /// Computes `beta * self + alpha * (a @ b)` of two matrices and of a matrix or a row.
    #[track_caller]
    fn addmm_matrices(&self, a: &Self, b: &Self, alpha: f32, beta: f32) -> Result<Self> {
        operation("addmm", &[self, a, b], || {
            let tensor = products::addmm(&self.tensor, &a.tensor, b.as_right(), alpha, beta)?;
            Ok(record(tensor, self.dtype, &[self, a, b], move |index, args| {
                let [c, a, b] = args.operands else { unreachable!("addmm has three operands") };
                match index {
                    0 => args.cotangent.scaled(beta)?.sum_to(c.dims()),
                    1 => args.cotangent.scaled(alpha)?.matmul_batch(&b.swap_last_axes()?),
                    _ => a.swap_last_axes()?.matmul_batch(&args.cotangent.scaled(alpha)?),
                }
            }))
        })
    }

    fn as_right(&self) -> Right<'_> {
        Right { tensor: &self.tensor, panels: self.panels.as_ref() }
    }

    /// Multiplies by a factor.
    pub(super) fn scaled(&self, factor: f32) -> Result<Self> {
        #[expect(clippy::float_cmp, reason = "only the factor 1 changes nothing")]
        if factor == 1.0 { Ok(self.clone()) } else { self.affine(f64::from(factor), 0.0) }
    }

    pub(super) fn swap_last_axes(&self) -> Result<Self> {
        let mut axes = all_axes(self.ndim());
        axes.swap(self.ndim() - 2, self.ndim() - 1);
        self.transpose(&axes)
    }
}

/// # Conversion
impl Array {
    #[doc = array_doc!(astype, "cpu")]
    #[track_caller]
    pub fn astype(&self, dtype: Dtype) -> Result<Self> {
        if self.dtype == dtype {
            return Ok(finish_output("astype", self));
        }
        operation("astype", &[self], || {
            let tensor = match dtype {
                Dtype::Bool => kernels::is_nonzero(&self.tensor)?,
                _ => self.tensor.to_dtype(storage(dtype)?)?,
            };
            Ok(record(tensor, dtype, &[self], |_, args| args.cotangent.astype(args.operands[0].dtype)))
        })
    }

    /// Creates an array that shares the elements of a candle tensor. It is a constant to every transform.
    ///
    /// A later in-place change of a `candle_core::Var` shows in an array made from it, but not in every product of an array that was
    /// [`prepacked`](Self::prepacked) before: prepack it again after the change.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] if the tensor is not on the CPU, has more than 8 axes, or has an 8-bit float dtype or a narrower one. A
    /// `U8` tensor becomes a uint8 array; for bools, compare it with zero or convert it with [`astype`](Self::astype).
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use grad_runtime::cpu::Array;
    ///
    /// let tensor = Tensor::new(&[1_f32, 2.0], &Device::Cpu).unwrap();
    /// let array = Array::from_tensor(&tensor)?;
    /// assert_eq!(array.square()?.to_vec::<f32>()?, [1.0, 4.0]);
    ///
    /// let image = Tensor::new(&[0_u8, 255], &Device::Cpu).unwrap();
    /// assert_eq!(Array::from_tensor(&image)?.to_vec::<u8>()?, [0, 255]);
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
            Ok(Self::constant(tensor, dtype))
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
    pub(super) fn to_float(&self) -> Result<Self> {
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
    /// Returns the elements.
    #[track_caller]
    fn read(&self) -> Result<Buffer<'static>> {
        fn read<T: candle_core::WithDType>(x: &Array) -> Result<Vec<T>, Reason> {
            Ok(elements(&x.tensor)?)
        }
        operation("to_buffer", &[self], || {
            Ok(match self.dtype() {
                Dtype::Float32 => Buffer::Float32(Cow::Owned(read(self)?)),
                Dtype::Float64 => Buffer::Float64(Cow::Owned(read(self)?)),
                Dtype::Float16 => Buffer::Float16(Cow::Owned(read(self)?)),
                Dtype::BFloat16 => Buffer::BFloat16(Cow::Owned(read(self)?)),
                Dtype::Int16 => Buffer::Int16(Cow::Owned(read(self)?)),
                Dtype::Int32 => Buffer::Int32(Cow::Owned(read(self)?)),
                Dtype::Int64 => Buffer::Int64(Cow::Owned(read(self)?)),
                Dtype::UInt8 => Buffer::UInt8(Cow::Owned(read(self)?)),
                Dtype::UInt32 => Buffer::UInt32(Cow::Owned(read(self)?)),
                Dtype::Bool => Buffer::Bool(read::<u8>(self)?.into_iter().map(|element| element != 0).collect()),
                Dtype::Int8 | Dtype::UInt16 | Dtype::UInt64 | Dtype::Complex64 => {
                    unreachable!("there are no such arrays")
                }
            })
        })
    }

    /// Creates an array that depends on nothing.
    pub(super) fn constant(tensor: Tensor, dtype: Dtype) -> Self {
        Self { tensor, dtype, node: None, panels: None }
    }

    pub(super) fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// Creates a scalar of this array's dtype.
    pub(super) fn scalar_like(&self, value: f32) -> Result<Self> {
        Self::full(&[], value, self.dtype)
    }
}

/// Returns the elements in row-major order.
pub(super) fn elements<T: candle_core::WithDType>(x: &Tensor) -> candle_core::Result<Vec<T>> {
    x.flatten_all()?.to_vec1()
}

/// Returns the dtype of an array that is made from a tensor.
fn dtype(storage: DType) -> Option<Dtype> {
    Some(match storage {
        DType::F32 => Dtype::Float32,
        DType::F64 => Dtype::Float64,
        DType::F16 => Dtype::Float16,
        DType::BF16 => Dtype::BFloat16,
        DType::I16 => Dtype::Int16,
        DType::I32 => Dtype::Int32,
        DType::I64 => Dtype::Int64,
        DType::U8 => Dtype::UInt8,
        DType::U32 => Dtype::UInt32,
        _ => return None,
    })
}

/// Returns the dtype of the tensor that stores the elements.
pub(super) fn storage(dtype: Dtype) -> Result<DType, Reason> {
    let instead = match dtype {
        Dtype::Float32 => return Ok(DType::F32),
        Dtype::Float64 => return Ok(DType::F64),
        Dtype::Float16 => return Ok(DType::F16),
        Dtype::BFloat16 => return Ok(DType::BF16),
        Dtype::Int16 => return Ok(DType::I16),
        Dtype::Int32 => return Ok(DType::I32),
        Dtype::Int64 => return Ok(DType::I64),
        Dtype::UInt8 | Dtype::Bool => return Ok(DType::U8),
        Dtype::UInt32 => return Ok(DType::U32),
        Dtype::Int8 => "use int16",
        Dtype::UInt16 => "use int32 or uint32",
        Dtype::UInt64 => "use int64",
        Dtype::Complex64 => "use MLX, or two arrays",
    };
    bail!("the CPU fallback has no {dtype} arrays; {instead}")
}
