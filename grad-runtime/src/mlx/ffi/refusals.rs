//! Why MLX refused a call: the reasons that can be told from shapes, dtypes and axes, in the words of the CPU fallback.

use crate::array::operands::{
    Checked, addmm, attention, axes, axis, broadcast, broadcast_to, concatenate, condition, cross_entropy, flatten,
    integers, key, layer_norm, matmul, narrow, negative, nonempty_axes, product_shape, refuse, reshape, slice,
    split, squeeze, stack, take, take_along_axis, transpose, triangle,
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
    /// Numbers of things.
    pub counts: Vec<usize>,
}

/// Returns the error of a call that MLX refused for `reason`. A reason that is found here takes its place.
#[cold]
pub fn refused(op: &'static str, arguments: Arguments, reason: String) -> Error {
    let Arguments { operands, axes, lengths, counts } = arguments;
    let shapes: Vec<&[usize]> = operands.iter().map(|operand| &operand.shape[..]).collect();
    let dtypes: Vec<Dtype> = operands.iter().map(|operand| operand.dtype).collect();
    let checked = check_shared(op, &shapes, &dtypes, &axes, &lengths)
        .and_then(|()| check_new_shapes(op, &shapes, &dtypes, &axes, &counts))
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
            "add" | "subtract" | "multiply" | "divide" | "maximum" | "minimum" | "power" | "logaddexp"
            | "floor_divide" | "remainder" | "divmod" | "arctan2" | "equal" | "not_equal" | "greater"
            | "greater_equal" | "less" | "less_equal" | "isclose" | "allclose" | "logical_and" | "logical_or"
            | "logical_xor" | "clip" | "broadcast_arrays",
            ..,
        ) => {
            broadcast(shapes)?;
        }
        ("negative", _, [dtype], ..) => negative(*dtype)?,
        ("where_cond", _, [mask, ..], ..) => {
            condition(*mask)?;
            broadcast(shapes)?;
        }
        ("sum" | "prod" | "mean" | "var" | "std" | "all" | "any" | "count_nonzero" | "norm", [shape], ..) => {
            axes(given, shape.len())?;
        }
        ("max" | "min" | "argmax" | "argmin" | "logsumexp" | "median", [shape], ..) => {
            nonempty_axes(shape, given)?;
        }
        ("matmul", &[x, y], &[x_dtype, y_dtype], ..) => {
            matmul([x, y], [x_dtype, y_dtype])?;
            product_shape([x, y])?;
        }
        ("addmm", &[c, x, y], &[c_dtype, x_dtype, y_dtype], ..) => {
            addmm([c, x, y], [c_dtype, x_dtype, y_dtype])?;
        }
        (
            "scaled_dot_product_attention" | "causal_attention",
            &[queries, keys, values, ref mask @ ..],
            &[queries_dtype, keys_dtype, values_dtype, ref mask_dtype @ ..],
            ..,
        ) => {
            let mask = mask.first().copied().zip(mask_dtype.first().copied());
            attention([queries, keys, values], [queries_dtype, keys_dtype, values_dtype], mask)?;
        }
        ("layer_norm", &[x, weight, bias], &[x_dtype, weight_dtype, bias_dtype], ..) => {
            layer_norm([x, weight, bias], [x_dtype, weight_dtype, bias_dtype])?;
        }
        ("reshape", [shape], _, new, _) => {
            reshape(shape, new)?;
        }
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

/// Checks operations of the CPU fallback that return parts of an array, or arrays in another order.
fn check_new_shapes(
    op: &str,
    shapes: &[&[usize]],
    dtypes: &[Dtype],
    given: &[isize],
    counts: &[usize],
) -> Checked<()> {
    match (op, shapes, dtypes, given, counts) {
        ("narrow", [shape], _, [at], &[start, length]) => {
            narrow(shape, *at, start, length)?;
        }
        ("split", [shape], _, [at], &[parts]) => {
            split(shape, parts, *at)?;
        }
        ("stack", _, _, [at], _) => {
            stack(shapes, *at)?;
        }
        ("flatten", [shape], _, &[start, end], _) => {
            flatten(shape.len(), start, end)?;
        }
        ("tril" | "triu", [shape], ..) => triangle(shape.len())?,
        ("take_along_axis", [shape, indices], [_, dtype], [at], _) => {
            take_along_axis(shape, (indices, *dtype), *at)?;
        }
        ("cross_entropy", [shape, targets], [_, dtype], ..) => cross_entropy(shape, (targets, *dtype))?,
        ("one_hot", _, [dtype], ..) => integers("classes", *dtype)?,
        _ => {}
    }
    Ok(())
}

/// Checks operations that MLX alone has.
fn check_others(op: &str, shapes: &[&[usize]], dtypes: &[Dtype], given: &[isize]) -> Checked<()> {
    match (op, shapes, dtypes, given) {
        ("bitwise_and" | "bitwise_or" | "bitwise_xor" | "left_shift" | "right_shift", ..) => {
            integers_or_bools(dtypes)?;
            broadcast(shapes)?;
        }
        ("diagonal" | "trace", [shape], ..) => triangle(shape.len())?,
        ("bitwise_invert", ..) => integers_or_bools(dtypes)?,
        (
            "qr" | "svd" | "lu" | "pinv" | "inv" | "tri_inv" | "cholesky" | "cholesky_inv" | "det" | "slogdet"
            | "eigh" | "eigvalsh" | "eig" | "eigvals" | "lu_factor" | "solve" | "solve_triangular",
            [shape, ..],
            ..,
        ) => {
            matrices(shape, dtypes, !matches!(op, "qr" | "svd" | "lu" | "lu_factor" | "pinv"))?;
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
        ("expand_dims" | "stack" | "tensordot" | "reshape" | "flatten", _) | (_, []) => Ok(()),
        (_, [shape, ..]) => given.iter().try_for_each(|at| axis(*at, shape.len()).map(drop)),
    }
}

fn integers_or_bools(dtypes: &[Dtype]) -> Checked<()> {
    match dtypes.iter().find(|dtype| dtype.is_inexact()) {
        Some(float) => refuse!("bits of {float} have no meaning; convert it with `astype` to an integer dtype"),
        None => Ok(()),
    }
}

/// Checks the matrices that a decomposition or an inverse is computed of.
fn matrices(shape: &[usize], dtypes: &[Dtype], square: bool) -> Checked<()> {
    if let Some(other) =
        dtypes.iter().find(|dtype| !matches!(dtype, Dtype::Float32 | Dtype::Float64 | Dtype::Complex64))
    {
        refuse!("the matrix is {other}, neither float32 nor float64; convert it with `astype`");
    }
    match shape {
        [.., rows, columns] if square && rows != columns => {
            refuse!("the matrix has {rows} rows and {columns} columns; it must be square")
        }
        [.., _, _] => Ok(()),
        _ => refuse!("the array has {} axes, and a matrix 2 or more", shape.len()),
    }
}
