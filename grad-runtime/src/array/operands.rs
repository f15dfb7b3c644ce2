//! The operands and arguments that operations accept, and the reasons why they refuse others.
//!
//! The CPU fallback checks a call here before it computes. MLX checks calls itself; where it has refused one, `reason` runs the
//! same checks, so that both backends give the same reasons and a call that succeeds pays nothing.

use crate::dtype::Dtype;
#[cfg(feature = "mlx")]
use crate::error::Operand;

/// The error is the reason.
type Checked<T> = Result<T, String>;

/// Returns from a check with a reason.
macro_rules! refuse {
    ($($reason:tt)*) => {
        return Err(format!($($reason)*))
    };
}

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
    let dtype = common_dtype(&dtypes)?;
    let [shape, weight, bias] = shapes;
    let Some(length) = shape.last() else {
        refuse!("a scalar has no last axis; give the array an axis with `reshape`");
    };
    if weight != [*length] || bias != [*length] {
        refuse!("the last axis has length {length}; weight and bias must have shape [{length}]");
    }
    Ok(if dtype.is_float() { dtype } else { Dtype::Float32 })
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

/// The arguments of a call that MLX has refused, by their types.
#[cfg(feature = "mlx")]
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) operands: Vec<Operand>,
    /// Axes, in the order of the arguments.
    pub(crate) axes: Vec<isize>,
    /// Shapes and other lists of lengths.
    pub(crate) lengths: Vec<Vec<usize>>,
}

/// Returns why `op` refuses these arguments, if a check of this module does.
#[cfg(feature = "mlx")]
pub(crate) fn reason(op: &str, arguments: &Arguments) -> Option<String> {
    let Arguments { operands, axes: given, lengths } = arguments;
    let shapes: Vec<&[usize]> = operands.iter().map(|operand| &operand.shape[..]).collect();
    let dtypes: Vec<Dtype> = operands.iter().map(|operand| operand.dtype).collect();
    check(op, &shapes, &dtypes, given, lengths).err()
}

/// Checks a call of any operation of MLX, as far as this module knows it.
#[cfg(feature = "mlx")]
fn check(op: &str, shapes: &[&[usize]], dtypes: &[Dtype], given: &[isize], lengths: &[Vec<usize>]) -> Checked<()> {
    match (op, shapes, dtypes, given, lengths) {
        (
            "add" | "subtract" | "multiply" | "maximum" | "minimum" | "power" | "logaddexp" | "floor_divide"
            | "remainder" | "divmod" | "bitwise_and" | "bitwise_or" | "bitwise_xor" | "left_shift" | "right_shift",
            ..,
        ) => {
            common_dtype(dtypes)?;
            broadcast(shapes)?;
        }
        (
            "divide" | "arctan2" | "equal" | "not_equal" | "greater" | "greater_equal" | "less" | "less_equal"
            | "isclose" | "allclose" | "logical_and" | "logical_or" | "logical_xor" | "clip" | "broadcast_arrays",
            ..,
        ) => {
            broadcast(shapes)?;
        }
        ("negative", _, [dtype], ..) => negative(*dtype)?,
        ("where_cond", _, [mask, on_true, on_false], ..) => {
            condition(*mask)?;
            broadcast(shapes)?;
            common_dtype(&[*on_true, *on_false])?;
        }
        ("sum" | "prod" | "mean" | "var" | "std" | "all" | "any" | "count_nonzero" | "norm", [shape], ..) => {
            axes(given, shape.len())?;
        }
        ("max" | "min" | "argmax" | "argmin" | "logsumexp" | "median", [shape], ..) => {
            nonempty_axes(shape, given)?;
        }
        ("matmul", &[x, y], &[x_dtype, y_dtype], ..) => {
            matmul([x, y], [x_dtype, y_dtype])?;
            if let (Some((x_batch, _)), Some((y_batch, _))) = (x.split_last_chunk::<2>(), y.split_last_chunk::<2>())
            {
                broadcast(&[x_batch, y_batch])?;
            }
        }
        ("layer_norm", &[x, weight, bias], &[x_dtype, weight_dtype, bias_dtype], ..) => {
            layer_norm([x, weight, bias], [x_dtype, weight_dtype, bias_dtype])?;
        }
        ("reshape", [shape], _, _, [new]) => reshape(shape, new)?,
        ("transpose", [shape], ..) => {
            transpose(shape.len(), given)?;
        }
        ("expand_dims", [shape], _, [at], _) => {
            axis(*at, shape.len() + 1)?;
        }
        ("squeeze", [shape], _, [at], _) => {
            squeeze(shape, *at)?;
        }
        ("broadcast_to", [shape], _, _, [new]) => broadcast_to(shape, new)?,
        ("concatenate", _, _, [at], _) => {
            concatenate(shapes, *at)?;
            common_dtype(dtypes)?;
        }
        ("stack", [], ..) => refuse!("there are no arrays; pass at least one"),
        ("stack", [first, ..], _, [at], _) => {
            axis(*at, first.len() + 1)?;
            if let Some(other) = shapes.iter().find(|shape| *shape != first) {
                refuse!("the arrays have shapes {first:?} and {other:?}; they must be equal");
            }
            common_dtype(dtypes)?;
        }
        ("slice" | "slice_update" | "slice_update_add", [shape, ..], _, _, [start, stop]) => {
            slice(shape, start, stop)?;
        }
        ("take", [shape, indices], [_, dtype], [at], _) => {
            take(shape, (indices, *dtype), *at)?;
        }
        ("tensordot", ..) => {} // It has a list of axes for each operand.
        // Each axis by itself, since `flatten` and others take several that may be equal.
        (_, [shape, ..], _, given, _) => {
            given.iter().try_for_each(|at| axis(*at, shape.len()).map(drop))?;
        }
        _ => {}
    }
    Ok(())
}
