//! Lengths of axes, of which one may be left to be computed.

/// An integer that gives the length of an axis, as in `x.reshape(&[batch, 12])` or `x.reshape(&[-1, 12])`: `usize`, `isize`, `i32`,
/// `i64` or `u32`. -1 stands for the length that is left.
///
/// This trait is sealed. The element type of an empty list must be named: `x.reshape::<usize>(&[])`.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, cpu};
///
/// let x = cpu::Array::zeros(&[2, 6], Dtype::Float32)?;
/// assert_eq!(x.reshape(&[3, -1])?.shape(), [3, 4]);
/// let batch = x.shape()[0];
/// assert_eq!(x.reshape(&[batch, 2, 3])?.shape(), [2, 2, 3]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the length of an axis",
    label = "not an integer type of lengths",
    note = "give lengths as `usize`, or as `i32` or `isize` where one of them is -1"
)]
pub trait Length: Copy + Sealed {
    /// Returns the length, or `isize::MAX` if it is larger, which no array has.
    #[doc(hidden)]
    fn to_signed(self) -> isize;
}

/// Seals [`Length`], since it is not exported.
pub trait Sealed {}

macro_rules! lengths {
    ($($integer:ty)*) => {$(
        impl Sealed for $integer {}
        impl Length for $integer {
            #[inline]
            fn to_signed(self) -> isize {
                isize::try_from(self).unwrap_or(isize::MAX)
            }
        }
    )*};
}
lengths! { usize isize i32 i64 u32 }

/// Returns the lengths, which are stored in `few` if they fit there, or else in `many`.
#[inline]
pub(crate) fn signed<'a, L: Length>(
    lengths: &[L],
    few: &'a mut [isize; 8],
    many: &'a mut Vec<isize>,
) -> &'a [isize] {
    let signed = if let Some(few) = few.get_mut(..lengths.len()) {
        few
    } else {
        many.resize(lengths.len(), 0);
        many
    };
    for (signed, length) in signed.iter_mut().zip(lengths) {
        *signed = length.to_signed();
    }
    signed
}
