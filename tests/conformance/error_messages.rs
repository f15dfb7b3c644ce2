//! Messages of invalid calls: the same on both backends, with the shape and dtype of each operand, the reason, and what to do.
#![cfg(all(feature = "cpu", feature = "mlx"))]

use grad_runtime::{Array, Dtype, Result, cpu, mlx};
use support::arrays::array;

type Binary<A> = fn(&A, &A) -> Result<A>;
type Reduction<A> = fn(&A, &[isize], bool) -> Result<A>;

/// Makes invalid calls of every operation that refuses some operands.
#[allow(clippy::too_many_lines, reason = "it is a table")]
fn messages<A: Array>() -> Vec<String> {
    let x: A = array(&[1.0; 6], &[2, 3]);
    let (y, scalar): (A, A) = (array(&[1.0; 4], &[4]), array(&[1.0], &[]));
    let cube: A = A::zeros(&[2, 3, 4], Dtype::Float32).unwrap();
    let empty = A::zeros(&[2, 0], Dtype::Float16).unwrap();
    let integers = x.astype(Dtype::Int32).unwrap();
    let mask = x.astype(Dtype::Bool).unwrap();
    let index = |index: i32| A::scalar(index).unwrap();
    let mut messages = Vec::new();
    let mut refuse = |result: Result<A>| messages.push(result.expect_err("an invalid call").to_string());

    // Creation.
    refuse(A::from_slice(&[1.0_f32; 5], &[2, 3]));
    refuse(A::from_buffer(x.to_buffer().unwrap(), &[2]));
    refuse(A::from_slice(&[1.0_f32; 5], &[usize::MAX, 2]));
    refuse(A::full(&[usize::MAX, usize::MAX], 0.0, Dtype::Float32));
    refuse(A::ones(&[usize::MAX, 2], Dtype::Bool));

    // Pairs of elements.
    let arithmetic: [Binary<A>; 6] = [
        |x, y| x.add(y),
        |x, y| x.subtract(y),
        |x, y| x.multiply(y),
        |x, y| x.maximum(y),
        |x, y| x.minimum(y),
        |x, y| x.power(y),
    ];
    let others: [Binary<A>; 9] = [
        |x, y| x.divide(y),
        |x, y| x.equal(y),
        |x, y| x.greater(y),
        |x, y| x.less(y),
        |x, y| x.not_equal(y),
        |x, y| x.greater_equal(y),
        |x, y| x.less_equal(y),
        |x, y| x.logical_and(y),
        |x, y| x.logical_or(y),
    ];
    for operation in arithmetic.into_iter().chain(others) {
        refuse(operation(&x, &y));
        refuse(operation(&cube, &integers));
        refuse(operation(&integers, &y.astype(Dtype::Int32).unwrap()));
    }
    refuse(mask.negative());
    refuse(mask.where_cond(&x, &y));
    refuse(mask.where_cond(&y, &x));
    refuse(x.where_cond(&x, &x));
    refuse(integers.where_cond(&x, &y));

    // Reductions.
    let reductions: [Reduction<A>; 5] = [A::sum, A::mean, A::max, A::min, A::logsumexp];
    for (at, operation) in reductions.into_iter().enumerate() {
        for axis in [2, -3, isize::MAX, isize::MIN] {
            refuse(operation(&x, &[axis], false));
            refuse(operation(&integers, &[0, axis], true));
        }
        refuse(operation(&scalar, &[0], false));
        refuse(operation(&x, &[0, 0], false));
        refuse(operation(&x, &[1, 0, -1], true));
        refuse(operation(&mask, &[7], true));
        if at > 1 {
            refuse(operation(&empty, &[1], false));
            refuse(operation(&empty, &[-1, 0], true));
        }
    }
    for axis in [2, -3, isize::MAX, isize::MIN] {
        refuse(x.argmax(axis, false));
        refuse(x.softmax(axis));
        refuse(x.squeeze(axis));
        refuse(x.expand_dims(axis.saturating_mul(2)));
        refuse(x.transpose(&[0, axis]));
        refuse(x.take(&index(0), axis));
        refuse(A::concatenate(&[x.clone(), x.clone()], axis));
    }
    refuse(scalar.argmax(0, true));
    refuse(empty.argmax(1, true));
    refuse(scalar.softmax(0));

    // Linear algebra.
    refuse(x.matmul(&x));
    refuse(x.matmul(&y));
    refuse(y.matmul(&x));
    refuse(y.matmul(&array(&[1.0; 3], &[3])));
    refuse(x.matmul(&scalar));
    refuse(scalar.matmul(&x));
    refuse(integers.matmul(&integers));
    refuse(mask.matmul(&mask.transpose(&[1, 0]).unwrap()));
    refuse(cube.matmul(&A::zeros(&[3, 4, 5], Dtype::Float32).unwrap()));
    refuse(x.addmm(&x, &x, 1.0, 1.0));
    refuse(x.addmm(&x, &scalar, 1.0, 1.0));
    refuse(integers.addmm(&integers, &integers.transpose(&[1, 0]).unwrap(), 1.0, 1.0));
    refuse(y.addmm(&x, &x.transpose(&[1, 0]).unwrap(), 1.0, 1.0));
    refuse(cube.addmm(&cube, &A::zeros(&[3, 4, 4], Dtype::Float32).unwrap(), 1.0, 1.0));
    let heads = |shape: [usize; 4], dtype| A::zeros(&shape, dtype).unwrap();
    let floats = |shape| heads(shape, Dtype::Float32);
    let some = floats([1, 2, 3, 4]);
    refuse(cube.scaled_dot_product_attention(&some, &some, 1.0, None));
    refuse(some.scaled_dot_product_attention(&cube, &some, 1.0, None));
    refuse(some.scaled_dot_product_attention(&some, &cube, 1.0, None));
    for [keys, values] in [
        [[2, 2, 3, 4], [2, 2, 3, 4]],
        [[1, 2, 3, 5], [1, 2, 3, 5]],
        [[1, 2, 3, 4], [1, 2, 4, 4]],
        [[1, 1, 3, 4], [1, 2, 3, 4]],
        [[1, 3, 3, 4], [1, 3, 3, 4]],
        [[1, 0, 3, 4], [1, 0, 3, 4]],
    ] {
        refuse(some.scaled_dot_product_attention(&floats(keys), &floats(values), 1.0, None));
    }
    refuse(some.scaled_dot_product_attention(&some, &some, 1.0, Some(&y)));
    refuse(some.scaled_dot_product_attention(&some, &some, 1.0, Some(&floats([2, 2, 3, 3]))));
    let (integer_heads, half) = (heads([1, 2, 3, 4], Dtype::Int32), heads([1, 2, 3, 4], Dtype::Float16));
    refuse(integer_heads.scaled_dot_product_attention(&integer_heads, &integer_heads, 1.0, None));
    refuse(half.scaled_dot_product_attention(&half, &half, 1.0, Some(&array(&[1.0; 3], &[3]))));
    refuse(x.layer_norm(&y, &y, 1e-5));
    refuse(x.layer_norm(&array(&[1.0; 3], &[3]), &y, 1e-5));
    refuse(x.layer_norm(&x, &x, 1e-5));
    refuse(scalar.layer_norm(&y, &y, 1e-5));

    // Shapes and indexing.
    refuse(x.reshape(&[4]));
    refuse(x.reshape(&[usize::MAX, 2]));
    refuse(empty.reshape(&[1]));
    refuse(x.transpose(&[0]));
    refuse(x.transpose(&[0, 0]));
    refuse(x.transpose(&[0, 1, 2]));
    refuse(x.squeeze(0));
    refuse(x.squeeze(-1));
    refuse(scalar.squeeze(0));
    refuse(x.broadcast_to(&[3, 2]));
    refuse(x.broadcast_to(&[3]));
    refuse(x.broadcast_to(&[usize::MAX, 2, 3]));
    refuse(array::<A>(&[1.0; 2], &[2, 1]).broadcast_to(&[1, 3]));
    refuse(A::concatenate(&[], 0));
    refuse(A::concatenate(&[x.clone(), y.clone()], 0));
    refuse(A::concatenate(&[x.clone(), cube.clone()], 0));
    refuse(A::concatenate(&[x.clone(), array(&[1.0; 6], &[3, 2])], -1));
    refuse(x.slice(&[0, 0], &[2, 4]));
    refuse(x.slice(&[1, 0], &[0, 3]));
    refuse(x.slice(&[0], &[2]));
    refuse(x.slice(&[0, 0], &[usize::MAX, 3]));
    for at in [2, -1, i32::MAX, i32::MIN] {
        refuse(x.take(&index(at), 0));
    }
    refuse(x.take(&A::scalar(u32::MAX).unwrap(), 1));
    refuse(x.take(&scalar, 0));
    refuse(x.take(&mask, 0));
    refuse(empty.take(&index(0), 1));
    refuse(x.reshape(&[-2, 3]));
    refuse(x.reshape(&[-1, -1]));
    refuse(x.reshape(&[-1, 4]));
    refuse(empty.reshape(&[0, -1]));
    refuse(x.narrow(2, 0, 1));
    refuse(x.narrow(1, 1, 3));
    refuse(x.narrow(0, usize::MAX, 2));
    refuse(x.split(2, 1).map(|_| x.clone()));
    refuse(x.split(0, 1).map(|_| x.clone()));
    refuse(x.split(1, 2).map(|_| x.clone()));
    refuse(A::stack(&[], 0));
    refuse(A::stack(&[x.clone(), y.clone()], 0));
    refuse(A::stack(std::slice::from_ref(&x), 3));
    refuse(x.flatten(1, 0));
    refuse(x.flatten(0, 2));
    refuse(scalar.flatten(1, 0));
    refuse(x.swapaxes(0, 2));
    refuse(y.tril(0));
    refuse(scalar.triu(0));
    refuse(x.take_along_axis(&index(0), 0));
    refuse(x.take_along_axis(&x, 0));
    refuse(x.take_along_axis(&A::from_slice(&[0, 0], &[1, 2]).unwrap(), 0));
    refuse(x.take_along_axis(&A::from_slice(&[2], &[1, 1]).unwrap(), 0));
    refuse(empty.take_along_axis(&A::from_slice(&[0], &[1, 1]).unwrap(), 1));
    refuse(x.one_hot(3, Dtype::Float32));
    refuse(x.cross_entropy(&x));
    refuse(x.cross_entropy(&integers));
    refuse(scalar.cross_entropy(&index(0)));
    refuse(x.cross_entropy(&A::from_slice(&[0, 3], &[2]).unwrap()));
    refuse(empty.cross_entropy(&A::from_slice(&[0, 0], &[2]).unwrap()));
    refuse(x.log_softmax(2));
    refuse(x.clip(&y, 1.0));
    refuse(A::arange(0.0, 1.0, 0.0, Dtype::Float32));
    refuse(A::arange(0.0, f64::INFINITY, 1.0, Dtype::Float32));
    refuse(A::arange(0.0, 1e12, 1.0, Dtype::Float32));
    refuse(A::arange(0.0, 1.0, 1.0, Dtype::Bool));
    for axis in [2, -3] {
        refuse(x.var(&[axis], false, 0));
        refuse(x.std(&[0, axis], false, 1));
        refuse(x.all(&[axis], false));
        refuse(x.any(&[axis], true));
        refuse(x.argmin(axis, true));
    }
    refuse(empty.argmin(1, true));
    messages
}

#[test]
fn messages_are_the_same_on_both_backends() {
    let (on_cpu, on_mlx) = (messages::<cpu::Array>(), messages::<mlx::Array>());
    assert_eq!(on_cpu.len(), on_mlx.len());
    for (on_cpu, on_mlx) in on_cpu.iter().zip(&on_mlx) {
        assert_eq!(on_cpu, on_mlx);
        let (call, reason) = on_cpu.split_once(": ").unwrap();
        assert!(call.starts_with("cannot ") && !reason.is_empty(), "{on_cpu}");
    }
}
