//! Axes, shapes and dtypes: checks of operands, and the shape and dtype of the result.

use super::operation::{Reason, bail};
use crate::array::Array;
use crate::dtype::Dtype;
use crate::error::Result;

/// The most axes that candle's kernels support.
const MAX_AXES: usize = 8;

/// Returns `axis` counted from the front, of `ndim` axes.
pub(super) fn axis(axis: isize, ndim: usize) -> Result<usize, Reason> {
    let from_front = if axis < 0 { axis.checked_add_unsigned(ndim) } else { Some(axis) };
    let found = from_front.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < ndim);
    found.ok_or_else(|| format!("axis {axis} is out of range for {ndim} axes").into())
}

/// Returns the `given` axes counted from the front, in the same order.
pub(super) fn axes(given: &[isize], ndim: usize) -> Result<Vec<usize>, Reason> {
    let mut counted = Vec::with_capacity(given.len());
    for &each in given {
        let axis = axis(each, ndim)?;
        if counted.contains(&axis) {
            bail!("axis {axis} is given twice in {given:?}; name each axis once");
        }
        counted.push(axis);
    }
    Ok(counted)
}

/// Refuses to reduce over an empty axis.
pub(super) fn require_nonempty(shape: &[usize], axes: &[isize]) -> Result<(), Reason> {
    match self::axes(axes, shape.len())?.into_iter().find(|axis| shape[*axis] == 0) {
        None => Ok(()),
        Some(empty) => bail!("axis {empty} is empty"),
    }
}

/// Returns `shape` with length 1 at `axes`.
pub(super) fn keepdims(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let length = |(axis, &length)| if axes.contains(&axis) { 1 } else { length };
    shape.iter().enumerate().map(length).collect()
}

/// Returns `shape` without `axes`.
pub(super) fn without(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, length)| *length).collect()
}

/// Refuses shapes that no array can have, so products of lengths do not overflow.
pub(super) fn check(shape: &[usize]) -> Result<(), Reason> {
    if shape.len() > MAX_AXES {
        let count = shape.len();
        bail!("shape {shape:?} has {count} axes; an array on the CPU has at most {MAX_AXES}");
    }
    // Empty arrays too, because strides are products of the other lengths.
    let size =
        shape.iter().filter(|length| **length > 0).try_fold(1_usize, |size, length| size.checked_mul(*length));
    match size {
        Some(size) if size <= isize::MAX.unsigned_abs() / 8 => Ok(()),
        _ => bail!("an array of shape {shape:?} does not fit in memory"),
    }
}

/// Returns the shape that `shapes` broadcast to.
pub(super) fn broadcast(shapes: &[&[usize]]) -> Result<Vec<usize>, Reason> {
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
                    bail!("lengths {found} and {length} do not broadcast; they must be equal, or one of them 1");
                }
            }
        }
    }
    check(&broadcast)?;
    Ok(broadcast)
}

/// Returns the dtype that an operation on all of `operands` is computed in.
pub(super) fn common_dtype<A: Array>(operands: &[&A]) -> Result<Dtype, Reason> {
    use Dtype::{Bool, Float32, Int32, UInt32};
    let mut common = Bool;
    for dtype in operands.iter().map(|operand| operand.dtype()) {
        common = match (common, dtype) {
            (known, new) if known == new => known,
            (Bool, other) | (other, Bool) => other,
            (Int32, UInt32) | (UInt32, Int32) => {
                bail!("int32 and uint32 have no common dtype; convert one of them with `astype`");
            }
            (float, Int32 | UInt32) | (Int32 | UInt32, float) => float,
            _ => Float32,
        };
    }
    Ok(common)
}
