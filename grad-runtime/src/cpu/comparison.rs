//! Comparisons, logic and selection.

use candle_core::Tensor;

use super::Array;
use super::array::BinaryKernel;
use super::operation::operation;
use super::shapes;
use super::tape::{VjpArgs, record};
use crate::array::docs::array_doc;
use crate::array::{IntoOperand, into_operand, operands};
use crate::dtype::Dtype;
use crate::error::Result;

/// # Comparison and selection
impl Array {
    #[doc = array_doc!(equal, "cpu")]
    #[track_caller]
    pub fn equal(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        self.compare("equal", other, Tensor::broadcast_eq)
    }

    #[doc = array_doc!(greater, "cpu")]
    #[track_caller]
    pub fn greater(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        self.compare("greater", other, Tensor::broadcast_gt)
    }

    #[doc = array_doc!(less, "cpu")]
    #[track_caller]
    pub fn less(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        self.compare("less", other, Tensor::broadcast_lt)
    }

    #[doc = array_doc!(not_equal, "cpu")]
    #[track_caller]
    pub fn not_equal(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        self.compare("not_equal", other, Tensor::broadcast_ne)
    }

    #[doc = array_doc!(greater_equal, "cpu")]
    #[track_caller]
    pub fn greater_equal(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        self.compare("greater_equal", other, Tensor::broadcast_ge)
    }

    #[doc = array_doc!(less_equal, "cpu")]
    #[track_caller]
    pub fn less_equal(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        self.compare("less_equal", other, Tensor::broadcast_le)
    }

    #[doc = array_doc!(logical_and, "cpu")]
    #[track_caller]
    pub fn logical_and(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("logical_and", || self.dtype)?;
        operation("logical_and", &[self, other], || {
            Ok(self.astype(Dtype::Bool)?.minimum(other.astype(Dtype::Bool)?)?)
        })
    }

    #[doc = array_doc!(logical_or, "cpu")]
    #[track_caller]
    pub fn logical_or(&self, other: impl IntoOperand<Self>) -> Result<Self> {
        let other = &*other.into_operand("logical_or", || self.dtype)?;
        operation("logical_or", &[self, other], || {
            Ok(self.astype(Dtype::Bool)?.maximum(other.astype(Dtype::Bool)?)?)
        })
    }

    #[doc = array_doc!(logical_not, "cpu")]
    #[track_caller]
    pub fn logical_not(&self) -> Result<Self> {
        operation("logical_not", &[self], || Ok(self.equal(false)?))
    }

    #[doc = array_doc!(isnan, "cpu")]
    #[track_caller]
    pub fn isnan(&self) -> Result<Self> {
        operation("isnan", &[self], || Ok(self.not_equal(self)?))
    }

    #[doc = array_doc!(where_cond, "cpu")]
    #[track_caller]
    pub fn where_cond(&self, on_true: impl IntoOperand<Self>, on_false: impl IntoOperand<Self>) -> Result<Self> {
        let (on_true, on_false) = into_operand::both("where_cond", on_true, on_false)?;
        let (on_true, on_false) = (&*on_true, &*on_false);
        operation("where_cond", &[self, on_true, on_false], || {
            operands::condition(self.dtype())?;
            let shape = shapes::broadcast(&[self.dims(), on_true.dims(), on_false.dims()])?;
            let dtype = on_true.dtype.promote(on_false.dtype);
            let (on_true, on_false) = (on_true.astype(dtype)?, on_false.astype(dtype)?);
            let broadcast = |x: &Self| x.tensor.broadcast_as(shape.as_slice());
            let tensor = broadcast(self)?.where_cond(&broadcast(&on_true)?, &broadcast(&on_false)?)?;
            Ok(record(tensor, dtype, &[self, &on_true, &on_false], |index, args| {
                args.cotangent_where(&args.operands[0], index == 1)?.sum_to(args.operands[index].dims())
            }))
        })
    }

    #[track_caller]
    fn compare(&self, op: &'static str, other: impl IntoOperand<Self>, kernel: BinaryKernel) -> Result<Self> {
        let other = other.into_operand(op, || self.dtype)?;
        self.binary(op, &other, kernel, Dtype::Bool, |_, _| unreachable!("a bool has no gradient"))
    }
}

impl VjpArgs<'_> {
    /// Returns the cotangent where `condition` equals `expected`, else zero.
    pub(super) fn cotangent_where(&self, condition: &Array, expected: bool) -> Result<Array> {
        if expected { condition.where_cond(self.cotangent, 0.0) } else { condition.where_cond(0.0, self.cotangent) }
    }
}
