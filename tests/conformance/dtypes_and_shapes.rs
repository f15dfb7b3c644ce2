//! Every operation of the `Array` trait for operands of every dtype and of many shapes: both backends accept the same, and agree.

use grad_runtime::{Array, Dtype, Result, cpu, mlx};
use support::arrays::{array, elements};

/// Those of the CPU fallback.
const DTYPES: [Dtype; 10] = [
    Dtype::Float32,
    Dtype::Float16,
    Dtype::BFloat16,
    Dtype::Float64,
    Dtype::Int16,
    Dtype::Int32,
    Dtype::Int64,
    Dtype::UInt8,
    Dtype::UInt32,
    Dtype::Bool,
];

type Function<A> = fn(&[A]) -> Result<A>;

/// Returns the operations, with how many operands each takes.
#[allow(clippy::too_many_lines, reason = "it is a table")]
fn operations<A: Array>() -> Vec<(&'static str, usize, Function<A>)> {
    macro_rules! table {
        ($($name:literal($count:literal) $function:expr;)*) => {
            vec![$(($name, $count, $function as Function<A>)),*]
        };
    }
    table! {
        "abs"(1) |x| x[0].abs();
        "negative"(1) |x| x[0].negative();
        "exp"(1) |x| x[0].exp();
        "log"(1) |x| x[0].log();
        "sqrt"(1) |x| x[0].sqrt();
        "square"(1) |x| x[0].square();
        "sin"(1) |x| x[0].sin();
        "cos"(1) |x| x[0].cos();
        "tanh"(1) |x| x[0].tanh();
        "erf"(1) |x| x[0].erf();
        "sigmoid"(1) |x| x[0].sigmoid();
        "relu"(1) |x| x[0].relu();
        "gelu"(1) |x| x[0].gelu();
        "add"(2) |x| x[0].add(&x[1]);
        "subtract"(2) |x| x[0].subtract(&x[1]);
        "multiply"(2) |x| x[0].multiply(&x[1]);
        "divide"(2) |x| x[0].divide(&x[1]);
        "maximum"(2) |x| x[0].maximum(&x[1]);
        "minimum"(2) |x| x[0].minimum(&x[1]);
        "power"(2) |x| x[0].power(&x[1]);
        "equal"(2) |x| x[0].equal(&x[1]);
        "greater"(2) |x| x[0].greater(&x[1]);
        "less"(2) |x| x[0].less(&x[1]);
        "where_cond"(2) |x| x[0].where_cond(&x[1], &x[0]);
        "where_cond of a comparison"(2) |x| x[0].less(&x[1])?.where_cond(&x[1], &x[0]);
        "sum over axis 0"(1) |x| x[0].sum(&[0], false);
        "sum over axis 1"(1) |x| x[0].sum(&[1], true);
        "sum over both axes"(1) |x| x[0].sum(&[0, 1], false);
        "sum over no axis"(1) |x| x[0].sum(&[], false);
        "sum_all"(1) |x| x[0].sum_all();
        "mean over axis 0"(1) |x| x[0].mean(&[0], false);
        "mean over axis 1"(1) |x| x[0].mean(&[1], true);
        "mean over no axis"(1) |x| x[0].mean(&[], true);
        "mean_all"(1) |x| x[0].mean_all();
        "max over axis 0"(1) |x| x[0].max(&[0], false);
        "max over axis 1"(1) |x| x[0].max(&[1], true);
        "max over both axes"(1) |x| x[0].max(&[0, 1], false);
        "max over no axis"(1) |x| x[0].max(&[], false);
        "min over axis 0"(1) |x| x[0].min(&[0], false);
        "min over axis 1"(1) |x| x[0].min(&[1], true);
        "min over both axes"(1) |x| x[0].min(&[0, 1], false);
        "min over no axis"(1) |x| x[0].min(&[], false);
        "argmax over axis 0"(1) |x| x[0].argmax(0, false);
        "argmax over axis 1"(1) |x| x[0].argmax(1, true);
        "logsumexp over axis 0"(1) |x| x[0].logsumexp(&[0], false);
        "logsumexp over axis 1"(1) |x| x[0].logsumexp(&[1], true);
        "logsumexp over both axes"(1) |x| x[0].logsumexp(&[0, 1], false);
        "logsumexp over no axis"(1) |x| x[0].logsumexp(&[], false);
        "softmax over axis 0"(1) |x| x[0].softmax(0);
        "softmax over axis 1"(1) |x| x[0].softmax(1);
        "matmul"(2) |x| x[0].matmul(&x[1].transpose(&[1, 0])?);
        "matmul of a vector"(2) |x| x[0].matmul(&x[1].slice(&[0, 0], &[1, 3])?.reshape(&[3])?);
        "layer_norm"(2) |x| {
            let row = x[1].slice(&[0, 0], &[1, 3])?.reshape(&[3])?;
            x[0].layer_norm(&row, &row, 1e-5)
        };
        "addmm"(2) |x| x[0].addmm(&x[1], &x[1].transpose(&[1, 0])?, 2.0, 0.5);
        "addmm of a row"(2) |x| x[1].slice(&[0, 0], &[1, 2])?.addmm(&x[0], &x[1].transpose(&[1, 0])?, 1.0, 1.0);
        "addmm of a vector"(2) |x| x[0].slice(&[0, 0], &[1, 1])?.reshape(&[1])?.addmm(
            &x[0], &x[1].slice(&[0, 0], &[1, 3])?.reshape(&[3])?, 1.0, 1.0
        );
        "addmm of any"(2) |x| x[0].addmm(&x[0], &x[1], 1.0, 1.0);
        "attention"(2) |x| {
            let (queries, keys) = (x[0].reshape(&[1, 2, 3, 1])?, x[1].reshape(&[1, 2, 3, 1])?);
            queries.scaled_dot_product_attention(&keys, &keys, 0.5, None)
        };
        "attention with a mask"(2) |x| {
            let queries = x[0].expand_dims(0)?.expand_dims(0)?;
            queries.scaled_dot_product_attention(&queries, &queries, 0.5, Some(&x[1].slice(&[0, 0], &[2, 2])?))
        };
        "attention to any"(2) |x| {
            let (queries, keys) = (x[0].expand_dims(0)?.expand_dims(0)?, x[1].expand_dims(0)?.expand_dims(0)?);
            queries.scaled_dot_product_attention(&keys, &keys, 0.5, None)
        };
        "attention with any mask"(2) |x| {
            let queries = x[0].expand_dims(0)?.expand_dims(0)?;
            queries.scaled_dot_product_attention(&queries, &queries, 0.5, Some(&x[1]))
        };
        "reshape"(1) |x| x[0].reshape(&[3, 2]);
        "transpose"(1) |x| x[0].transpose(&[1, 0]);
        "expand_dims"(1) |x| x[0].expand_dims(1);
        "squeeze"(1) |x| x[0].expand_dims(1)?.squeeze(1);
        "broadcast_to"(1) |x| x[0].broadcast_to(&[2, 2, 3]);
        "concatenate"(2) |x| A::concatenate(&[x[0].clone(), x[1].clone()], 1);
        "slice"(1) |x| x[0].slice(&[0, 1], &[2, 3]);
        "take"(2) |x| x[0].take(&x[1].slice(&[0, 0], &[1, 2])?.astype(x[1].dtype())?, 1);
        "stop_gradient"(1) |x| x[0].stop_gradient();
        "sign"(1) |x| x[0].sign();
        "floor"(1) |x| x[0].floor();
        "ceil"(1) |x| x[0].ceil();
        "reciprocal"(1) |x| x[0].reciprocal();
        "rsqrt"(1) |x| x[0].rsqrt();
        "expm1"(1) |x| x[0].expm1();
        "log1p"(1) |x| x[0].log1p();
        "silu"(1) |x| x[0].silu();
        "isnan"(1) |x| x[0].isnan();
        "logical_not"(1) |x| x[0].logical_not();
        "clip"(2) |x| x[0].clip(&x[1], 2);
        "clip to numbers"(1) |x| x[0].clip(0.5, 1.5);
        "add a float"(1) |x| x[0].add(1.5);
        "add an integer"(1) |x| x[0].add(2);
        "add a bool"(1) |x| x[0].add(true);
        "less than a number"(1) |x| x[0].less(1.5);
        "where_cond of numbers"(1) |x| x[0].greater(0)?.where_cond(1, 0.5);
        "where_cond of an array and a number"(1) |x| x[0].greater(0)?.where_cond(&x[0], 0.0);
        "not_equal"(2) |x| x[0].not_equal(&x[1]);
        "greater_equal"(2) |x| x[0].greater_equal(&x[1]);
        "less_equal"(2) |x| x[0].less_equal(&x[1]);
        "logical_and"(2) |x| x[0].logical_and(&x[1]);
        "logical_or"(2) |x| x[0].logical_or(&x[1]);
        "argmin over axis 0"(1) |x| x[0].argmin(0, false);
        "argmin over axis 1"(1) |x| x[0].argmin(1, true);
        "var over axis 0"(1) |x| x[0].var(&[0], false, 0);
        "var over both axes"(1) |x| x[0].var(&[0, 1], true, 1);
        "var over no axis"(1) |x| x[0].var(&[], true, 0);
        "std over axis 1"(1) |x| x[0].std(&[1], false, 1);
        "all over axis 0"(1) |x| x[0].all(&[0], false);
        "all over both axes"(1) |x| x[0].all(&[0, 1], true);
        "any over axis 1"(1) |x| x[0].any(&[1], false);
        "any over no axis"(1) |x| x[0].any(&[], false);
        "log_softmax over axis 0"(1) |x| x[0].log_softmax(0);
        "cross_entropy"(2) |x| x[0].cross_entropy(&x[1].slice(&[0, 0], &[2, 1])?.reshape(&[-1])?);
        "narrow"(1) |x| x[0].narrow(1, 1, 2);
        "split"(1) |x| x[0].split(3, 1).map(|mut parts| parts.swap_remove(2));
        "stack"(2) |x| A::stack(&[x[0].clone(), x[1].clone()], 1);
        "flatten"(1) |x| x[0].flatten(0, 1);
        "swapaxes"(1) |x| x[0].swapaxes(0, 1);
        "contiguous"(1) |x| x[0].swapaxes(0, 1)?.contiguous();
        "prepacked"(1) |x| x[0].swapaxes(0, 1)?.prepacked();
        "take_along_axis"(2) |x| x[0].take_along_axis(&x[1], 1);
        "take_along_axis of a broadcast index"(2) |x| x[0].take_along_axis(&x[1].narrow(0, 0, 1)?, 1);
        "one_hot"(1) |x| x[0].one_hot(3, Dtype::BFloat16);
        "tril"(1) |x| x[0].tril(0);
        "triu"(1) |x| x[0].triu(1);
        "reshape by -1"(1) |x| x[0].reshape(&[3, -1]);
        "full"(1) |x| A::full(&[2], 2.75, x[0].dtype());
        "arange"(1) |x| A::arange(1.0, 7.5, 1.5, x[0].dtype());
        "eye"(1) |x| A::eye(2, 3, 1, x[0].dtype());
    }
}

