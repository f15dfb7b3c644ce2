//! Integers as MLX counts, in 32 bits.

use grad_mlx_sys as sys;
use smallvec::SmallVec;

use super::FfiResult;

/// Integers, without an allocation where they are few.
pub type IntArray = SmallVec<[i32; 8]>;

/// Borrows integers.
pub fn int_slice(ints: &[i32]) -> sys::IntSlice {
    sys::IntSlice { data: ints.as_ptr(), len: ints.len() }
}

#[inline]
pub fn to_length(length: usize) -> FfiResult<i32> {
    i32::try_from(length).map_err(|_| wide_length(length))
}

#[cold]
fn wide_length(length: usize) -> String {
    format!("{length} does not fit the 32 bits in which MLX counts")
}

/// Converts the lengths of an array's axes, whose product MLX computes unchecked.
pub fn to_lengths(shape: &[usize]) -> FfiResult<IntArray> {
    let size = shape.iter().try_fold(1_u64, |size, &length| size.checked_mul(u64::try_from(length).ok()?));
    let lengths = shape.iter().map(|&length| to_length(length)).collect::<FfiResult<_>>()?;
    match size {
        Some(size) if size <= 1 << 48 => Ok(lengths),
        _ => Err(format!("an array of shape {shape:?} is too large")),
    }
}
