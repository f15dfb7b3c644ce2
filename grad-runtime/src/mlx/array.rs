//! `mlx::Array`: the `Array` trait on MLX.

use std::borrow::Cow;
use std::fmt;

use super::ffi::{self, Handle, Made};
use super::transform;
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
pub struct Array(Handle);

impl Array {
    /// Every array passes here on its way to the user, and here is the rule: made while the mode is off, it is a
    /// constant to the transforms that are running. Where none is, nothing is added.
    pub(super) fn new(handle: Handle) -> Made<Self> {
        if Mlx.grad_mode().is_enabled() {
            return Ok(Self(handle));
        }
        handle.into_constant(transform::is_running()).map(Self)
    }

    /// The array that an operation on `operands` made, or its error.
    fn made(op: &'static str, operands: &[&Self], made: Made) -> Result<Self> {
        made.and_then(Self::new).map_err(|reason| refused(op, operands, reason))
    }

    /// A primal, as MLX gives it to a transform's function.
    pub(super) fn traced(handle: Handle) -> Self {
        Self(handle)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.0
    }

    /// MLX counts in 32 bits.
    fn lengths(&self, op: &'static str, lengths: &[usize]) -> Result<Vec<i32>> {
        int32(lengths).map_err(|reason| refused(op, &[self], reason))
    }

    fn axes(&self, op: &'static str, axes: &[isize]) -> Result<Vec<i32>> {
        axes.iter().map(|&axis| self.axis(op, axis)).collect()
    }

    /// A number that does not fit is out of range for any array.
    fn axis(&self, op: &'static str, axis: isize) -> Result<i32> {
        i32::try_from(axis).map_err(|_| refused(op, &[self], format!("there is no axis {axis}")))
    }
}

/// The array becomes a constant to every transform. Where none runs, nothing is added.
impl Detach for Array {
    fn detach_in_place(&mut self) {
        let constant = self.0.clone().into_constant(transform::is_running());
        self.0 = constant.expect("adding a node fails only without memory");
    }
}

fn int32(lengths: &[usize]) -> Made<Vec<i32>> {
    let convert =
        |&length| i32::try_from(length).map_err(|_| format!("a length of {length} is more than MLX counts to"));
    let lengths: Vec<i32> = lengths.iter().map(convert).collect::<Made<_>>()?;
    // MLX multiplies unchecked.
    let size = lengths.iter().try_fold(1_u64, |size, &length| size.checked_mul(u64::from(length.unsigned_abs())));
    match size {
        Some(size) if size <= 1 << 48 => Ok(lengths),
        _ => Err(format!("an array of shape {lengths:?} is too large")),
    }
}

const DTYPES: [Dtype; 6] =
    [Dtype::Float32, Dtype::Float16, Dtype::BFloat16, Dtype::Int32, Dtype::UInt32, Dtype::Bool];

