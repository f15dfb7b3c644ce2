//! Axes, shapes and dtypes: what fits together, and what the result looks like.

use super::array::Array;
use crate::array::{Array as _, Dtype, refused};
use crate::error::Result;

/// candle's kernels walk at most this many axes.
const MAX_AXES: usize = 8;

/// `axis` counted from the front, of `ndim` axes.
pub(super) fn axis(op: &'static str, array: &Array, axis: isize, ndim: usize) -> Result<usize> {
    let from_front = if axis < 0 { axis.checked_add_unsigned(ndim) } else { Some(axis) };
    let found = from_front.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < ndim);
    found.ok_or_else(|| refused(op, &[array], format!("axis {axis} is out of range for {ndim} axes")))
}

/// `axes` counted from the front, in the order given.
pub(super) fn axes(op: &'static str, array: &Array, axes: &[isize]) -> Result<Vec<usize>> {
    let mut counted = Vec::with_capacity(axes.len());
    for &at in axes {
        let at = axis(op, array, at, array.ndim())?;
        if counted.contains(&at) {
            let reason = format!("axis {at} is named twice in {axes:?}");
            return Err(refused(op, &[array], reason));
        }
        counted.push(at);
    }
    Ok(counted)
}

/// `shape` with length 1 at `axes`.
pub(super) fn reduced(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let length = |(axis, &length)| if axes.contains(&axis) { 1 } else { length };
    shape.iter().enumerate().map(length).collect()
}

/// Refuses shapes that no array can have, so that no product of lengths overflows.
pub(super) fn check(op: &'static str, operands: &[&Array], shape: &[usize]) -> Result<()> {
    fits(shape).map_err(|reason| refused(op, operands, reason))
}

/// Whether there are arrays of this shape; if not, why.
pub(super) fn fits(shape: &[usize]) -> Result<(), String> {
    if shape.len() > MAX_AXES {
        return Err(format!("{shape:?} has {} axes, and arrays on the CPU have at most {MAX_AXES}", shape.len()));
    }
    // Empty arrays too, because strides are products of the other lengths.
    let size =
        shape.iter().filter(|length| **length > 0).try_fold(1_usize, |size, length| size.checked_mul(*length));
    match size {
        Some(size) if size <= isize::MAX.unsigned_abs() / 8 => Ok(()),
        _ => Err(format!("an array of shape {shape:?} does not fit in memory")),
    }
}

/// The shape that `shapes`, those of `operands`, broadcast to.
pub(super) fn broadcast(op: &'static str, operands: &[&Array], shapes: &[&[usize]]) -> Result<Vec<usize>> {
    let mut broadcast: Vec<usize> = Vec::new();
    for shape in shapes {
        if broadcast.len() < shape.len() {
            broadcast.splice(..0, vec![1; shape.len() - broadcast.len()]);
        }
        for (found, &length) in broadcast.iter_mut().rev().zip(shape.iter().rev()) {
            match (*found, length) {
                (1, _) => *found = length,
                (_, 1) => {}
                (found, length) if found == length => {}
                (found, length) => {
                    let reason = format!(
                        "lengths {found} and {length} do not broadcast: \
                         they must be equal, or one of them 1"
                    );
                    return Err(refused(op, operands, reason));
                }
            }
        }
    }
    check(op, operands, &broadcast)?;
    Ok(broadcast)
}

/// The dtype that an operation on all of `operands` is computed in.
pub(super) fn common_dtype(op: &'static str, operands: &[&Array]) -> Result<Dtype> {
    use Dtype::{Bool, Float32, Int32, UInt32};
    let mut common = Bool;
    for dtype in operands.iter().map(|operand| operand.dtype()) {
        common = match (common, dtype) {
            (known, new) if known == new => known,
            (Bool, other) | (other, Bool) => other,
            (Int32, UInt32) | (UInt32, Int32) => {
                let reason = "int32 and uint32 have no common dtype: convert one of them with `astype`";
                return Err(refused(op, operands, reason.into()));
            }
            (float, Int32 | UInt32) | (Int32 | UInt32, float) => float,
            _ => Float32,
        };
    }
    Ok(common)
}
