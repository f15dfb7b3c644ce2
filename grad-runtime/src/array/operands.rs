//! The operands and arguments that operations accept, and the reasons why they refuse others.
//!
//! The CPU fallback checks a call here before it computes. MLX checks calls itself; where it has refused one, the same checks
//! give the reason (`mlx/ffi/refusals.rs`). So both backends give the same reasons, and a call of MLX that succeeds pays nothing.

use std::slice;

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
pub(crate) fn common_dtype(dtypes: impl IntoIterator<Item = Dtype>) -> Dtype {
    dtypes.into_iter().fold(Dtype::Bool, Dtype::promote)
}

/// Returns the dtype of a sum.
#[cfg(feature = "cpu")]
pub(crate) fn sum_dtype(dtype: Dtype) -> Dtype {
    match dtype {
        Dtype::UInt8 | Dtype::UInt16 => Dtype::UInt32,
        Dtype::Bool | Dtype::Int8 | Dtype::Int16 => Dtype::Int32,
        other => other,
    }
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
    let dtype = inexact_dtype(dtypes)?;
    inner_lengths(shapes)?;
    Ok(dtype)
}

fn inexact_dtype(dtypes: impl IntoIterator<Item = Dtype>) -> Checked<Dtype> {
    let dtype = common_dtype(dtypes);
    if !dtype.is_inexact() {
        refuse!("the operands are {dtype}, not floating point; convert them with `astype`");
    }
    Ok(dtype)
}

/// Refuses matrices whose inner lengths differ.
fn inner_lengths(shapes: [&[usize]; 2]) -> Checked<()> {
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
    Ok(())
}

/// Returns the shape of a product of matrices whose inner lengths agree.
pub(crate) fn product_shape(shapes: [&[usize]; 2]) -> Checked<Vec<usize>> {
    /// Splits a shape into the leading axes and the outer axis, of which a vector has none.
    fn split(shape: &[usize], outer: usize) -> (&[usize], &[usize]) {
        match shape.split_last_chunk::<2>() {
            Some((batch, matrix)) => (batch, slice::from_ref(&matrix[outer])),
            None => (&[], &[]),
        }
    }
    let ((x_batch, rows), (y_batch, columns)) = (split(shapes[0], 0), split(shapes[1], 1));
    let shape = [&broadcast(&[x_batch, y_batch])?, rows, columns].concat();
    size(&shape)?;
    Ok(shape)
}

/// Returns the dtype and the shape of a product of matrices, to which an array is added.
pub(crate) fn addmm(shapes: [&[usize]; 3], dtypes: [Dtype; 3]) -> Checked<(Dtype, Vec<usize>)> {
    let [added, x, y] = shapes;
    let dtype = inexact_dtype(dtypes)?;
    inner_lengths([x, y])?;
    let shape = product_shape([x, y])?;
    broadcast_to(added, &shape)?;
    Ok((dtype, shape))
}

