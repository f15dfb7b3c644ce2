//! `mlx::Array`.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

use grad_core::{Backend, Mlx};

use super::ffi::{self, FfiResult, Handle};
use super::{distributed, evaluation_error};
use crate::array::docs::array_doc;
use crate::array::{self, all_axes, cannot_make, check_length, forward_to_inherent, operands, refused};
use crate::detach::Detach;
use crate::dtype::{Buffer, Dtype, Element, for_each_dtype};
use crate::error::{Error, Result};
use crate::explain::record;

/// An array of MLX.
///
/// MLX is lazy: an operation adds a node to a graph. [`eval`](Self::eval), or reading the elements, computes it on the
/// [default device](super::default_device). Cloning copies a reference.
///
/// The methods have MLX's names and argument order; the [module](super#names) lists the exceptions. They follow the scope
/// that they are called in: where the grad mode is off, they return constants. Operands that do not fit are an
/// [`Error::Operation`](crate::Error::Operation), and a negative axis counts from the last one.
///
/// An array stays on the thread that created it, as the graph that it belongs to does. [`Shared`](crate::Shared) takes its elements to
/// other threads.
///
/// ```compile_fail,E0277
/// # use grad_runtime::{Dtype, mlx::Array};
/// let ones = Array::ones(&[2], Dtype::Float32)?;
/// std::thread::spawn(move || ones.eval());
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// ```
/// use grad_runtime::mlx::Array;
///
/// let x = Array::from_slice(&[3.0_f32, 1.0, 2.0], &[3])?;
/// assert_eq!(x.sort(0)?.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
/// assert_eq!(x.sum(&[0], false)?.item::<f32>()?, 6.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
#[repr(transparent)] // The shim takes a slice of arrays as one of handles.
pub struct Array(Handle);

impl Array {
    /// Wraps an array that MLX returned. Every array passes here or [`ffi`]'s operations on its way to the user, so this is
    /// where one that was created while the mode is off becomes a constant to the transforms that are running. Where none
    /// differentiates, nothing is added: compiled functions would otherwise run each operation of an optimizer by itself.
    pub(in crate::mlx) fn new(handle: Handle) -> FfiResult<Self> {
        let mut array = Self(handle);
        array.follow_mode().map(|()| array)
    }

    /// Makes a new array a constant to the transforms that are running, if the mode is off.
    pub(super) fn follow_mode(&mut self) -> FfiResult<()> {
        if !ffi::thread::is_differentiating() || Mlx.grad_mode().is_enabled() {
            Ok(())
        } else {
            if distributed::notes_cuts() && self.0.is_traced() {
                distributed::note_cut();
            }
            self.0.make_constant()
        }
    }

    /// Wraps an array that belongs to a trace: a primal, or an output whose function has made it a constant already.
    pub(super) fn from_trace(handle: Handle) -> Self {
        Self(handle)
    }

    #[inline]
    pub(super) fn handle(&self) -> &Handle {
        &self.0
    }

    pub(super) fn into_handle(self) -> Handle {
        self.0
    }

