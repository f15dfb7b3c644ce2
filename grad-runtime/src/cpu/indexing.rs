//! Shapes and indexing.

use candle_core::{DType, Device, Tensor};

use super::Array;
use super::array::elements;
use super::kernels;
use super::operation::{Reason, bail, operation};
use super::products;
use super::shapes;
use super::tape::{finish_output, record};
use crate::array::docs::array_doc;
use crate::array::operands::{self, common_dtype};
use crate::array::{Length, all_axes, length};
use crate::dtype::Dtype;
use crate::error::Result;

/// # Shapes and indexing
impl Array {
    #[doc = array_doc!(reshape, "cpu")]
    #[track_caller]
    pub fn reshape<L: Length>(&self, shape: &[L]) -> Result<Self> {
        operation("reshape", &[self], || {
            let shape = operands::reshape(self.dims(), length::signed(shape, &mut [0; 8], &mut Vec::new()))?;
            self.reshape_same_size(&shape)
        })
    }

    #[doc = array_doc!(transpose, "cpu")]
    #[track_caller]
    pub fn transpose(&self, axes: &[isize]) -> Result<Self> {
        operation("transpose", &[self], || {
            let order = operands::transpose(self.ndim(), axes)?;
            let tensor = self.tensor.permute(order.as_slice())?;
            Ok(record(tensor, self.dtype, &[self], move |_, args| {
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
            let axis = operands::axis(axis, shape.len() + 1)?;
            shape.insert(axis, 1);
            shapes::check(&shape)?;
            Ok(self.record_reshaped(self.tensor.unsqueeze(axis)?))
        })
    }

    #[doc = array_doc!(squeeze, "cpu")]
    #[track_caller]
    pub fn squeeze(&self, axis: isize) -> Result<Self> {
        operation("squeeze", &[self], || {
            Ok(self.record_reshaped(self.tensor.squeeze(operands::squeeze(self.dims(), axis)?)?))
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
            Ok(record(tensor, self.dtype, &[self], |_, args| args.cotangent.sum_to(args.operands[0].dims())))
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
            let dtype = common_dtype(arrays.iter().map(Self::dtype));
            let arrays = arrays.iter().map(|array| array.astype(dtype)).collect::<Result<Vec<_>>>()?;
            let tensors: Vec<_> = arrays.iter().map(|array| &array.tensor).collect();
            let tensor = Tensor::cat(&tensors, axis)?;
            Ok(record(tensor, dtype, &arrays.iter().collect::<Vec<_>>(), move |index, args| {
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
            Ok(record(tensor, self.dtype, &[self], move |_, args| {
                args.cotangent.pad(&start, args.operands[0].dims())
            }))
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

            let checked = indices.checked_indices(length)?.flatten_all()?;
            self.select(&checked, axis)?.reshape_same_size(&shape)
        })
    }

    #[doc = array_doc!(take_along_axis, "cpu")]
    #[track_caller]
    pub fn take_along_axis(&self, indices: &Self, axis: isize) -> Result<Self> {
        operation("take_along_axis", &[self, indices], || {
            let (axis, shape) = operands::take_along_axis(self.dims(), (indices.dims(), indices.dtype), axis)?;
            shapes::check(&shape)?;
            let mut of_elements = shape.clone();
            of_elements[axis] = self.dims()[axis];
            let x = self.broadcast_to(&of_elements)?;
            let indices =
                indices.checked_indices(of_elements[axis])?.broadcast_as(shape.as_slice())?.contiguous()?;
            if indices.elem_count() == 0 {
                return Ok(Self::zeros(&shape, self.dtype)?);
            }
            Ok(x.gather(&indices, axis)?)
        })
    }

    #[doc = array_doc!(one_hot, "cpu")]
    #[track_caller]
    pub fn one_hot(&self, classes: usize, dtype: Dtype) -> Result<Self> {
        operation("one_hot", &[self], || {
            operands::integers("classes", self.dtype)?;
            let numbers = Self::arange(0.0, f64::from(to_class_count(classes)?), 1.0, Dtype::Int64)?;
            Ok(self.expand_dims(-1)?.equal(numbers)?.astype(dtype)?)
        })
    }

    #[doc = array_doc!(narrow, "cpu")]
    #[track_caller]
    pub fn narrow(&self, axis: isize, start: usize, length: usize) -> Result<Self> {
        operation("narrow", &[self], || {
            let axis = operands::narrow(self.dims(), axis, start, length)?;
            Ok(self.part(axis, start, length)?)
        })
    }

    #[doc = array_doc!(split, "cpu")]
    #[track_caller]
    pub fn split(&self, parts: usize, axis: isize) -> Result<Vec<Self>> {
        operation("split", &[self], || {
            let (axis, length) = operands::split(self.dims(), parts, axis)?;
            Ok((0..parts).map(|part| self.part(axis, part * length, length)).collect::<Result<_>>()?)
        })
    }

    #[doc = array_doc!(stack, "cpu")]
    #[track_caller]
    pub fn stack(arrays: &[Self], axis: isize) -> Result<Self> {
        operation("stack", &arrays.iter().collect::<Vec<_>>(), || {
            let dims: Vec<_> = arrays.iter().map(Self::dims).collect();
            let axis = operands::stack(&dims, axis)?.cast_signed();
            let arrays = arrays.iter().map(|array| array.expand_dims(axis)).collect::<Result<Vec<_>>>()?;
            Ok(Self::concatenate(&arrays, axis)?)
        })
    }

    #[doc = array_doc!(flatten, "cpu")]
    #[track_caller]
    pub fn flatten(&self, start_axis: isize, end_axis: isize) -> Result<Self> {
        operation("flatten", &[self], || {
            let (start, end) = operands::flatten(self.ndim(), start_axis, end_axis)?;
            let mut shape = self.shape();
            if shape.is_empty() {
                shape.push(1);
            }
            let length = shape[start..=end].iter().product();
            shape.splice(start..=end, [length]);
            self.reshape_same_size(&shape)
        })
    }

    #[doc = array_doc!(swapaxes, "cpu")]
    #[track_caller]
    pub fn swapaxes(&self, axis1: isize, axis2: isize) -> Result<Self> {
        operation("swapaxes", &[self], || {
            let mut order = all_axes(self.ndim());
            order.swap(operands::axis(axis1, self.ndim())?, operands::axis(axis2, self.ndim())?);
            Ok(self.transpose(&order)?)
        })
    }

    #[doc = array_doc!(contiguous, "cpu")]
    #[track_caller]
    pub fn contiguous(&self) -> Result<Self> {
        operation("contiguous", &[self], || Ok(self.record_reshaped(self.tensor.contiguous()?)))
    }

    #[doc = array_doc!(prepacked, "cpu")]
    #[track_caller]
    pub fn prepacked(&self) -> Result<Self> {
        operation("prepacked", &[self], || match products::panels(&self.tensor)? {
            None => Ok(self.contiguous()?),
            panels => Ok(Self { panels, ..self.record_reshaped(self.tensor.clone()) }),
        })
    }

    #[doc = array_doc!(tril, "cpu")]
    #[track_caller]
    pub fn tril(&self, k: i32) -> Result<Self> {
        self.triangle("tril", |below| below <= k.into())
    }

    #[doc = array_doc!(triu, "cpu")]
    #[track_caller]
    pub fn triu(&self, k: i32) -> Result<Self> {
        self.triangle("triu", |above| above >= k.into())
    }

    /// Keeps the elements on diagonals that are `kept`, given the number of each.
    #[track_caller]
    fn triangle(&self, op: &'static str, kept: impl Fn(i128) -> bool) -> Result<Self> {
        operation(op, &[self], || {
            operands::triangle(self.ndim())?;
            let [.., rows, columns] = *self.dims() else { unreachable!("there are two axes") };
            let diagonals = (0..rows).flat_map(|row| (0..columns).map(move |column| column as i128 - row as i128));
            let mask = Self::from_slice(&diagonals.map(kept).collect::<Vec<bool>>(), &[rows, columns])?;
            Ok(mask.where_cond(self, false)?)
        })
    }

    /// Returns the entries `start..start + length` of `axis`, which are in range.
    #[track_caller]
    fn part(&self, axis: usize, start: usize, length: usize) -> Result<Self> {
        let (mut starts, mut stops) = (vec![0; self.ndim()], self.shape());
        (starts[axis], stops[axis]) = (start, start + length);
        self.slice(&starts, &stops)
    }

    /// Returns the elements as indices of an axis of `length`.
    fn checked_indices(&self, length: usize) -> Result<Tensor, Reason> {
        // As i64, which holds all dtypes, so the error names a negative index as it was given.
        let given = elements::<i64>(&self.tensor.to_dtype(DType::I64)?)?;
        let mut checked = Vec::with_capacity(given.len());
        for index in given {
            match u32::try_from(index) {
                Ok(index) if (index as usize) < length => checked.push(index),
                _ => bail!("index {index} is out of bounds for an axis of length {length}"),
            }
        }
        Ok(Tensor::from_vec(checked, self.dims(), &Device::Cpu)?)
    }

    /// Returns the entries of `axis` at indices of the same shape but for that axis, which are in range.
    #[track_caller]
    fn gather(&self, indices: &Tensor, axis: usize) -> Result<Self> {
        operation("gather", &[self], || {
            let tensor = self.tensor.contiguous()?.gather(indices, axis)?;
            let indices = indices.clone();
            Ok(record(tensor, self.dtype, &[self], move |_, args| {
                args.cotangent.scatter_add_along(&indices, axis, args.operands[0].dims())
            }))
        })
    }

    /// Adds the entries up at `indices` along `axis` of an array of `shape`: the vjp of `gather`.
    #[track_caller]
    fn scatter_add_along(&self, indices: &Tensor, axis: usize, shape: &[usize]) -> Result<Self> {
        operation("scatter_add_along", &[self], || {
            let tensor = kernels::scatter_add_along(&self.tensor, indices, axis, shape)?;
            let indices = indices.clone();
            Ok(record(tensor, self.dtype, &[self], move |_, args| args.cotangent.gather(&indices, axis)))
        })
    }

    /// Returns the same elements in another shape of the same size.
    #[track_caller]
    pub(super) fn reshape_same_size(&self, shape: &[usize]) -> Result<Self, Reason> {
        shapes::check(shape)?;
        Ok(self.record_reshaped(self.tensor.reshape(shape)?))
    }

    /// Returns `tensor`, the same elements in another shape.
    fn record_reshaped(&self, tensor: Tensor) -> Self {
        record(tensor, self.dtype, &[self], |_, args| args.cotangent.reshape(args.operands[0].dims()))
    }

    /// Pads with zeros to `shape`, in which this array begins at `start`: the vjp of `slice`.
    #[track_caller]
    fn pad(&self, start: &[usize], shape: &[usize]) -> Result<Self> {
        operation("pad", &[self], || {
            let tensor = kernels::pad(&self.tensor, start, shape)?;
            let stop: Vec<_> = start.iter().zip(self.dims()).map(|(start, length)| start + length).collect();
            let start = start.to_vec();
            Ok(record(tensor, self.dtype, &[self], move |_, args| args.cotangent.slice(&start, &stop)))
        })
    }

    /// Selects the entries of `axis` at `indices`, which have one axis and are in range.
    #[track_caller]
    fn select(&self, indices: &Tensor, axis: usize) -> Result<Self> {
        operation("select", &[self], || {
            let tensor = self.tensor.contiguous()?.index_select(indices, axis)?;
            let indices = indices.clone();
            Ok(record(tensor, self.dtype, &[self], move |_, args| {
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
            Ok(record(tensor, self.dtype, &[self], move |_, args| args.cotangent.select(&indices, axis)))
        })
    }
}

fn to_class_count(classes: usize) -> Result<u32, Reason> {
    u32::try_from(classes).map_err(|_| format!("{classes} classes do not fit in memory").into())
}
