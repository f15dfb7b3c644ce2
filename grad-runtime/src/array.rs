//! The `Array` trait: one set of operations for MLX arrays and for the CPU fallback.

use std::fmt;

use crate::detach::Detach;
use crate::dtype::{Buffer, Dtype, Element};
use crate::error::{Error, Operand, Result};
use crate::explain::is_strict;
use crate::params::Params;
use crate::params::compiled::Compiler;
use crate::random::Draw;
use grad_core::Backend;
use grad_core::GradMode;

pub(crate) mod display;
pub(crate) mod docs;
mod forward;
pub(crate) mod into_operand;
pub(crate) mod length;
pub(crate) mod operands;

use docs::{array_doc, array_doc_of_first_backend};
pub(crate) use forward::forward_to_inherent;
pub use into_operand::IntoOperand;
pub use length::Length;

/// An n-dimensional array: `mlx::Array` or `cpu::Array`. Write a model once, over `A: Array`.
///
/// Names and meanings are MLX's: operands broadcast as in NumPy, and a negative axis counts from the end. An array
/// made while the grad mode is off is a constant to every transform around it. Outside a transform a scope changes
/// nothing about an array.
///
/// This trait is sealed: only the arrays of this crate implement it, so methods can be added. Each array type has the same
/// methods itself. A program that uses one backend imports its `Array` instead of this trait.
///
/// # Methods
///
/// | kind | methods |
/// | --- | --- |
/// | creation | [`from_slice`](Array::from_slice), [`from_buffer`](Array::from_buffer), [`scalar`](Array::scalar), [`full`](Array::full), [`zeros`](Array::zeros), [`ones`](Array::ones), [`arange`](Array::arange), [`eye`](Array::eye) |
/// | inspection | [`shape`](Array::shape), [`ndim`](Array::ndim), [`size`](Array::size), [`dtype`](Array::dtype), [`to_vec`](Array::to_vec), [`item`](Array::item), [`to_buffer`](Array::to_buffer), [`eval`](Array::eval), [`backend`](Array::backend) |
/// | elementwise functions | [`abs`](Array::abs), [`negative`](Array::negative), [`exp`](Array::exp), [`log`](Array::log), [`sqrt`](Array::sqrt), [`square`](Array::square), [`sin`](Array::sin), [`cos`](Array::cos), [`tanh`](Array::tanh), [`erf`](Array::erf), [`sigmoid`](Array::sigmoid), [`relu`](Array::relu), [`gelu`](Array::gelu), [`sign`](Array::sign), [`floor`](Array::floor), [`ceil`](Array::ceil), [`reciprocal`](Array::reciprocal), [`rsqrt`](Array::rsqrt), [`expm1`](Array::expm1), [`log1p`](Array::log1p), [`silu`](Array::silu) |
/// | arithmetic | [`add`](Array::add), [`subtract`](Array::subtract), [`multiply`](Array::multiply), [`divide`](Array::divide), [`maximum`](Array::maximum), [`minimum`](Array::minimum), [`power`](Array::power), [`clip`](Array::clip) |
/// | comparison and selection | [`equal`](Array::equal), [`greater`](Array::greater), [`less`](Array::less), [`where_cond`](Array::where_cond), [`not_equal`](Array::not_equal), [`greater_equal`](Array::greater_equal), [`less_equal`](Array::less_equal), [`logical_and`](Array::logical_and), [`logical_or`](Array::logical_or), [`logical_not`](Array::logical_not), [`isnan`](Array::isnan) |
/// | reductions | [`sum`](Array::sum), [`sum_all`](Array::sum_all), [`mean`](Array::mean), [`mean_all`](Array::mean_all), [`max`](Array::max), [`min`](Array::min), [`logsumexp`](Array::logsumexp), [`argmax`](Array::argmax), [`argmin`](Array::argmin), [`var`](Array::var), [`std`](Array::std), [`all`](Array::all), [`any`](Array::any) |
/// | linear algebra and normalization | [`matmul`](Array::matmul), [`addmm`](Array::addmm), [`softmax`](Array::softmax), [`layer_norm`](Array::layer_norm), [`log_softmax`](Array::log_softmax), [`cross_entropy`](Array::cross_entropy), [`scaled_dot_product_attention`](Array::scaled_dot_product_attention) |
/// | shapes and indexing | [`reshape`](Array::reshape), [`transpose`](Array::transpose), [`expand_dims`](Array::expand_dims), [`squeeze`](Array::squeeze), [`broadcast_to`](Array::broadcast_to), [`concatenate`](Array::concatenate), [`slice`](Array::slice), [`take`](Array::take), [`narrow`](Array::narrow), [`split`](Array::split), [`stack`](Array::stack), [`flatten`](Array::flatten), [`swapaxes`](Array::swapaxes), [`contiguous`](Array::contiguous), [`prepacked`](Array::prepacked), [`take_along_axis`](Array::take_along_axis), [`one_hot`](Array::one_hot), [`tril`](Array::tril), [`triu`](Array::triu) |
/// | conversion | [`astype`](Array::astype) |
/// | gradients | [`stop_gradient`](Array::stop_gradient), [`value_and_grad`](Array::value_and_grad), [`grad`](Array::grad) |
///
/// # Printing
///
/// `{}` prints the elements as NumPy does, abbreviated beyond 1000, with shape and dtype; a precision such as `{:.2}` limits the
/// digits, and bools are `true` and `false`, as in Rust. On MLX it computes the elements; if that fails, the text has the error in
/// their place. `{:?}` is short, and computes nothing.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// let x = grad_runtime::cpu::Array::from_slice(&[1.0_f32, -2.5, 0.125, 4.0], &[2, 2])?;
/// assert_eq!(x.to_string(), "array([[ 1.   , -2.5  ],\n       [ 0.125,  4.   ]], shape=[2, 2], dtype=float32)");
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// An operation that does not accept its operands returns [`Error::Operation`], with the name of the method and the shape
/// and dtype of each operand. It never panics on its arguments.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, Result, cpu, no_grad};
///
/// // d/dx (x · stop(x²)) = x²: an array made in the scope is a constant.
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
/// The arrays of this crate also have `+`, `-`, `*`, `/` and unary `-`, with owned or borrowed operands. The operators call
/// [`add`](Array::add), [`subtract`](Array::subtract), [`multiply`](Array::multiply), [`divide`](Array::divide) and
/// [`negative`](Array::negative), so they return a [`Result`] and obey scopes. An `f32` or `i32` may stand on either side. It takes
/// the dtype of the array where it fits that, as an operand of the methods does ([`IntoOperand`]).
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
/// Generic code calls the methods, or has the bound [`Operators`](crate::Operators).
pub trait Array: Sealed + Clone + Detach + Params<Self> + fmt::Debug + fmt::Display + Sized + 'static {
    // Creation

    #[doc = array_doc!(from_slice)]
    #[track_caller]
    fn from_slice<T: Element>(elements: &[T], shape: &[usize]) -> Result<Self>;
    #[doc = array_doc!(from_buffer)]
    #[track_caller]
    fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self>;
    #[doc = array_doc!(scalar)]
    #[track_caller]
    fn scalar<T: Element>(value: T) -> Result<Self>;
    #[doc = array_doc!(full)]
    #[track_caller]
    fn full<T: Element>(shape: &[usize], value: T, dtype: Dtype) -> Result<Self>;
    #[doc = array_doc!(zeros)]
    #[track_caller]
    fn zeros(shape: &[usize], dtype: Dtype) -> Result<Self>;
    #[doc = array_doc!(ones)]
    #[track_caller]
    fn ones(shape: &[usize], dtype: Dtype) -> Result<Self>;
    #[doc = array_doc!(arange)]
    #[track_caller]
    fn arange(start: f64, stop: f64, step: f64, dtype: Dtype) -> Result<Self>;
    #[doc = array_doc!(eye)]
    #[track_caller]
    fn eye(n: usize, m: usize, k: i32, dtype: Dtype) -> Result<Self>;

    // Inspection

    #[doc = array_doc!(shape)]
    #[track_caller]
    fn shape(&self) -> Vec<usize>;
    #[doc = array_doc!(ndim)]
    #[track_caller]
    fn ndim(&self) -> usize;
    #[doc = array_doc!(size)]
    #[track_caller]
    fn size(&self) -> usize;
    #[doc = array_doc!(dtype)]
    #[track_caller]
    fn dtype(&self) -> Dtype;
    #[doc = array_doc!(is_traced)]
    fn is_traced(&self) -> bool;
    #[doc = array_doc!(to_vec)]
    #[track_caller]
    fn to_vec<T: Element>(&self) -> Result<Vec<T>>;
    #[doc = array_doc!(item)]
    #[track_caller]
    fn item<T: Element>(&self) -> Result<T>;
    #[doc = array_doc!(to_buffer)]
    #[track_caller]
    fn to_buffer(&self) -> Result<Buffer<'static>>;
    #[doc = array_doc!(eval)]
    #[track_caller]
    fn eval(&self) -> Result<()>;
    #[doc = array_doc!(backend)]
    #[track_caller]
    fn backend() -> &'static dyn Backend;

    // Elementwise functions

    #[doc = array_doc!(abs)]
    #[track_caller]
    fn abs(&self) -> Result<Self>;
    #[doc = array_doc!(negative)]
    #[track_caller]
    fn negative(&self) -> Result<Self>;
    #[doc = array_doc!(exp)]
    #[track_caller]
    fn exp(&self) -> Result<Self>;
    #[doc = array_doc!(log)]
    #[track_caller]
    fn log(&self) -> Result<Self>;
    #[doc = array_doc!(sqrt)]
    #[track_caller]
    fn sqrt(&self) -> Result<Self>;
    #[doc = array_doc!(square)]
    #[track_caller]
    fn square(&self) -> Result<Self>;
    #[doc = array_doc!(sin)]
    #[track_caller]
    fn sin(&self) -> Result<Self>;
    #[doc = array_doc!(cos)]
    #[track_caller]
    fn cos(&self) -> Result<Self>;
    #[doc = array_doc!(tanh)]
    #[track_caller]
    fn tanh(&self) -> Result<Self>;
    #[doc = array_doc!(erf)]
    #[track_caller]
    fn erf(&self) -> Result<Self>;
    #[doc = array_doc!(sigmoid)]
    #[track_caller]
    fn sigmoid(&self) -> Result<Self>;
    #[doc = array_doc!(relu)]
    #[track_caller]
    fn relu(&self) -> Result<Self>;
    #[doc = array_doc!(gelu)]
    #[track_caller]
    fn gelu(&self) -> Result<Self>;
    #[doc = array_doc!(sign)]
    #[track_caller]
    fn sign(&self) -> Result<Self>;
    #[doc = array_doc!(floor)]
    #[track_caller]
    fn floor(&self) -> Result<Self>;
    #[doc = array_doc!(ceil)]
    #[track_caller]
    fn ceil(&self) -> Result<Self>;
    #[doc = array_doc!(reciprocal)]
    #[track_caller]
    fn reciprocal(&self) -> Result<Self>;
    #[doc = array_doc!(rsqrt)]
    #[track_caller]
    fn rsqrt(&self) -> Result<Self>;
    #[doc = array_doc!(expm1)]
    #[track_caller]
    fn expm1(&self) -> Result<Self>;
    #[doc = array_doc!(log1p)]
    #[track_caller]
    fn log1p(&self) -> Result<Self>;
    #[doc = array_doc!(silu)]
    #[track_caller]
    fn silu(&self) -> Result<Self>;

    // Arithmetic

    #[doc = array_doc!(add)]
    #[track_caller]
    fn add(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(subtract)]
    #[track_caller]
    fn subtract(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(multiply)]
    #[track_caller]
    fn multiply(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(divide)]
    #[track_caller]
    fn divide(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(maximum)]
    #[track_caller]
    fn maximum(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(minimum)]
    #[track_caller]
    fn minimum(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(power)]
    #[track_caller]
    fn power(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(clip)]
    #[track_caller]
    fn clip(&self, min: impl IntoOperand<Self>, max: impl IntoOperand<Self>) -> Result<Self>;

    // Comparison and selection

    #[doc = array_doc!(equal)]
    #[track_caller]
    fn equal(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(greater)]
    #[track_caller]
    fn greater(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(less)]
    #[track_caller]
    fn less(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(where_cond)]
    #[track_caller]
    fn where_cond(&self, on_true: impl IntoOperand<Self>, on_false: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(not_equal)]
    #[track_caller]
    fn not_equal(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(greater_equal)]
    #[track_caller]
    fn greater_equal(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(less_equal)]
    #[track_caller]
    fn less_equal(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(logical_and)]
    #[track_caller]
    fn logical_and(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(logical_or)]
    #[track_caller]
    fn logical_or(&self, other: impl IntoOperand<Self>) -> Result<Self>;
    #[doc = array_doc!(logical_not)]
    #[track_caller]
    fn logical_not(&self) -> Result<Self>;
    #[doc = array_doc!(isnan)]
    #[track_caller]
    fn isnan(&self) -> Result<Self>;

    // Reductions

    #[doc = array_doc!(sum)]
    #[track_caller]
    fn sum(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    #[doc = array_doc!(sum_all)]
    #[track_caller]
    fn sum_all(&self) -> Result<Self>;
    #[doc = array_doc!(mean)]
    #[track_caller]
    fn mean(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    #[doc = array_doc!(mean_all)]
    #[track_caller]
    fn mean_all(&self) -> Result<Self>;
    #[doc = array_doc!(max)]
    #[track_caller]
    fn max(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    #[doc = array_doc!(min)]
    #[track_caller]
    fn min(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    #[doc = array_doc!(logsumexp)]
    #[track_caller]
    fn logsumexp(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    #[doc = array_doc!(argmax)]
    #[track_caller]
    fn argmax(&self, axis: isize, keepdims: bool) -> Result<Self>;
    #[doc = array_doc!(argmin)]
    #[track_caller]
    fn argmin(&self, axis: isize, keepdims: bool) -> Result<Self>;
    #[doc = array_doc!(var)]
    #[track_caller]
    fn var(&self, axes: &[isize], keepdims: bool, ddof: usize) -> Result<Self>;
    #[doc = array_doc!(std)]
    #[track_caller]
    fn std(&self, axes: &[isize], keepdims: bool, ddof: usize) -> Result<Self>;
    #[doc = array_doc!(all)]
    #[track_caller]
    fn all(&self, axes: &[isize], keepdims: bool) -> Result<Self>;
    #[doc = array_doc!(any)]
    #[track_caller]
    fn any(&self, axes: &[isize], keepdims: bool) -> Result<Self>;

    // Linear algebra and normalization

    #[doc = array_doc!(matmul)]
    #[track_caller]
    fn matmul(&self, other: &Self) -> Result<Self>;
    #[doc = array_doc!(addmm)]
    #[track_caller]
    fn addmm(&self, a: &Self, b: &Self, alpha: f32, beta: f32) -> Result<Self>;
    #[doc = array_doc!(softmax)]
    #[track_caller]
    fn softmax(&self, axis: isize) -> Result<Self>;
    #[doc = array_doc!(layer_norm)]
    #[track_caller]
    fn layer_norm(&self, weight: &Self, bias: &Self, eps: f32) -> Result<Self>;
    #[doc = array_doc!(log_softmax)]
    #[track_caller]
    fn log_softmax(&self, axis: isize) -> Result<Self>;
    #[doc = array_doc!(cross_entropy)]
    #[track_caller]
    fn cross_entropy(&self, targets: &Self) -> Result<Self>;
    #[doc = array_doc!(scaled_dot_product_attention)]
    #[track_caller]
    fn scaled_dot_product_attention(
        &self,
        keys: &Self,
        values: &Self,
        scale: f32,
        mask: Option<&Self>,
    ) -> Result<Self>;

    // Shapes and indexing

    #[doc = array_doc!(reshape)]
    #[track_caller]
    fn reshape<L: Length>(&self, shape: &[L]) -> Result<Self>;
    #[doc = array_doc!(transpose)]
    #[track_caller]
    fn transpose(&self, axes: &[isize]) -> Result<Self>;
    #[doc = array_doc!(expand_dims)]
    #[track_caller]
    fn expand_dims(&self, axis: isize) -> Result<Self>;
    #[doc = array_doc!(squeeze)]
    #[track_caller]
    fn squeeze(&self, axis: isize) -> Result<Self>;
    #[doc = array_doc!(broadcast_to)]
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Result<Self>;
    #[doc = array_doc!(concatenate)]
    #[track_caller]
    fn concatenate(arrays: &[Self], axis: isize) -> Result<Self>;
    #[doc = array_doc!(slice)]
    #[track_caller]
    fn slice(&self, start: &[usize], stop: &[usize]) -> Result<Self>;
    #[doc = array_doc!(take)]
    #[track_caller]
    fn take(&self, indices: &Self, axis: isize) -> Result<Self>;
    #[doc = array_doc!(narrow)]
    #[track_caller]
    fn narrow(&self, axis: isize, start: usize, length: usize) -> Result<Self>;
    #[doc = array_doc!(split)]
    #[track_caller]
    fn split(&self, parts: usize, axis: isize) -> Result<Vec<Self>>;
    #[doc = array_doc!(stack)]
    #[track_caller]
    fn stack(arrays: &[Self], axis: isize) -> Result<Self>;
    #[doc = array_doc!(flatten)]
    #[track_caller]
    fn flatten(&self, start_axis: isize, end_axis: isize) -> Result<Self>;
    #[doc = array_doc!(swapaxes)]
    #[track_caller]
    fn swapaxes(&self, axis1: isize, axis2: isize) -> Result<Self>;
    #[doc = array_doc!(contiguous)]
    #[track_caller]
    fn contiguous(&self) -> Result<Self>;
    #[doc = array_doc!(prepacked)]
    #[track_caller]
    fn prepacked(&self) -> Result<Self>;
    #[doc = array_doc!(take_along_axis)]
    #[track_caller]
    fn take_along_axis(&self, indices: &Self, axis: isize) -> Result<Self>;
    #[doc = array_doc!(one_hot)]
    #[track_caller]
    fn one_hot(&self, classes: usize, dtype: Dtype) -> Result<Self>;
    #[doc = array_doc!(tril)]
    #[track_caller]
    fn tril(&self, k: i32) -> Result<Self>;
    #[doc = array_doc!(triu)]
    #[track_caller]
    fn triu(&self, k: i32) -> Result<Self>;

    // Conversion

    #[doc = array_doc!(astype)]
    #[track_caller]
    fn astype(&self, dtype: Dtype) -> Result<Self>;

    // Gradients

    #[doc = array_doc!(stop_gradient)]
    #[track_caller]
    fn stop_gradient(&self) -> Result<Self>;
    #[doc = array_doc!(value_and_grad)]
    #[track_caller]
    fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>;
    #[doc = array_doc!(grad)]
    #[track_caller]
    fn grad<F, E>(function: F, primals: &[Self]) -> Result<Vec<Self>, E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>;
}

/// Seals [`Array`], since it is not exported, and has what the public functions on structures of arrays are made of.
pub trait Sealed: Draw {
    /// [`Array::value_and_grad`] with errors that name `op`, the function that the user called.
    #[doc(hidden)]
    fn value_and_grad_as<F, E>(op: &'static str, function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>;

    /// The elements of an array, for any thread: what [`Shared`](crate::Shared) holds.
    #[doc(hidden)]
    type Shared: Clone + Send + Sync + 'static;

    /// Computes the elements of all arrays and returns them for other threads.
    #[doc(hidden)]
    fn share_all(arrays: &[Self]) -> Result<Vec<Self::Shared>>;

    /// Returns an array of this thread with the elements.
    #[doc(hidden)]
    fn open(shared: &Self::Shared) -> Result<Self>;

    /// Returns the shape and the dtype.
    #[doc(hidden)]
    fn describe(shared: &Self::Shared) -> Operand;

    /// Computes the elements of all arrays, for [`params::eval`](crate::params::eval).
    #[doc(hidden)]
    fn eval_all(arrays: &[Self]) -> Result<()>;

    /// Starts to compute the elements of all arrays, for [`params::async_eval`](crate::params::async_eval).
    #[doc(hidden)]
    fn async_eval_all(arrays: &[Self]) -> Result<()>;

    /// Returns what compiles functions, if the backend does, for [`params::compile`](crate::params::compile).
    #[doc(hidden)]
    fn compiler() -> Option<Compiler<Self>>;

    /// Returns the elements to be shown. They are not recorded as read.
    #[doc(hidden)]
    fn peek(&self) -> Result<Buffer<'static>>;

    /// Returns what tells this array from others, for explanations.
    #[doc(hidden)]
    fn key(&self) -> crate::explain::record::Key;
}

/// Implements `to_vec` of either array type.
#[track_caller]
pub(crate) fn to_vec<A: Array, T: Element>(array: &A) -> Result<Vec<T>> {
    if array.dtype() != T::DTYPE {
        let (found, requested) = (array.dtype(), T::DTYPE);
        let reason = format!("the elements are {found}, not {requested}; convert them with `astype` first");
        return Err(refused("to_vec", &[array], reason));
    }
    let buffer = array.to_buffer().map_err(|error| error.with_op("to_vec"))?;
    Ok(T::elements(buffer).expect("a buffer has its array's dtype"))
}

/// Implements `item` of either array type.
#[track_caller]
pub(crate) fn item<A: Array, T: Element>(array: &A) -> Result<T> {
    match array.size() {
        1 => Ok(to_vec(array).map_err(|error| error.with_op("item"))?[0]),
        size => Err(refused("item", &[array], format!("the array has {size} elements, not 1; use `to_vec`"))),
    }
}

/// Returns the error of an operation that does not accept its operands.
pub(crate) fn refused<A: Array>(op: &'static str, operands: &[&A], reason: String) -> Error {
    let operand = |operand: &&A| Operand { shape: operand.shape(), dtype: operand.dtype() };
    Error::Operation { op, operands: operands.iter().map(operand).collect(), reason }
}

/// Returns the error of a constructor that cannot create the array.
pub(crate) fn cannot_make(op: &'static str, shape: &[usize], dtype: Dtype, reason: String) -> Error {
    Error::Operation { op, operands: vec![Operand { shape: shape.to_vec(), dtype }], reason }
}

/// Checks that `buffer` fills `shape`, whose size must not overflow.
pub(crate) fn check_length(buffer: &Buffer<'_>, shape: &[usize]) -> Result<(), String> {
    match (buffer.len(), shape.iter().product::<usize>()) {
        (found, size) if found == size => Ok(()),
        (found, size) => Err(format!("{found} elements were given, and the shape holds {size}")),
    }
}

/// Checks the grad mode and the primals of a transform before it starts.
pub(crate) fn require_primals<A: Array>(transform: &'static str, primals: &[A]) -> Result<()> {
    if A::backend().grad_mode() == GradMode::Inference {
        return Err(Error::InferenceMode { transform });
    }
    if primals.is_empty() {
        return Err(refused::<A>(transform, &[], "there are no primals; pass at least one array".into()));
    }
    if let Some(index) = primals.iter().position(|primal| !primal.dtype().is_inexact()) {
        let reason = format!(
            "primal {index} is not floating point and has no gradient; convert it with `astype`, or capture it"
        );
        return Err(refused(transform, &primals.iter().collect::<Vec<_>>(), reason));
    }
    Ok(())
}

/// Checks the value that a differentiated function returned.
pub(crate) fn require_loss<A: Array>(transform: &'static str, loss: &A) -> Result<()> {
    let reason = if loss.ndim() != 0 || !loss.dtype().is_float() {
        "the value of the function is not a floating point scalar; reduce it, for example with `sum_all`"
    } else if is_strict() && !loss.is_traced() {
        "the value depends on no primal, so every gradient is zero; `explain::gradients` tells where it was cut"
    } else {
        return Ok(());
    };
    Err(refused(transform, &[loss], reason.into()))
}

/// Returns the axes of an array with `ndim` of them.
pub(crate) fn all_axes(ndim: usize) -> Vec<isize> {
    (0..ndim.cast_signed()).collect()
}
