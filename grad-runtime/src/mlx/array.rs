//! `mlx::Array`.

use std::borrow::Cow;
use std::fmt;

use super::ffi::{self, FfiResult, Handle, combination};
use super::transforms;
use crate::array::{self, Buffer, Dtype, Element, cannot_make, check_length, refused};
use crate::detach::Detach;
use crate::error::{Error, Result};
use grad_core::{Backend, Mlx};

/// An array of MLX.
///
/// MLX is lazy: an operation adds a node to a graph. [`eval`](Self::eval), or reading the elements, computes it on the
/// [default device](super::default_device). Cloning copies a reference.
///
/// The methods have MLX's names and argument order; the [module](super#names) lists the exceptions. They follow the scope
/// that they are called in: where the grad mode is off, they return constants. Operands that do not fit are an
/// [`Error::Operation`], and a negative axis counts from the last one.
///
/// An array stays on the thread that created it, as the graph that it belongs to does:
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
    /// Wraps an array that MLX returned. Every array passes here on its way to the user, so this is where one that was
    /// created while the mode is off becomes a constant to the transforms that are running. Where none is, nothing is added.
    pub(in crate::mlx) fn new(handle: Handle) -> FfiResult<Self> {
        if Mlx.grad_mode().is_enabled() {
            return Ok(Self(handle));
        }
        handle.into_constant(transforms::is_differentiating()).map(Self)
    }

    /// Wraps an array that belongs to a trace: a primal, or an output whose function has made it a constant already.
    pub(super) fn from_trace(handle: Handle) -> Self {
        Self(handle)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.0
    }

    pub(super) fn into_handle(self) -> Handle {
        self.0
    }

    fn create(op: &'static str, buffer: &Buffer<'_>, shape: &[usize]) -> Result<Self> {
        ffi::api()?;
        let refuse = |reason| cannot_make(op, shape, buffer.dtype(), reason);
        let lengths = ffi::to_lengths(shape).map_err(refuse)?;
        check_length(buffer, shape).map_err(refuse)?;
        let created = match buffer {
            Buffer::Float32(data) => Handle::from_data(data, &lengths),
            Buffer::Float16(data) => Handle::from_data(data, &lengths),
            Buffer::BFloat16(data) => Handle::from_data(data, &lengths),
            Buffer::Int32(data) => Handle::from_data(data, &lengths),
            Buffer::UInt32(data) => Handle::from_data(data, &lengths),
            Buffer::Bool(data) => Handle::from_data(data, &lengths),
        };
        created?.and_then(Self::new).map_err(refuse)
    }

    fn filled(op: &'static str, shape: &[usize], value: f32, dtype: Dtype) -> Result<Self> {
        let refuse = |reason| cannot_make(op, shape, dtype, reason);
        let lengths = ffi::to_lengths(shape).map_err(refuse)?;
        Handle::full(&lengths, value, dtype)?.and_then(Self::new).map_err(refuse)
    }

    fn read(&self, op: &'static str) -> Result<Buffer<'static>> {
        let buffer = match self.dtype() {
            Dtype::Float32 => self.0.to_vec().map(|data| Buffer::Float32(Cow::Owned(data))),
            Dtype::Float16 => self.0.to_vec().map(|data| Buffer::Float16(Cow::Owned(data))),
            Dtype::BFloat16 => self.0.to_vec().map(|data| Buffer::BFloat16(Cow::Owned(data))),
            Dtype::Int32 => self.0.to_vec().map(|data| Buffer::Int32(Cow::Owned(data))),
            Dtype::UInt32 => self.0.to_vec().map(|data| Buffer::UInt32(Cow::Owned(data))),
            Dtype::Bool => self.0.to_vec().map(|data| Buffer::Bool(Cow::Owned(data))),
        };
        buffer.map_err(|reason| refused(op, &[self], reason))
    }

    fn read_as<T: Element>(&self, op: &'static str) -> Result<Vec<T>> {
        if self.dtype() != T::DTYPE {
            let reason = format!("the elements are not {}: convert them with `astype` first", T::DTYPE);
            return Err(refused(op, &[self], reason));
        }
        Ok(T::elements(self.read(op)?).expect("a buffer has the dtype of its array"))
    }

    fn every_axis(&self) -> Vec<isize> {
        (0..self.ndim().cast_signed()).collect()
    }
}