    fn create(op: &'static str, buffer: &Buffer<'_>, shape: &[usize]) -> Result<Self> {
        ffi::api()?;
        let refuse = |reason| refuse_shape(op, shape, buffer.dtype(), reason);
        let lengths = ffi::to_lengths(shape).map_err(refuse)?;
        check_length(buffer, shape).map_err(refuse)?;
        macro_rules! create {
            ($($(#[$doc:meta])* $dtype:ident $name:literal $element:ty = $number:literal;)*) => {
                match buffer {
                    $(Buffer::$dtype(data) => Handle::from_data(data, &lengths),)*
                }
            };
        }
        let created = for_each_dtype!(create);
        created?.and_then(Self::new).map_err(refuse).inspect(Self::record_creation)
    }

    fn filled(op: &'static str, shape: &[usize], value: impl Element, dtype: Dtype) -> Result<Self> {
        let scalar = Self::create(op, &value.to_number().to_buffer(dtype), &[])?;
        let refuse = |reason| refuse_shape(op, shape, dtype, reason);
        let lengths = ffi::to_lengths(shape).map_err(refuse)?;
        Handle::full(&lengths, &scalar.0).and_then(Self::new).map_err(refuse).inspect(Self::record_creation)
    }

    /// Tells a record that the array is new, since it may have the place of one that is gone.
    pub(super) fn record_creation(&self) {
        if record::is_recording() {
            record::creation(self);
        }
    }

    pub(super) fn read(&self) -> Result<Buffer<'static>> {
        macro_rules! read {
            ($($(#[$doc:meta])* $dtype:ident $name:literal $element:ty = $number:literal;)*) => {
                match self.dtype() {
                    $(Dtype::$dtype => self.0.to_vec().map(|data| Buffer::$dtype(Cow::Owned(data))),)*
                }
            };
        }
        let buffer = for_each_dtype!(read);
        buffer.map_err(|failure| evaluation_error(failure, |reason| refused("to_buffer", &[self], reason)))
    }
}

/// Returns the error of a constructor, for the reason that the CPU fallback would give, if it is one, else for MLX's.
fn refuse_shape(op: &'static str, shape: &[usize], dtype: Dtype, reason: String) -> Error {
    cannot_make(op, shape, dtype, operands::size(shape).err().unwrap_or(reason))
}

/// # Creation
impl Array {
    #[doc = array_doc!(from_slice, "mlx")]
    #[track_caller]
    pub fn from_slice<T: Element>(elements: &[T], shape: &[usize]) -> Result<Self> {
        Self::create("from_slice", &T::buffer(elements), shape)
    }

    #[doc = array_doc!(from_buffer, "mlx")]
    #[allow(clippy::needless_pass_by_value, reason = "the trait's signature, which the CPU fallback makes use of")]
    #[track_caller]
    pub fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self> {
        Self::create("from_buffer", &buffer, shape)
    }

    #[doc = array_doc!(scalar, "mlx")]
    #[track_caller]
    pub fn scalar<T: Element>(value: T) -> Result<Self> {
        Self::create("scalar", &T::buffer(&[value]), &[])
    }

    #[doc = array_doc!(full, "mlx")]
    #[track_caller]
    pub fn full<T: Element>(shape: &[usize], value: T, dtype: Dtype) -> Result<Self> {
        Self::filled("full", shape, value, dtype)
    }

    #[doc = array_doc!(zeros, "mlx")]
    #[track_caller]
    pub fn zeros(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::filled("zeros", shape, 0, dtype)
    }

    #[doc = array_doc!(ones, "mlx")]
    #[track_caller]
    pub fn ones(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::filled("ones", shape, 1, dtype)
    }
}

/// # Properties and elements
impl Array {
    #[doc = array_doc!(shape, "mlx")]
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect()
    }

    #[doc = array_doc!(dtype, "mlx")]
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.0.dtype()
    }

    #[doc = array_doc!(backend, "mlx")]
    #[must_use]
    pub fn backend() -> &'static dyn Backend {
        &Mlx
    }

    #[doc = array_doc!(is_traced, "mlx")]
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.0.is_traced()
    }

    #[doc = array_doc!(ndim, "mlx")]
    #[must_use]
    pub fn ndim(&self) -> usize {
        self.0.shape().len()
    }

    #[doc = array_doc!(size, "mlx")]
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).product()
    }

    #[doc = array_doc!(to_vec, "mlx")]
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        array::to_vec(self)
    }

    #[doc = array_doc!(item, "mlx")]
    #[track_caller]
    pub fn item<T: Element>(&self) -> Result<T> {
        array::item(self)
    }

    #[doc = array_doc!(to_buffer, "mlx")]
    #[track_caller]
    pub fn to_buffer(&self) -> Result<Buffer<'static>> {
        if record::is_recording() {
            record::read(self, Location::caller());
        }
        self.read()
    }

    #[doc = array_doc!(eval, "mlx")]
    pub fn eval(&self) -> Result<()> {
        self.0.eval().map_err(|failure| evaluation_error(failure, |reason| refused("eval", &[self], reason)))
    }
}

/// # Memory layout
impl Array {
    #[doc = array_doc!(prepacked, "mlx")]
    #[track_caller]
    pub fn prepacked(&self) -> Result<Self> {
        self.contiguous().map_err(|error| error.with_op("prepacked"))
    }
}

/// # Reductions over all axes
impl Array {
    #[doc = array_doc!(sum_all, "mlx")]
    #[track_caller]
    pub fn sum_all(&self) -> Result<Self> {
        self.sum(&all_axes(self.ndim()), false).map_err(|error| error.with_op("sum_all"))
    }

    #[doc = array_doc!(mean_all, "mlx")]
    #[track_caller]
    pub fn mean_all(&self) -> Result<Self> {
        self.mean(&all_axes(self.ndim()), false).map_err(|error| error.with_op("mean_all"))
    }
}

/// Makes the array a constant to every transform. Where none runs, nothing is added.
impl Detach for Array {
    #[track_caller]
    fn detach_in_place(&mut self) {
        // It fails only where the thread is ending, and no transform runs any more.
        if let Ok(constant) = self.0.to_constant() {
            let before = std::mem::replace(&mut self.0, constant);
            if record::is_recording() {
                record::operation("detach", &[Self(before)], std::slice::from_ref(self), Location::caller());
            }
        }
    }
}

forward_to_inherent!(Array);

/// Computes and prints the elements, the shape and the dtype.
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        array::display::display(self, f)
    }
}

/// Shows shape and dtype, and the operation that will compute the elements.
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mlx::Array({}{:?}", self.dtype(), self.shape())?;
        if let Some(operation) = self.0.operation() {
            write!(f, ", {operation} to be evaluated")?;
        }
        f.write_str(")")
    }
}