/// Returns the dtype that the attention of queries, keys and values is computed in.
pub(crate) fn attention(
    shapes: [&[usize]; 3],
    dtypes: [Dtype; 3],
    mask: Option<(&[usize], Dtype)>,
) -> Checked<Dtype> {
    for (name, shape) in ["queries", "keys", "values"].into_iter().zip(shapes) {
        if shape.len() != 4 {
            let count = shape.len();
            refuse!("the {name} have {count} axes; they must have 4: batch, heads, tokens and features");
        }
    }
    let dtype = common_dtype(dtypes);
    if !dtype.is_float() {
        refuse!("the operands are {dtype}, not floating point; convert them with `astype`");
    }
    let [queries, keys, values] = shapes;
    if queries[0] != keys[0] || queries[0] != values[0] {
        refuse!(
            "the batches of queries, keys and values have lengths {}, {} and {}; they must be equal",
            queries[0],
            keys[0],
            values[0]
        );
    }
    if queries[3] != keys[3] {
        refuse!("the queries have {} features and the keys {}; they must have as many", queries[3], keys[3]);
    }
    if keys[1..3] != values[1..3] {
        refuse!(
            "the keys have {} heads of {} tokens and the values {} of {}; they must have as many",
            keys[1],
            keys[2],
            values[1],
            values[2]
        );
    }
    if keys[1] == 0 || !queries[1].is_multiple_of(keys[1]) {
        refuse!("the queries have {} heads, which is no multiple of the {} of the keys", queries[1], keys[1]);
    }
    if let Some((shape, mask)) = mask {
        if mask != Dtype::Bool && mask.promote(dtype) != dtype {
            refuse!("the mask is {mask}, which is wider than {dtype}, that of the queries, keys and values");
        }
        broadcast_to(shape, &[queries[0], queries[1], queries[2], keys[2]])?;
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
    Ok(if floats.is_empty() { Dtype::Float32 } else { common_dtype(floats) })
}

/// Returns the new shape, in which a length of -1 is computed from the others.
pub(crate) fn reshape(shape: &[usize], new: &[isize]) -> Checked<Vec<usize>> {
    let found = shape.iter().product::<usize>();
    let mut known = Vec::with_capacity(new.len());
    let mut computed = None;
    for (axis, &length) in new.iter().enumerate() {
        match usize::try_from(length) {
            Ok(length) => known.push(length),
            Err(_) if length < -1 => refuse!("axis {axis} cannot have length {length}; give -1 to compute it"),
            Err(_) => {
                if let Some(other) = computed.replace(axis) {
                    refuse!("axes {other} and {axis} of shape {new:?} are -1; only one length can be computed");
                }
                known.push(1);
            }
        }
    }
    let size = size(&known)?;
    if let Some(axis) = computed {
        if size == 0 {
            refuse!("the length of axis {axis} of shape {new:?} cannot be computed; the array is empty");
        }
        if !found.is_multiple_of(size) {
            refuse!(
                "the others of shape {new:?} hold {size} elements, and the array has {found}, which is no multiple"
            );
        }
        known[axis] = found / size;
    } else if size != found {
        refuse!("shape {new:?} holds {size} elements, and the array has {found}; they must be equal");
    }
    Ok(known)
}

/// Returns the axes, counted from the front.
pub(crate) fn flatten(ndim: usize, start: isize, end: isize) -> Checked<(usize, usize)> {
    // A scalar becomes a vector.
    let (start, end) = (axis(start, ndim.max(1))?, axis(end, ndim.max(1))?);
    if start > end {
        refuse!("axis {start} is behind axis {end}; give the first axis first");
    }
    Ok((start, end))
}

/// Returns the axis, counted from the front.
pub(crate) fn narrow(shape: &[usize], given: isize, start: usize, length: usize) -> Checked<usize> {
    let axis = axis(given, shape.len())?;
    if start.checked_add(length).is_none_or(|stop| stop > shape[axis]) {
        refuse!("{length} entries from {start} on are out of bounds for axis {axis} of length {}", shape[axis]);
    }
    Ok(axis)
}

/// Returns the axis, counted from the front, and the length of each part.
pub(crate) fn split(shape: &[usize], parts: usize, given: isize) -> Checked<(usize, usize)> {
    let axis = axis(given, shape.len())?;
    let length = shape[axis];
    if parts == 0 || parts > length.max(1) || !length.is_multiple_of(parts) {
        refuse!("axis {axis} has length {length}, which is no multiple of {parts} parts");
    }
    Ok((axis, length / parts))
}

/// Returns the new axis, counted from the front.
pub(crate) fn stack(shapes: &[&[usize]], given: isize) -> Checked<usize> {
    let Some(first) = shapes.first() else {
        refuse!("there are no arrays; pass at least one");
    };
    let axis = axis(given, first.len() + 1)?;
    if let Some(other) = shapes.iter().find(|shape| *shape != first) {
        refuse!("the arrays have shapes {first:?} and {other:?}; they must be equal");
    }
    Ok(axis)
}

/// Returns the axis, counted from the front, and the shape of the result. The indices themselves are not checked, unless there can
/// be none.
pub(crate) fn take_along_axis(
    shape: &[usize],
    indices: (&[usize], Dtype),
    given: isize,
) -> Checked<(usize, Vec<usize>)> {
    let (indices, dtype) = indices;
    integers("indices", dtype)?;
    let axis = axis(given, shape.len())?;
    if indices.len() != shape.len() {
        refuse!(
            "the indices have {} axes, and the array has {}; they must have as many",
            indices.len(),
            shape.len()
        );
    }
    let with = |shape: &[usize], length| {
        let mut shape = shape.to_vec();
        shape[axis] = length;
        shape
    };
    let mut result = broadcast(&[&with(shape, 1), &with(indices, 1)])?;
    result[axis] = indices[axis];
    if shape[axis] == 0 && !indices.contains(&0) {
        refuse!("axis {axis} is empty, so no index is in bounds");
    }
    Ok((axis, result))
}

/// Checks logits and the classes to tell from them.
pub(crate) fn cross_entropy(shape: &[usize], targets: (&[usize], Dtype)) -> Checked<()> {
    let (targets, dtype) = targets;
    integers("targets", dtype)?;
    let Some((classes, others)) = shape.split_last() else {
        refuse!("a scalar has no axis of classes; give the array an axis with `reshape`");
    };
    if targets != others {
        refuse!(
            "the targets have shape {targets:?}, and the axes of the logits but the last {others:?}; they must be equal"
        );
    }
    if *classes == 0 {
        refuse!("there are no classes; the last axis of the logits is empty");
    }
    Ok(())
}

/// Refuses a dtype of `subject` that is not one of integers.
pub(crate) fn integers(subject: &str, dtype: Dtype) -> Checked<()> {
    if !dtype.is_integer() {
        refuse!("the {subject} are {dtype}, not integers; convert them with `astype`");
    }
    Ok(())
}

/// Refuses arrays that are not matrices, or batches of them.
pub(crate) fn triangle(ndim: usize) -> Checked<()> {
    if ndim < 2 {
        refuse!("the array has {ndim} axes; it must have 2 or more");
    }
    Ok(())
}

/// Returns the length of a range of numbers.
#[allow(clippy::similar_names, reason = "they are those of MLX and NumPy")]
pub(crate) fn arange(start: f64, stop: f64, step: f64, dtype: Dtype) -> Checked<usize> {
    const LARGEST: f64 = 2_147_483_647.0; // As MLX.
    if matches!(dtype, Dtype::Bool | Dtype::Complex64) {
        refuse!("there is no range of {dtype}; use another dtype");
    }
    if ![start, stop, step].into_iter().all(f64::is_finite) || step == 0.0 {
        refuse!("there is no range from {start} to {stop} by {step}; give finite numbers, and a step other than 0");
    }
    let length = ((stop - start) / step).ceil().max(0.0);
    if length > LARGEST {
        refuse!("a range of {length} numbers does not fit in memory");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a whole number below 2^31")]
    Ok(length as usize)
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
    integers("indices", dtype)?;
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