/// The result of an operation, dtype, shape and elements; `None` if it fails.
type Outcome = Option<(Dtype, Vec<usize>, Vec<f32>)>;

/// An operand.
#[derive(Debug, Clone)]
struct Operand<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    elements: &'a [f32],
}

fn outcome<A: Array>(function: Function<A>, operands: &[Operand]) -> Outcome {
    let make = |operand: &Operand| array::<A>(operand.elements, operand.shape).astype(operand.dtype).unwrap();
    let operands: Vec<A> = operands.iter().map(make).collect();
    let found = function(&operands).ok()?;
    let all = found.to_buffer().ok().map(|_| elements(&found))?;
    Some((found.dtype(), found.shape(), all))
}

fn agree(a: &Outcome, b: &Outcome) -> bool {
    let (Some((dtype, shape, a)), Some((other_dtype, other_shape, b))) = (a, b) else {
        return a.is_none() && b.is_none();
    };
    let tolerance = match dtype {
        Dtype::Float16 => 2e-3,
        Dtype::BFloat16 => 2e-2,
        _ => 2e-5,
    };
    let is_close = |(a, b): (&f32, &f32)| {
        a.to_bits() == b.to_bits()
            || a == b
            || a.is_nan() && b.is_nan()
            || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
    };
    (dtype, shape) == (other_dtype, other_shape) && a.iter().zip(b).all(is_close)
}

