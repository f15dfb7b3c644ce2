//! Reductions.

use candle_core::{DType, Tensor};

use super::Array;
use super::kernels;
use super::operation::{Reason, operation};
use super::shapes::{self, without};
use super::tape::{VjpArgs, finish_output, record};
use crate::array::docs::array_doc;
use crate::array::{all_axes, operands};
use crate::dtype::Dtype;
use crate::error::Result;

/// # Reductions
impl Array {
    #[doc = array_doc!(sum, "cpu")]
    #[track_caller]
    pub fn sum(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("sum", &[self], || {
            if axes.is_empty() {
                return Ok(finish_output("sum", self));
            }
            let dtype = operands::sum_dtype(self.dtype);
            if self.dtype != dtype {
                return Ok(self.astype(dtype)?.sum(axes, keepdims)?);
            }
            self.reduce(axes, keepdims, kernels::sum, dtype, |args| {
                args.cotangent.broadcast_to(args.operands[0].dims())
            })
        })
    }

    #[doc = array_doc!(sum_all, "cpu")]
    #[track_caller]
    pub fn sum_all(&self) -> Result<Self> {
        self.sum(&all_axes(self.ndim()), false).map_err(|error| error.with_op("sum_all"))
    }

    #[doc = array_doc!(mean, "cpu")]
    #[allow(clippy::cast_precision_loss, reason = "a mean over 2^53 elements is not computed here")]
    #[track_caller]
    pub fn mean(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("mean", &[self], || {
            let count: usize =
                operands::axes(axes, self.ndim())?.into_iter().map(|axis| self.dims()[axis]).product();
            let x = self.to_float()?;
            // The sum of numbers of half precision may be too large for them where the mean is not.
            let sum = x.astype(x.dtype.promote(Dtype::Float32))?.sum(axes, keepdims)?;
            Ok(sum.affine((count as f64).recip(), 0.0)?.astype(x.dtype())?)
        })
    }

    #[doc = array_doc!(mean_all, "cpu")]
    #[track_caller]
    pub fn mean_all(&self) -> Result<Self> {
        self.mean(&all_axes(self.ndim()), false).map_err(|error| error.with_op("mean_all"))
    }

    #[doc = array_doc!(max, "cpu")]
    #[track_caller]
    pub fn max(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("max", &[self], || {
            operands::nonempty_axes(self.dims(), axes)?;
            self.reduce(axes, keepdims, kernels::max, self.dtype, Self::split_ties)
        })
    }

    #[doc = array_doc!(min, "cpu")]
    #[track_caller]
    pub fn min(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("min", &[self], || {
            operands::nonempty_axes(self.dims(), axes)?;
            self.reduce(axes, keepdims, kernels::min, self.dtype, Self::split_ties)
        })
    }

    #[doc = array_doc!(logsumexp, "cpu")]
    #[track_caller]
    pub fn logsumexp(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        operation("logsumexp", &[self], || {
            operands::nonempty_axes(self.dims(), axes)?;
            let x = self.to_float()?;
            x.reduce(axes, keepdims, kernels::logsumexp, x.dtype, |args| {
                args.cotangent.multiply(&args.operands[0].subtract(args.output)?.exp()?)
            })
        })
    }

    #[doc = array_doc!(argmax, "cpu")]
    #[track_caller]
    pub fn argmax(&self, axis: isize, keepdims: bool) -> Result<Self> {
        self.index_of("argmax", axis, keepdims, Tensor::argmax_keepdim)
    }

    #[doc = array_doc!(argmin, "cpu")]
    #[track_caller]
    pub fn argmin(&self, axis: isize, keepdims: bool) -> Result<Self> {
        self.index_of("argmin", axis, keepdims, Tensor::argmin_keepdim)
    }