/// # Creation
impl Array {
    /// Creates an array of `shape` with the given elements, in row-major order.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// let x = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
    /// assert_eq!(x.shape(), [2, 2]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn from_slice<T: Element>(elements: &[T], shape: &[usize]) -> Result<Self> {
        Self::create("from_slice", &T::buffer(elements), shape)
    }

    /// Creates an array of `shape` with the buffer's elements, in row-major order.
    ///
    /// ```
    /// use grad_runtime::Buffer;
    /// use grad_runtime::mlx::Array;
    ///
    /// let x = Array::from_buffer(Buffer::Int32(vec![1, 2].into()), &[2])?;
    /// assert_eq!(x.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[allow(clippy::needless_pass_by_value, reason = "the trait's signature, which the CPU fallback makes use of")]
    pub fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self> {
        Self::create("from_buffer", &buffer, shape)
    }

    /// Creates a scalar, shape `[]`.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::scalar(2.0_f32)?.item::<f32>()?, 2.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn scalar<T: Element>(value: T) -> Result<Self> {
        Self::create("scalar", &T::buffer(&[value]), &[])
    }

    /// Creates an array of `shape` with every element `value`, converted to `dtype`.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::full(&[2], 7.0, Dtype::Int32)?.to_vec::<i32>()?, [7, 7]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn full(shape: &[usize], value: f32, dtype: Dtype) -> Result<Self> {
        Self::filled("full", shape, value, dtype)
    }

    /// Creates an array of zeros.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::zeros(&[2], Dtype::Float32)?.to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn zeros(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::filled("zeros", shape, 0.0, dtype)
    }

    /// Creates an array of ones.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::ones(&[2], Dtype::Float32)?.to_vec::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn ones(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::filled("ones", shape, 1.0, dtype)
    }

    /// Joins arrays along `axis`, in whose length alone their shapes may differ; see [`concatenate`](super::concatenate).
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// let x = Array::from_slice(&[1.0_f32, 2.0], &[2])?;
    /// assert_eq!(Array::concatenate(&[x.clone(), x], 0)?.to_vec::<f32>()?, [1.0, 2.0, 1.0, 2.0]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn concatenate(arrays: &[Self], axis: isize) -> Result<Self> {
        combination::concatenate(arrays, axis)
    }
}

/// # Properties and elements
impl Array {
    /// Returns the length of each axis.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::from_slice(&[1, 2, 3], &[1, 3])?.shape(), [1, 3]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect()
    }

    /// Returns the type of the elements.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::scalar(true)?.dtype(), Dtype::Bool);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.0.dtype()
    }

    /// Returns the backend whose grad mode the arrays follow: [`Mlx`].
    ///
    /// ```
    /// use grad_runtime::{mlx::Array, no_grad};
    ///
    /// assert!(no_grad!(!Array::backend().grad_mode().is_enabled()));
    /// ```
    #[must_use]
    pub fn backend() -> &'static dyn Backend {
        &Mlx
    }

    /// Returns the number of axes.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::from_slice(&[1, 2, 3], &[1, 3])?.ndim(), 2);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn ndim(&self) -> usize {
        self.0.shape().len()
    }

    /// Returns the number of elements.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::from_slice(&[1, 2, 3], &[1, 3])?.size(), 3);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).product()
    }

    /// Computes the elements, unless they are computed, and returns them in row-major order. `T` must be the type of the
    /// elements: convert them with [`astype`](Self::astype) first.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// let x = Array::from_slice(&[1.0_f32, 2.0], &[2])?;
    /// assert_eq!(x.square()?.to_vec::<f32>()?, [1.0, 4.0]);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.read_as("to_vec")
    }

    /// Computes the element of an array of size 1, unless it is computed, and returns it.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::scalar(3.0_f32)?.square()?.item::<f32>()?, 9.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn item<T: Element>(&self) -> Result<T> {
        match self.read_as("item")?[..] {
            [item] => Ok(item),
            _ => Err(refused("item", &[self], "only an array of size 1 has an item".into())),
        }
    }

    /// Computes the elements, unless they are computed, and returns them in row-major order.
    ///
    /// ```
    /// use grad_runtime::Buffer;
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::scalar(2.0_f32)?.to_buffer()?, Buffer::Float32(vec![2.0].into()));
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn to_buffer(&self) -> Result<Buffer<'static>> {
        self.read("to_buffer")
    }

    /// Computes the elements, unless they are computed. [`eval`](super::eval) does so for several arrays in one pass.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// Array::scalar(2.0_f32)?.exp()?.eval()?;
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn eval(&self) -> Result<()> {
        self.0.eval().map_err(|reason| refused("eval", &[self], reason))
    }
}

/// # Reductions over all axes
impl Array {
    /// Computes the sum of all elements, shape `[]`.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::from_slice(&[1.0_f32, 2.0], &[1, 2])?.sum_all()?.item::<f32>()?, 3.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn sum_all(&self) -> Result<Self> {
        rename(self.sum(&self.every_axis(), false), "sum_all")
    }

    /// Computes the mean of all elements, shape `[]`.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// assert_eq!(Array::from_slice(&[1.0_f32, 2.0], &[1, 2])?.mean_all()?.item::<f32>()?, 1.5);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn mean_all(&self) -> Result<Self> {
        rename(self.mean(&self.every_axis(), false), "mean_all")
    }
}

/// Replaces the operation that an error names.
fn rename<T>(result: Result<T>, name: &'static str) -> Result<T> {
    result.map_err(|mut error| {
        if let Error::Operation { op, .. } = &mut error {
            *op = name;
        }
        error
    })
}

