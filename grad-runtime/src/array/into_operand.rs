//! Operands that may be numbers.

use std::borrow::Cow;

use super::Array;
use crate::dtype::{Convert, Dtype, Number};
use crate::error::Result;

/// An operand beside an array: another array, or a number, as in `x.multiply(0.5)`.
///
/// A number takes the dtype of the array beside it where it fits that, so that bfloat16 stays bfloat16, by MLX's rules:
///
/// | number | beside a bool array | an integer array | a float or complex array |
/// | --- | --- | --- | --- |
/// | `bool` | bool | the array's dtype | the array's dtype |
/// | an integer | int32, or int64 if it needs that | the array's dtype | the array's dtype |
/// | a float | float32 | float32 | the array's dtype |
/// | [`Complex32`](crate::Complex32) | complex64 | complex64 | complex64 |
///
/// Which Rust type the number has makes no other difference. Beside a number, too, it is float32, int32 and so on.
///
/// Arrays, references to them and all [`Element`](crate::Element) types implement this trait. It is sealed.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Array, Dtype, Result, cpu};
///
/// fn scale<A: Array>(x: &A) -> Result<A> {
///     x.multiply(0.5)?.add(1)
/// }
///
/// let half = cpu::Array::ones(&[2], Dtype::BFloat16)?;
/// assert_eq!(scale(&half)?.dtype(), Dtype::BFloat16);
/// let integers = cpu::Array::ones(&[2], Dtype::Int64)?;
/// assert_eq!(integers.add(1)?.dtype(), Dtype::Int64);
/// assert_eq!(scale(&integers)?.dtype(), Dtype::Float32);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operand beside `{A}`",
    label = "neither an array of this backend nor a number",
    note = "pass `&array`, or a number such as `0.5`"
)]
pub trait IntoOperand<A: Array>: Sealed<A> + Sized {
    /// Returns the array, unless this is a number.
    #[doc(hidden)]
    fn as_array(&self) -> Option<&A>;

    /// Returns the array, or the number as an array beside one whose dtype `beside` returns. An error names `op`.
    #[doc(hidden)]
    fn into_operand<'a>(self, op: &'static str, beside: impl FnOnce() -> Dtype) -> Result<Cow<'a, A>>
    where
        Self: 'a;
}

/// Seals [`IntoOperand`], since it is not exported.
pub trait Sealed<A> {}

macro_rules! arrays {
    ($($array:ty: |$this:ident| $operand:expr;)*) => {$(
        impl<A: Array> Sealed<A> for $array {}
        impl<A: Array> IntoOperand<A> for $array {
            #[inline]
            fn as_array(&self) -> Option<&A> {
                Some(self)
            }

            #[inline]
            fn into_operand<'a>(self, _op: &'static str, _beside: impl FnOnce() -> Dtype) -> Result<Cow<'a, A>>
            where
                Self: 'a,
            {
                let $this = self;
                Ok($operand)
            }
        }
    )*};
}
arrays! {
    A: |array| Cow::Owned(array);
    &A: |array| Cow::Borrowed(array);
    &&A: |array| Cow::Borrowed(*array);
}

macro_rules! numbers {
    ($($element:ty)*) => {$(
        impl<A: Array> Sealed<A> for $element {}
        impl<A: Array> IntoOperand<A> for $element {
            fn as_array(&self) -> Option<&A> {
                None
            }

            #[track_caller]
            fn into_operand<'a>(self, op: &'static str, beside: impl FnOnce() -> Dtype) -> Result<Cow<'a, A>>
            where
                Self: 'a,
            {
                let dtype = dtype_beside(self.to_number(), beside());
                A::full(&[], self, dtype).map(Cow::Owned).map_err(|error| error.with_op(op))
            }
        }
    )*};
}
numbers! { f32 f64 half::f16 half::bf16 i8 i16 i32 i64 u8 u16 u32 u64 bool num_complex::Complex32 }

/// Returns the dtype of a number beside an array.
fn dtype_beside(number: Number, array: Dtype) -> Dtype {
    match number {
        Number::Integer(value) if array == Dtype::Bool => {
            if i32::try_from(value).is_ok() {
                Dtype::Int32
            } else {
                Dtype::Int64
            }
        }
        Number::Bool(_) | Number::Integer(_) => array,
        Number::Float(_) => {
            if array.is_inexact() {
                array
            } else {
                Dtype::Float32
            }
        }
        Number::Complex(_) => Dtype::Complex64,
    }
}

/// Returns two operands that may both be numbers, for the operation `op`.
#[track_caller]
pub(crate) fn both<'a, A: Array>(
    op: &'static str,
    x: impl IntoOperand<A> + 'a,
    y: impl IntoOperand<A> + 'a,
) -> Result<(Cow<'a, A>, Cow<'a, A>)> {
    // Beside a bool, a number keeps its kind.
    let is_number = x.as_array().is_none();
    let x = x.into_operand(op, || y.as_array().map_or(Dtype::Bool, A::dtype))?;
    let y = y.into_operand(op, || if is_number { Dtype::Bool } else { x.dtype() })?;
    Ok((x, y))
}
