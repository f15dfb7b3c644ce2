//! Operations that create arrays.

use candle_core::{Device, Tensor};

use super::Array;
use super::array::storage;
use super::operation::creation;
use super::shapes;
use crate::array::docs::array_doc;
use crate::array::{check_length, operands};
use crate::dtype::{Buffer, Dtype, Element};
use crate::error::Result;

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
            let dtype = buffer.dtype();
            storage(dtype)?;
            let tensor = match buffer {
                Buffer::Float32(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Float64(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Float16(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::BFloat16(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Int16(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Int32(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Int64(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::UInt8(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::UInt32(data) => Tensor::from_vec(data.into_owned(), shape, &Device::Cpu),
                Buffer::Bool(data) => {
                    let bytes: Vec<u8> = data.iter().copied().map(u8::from).collect();
                    Tensor::from_vec(bytes, shape, &Device::Cpu)
                }
                Buffer::Int8(_) | Buffer::UInt16(_) | Buffer::UInt64(_) | Buffer::Complex64(_) => {
                    unreachable!("candle stores no {dtype}, which was refused");
                }
            };
            Ok(Self::constant(tensor?, dtype))
        })
    }

    #[doc = array_doc!(scalar, "cpu")]
    #[track_caller]
    pub fn scalar<T: Element>(value: T) -> Result<Self> {
        Self::from_slice(&[value], &[]).map_err(|error| error.with_op("scalar"))
    }

    #[doc = array_doc!(full, "cpu")]
    #[track_caller]
    pub fn full<T: Element>(shape: &[usize], value: T, dtype: Dtype) -> Result<Self> {
        creation("full", shape, dtype, || {
            shapes::check(shape)?;
            let value = Self::from_buffer(value.to_number().to_buffer(dtype), &[])?;
            Ok(Self::constant(value.tensor.broadcast_as(shape)?.contiguous()?, dtype))
        })
    }

    #[doc = array_doc!(arange, "cpu")]
    #[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 numbers")]
    #[allow(clippy::similar_names, reason = "they are those of MLX and NumPy")]
    #[track_caller]
    pub fn arange(start: f64, stop: f64, step: f64, dtype: Dtype) -> Result<Self> {
        creation("arange", &[], dtype, || {
            let length = operands::arange(start, stop, step, dtype)?;
            // The first two numbers are converted, and the others follow at their distance.
            let (start, step) = if dtype.is_integer() {
                (start.trunc(), (start + step).trunc() - start.trunc())
            } else {
                (start, step)
            };
            let elements: Vec<f64> = (0..length).map(|at| start + at as f64 * step).collect();
            Ok(Self::from_slice(&elements, &[length])?.astype(dtype)?)
        })
    }

    #[doc = array_doc!(eye, "cpu")]
    #[track_caller]
    pub fn eye(n: usize, m: usize, k: i32, dtype: Dtype) -> Result<Self> {
        creation("eye", &[n, m], dtype, || {
            shapes::check(&[n, m])?;
            let is_on_diagonal = |row: usize, column: usize| column as i128 - row as i128 == i128::from(k);
            let elements: Vec<bool> =
                (0..n).flat_map(|row| (0..m).map(move |column| is_on_diagonal(row, column))).collect();
            Ok(Self::from_slice(&elements, &[n, m])?.astype(dtype)?)
        })
    }

    #[doc = array_doc!(zeros, "cpu")]
    #[track_caller]
    pub fn zeros(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::full(shape, 0, dtype).map_err(|error| error.with_op("zeros"))
    }

    #[doc = array_doc!(ones, "cpu")]
    #[track_caller]
    pub fn ones(shape: &[usize], dtype: Dtype) -> Result<Self> {
        Self::full(shape, 1, dtype).map_err(|error| error.with_op("ones"))
    }
}
