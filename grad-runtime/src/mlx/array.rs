//! `mlx::Array`: the `Array` trait on MLX.

use std::borrow::Cow;
use std::fmt;

use super::ffi::{self, Handle, Made, shared};
use super::transforms;
use crate::array::docs::array_doc;
use crate::array::{self, Sealed, all_axes, cannot_make, check_length, forward_to_inherent, refused};
use crate::backend::{Backend, Mlx};
use crate::detach::Detach;
use crate::dtype::{Buffer, Dtype, Element};
use crate::error::{Error, Result};

/// An array of MLX.
///
/// MLX is lazy: an operation adds a node to a graph, and [`eval`](Self::eval) or a look at the elements
/// computes it, on the [default device](super::default_device). Cloning copies a reference. An array stays on the
/// thread that made it, as the graph it belongs to does:
///
/// ```compile_fail,E0277
/// # use grad_runtime::{Array, Dtype, mlx};
/// let ones = mlx::Array::ones(&[2], Dtype::Float32)?;
/// std::thread::spawn(move || ones.eval());
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
#[repr(transparent)] // The shim takes a slice of arrays as one of handles.
pub struct Array(Handle);

impl Array {
    /// Every array passes here on its way to the user, and here is the rule: made while the mode is off, it is a
    /// constant to the transforms that are running. Where none is, nothing is added.
    pub(in crate::mlx) fn new(handle: Handle) -> Made<Self> {
        if Mlx.grad_mode().is_enabled() {
            return Ok(Self(handle));
        }
        handle.into_constant(transforms::is_running()).map(Self)
    }

    /// A primal, as MLX gives it to a transform's function.
    pub(super) fn traced(handle: Handle) -> Self {
        Self(handle)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.0
    }

    pub(super) fn into_handle(self) -> Handle {
        self.0
    }
}

/// The array becomes a constant to every transform. Where none runs, nothing is added.
impl Detach for Array {
    fn detach_in_place(&mut self) {
        // It fails only where the thread is ending, and no transform runs any more.
        if let Ok(constant) = self.0.constant(transforms::is_running()) {
            self.0 = constant;
        }
    }
}

const DTYPES: [Dtype; 6] =
    [Dtype::Float32, Dtype::Float16, Dtype::BFloat16, Dtype::Int32, Dtype::UInt32, Dtype::Bool];

impl Sealed for Array {
    fn value_and_grad_as<F, E>(op: &'static str, function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        transforms::value_and_grad(op, function, primals)
    }
}

forward_to_inherent!(Array);

/// # Creation
impl Array {
    #[doc = array_doc!(from_slice, "mlx")]
    pub fn from_slice<T: Element>(elements: &[T], shape: &[usize]) -> Result<Self> {
        Self::from_buffer(T::buffer(elements), shape).map_err(|error| error.with_op("from_slice"))
    }

    #[doc = array_doc!(from_buffer, "mlx")]
    #[allow(clippy::needless_pass_by_value, reason = "the signature is the same for all backends")]
    pub fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self> {
        const OP: &str = "from_buffer";
        ffi::api()?;
        let refuse = |reason| cannot_make(OP, shape, buffer.dtype(), reason);
        let lengths = ffi::lengths(shape).map_err(refuse)?;
        check_length(&buffer, shape).map_err(refuse)?;
        let made = match &buffer {
            Buffer::Float32(data) => Handle::from_data(data, &lengths),
            Buffer::Float16(data) => Handle::from_data(data, &lengths),
            Buffer::BFloat16(data) => Handle::from_data(data, &lengths),
            Buffer::Int32(data) => Handle::from_data(data, &lengths),
            Buffer::UInt32(data) => Handle::from_data(data, &lengths),
            Buffer::Bool(data) => Handle::from_data(data, &lengths),
        };
        made?.and_then(Self::new).map_err(refuse)
    }

    #[doc = array_doc!(scalar, "mlx")]
    pub fn scalar<T: Element>(value: T) -> Result<Self> {
        Self::from_slice(&[value], &[]).map_err(|error| error.with_op("scalar"))
    }

    #[doc = array_doc!(full, "mlx")]
    pub fn full(shape: &[usize], value: f32, dtype: Dtype) -> Result<Self> {
        let refuse = |reason| cannot_make("full", shape, dtype, reason);
        let lengths = ffi::lengths(shape).map_err(refuse)?;
        Handle::full(&lengths, value, dtype as i32)?.and_then(Self::new).map_err(refuse)
    }

    #[doc = array_doc!(zeros, "mlx")]
    pub fn zeros(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::full(shape, 0.0, dtype).map_err(|error| error.with_op("zeros"))
    }

    #[doc = array_doc!(ones, "mlx")]
    pub fn ones(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::full(shape, 1.0, dtype).map_err(|error| error.with_op("ones"))
    }
}

