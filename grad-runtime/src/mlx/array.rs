//! `mlx::Array`: the `Array` trait on MLX.

use std::borrow::Cow;
use std::fmt;

use super::ffi::{self, FfiResult, Handle, shared};
use super::transforms;
use crate::array::{self, Buffer, Dtype, cannot_make, check_length, refused};
use crate::backend::{Backend, Mlx};
use crate::detach::Detach;
use crate::error::{Error, Result};

/// An array of MLX.
///
/// MLX is lazy: an operation adds a node to a graph, and [`eval`](array::Array::eval) or a look at the elements
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
    pub(in crate::mlx) fn new(handle: Handle) -> FfiResult<Self> {
        if Mlx.grad_mode().is_enabled() {
            return Ok(Self(handle));
        }
        handle.into_constant(transforms::is_differentiating()).map(Self)
    }

    /// A primal, as MLX gives it to a transform's function.
    pub(super) fn from_trace(handle: Handle) -> Self {
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
        if let Ok(constant) = self.0.to_constant(transforms::is_differentiating()) {
            self.0 = constant;
        }
    }
}

/// Methods of the trait that are operations in ops.rs.
macro_rules! operations {
    ($(fn $name:ident(&$this:ident $(, $argument:ident: $type:ty)*);)*) => {
        $(fn $name(&$this $(, $argument: $type)*) -> Result<Self> {
            shared::$name($this $(, $argument)*)
        })*
    };
}

impl array::Array for Array {
    fn backend() -> &'static dyn Backend {
        &Mlx
    }

    fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self> {
        const OP: &str = "from_buffer";
        ffi::api()?;
        let refuse = |reason| cannot_make(OP, shape, buffer.dtype(), reason);
        let lengths = ffi::to_lengths(shape).map_err(refuse)?;
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

    fn full(shape: &[usize], value: f32, dtype: Dtype) -> Result<Self> {
        let refuse = |reason| cannot_make("full", shape, dtype, reason);
        let lengths = ffi::to_lengths(shape).map_err(refuse)?;
        Handle::full(&lengths, value, dtype)?.and_then(Self::new).map_err(refuse)
    }

    fn shape(&self) -> Vec<usize> {
        self.0.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect()
    }

    fn dtype(&self) -> Dtype {
        self.0.dtype()
    }

    fn to_buffer(&self) -> Result<Buffer<'static>> {
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

    fn eval(&self) -> Result<()> {
        self.0.eval().map_err(|reason| refused("eval", &[self], reason))
    }

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
        fn stop_gradient(&self);
        fn add(&self, other: &Self);
        fn subtract(&self, other: &Self);
        fn multiply(&self, other: &Self);
        fn divide(&self, other: &Self);
        fn maximum(&self, other: &Self);
        fn minimum(&self, other: &Self);
        fn power(&self, other: &Self);
        fn equal(&self, other: &Self);
        fn greater(&self, other: &Self);
        fn less(&self, other: &Self);
        fn matmul(&self, other: &Self);
        fn where_cond(&self, on_true: &Self, on_false: &Self);
        fn sum(&self, axes: &[isize], keepdims: bool);
        fn mean(&self, axes: &[isize], keepdims: bool);
        fn max(&self, axes: &[isize], keepdims: bool);
        fn min(&self, axes: &[isize], keepdims: bool);
        fn logsumexp(&self, axes: &[isize], keepdims: bool);
        fn argmax(&self, axis: isize, keepdims: bool);
        fn softmax(&self, axis: isize);
        fn layer_norm(&self, weight: &Self, bias: &Self, eps: f32);
        fn reshape(&self, shape: &[usize]);
        fn transpose(&self, axes: &[isize]);
        fn expand_dims(&self, axis: isize);
        fn squeeze(&self, axis: isize);
        fn broadcast_to(&self, shape: &[usize]);
        fn slice(&self, start: &[usize], stop: &[usize]);
        fn take(&self, indices: &Self, axis: isize);
        fn astype(&self, dtype: Dtype);
    }

    fn concatenate(arrays: &[Self], axis: isize) -> Result<Self> {
        shared::concatenate(arrays, axis)
    }

    fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        transforms::value_and_grad(function, primals)
    }
}

/// Shape and dtype, and the operation that the elements still wait for.
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use array::Array as _;
        write!(f, "mlx::Array({}{:?}", self.dtype(), self.shape())?;
        if let Some(operation) = self.0.operation() {
            write!(f, ", {operation} to be evaluated")?;
        }
        f.write_str(")")
    }
}
