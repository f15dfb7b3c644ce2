//! The operands and arguments that operations accept, and the reasons why they refuse others.
//!
//! The CPU fallback checks a call here before it computes. MLX checks calls itself; where it has refused one, the same checks
//! give the reason (`mlx/ffi/refusals.rs`). So both backends give the same reasons, and a call of MLX that succeeds pays nothing.

use crate::dtype::Dtype;

/// The error is the reason.
pub(crate) type Checked<T> = Result<T, String>;

/// Returns from a check with a reason.
macro_rules! refuse {
    ($($reason:tt)*) => {
        return Err(format!($($reason)*))
    };
}
pub(crate) use refuse;

/// Returns `axis` counted from the front, of `ndim` axes.
pub(crate) fn axis(axis: isize, ndim: usize) -> Checked<usize> {
    let from_front = if axis < 0 { axis.checked_add_unsigned(ndim) } else { Some(axis) };
    let found = from_front.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < ndim);
    found.ok_or_else(|| match ndim {
        0 => format!("axis {axis} is out of range; a scalar has no axes"),
        1 => format!("axis {axis} is out of range for 1 axis; give 0 or -1"),
        _ => format!("axis {axis} is out of range for {ndim} axes; give -{ndim} to {}", ndim - 1),
    })
}

/// Returns the `given` axes counted from the front, in the same order.
pub(crate) fn axes(given: &[isize], ndim: usize) -> Checked<Vec<usize>> {
    let mut counted = Vec::with_capacity(given.len());
    for &each in given {
        let axis = axis(each, ndim)?;
        if counted.contains(&axis) {
            refuse!("axis {axis} is given twice in {given:?}; name each axis once");
        }
        counted.push(axis);
    }
    Ok(counted)
}

/// Refuses to reduce over an empty axis.
pub(crate) fn nonempty_axes(shape: &[usize], given: &[isize]) -> Checked<()> {
    match axes(given, shape.len())?.into_iter().find(|axis| shape[*axis] == 0) {
        None => Ok(()),
        Some(empty) => refuse!("axis {empty} is empty; reduce over axes that have elements"),
    }
}

/// Returns the number of elements of a new array. Refuses shapes that no array can have, so products of lengths do not overflow.
pub(crate) fn size(shape: &[usize]) -> Checked<usize> {
    // Of empty arrays too, because strides are products of the other lengths.
    let size =
        shape.iter().filter(|length| **length > 0).try_fold(1_usize, |size, length| size.checked_mul(*length));
    match size {
        Some(size) if size <= isize::MAX.unsigned_abs() / 8 => Ok(if shape.contains(&0) { 0 } else { size }),
        _ => refuse!("an array of shape {shape:?} does not fit in memory"),
    }
}

/// Returns the shape that `shapes` broadcast to.
pub(crate) fn broadcast(shapes: &[&[usize]]) -> Checked<Vec<usize>> {
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
                    refuse!("lengths {found} and {length} do not broadcast; they must be equal, or one of them 1")
                }
            }
        }
    }
    size(&broadcast)?;
    Ok(broadcast)
}

/// Returns the dtype that an operation on operands of `dtypes` is computed in.
pub(crate) fn common_dtype(dtypes: &[Dtype]) -> Checked<Dtype> {
    use Dtype::{Bool, Float32, Int32, UInt32};
    let mut common = Bool;
    for &dtype in dtypes {
        common = match (common, dtype) {
            (known, new) if known == new => known,
            (Bool, other) | (other, Bool) => other,
            (Int32, UInt32) | (UInt32, Int32) => {
                refuse!("int32 and uint32 have no common dtype; convert one of them with `astype`")
            }
            (float, Int32 | UInt32) | (Int32 | UInt32, float) => float,
            _ => Float32,
        };
    }
    Ok(common)
}

pub(crate) fn negative(dtype: Dtype) -> Checked<()> {
    if dtype == Dtype::Bool {
        refuse!("a bool has no negative; convert it with `astype`");
    }
    Ok(())
}

pub(crate) fn condition(dtype: Dtype) -> Checked<()> {
    if dtype != Dtype::Bool {
        refuse!("the condition is {dtype}, not bool; compare it, or convert it with `astype`");
    }
    Ok(())
}

/// Returns the dtype that a product of matrices is computed in. Leading axes are not checked.
pub(crate) fn matmul(shapes: [&[usize]; 2], dtypes: [Dtype; 2]) -> Checked<Dtype> {
    let dtype = common_dtype(&dtypes)?;
    if !dtype.is_float() {
        refuse!("the operands are {dtype}, not floating point; convert them with `astype`");
    }
    let [Some(columns), Some(_)] = shapes.map(<[usize]>::last) else {
        refuse!("a scalar is not a matrix; use `multiply`");
    };
    let right = shapes[1];
    let rows = right[right.len().saturating_sub(2)];
    if *columns != rows {
        let axis = if right.len() == 1 { "the only axis" } else { "the last axis but one" };
        refuse!(
            "the last axis on the left has length {columns} and {axis} on the right {rows}; they must be equal"
        );
    }
    Ok(dtype)
}

