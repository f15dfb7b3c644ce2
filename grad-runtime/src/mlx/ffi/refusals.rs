//! Why MLX refused a call: the reasons that can be told from shapes, dtypes and axes, in the words of the CPU fallback.

use crate::array::operands::{
    Checked, axes, axis, broadcast, broadcast_to, common_dtype, concatenate, condition, key, layer_norm, matmul,
    negative, nonempty_axes, refuse, reshape, slice, squeeze, take, transpose,
};
use crate::dtype::Dtype;
use crate::error::{Error, Operand};

/// The arguments of a call that the reason may depend on, by their types.
#[derive(Default)]
pub struct Arguments {
    pub operands: Vec<Operand>,
    /// Axes, in the order of the arguments.
    pub axes: Vec<isize>,
    /// Shapes and other lists of lengths.
    pub lengths: Vec<Vec<usize>>,
}

/// Returns the error of a call that MLX refused for `reason`. A reason that is found here takes its place.
#[cold]
pub fn refused(op: &'static str, arguments: Arguments, reason: String) -> Error {
    let Arguments { operands, axes, lengths } = arguments;
    let shapes: Vec<&[usize]> = operands.iter().map(|operand| &operand.shape[..]).collect();
    let dtypes: Vec<Dtype> = operands.iter().map(|operand| operand.dtype).collect();
    let checked = check_shared(op, &shapes, &dtypes, &axes, &lengths)
        .and_then(|()| check_others(op, &shapes, &dtypes, &axes))
        .and_then(|()| check_axes(op, &shapes, &axes));
    Error::Operation { op, operands, reason: checked.err().unwrap_or(reason) }
}

/// Checks operations that the CPU fallback has, and those that accept the same operands as one of them.
fn check_shared(
    op: &str,
    shapes: &[&[usize]],
    dtypes: &[Dtype],
    given: &[isize],
    lengths: &[Vec<usize>],
) -> Checked<()> {
    match (op, shapes, dtypes, given, lengths) {
        (
            "add" | "subtract" | "multiply" | "maximum" | "minimum" | "power" | "logaddexp" | "floor_divide"
            | "remainder" | "divmod",
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
        ("slice" | "slice_update" | "slice_update_add", [shape, ..], _, _, [start, stop]) => {
            slice(shape, start, stop)?;
        }
        ("take", [shape, indices], [_, dtype], [at], _) => {
            take(shape, (indices, *dtype), *at)?;
        }
        _ => {}
    }
    Ok(())
}

/// Checks operations that MLX alone has.
fn check_others(op: &str, shapes: &[&[usize]], dtypes: &[Dtype], given: &[isize]) -> Checked<()> {
    match (op, shapes, dtypes, given) {
        ("stack", [], ..) => refuse!("there are no arrays; pass at least one"),
        ("stack", [first, ..], _, [at]) => {
            axis(*at, first.len() + 1)?;
            if let Some(other) = shapes.iter().find(|shape| *shape != first) {
                refuse!("the arrays have shapes {first:?} and {other:?}; they must be equal");
            }
            common_dtype(dtypes)?;
        }
        ("bitwise_and" | "bitwise_or" | "bitwise_xor" | "left_shift" | "right_shift", ..) => {
            integers_or_bools(dtypes)?;
            common_dtype(dtypes)?;
            broadcast(shapes)?;
        }
        ("tril" | "triu" | "diagonal" | "trace", [shape], ..) if shape.len() < 2 => {
            refuse!("the array has {} axes; it must have 2 or more", shape.len());
        }
        ("addmm", &[c, x, y], &[_, x_dtype, y_dtype], ..) => {
            matmul([x, y], [x_dtype, y_dtype])?;
            if let ([rows, _], [_, columns]) = (x, y) {
                broadcast_to(c, &[*rows, *columns])?;
            }
        }
        ("bitwise_invert", ..) => integers_or_bools(dtypes)?,
        (
            "qr" | "svd" | "lu" | "pinv" | "inv" | "tri_inv" | "cholesky" | "cholesky_inv" | "det" | "slogdet"
            | "eigh" | "eigvalsh" | "solve" | "solve_triangular",
            [shape, ..],
            ..,
        ) => {
            matrices(shape, dtypes, !matches!(op, "qr" | "svd" | "lu" | "pinv"))?;
        }
        ("causal_attention" | "scaled_dot_product_attention", ..) => {
            if let Some(other) = shapes.iter().take(3).find(|shape| shape.len() != 4) {
                refuse!(
                    "queries, keys and values need 4 axes (batch, heads, length, features), not {}",
                    other.len()
                );
            }
        }
        (
            "bits" | "uniform" | "normal" | "truncated_normal" | "laplace" | "gumbel" | "randint" | "bernoulli"
            | "categorical" | "permutation" | "split",
            [.., shape],
            [.., dtype],
            ..,
        ) if op != "split" || given.is_empty() => key(shape, *dtype)?,
        _ => {}
    }
    Ok(())
}

/// Checks the axes of any operation, each by itself.
fn check_axes(op: &str, shapes: &[&[usize]], given: &[isize]) -> Checked<()> {
    match (op, shapes) {
        // These count an axis that they add, or have axes of several operands.
        ("expand_dims" | "stack" | "tensordot", _) | (_, []) => Ok(()),
        (_, [shape, ..]) => given.iter().try_for_each(|at| axis(*at, shape.len()).map(drop)),
    }
}

fn integers_or_bools(dtypes: &[Dtype]) -> Checked<()> {
    match dtypes.iter().find(|dtype| dtype.is_float()) {
        Some(float) => refuse!("bits of {float} have no meaning; convert it with `astype` to int32 or uint32"),
        None => Ok(()),
    }
}

/// Checks the matrices that a decomposition or an inverse is computed of.
fn matrices(shape: &[usize], dtypes: &[Dtype], square: bool) -> Checked<()> {
    if let Some(other) = dtypes.iter().find(|dtype| **dtype != Dtype::Float32) {
        refuse!("the matrix is {other}, not float32; convert it with `astype`");
    }
    match shape {
        [.., rows, columns] if square && rows != columns => {
            refuse!("the matrix has {rows} rows and {columns} columns; it must be square")
        }
        [.., _, _] => Ok(()),
        _ => refuse!("the array has {} axes, and a matrix 2 or more", shape.len()),
    }
}