    #[track_caller]
    fn index_of(
        &self,
        op: &'static str,
        axis: isize,
        keepdims: bool,
        index: fn(&Tensor, usize) -> candle_core::Result<Tensor>,
    ) -> Result<Self> {
        operation(op, &[self], || {
            operands::nonempty_axes(self.dims(), &[axis])?;
            let kernel = |x: &Tensor, axes: &[usize], shape: &[usize]| {
                if x.elem_count() == 0 {
                    return Tensor::zeros(shape, DType::U32, x.device());
                }
                // candle divides by the strides, of which those of a broadcast axis are zero. To `contiguous`, an axis of length 1
                // is in order whatever its stride.
                index(&x.force_contiguous()?, axes[0])
            };
            self.reduce(&[axis], keepdims, kernel, Dtype::UInt32, |_| unreachable!("an index has no gradient"))
        })
    }

    #[doc = array_doc!(var, "cpu")]
    #[allow(clippy::cast_precision_loss, reason = "a variance of 2^53 elements is not computed here")]
    #[track_caller]
    pub fn var(&self, axes: &[isize], keepdims: bool, ddof: usize) -> Result<Self> {
        operation("var", &[self], || {
            let x = self.to_float()?;
            let wide = x.astype(x.dtype.promote(Dtype::Float32))?;
            let squares = wide.subtract(wide.mean(axes, true)?)?.square()?.sum(axes, keepdims)?;
            let count: usize =
                operands::axes(axes, self.ndim())?.into_iter().map(|axis| self.dims()[axis]).product();
            let degrees = count.saturating_sub(ddof) as f64;
            Ok(squares.divide(degrees)?.astype(x.dtype)?)
        })
    }

    #[doc = array_doc!(std, "cpu")]
    #[track_caller]
    pub fn std(&self, axes: &[isize], keepdims: bool, ddof: usize) -> Result<Self> {
        operation("std", &[self], || {
            let x = self.to_float()?;
            let wide = x.astype(x.dtype.promote(Dtype::Float32))?;
            Ok(wide.var(axes, keepdims, ddof)?.sqrt()?.astype(x.dtype)?)
        })
    }

    #[doc = array_doc!(all, "cpu")]
    #[track_caller]
    pub fn all(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce_bools("all", axes, keepdims, true)
    }

    #[doc = array_doc!(any, "cpu")]
    #[track_caller]
    pub fn any(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce_bools("any", axes, keepdims, false)
    }

    /// Computes whether all are true or any is, given the result for no elements.
    #[track_caller]
    fn reduce_bools(&self, op: &'static str, axes: &[isize], keepdims: bool, of_none: bool) -> Result<Self> {
        operation(op, &[self], || {
            let bools = self.astype(Dtype::Bool)?;
            let counted = operands::axes(axes, self.ndim())?;
            if counted.iter().any(|axis| self.dims()[*axis] == 0) {
                let kept = shapes::keepdims(self.dims(), &counted);
                let shape = if keepdims { kept } else { without(&kept, &counted) };
                return Ok(Self::full(&shape, of_none, Dtype::Bool)?);
            }
            Ok(if of_none { bools.min(axes, keepdims)? } else { bools.max(axes, keepdims)? })
        })
    }

    /// Reduces over `axes`. The vjp is given the cotangent and the output with the axes kept.
    #[track_caller]
    fn reduce(
        &self,
        axes: &[isize],
        keepdims: bool,
        kernel: impl Fn(&Tensor, &[usize], &[usize]) -> candle_core::Result<Tensor>,
        dtype: Dtype,
        vjp: fn(&VjpArgs<'_>) -> Result<Self>,
    ) -> Result<Self, Reason> {
        let axes = operands::axes(axes, self.ndim())?;
        let kept = shapes::keepdims(self.dims(), &axes);
        let tensor = kernel(&self.tensor, &axes, &kept)?;
        let reduced = record(tensor, dtype, &[self], move |_, args| vjp(args));
        if keepdims { Ok(reduced) } else { Ok(reduced.reshape(&without(&kept, &axes))?) }
    }

    /// Splits the cotangent equally between the elements that are equal to the output.
    fn split_ties(args: &VjpArgs<'_>) -> Result<Self> {
        let x = &args.operands[0];
        let is_chosen = x.equal(args.output)?.astype(x.dtype())?;
        let count = is_chosen.sum_to(args.output.dims())?;
        is_chosen.multiply(&args.cotangent.divide(&count)?)
    }
}