/// # Inspection
impl Array {
    #[doc = array_doc!(shape, "mlx")]
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect()
    }

    #[doc = array_doc!(ndim, "mlx")]
    #[must_use]
    pub fn ndim(&self) -> usize {
        self.0.shape().len()
    }

    #[doc = array_doc!(size, "mlx")]
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape().iter().product()
    }

    #[doc = array_doc!(dtype, "mlx")]
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        let number = usize::try_from(self.0.dtype()).ok();
        *number
            .and_then(|number| DTYPES.get(number))
            .unwrap_or_else(|| unreachable!("no operation makes an array of a dtype that Dtype lacks"))
    }

    #[doc = array_doc!(to_vec, "mlx")]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        array::to_vec(self)
    }

    #[doc = array_doc!(item, "mlx")]
    pub fn item<T: Element>(&self) -> Result<T> {
        array::item(self)
    }

    #[doc = array_doc!(to_buffer, "mlx")]
    pub fn to_buffer(&self) -> Result<Buffer<'static>> {
        let buffer = match self.dtype() {
            Dtype::Float32 => self.0.to_vec().map(|data| Buffer::Float32(Cow::Owned(data))),
            Dtype::Float16 => self.0.to_vec().map(|data| Buffer::Float16(Cow::Owned(data))),
            Dtype::BFloat16 => self.0.to_vec().map(|data| Buffer::BFloat16(Cow::Owned(data))),
            Dtype::Int32 => self.0.to_vec().map(|data| Buffer::Int32(Cow::Owned(data))),
            Dtype::UInt32 => self.0.to_vec().map(|data| Buffer::UInt32(Cow::Owned(data))),
            Dtype::Bool => self.0.to_vec().map(|data| Buffer::Bool(Cow::Owned(data))),
        };
        buffer.map_err(|reason| refused("to_buffer", &[self], reason))
    }

    #[doc = array_doc!(eval, "mlx")]
    pub fn eval(&self) -> Result<()> {
        self.0.eval().map_err(|reason| refused("eval", &[self], reason))
    }

    #[doc = array_doc!(backend, "mlx")]
    #[must_use]
    pub fn backend() -> &'static dyn Backend {
        &Mlx
    }
}

/// Methods that are operations in ops.rs.
macro_rules! operations {
    ($(fn $name:ident(&$this:ident $(, $argument:ident: $type:ty)*);)*) => {
        $(#[doc = array_doc!($name, "mlx")]
        pub fn $name(&$this $(, $argument: $type)*) -> Result<Self> {
            shared::$name($this $(, $argument)*)
        })*
    };
}

/// # Elementwise functions
impl Array {
    operations! {
        fn abs(&self);
        fn negative(&self);
        fn exp(&self);
        fn log(&self);
        fn sqrt(&self);
        fn square(&self);
        fn sin(&self);
        fn cos(&self);
        fn tanh(&self);
        fn erf(&self);
        fn sigmoid(&self);
        fn relu(&self);
        fn gelu(&self);
    }
}

/// # Arithmetic
impl Array {
    operations! {
        fn add(&self, other: &Self);
        fn subtract(&self, other: &Self);
        fn multiply(&self, other: &Self);
        fn divide(&self, other: &Self);
        fn maximum(&self, other: &Self);
        fn minimum(&self, other: &Self);
        fn power(&self, other: &Self);
    }
}

/// # Comparison and selection
impl Array {
    operations! {
        fn equal(&self, other: &Self);
        fn greater(&self, other: &Self);
        fn less(&self, other: &Self);
        fn where_cond(&self, on_true: &Self, on_false: &Self);
    }
}

/// # Reductions
impl Array {
    operations! {
        fn sum(&self, axes: &[isize], keepdims: bool);
        fn mean(&self, axes: &[isize], keepdims: bool);
        fn max(&self, axes: &[isize], keepdims: bool);
        fn min(&self, axes: &[isize], keepdims: bool);
        fn logsumexp(&self, axes: &[isize], keepdims: bool);
        fn argmax(&self, axis: isize, keepdims: bool);
    }

    #[doc = array_doc!(sum_all, "mlx")]
    pub fn sum_all(&self) -> Result<Self> {
        self.sum(&all_axes(self.ndim()), false).map_err(|error| error.with_op("sum_all"))
    }

    #[doc = array_doc!(mean_all, "mlx")]
    pub fn mean_all(&self) -> Result<Self> {
        self.mean(&all_axes(self.ndim()), false).map_err(|error| error.with_op("mean_all"))
    }
}

/// # Linear algebra and normalization
impl Array {
    operations! {
        fn matmul(&self, other: &Self);
        fn softmax(&self, axis: isize);
        fn layer_norm(&self, weight: &Self, bias: &Self, eps: f32);
    }
}

/// # Shapes and indexing
impl Array {
    operations! {
        fn reshape(&self, shape: &[usize]);
        fn transpose(&self, axes: &[isize]);
        fn expand_dims(&self, axis: isize);
        fn squeeze(&self, axis: isize);
        fn broadcast_to(&self, shape: &[usize]);
        fn slice(&self, start: &[usize], stop: &[usize]);
        fn take(&self, indices: &Self, axis: isize);
    }

    #[doc = array_doc!(concatenate, "mlx")]
    pub fn concatenate(arrays: &[Self], axis: isize) -> Result<Self> {
        shared::concatenate(arrays, axis)
    }
}

/// # Conversion
impl Array {
    operations! {
        fn astype(&self, dtype: Dtype);
    }
}

/// # Gradients
impl Array {
    operations! {
        fn stop_gradient(&self);
    }

    #[doc = array_doc!(value_and_grad, "mlx")]
    pub fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Self::value_and_grad_as("value_and_grad", function, primals)
    }

    #[doc = array_doc!(grad, "mlx")]
    pub fn grad<F, E>(function: F, primals: &[Self]) -> Result<Vec<Self>, E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Self::value_and_grad_as("grad", function, primals).map(|(_, gradients)| gradients)
    }
}

/// Shape and dtype, and the operation that the elements still wait for.
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mlx::Array({}{:?}", self.dtype(), self.shape())?;
        if let Some(operation) = self.0.operation() {
            write!(f, ", {operation} to be evaluated")?;
        }
        f.write_str(")")
    }
}