/// # Gradients
///
/// Those of functions with several outputs are in the [module](super): [`vjp`](super::vjp), [`jvp`](super::jvp).
impl Array {
    /// Computes the value of a scalar function and its gradient with respect to each of `primals`.
    ///
    /// `function` is called once, with grad mode `Enabled`, whatever scope the call is in; scopes inside it count. Inside a
    /// no-grad scope, the results are constants to transforms further out. A primal that the value does not depend on has
    /// gradient zero.
    ///
    /// # Errors
    ///
    /// Returns the error of `function`; [`Error::InferenceMode`] in inference mode; [`Error::Operation`] if there are no
    /// primals, one of them is not of a float dtype, or the value is not a float scalar.
    ///
    /// # Panics
    ///
    /// If `function` panics, with its payload; the grad mode is restored.
    ///
    /// ```
    /// use grad_runtime::{mlx::Array, no_grad};
    ///
    /// let x = Array::scalar(3.0_f32)?;
    /// // x · stop(x): only the first factor has a gradient.
    /// let (value, gradients) = Array::value_and_grad(|x| x[0].multiply(&no_grad! { x[0].abs()? }), &[x])?;
    /// assert_eq!((value.item::<f32>()?, gradients[0].item::<f32>()?), (9.0, 3.0));
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        transforms::value_and_grad("value_and_grad", function, primals)
    }

    /// Computes the gradient of a scalar function with respect to each of `primals`: [`value_and_grad`](Self::value_and_grad)
    /// without the value.
    ///
    /// ```
    /// use grad_runtime::mlx::Array;
    ///
    /// let gradients = Array::grad(|x| x[0].square(), &[Array::scalar(3.0_f32)?])?;
    /// assert_eq!(gradients[0].item::<f32>()?, 6.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn grad<F, E>(function: F, primals: &[Self]) -> Result<Vec<Self>, E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Ok(transforms::value_and_grad("grad", function, primals)?.1)
    }
}

/// Makes the array a constant to every transform. Where none runs, nothing is added.
impl Detach for Array {
    fn detach_in_place(&mut self) {
        // It fails only where the thread is ending, and no transform runs any more.
        if let Ok(constant) = self.0.to_constant(transforms::is_differentiating()) {
            self.0 = constant;
        }
    }
}

/// Defines the trait's method for an operation that is in the trait.
macro_rules! trait_method {
    (methods $name:ident($this:ident: &Array $(, $argument:ident: $type:ty)*), shared) => {
        fn $name(&self $(, $argument: $type)*) -> Result<Self> {
            Self::$name(self $(, $argument)*)
        }
    };
    (functions $name:ident($($argument:ident: $type:ty),*), shared) => {
        fn $name($($argument: $type),*) -> Result<Self> {
            Self::$name($($argument),*)
        }
    };
    ($kind:ident $name:ident $arguments:tt) => {};
}

macro_rules! trait_methods {
    ($($(#[$about:meta])* $kind:ident $section:ident {$(
        $(#[$doc:meta])*
        fn $name:ident $arguments:tt -> $output:ty $(, $shared:ident)?;
    )*})*) => {
        $($(trait_method! { $kind $name $arguments $(, $shared)? })*)*
    };
}

/// Each method forwards to the inherent one of its name.
impl array::Array for Array {
    grad_mlx_sys::for_each_op!(trait_methods);

    fn backend() -> &'static dyn Backend {
        Self::backend()
    }

    fn from_buffer(buffer: Buffer<'_>, shape: &[usize]) -> Result<Self> {
        Self::from_buffer(buffer, shape)
    }

    fn from_slice<T: Element>(elements: &[T], shape: &[usize]) -> Result<Self> {
        Self::from_slice(elements, shape)
    }

    fn scalar<T: Element>(value: T) -> Result<Self> {
        Self::scalar(value)
    }

    fn full(shape: &[usize], value: f32, dtype: Dtype) -> Result<Self> {
        Self::full(shape, value, dtype)
    }

    fn zeros(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::zeros(shape, dtype)
    }

    fn ones(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::ones(shape, dtype)
    }

    fn shape(&self) -> Vec<usize> {
        self.shape()
    }

    fn dtype(&self) -> Dtype {
        self.dtype()
    }

    fn ndim(&self) -> usize {
        self.ndim()
    }

    fn size(&self) -> usize {
        self.size()
    }

    fn to_buffer(&self) -> Result<Buffer<'static>> {
        self.to_buffer()
    }

    fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.to_vec()
    }

    fn item<T: Element>(&self) -> Result<T> {
        self.item()
    }

    fn eval(&self) -> Result<()> {
        self.eval()
    }

    fn sum_all(&self) -> Result<Self> {
        self.sum_all()
    }

    fn mean_all(&self) -> Result<Self> {
        self.mean_all()
    }

    fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Self::value_and_grad(function, primals)
    }

    fn grad<F, E>(function: F, primals: &[Self]) -> Result<Vec<Self>, E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Self::grad(function, primals)
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
