//! Invalid operands are an `Error` that names the operation and the shapes, never a panic (guarantee 16).

use grad_runtime::{Array, Dtype, Error, Result};
use support::arrays::array;

use crate::on_every_backend;

/// Returns the name of the refused operation and the shapes of its operands.
#[track_caller]
fn refusal<A: Array>(result: Result<A>) -> (&'static str, Vec<Vec<usize>>) {
    match result.expect_err("invalid operands") {
        Error::Operation { op, operands, reason } => {
            assert!(!reason.is_empty());
            (op, operands.into_iter().map(|(shape, _)| shape).collect())
        }
        other => panic!("expected Error::Operation, found {other}"),
    }
}

on_every_backend! {
    fn guarantee_16_shapes_that_do_not_broadcast<A>() {
        let (x, y): (A, A) = (array(&[1.0; 6], &[2, 3]), array(&[1.0; 4], &[4]));
        let shapes = vec![vec![2, 3], vec![4]];
        assert_eq!(refusal(x.add(&y)), ("add", shapes.clone()));
        assert_eq!(refusal(x.subtract(&y)), ("subtract", shapes.clone()));
        assert_eq!(refusal(x.multiply(&y)), ("multiply", shapes.clone()));
        assert_eq!(refusal(x.divide(&y)), ("divide", shapes.clone()));
        assert_eq!(refusal(x.maximum(&y)), ("maximum", shapes.clone()));
        assert_eq!(refusal(x.power(&y)), ("power", shapes.clone()));
        assert_eq!(refusal(x.equal(&y)), ("equal", shapes.clone()));
        assert_eq!(refusal(x.matmul(&y)), ("matmul", shapes));
        assert_eq!(refusal(x.matmul(&x)), ("matmul", vec![vec![2, 3]; 2]));
        assert_eq!(refusal(x.layer_norm(&y, &y, 1e-5)), ("layer_norm", vec![vec![2, 3], vec![4], vec![4]]));
        assert_eq!(refusal(A::concatenate(&[x.clone(), y.clone()], 0)), ("concatenate", vec![vec![2, 3], vec![4]]));
        let mask = x.greater(&x).unwrap();
        assert_eq!(refusal(mask.where_cond(&x, &y)), ("where_cond", vec![vec![2, 3], vec![2, 3], vec![4]]));
        assert_eq!(refusal(x.reshape(&[4])), ("reshape", vec![vec![2, 3]]));
        assert_eq!(refusal(x.broadcast_to(&[3, 2])), ("broadcast_to", vec![vec![2, 3]]));
    }

    fn guarantee_16_axes_out_of_range<A>() {
        let x: A = array(&[1.0; 6], &[2, 3]);
        for axis in [2, -3, isize::MAX, isize::MIN] {
            assert_eq!(refusal(x.sum(&[axis], false)).0, "sum");
            assert_eq!(refusal(x.mean(&[axis], false)).0, "mean");
            assert_eq!(refusal(x.max(&[axis], true)).0, "max");
            assert_eq!(refusal(x.logsumexp(&[axis], true)).0, "logsumexp");
            assert_eq!(refusal(x.argmax(axis, false)).0, "argmax");
            assert_eq!(refusal(x.softmax(axis)).0, "softmax");
            assert_eq!(refusal(x.squeeze(axis)).0, "squeeze");
            assert_eq!(refusal(A::concatenate(&[x.clone(), x.clone()], axis)).0, "concatenate");
            assert_eq!(refusal(x.take(&A::scalar(0_u32).unwrap(), axis)).0, "take");
            assert_eq!(refusal(x.transpose(&[0, axis])).0, "transpose");
        }
        assert_eq!(refusal(x.expand_dims(4)).0, "expand_dims");
        assert_eq!(refusal(x.sum(&[0, 0], false)).0, "sum", "an axis twice");
        assert_eq!(refusal(x.transpose(&[0, 0])).0, "transpose", "an axis twice");
        assert_eq!(refusal(x.transpose(&[0])).0, "transpose", "an axis missing");
        assert_eq!(refusal(x.squeeze(0)).0, "squeeze", "an axis of another length than 1");
    }

    fn guarantee_16_ranges_and_indices_out_of_bounds<A>() {
        let x: A = array(&[1.0; 6], &[2, 3]);
        assert_eq!(refusal(x.slice(&[0, 0], &[2, 4])).0, "slice");
        assert_eq!(refusal(x.slice(&[1, 0], &[0, 3])).0, "slice");
        assert_eq!(refusal(x.slice(&[0], &[2])).0, "slice");
        for index in [2_i32, -1, i32::MAX, i32::MIN] {
            assert_eq!(refusal(x.take(&A::scalar(index).unwrap(), 0)), ("take", vec![vec![2, 3], vec![]]));
        }
        assert_eq!(refusal(x.take(&A::scalar(u32::MAX).unwrap(), 0)).0, "take");
        assert_eq!(refusal(x.take(&A::scalar(1.0_f32).unwrap(), 0)).0, "take", "indices are integers");
    }

    fn guarantee_16_elements_that_do_not_fill_the_shape<A>() {
        assert_eq!(refusal(A::from_slice(&[1.0_f32; 5], &[2, 3])), ("from_buffer", vec![vec![2, 3]]));
        assert_eq!(refusal(A::from_slice(&[1.0_f32; 5], &[usize::MAX, 2])).0, "from_buffer");
        assert_eq!(refusal(A::full(&[usize::MAX, usize::MAX], 0.0, Dtype::Float32)).0, "full");
    }

    fn elements_of_another_type<A>() {
        let x: A = array(&[1.0; 6], &[2, 3]);
        let message = x.to_vec::<i32>().unwrap_err().to_string();
        assert_eq!(message, "to_vec of float32[2, 3]: the elements are not int32: convert them with `astype` first");
        let message = x.item::<f32>().unwrap_err().to_string();
        assert_eq!(message, "item of float32[2, 3]: only an array of size 1 has an item");
    }

    fn dtypes_without_a_common_dtype<A>() {
        let (x, y) = (A::ones(&[1], Dtype::Int32).unwrap(), A::ones(&[1], Dtype::UInt32).unwrap());
        assert_eq!(refusal(x.add(&y)).0, "add", "it would be int64");
    }

    fn invalid_transforms<A>() {
        let x: A = array(&[1.0, 2.0], &[2]);
        let operation = |result: Result<(A, Vec<A>)>| refusal(result.map(|(value, _)| value)).0;
        assert_eq!(operation(A::value_and_grad(|x| x[0].square(), std::slice::from_ref(&x))), "value_and_grad", "not a scalar");
        assert_eq!(operation(A::value_and_grad(|_| A::scalar(1.0_f32), &[])), "value_and_grad", "no primals");
        let integers = x.astype(Dtype::Int32).unwrap();
        assert_eq!(operation(A::value_and_grad(|x| x[0].sum_all(), &[integers])), "value_and_grad", "integers");
        let integer_loss = A::value_and_grad(|x| x[0].argmax(0, false), &[x]);
        assert_eq!(operation(integer_loss), "value_and_grad", "an integer loss");
    }
}