macro_rules! operations {
    (
        unary: $($unary:ident)*;
        binary: $($binary:ident)*;
        reduction: $($reduction:ident)*;
        axial: $($axial:ident)*;
    ) => {
        $(fn $unary(&self) -> Result<Self> {
            Self::made(stringify!($unary), &[self], self.0.$unary())
        })*
        $(fn $binary(&self, other: &Self) -> Result<Self> {
            Self::made(stringify!($binary), &[self, other], self.0.$binary(&other.0))
        })*
        $(fn $reduction(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
            let axes = self.axes(stringify!($reduction), axes)?;
            Self::made(stringify!($reduction), &[self], self.0.$reduction(&axes, keepdims))
        })*
        $(fn $axial(&self, axis: isize) -> Result<Self> {
            let axis = self.axis(stringify!($axial), axis)?;
            Self::made(stringify!($axial), &[self], self.0.$axial(axis))
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
        let lengths = int32(shape).map_err(refuse)?;
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
        let lengths = int32(shape).map_err(refuse)?;
        Handle::full(&lengths, value, dtype as i32)?.and_then(Self::new).map_err(refuse)
    }

    fn shape(&self) -> Vec<usize> {
        self.0.shape().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect()
    }

    fn dtype(&self) -> Dtype {
        let number = usize::try_from(self.0.dtype()).ok();
        *number
            .and_then(|number| DTYPES.get(number))
            .expect("no operation makes an array of a dtype that Dtype lacks")
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
        unary: abs negative exp log sqrt square sin cos tanh erf sigmoid relu gelu stop_gradient;
        binary: add subtract multiply divide maximum minimum power equal greater less matmul;
        reduction: sum mean max min logsumexp;
        axial: expand_dims squeeze softmax;
    }

    fn where_cond(&self, on_true: &Self, on_false: &Self) -> Result<Self> {
        let made = self.0.where_cond(&on_true.0, &on_false.0);
        Self::made("where_cond", &[self, on_true, on_false], made)
    }

    fn argmax(&self, axis: isize, keepdims: bool) -> Result<Self> {
        let axis = self.axis("argmax", axis)?;
        Self::made("argmax", &[self], self.0.argmax(axis, keepdims))
    }

    fn layer_norm(&self, weight: &Self, bias: &Self, eps: f32) -> Result<Self> {
        Self::made("layer_norm", &[self, weight, bias], self.0.layer_norm(&weight.0, &bias.0, eps))
    }

    fn reshape(&self, shape: &[usize]) -> Result<Self> {
        let shape = self.lengths("reshape", shape)?;
        Self::made("reshape", &[self], self.0.reshape(&shape))
    }

    fn transpose(&self, axes: &[isize]) -> Result<Self> {
        let axes = self.axes("transpose", axes)?;
        Self::made("transpose", &[self], self.0.transpose(&axes))
    }

    fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        let shape = self.lengths("broadcast_to", shape)?;
        Self::made("broadcast_to", &[self], self.0.broadcast_to(&shape))
    }

    fn concatenate(arrays: &[Self], axis: isize) -> Result<Self> {
        let operands: Vec<&Self> = arrays.iter().collect();
        let Some(first) = arrays.first() else {
            return Err(refused::<Self>("concatenate", &[], "there are no arrays".into()));
        };
        let axis = first.axis("concatenate", axis)?;
        Self::made("concatenate", &operands, Handle::concatenate(arrays.iter().map(Self::handle), axis))
    }

    fn slice(&self, start: &[usize], stop: &[usize]) -> Result<Self> {
        let shape = self.shape();
        let fits = start.len() == shape.len()
            && stop.len() == shape.len()
            && (0..shape.len()).all(|axis| start[axis] <= stop[axis] && stop[axis] <= shape[axis]);
        if !fits {
            // MLX would clamp.
            let reason = format!("{start:?}..{stop:?} is not a range within each of its axes");
            return Err(refused("slice", &[self], reason));
        }
        let (start, stop) = (self.lengths("slice", start)?, self.lengths("slice", stop)?);
        Self::made("slice", &[self], self.0.slice(&start, &stop))
    }

    fn take(&self, indices: &Self, axis: isize) -> Result<Self> {
        let operands = [self, indices];
        if !matches!(indices.dtype(), Dtype::Int32 | Dtype::UInt32) {
            return Err(refused(
                "take",
                &operands,
                "indices must be int32 or uint32: convert them with `astype`".into(),
            ));
        }
        let ndim = self.0.shape().len().cast_signed();
        if !(-ndim..ndim).contains(&axis) {
            return Err(refused("take", &operands, format!("there is no axis {axis}")));
        }
        let axis = self.axis("take", axis)?;
        Self::made("take", &operands, self.0.take(&indices.0, axis))
    }

    fn astype(&self, dtype: Dtype) -> Result<Self> {
        Self::made("astype", &[self], self.0.astype(dtype as i32))
    }

    fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        transform::value_and_grad(function, primals)
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