/// Returns how the backends differ, for all operations and these operands.
fn differences(first: &Operand, second: &Operand) -> Vec<String> {
    let both = operations::<cpu::Array>().into_iter().zip(operations::<mlx::Array>());
    let compare = |((name, count, on_cpu), (_, _, on_mlx)): ((_, _, Function<_>), (_, _, Function<_>))| {
        let operands = &[first.clone(), second.clone()][..count];
        let (cpu, mlx) = (outcome(on_cpu, operands), outcome(on_mlx, operands));
        (!agree(&cpu, &mlx)).then(|| format!("{name} of {operands:?}: {cpu:?} on the CPU, {mlx:?} on MLX"))
    };
    both.filter_map(compare).collect()
}

/// The elements are whole numbers below 3, so that they are those of an index and of a bool too, and also negative ones where
/// that can be.
#[test]
fn every_operation_for_every_dtype() {
    const FIRST: [f32; 6] = [0.0, 2.0, 1.0, 2.0, 0.0, 1.0];
    const WITH_NEGATIVE: [f32; 6] = [-2.0, 2.0, 1.0, 2.0, -1.0, 1.0];
    const SECOND: [f32; 6] = [1.0, 2.0, 0.0, 1.0, 1.0, 2.0];
    let shape = &[2, 3];
    let mut failures = Vec::new();
    for first in DTYPES {
        for second in DTYPES {
            let second = Operand { dtype: second, shape, elements: &SECOND };
            let is_signed = !matches!(first, Dtype::UInt8 | Dtype::UInt32 | Dtype::Bool);
            for elements in [FIRST, WITH_NEGATIVE].into_iter().take(1 + usize::from(is_signed)) {
                failures.extend(differences(&Operand { dtype: first, shape, elements: &elements }, &second));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_operation_for_many_shapes() {
    let shapes: [&[usize]; 10] = [&[], &[0], &[1], &[3], &[1, 3], &[3, 1], &[2, 3], &[3, 2], &[0, 3], &[2, 1, 3]];
    let dtype = Dtype::Float32;
    let elements: [f32; 6] = [0.5, -1.5, 2.5, -0.5, 1.0, 2.0];
    let mut failures = Vec::new();
    for first in shapes {
        for second in shapes {
            let [first, second] = [first, second].map(|shape| Operand {
                dtype,
                shape,
                elements: &elements[..shape.iter().product()],
            });
            failures.extend(differences(&first, &second));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