/// Returns the dtype that a layer norm is computed in.
pub(crate) fn layer_norm(shapes: [&[usize]; 3], dtypes: [Dtype; 3]) -> Checked<Dtype> {
    let [shape, weight, bias] = shapes;
    let floats: Vec<Dtype> = dtypes.into_iter().filter(|dtype| dtype.is_float()).collect();
    let Some(length) = shape.last() else {
        refuse!("a scalar has no last axis; give the array an axis with `reshape`");
    };
    if weight != [*length] || bias != [*length] {
        refuse!("the last axis has length {length}; weight and bias must have shape [{length}]");
    }
    if floats.is_empty() { Ok(Dtype::Float32) } else { common_dtype(&floats) }
}

pub(crate) fn reshape(shape: &[usize], new: &[usize]) -> Checked<()> {
    let (size, found) = (size(new)?, shape.iter().product::<usize>());
    if size != found {
        refuse!("shape {new:?} holds {size} elements, and the array has {found}; they must be equal");
    }
    Ok(())
}

/// Returns the axes of a transposition, counted from the front.
pub(crate) fn transpose(ndim: usize, given: &[isize]) -> Checked<Vec<usize>> {
    let order = axes(given, ndim)?;
    if order.len() != ndim {
        refuse!("{given:?} names {} of {ndim} axes; name each axis once", order.len());
    }
    Ok(order)
}

/// Returns the axis to remove, counted from the front.
pub(crate) fn squeeze(shape: &[usize], given: isize) -> Checked<usize> {
    let axis = axis(given, shape.len())?;
    match shape[axis] {
        1 => Ok(axis),
        length => refuse!("axis {axis} has length {length}; only an axis of length 1 can be removed"),
    }
}

pub(crate) fn broadcast_to(shape: &[usize], new: &[usize]) -> Checked<()> {
    size(new)?;
    if broadcast(&[shape, new]).as_deref() != Ok(new) {
        refuse!(
            "shape {shape:?} does not broadcast to {new:?}; counted from the last axis, its lengths must be those of the new \
             shape or 1"
        );
    }
    Ok(())
}

/// Returns the axis along which arrays are joined, counted from the front.
pub(crate) fn concatenate(shapes: &[&[usize]], given: isize) -> Checked<usize> {
    let Some(first) = shapes.first() else {
        refuse!("there are no arrays; pass at least one");
    };
    let axis = axis(given, first.len())?;
    for shape in shapes {
        if shape.len() != first.len() {
            refuse!("the arrays have {} and {} axes; they must have as many", first.len(), shape.len());
        }
        let differs = |other: &usize| *other != axis && shape[*other] != first[*other];
        if let Some(other) = (0..first.len()).find(differs) {
            refuse!(
                "axis {other} has lengths {} and {}; only the lengths of axis {axis} may differ",
                first[other],
                shape[other]
            );
        }
    }
    Ok(axis)
}

pub(crate) fn slice(shape: &[usize], start: &[usize], stop: &[usize]) -> Checked<()> {
    let ndim = shape.len();
    if start.len() != ndim || stop.len() != ndim {
        refuse!(
            "there are {} starts and {} stops for {ndim} axes; give one of each for each axis",
            start.len(),
            stop.len()
        );
    }
    for (axis, &length) in shape.iter().enumerate() {
        let (start, stop) = (start[axis], stop[axis]);
        if start > stop || stop > length {
            refuse!("range {start}..{stop} is out of bounds for axis {axis} of length {length}");
        }
    }
    Ok(())
}

/// Returns the axis to take from, counted from the front. The indices themselves are not checked, unless there can be none.
pub(crate) fn take(shape: &[usize], indices: (&[usize], Dtype), given: isize) -> Checked<usize> {
    let (indices, dtype) = indices;
    if !matches!(dtype, Dtype::UInt32 | Dtype::Int32) {
        refuse!("the indices are {dtype}, not uint32 or int32; convert them with `astype`");
    }
    let axis = axis(given, shape.len())?;
    if shape[axis] == 0 && !indices.contains(&0) {
        refuse!("axis {axis} is empty, so no index is in bounds");
    }
    Ok(axis)
}

/// Refuses an array that is no key of random numbers.
pub(crate) fn key(shape: &[usize], dtype: Dtype) -> Checked<()> {
    if (shape, dtype) != (&[2], Dtype::UInt32) {
        refuse!("the key is {dtype}{shape:?}, not uint32[2]; make one with `random::key`");
    }
    Ok(())
}
