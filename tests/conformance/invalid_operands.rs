//! Operands that do not fit: an `Error` that names the function that was called and the operands, and no panic.

use grad_runtime::{Array, Dtype, Error, Params, Result, inference_mode, params};
use support::arrays::array;

use crate::on_every_backend;

type Transform<A> = fn(&[A]) -> Result<()>;

/// Returns the name of the operation that failed and the shapes of its operands.
#[track_caller]
fn refusal<A: Array>(result: Result<A>) -> (&'static str, Vec<Vec<usize>>) {
    match result.expect_err("invalid operands") {
        Error::Operation { op, operands, reason } => {
            assert!(!reason.is_empty());
            (op, operands.into_iter().map(|operand| operand.shape).collect())
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
        assert_eq!(refusal(y.addmm(&x, &x, 1.0, 1.0)), ("addmm", vec![vec![4], vec![2, 3], vec![2, 3]]));
        let attended = x.scaled_dot_product_attention(&x, &x, 1.0, Some(&y));
        assert_eq!(refusal(attended), ("scaled_dot_product_attention", [vec![vec![2, 3]; 3], vec![vec![4]]].concat()));
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

    fn elements_that_do_not_fill_the_shape<A>() {
        assert_eq!(refusal(A::from_slice(&[1.0_f32; 5], &[2, 3])), ("from_slice", vec![vec![2, 3]]));
        assert_eq!(refusal(A::from_slice(&[1.0_f32; 5], &[usize::MAX, 2])).0, "from_slice");
        assert_eq!(refusal(A::full(&[usize::MAX, usize::MAX], 0.0, Dtype::Float32)).0, "full");
    }

    /// 2^46 elements of 4 bytes are more than a process can address.
    fn guarantee_16_arrays_that_do_not_fit_in_memory<A>() {
        const SIDE: usize = 1 << 23;
        let read = |created: Result<A>| created.and_then(|x| x.to_vec::<f32>()).unwrap_err().to_string();
        assert!(read(A::zeros(&[SIDE, SIDE], Dtype::Float32)).contains("memory"));
        let one: A = array(&[1.0], &[1, 1]);
        assert!(read(one.broadcast_to(&[SIDE, SIDE])).contains("memory"));
        let (column, row) = (A::ones(&[SIDE, 1], Dtype::Float32).unwrap(), A::ones(&[1, SIDE], Dtype::Float32).unwrap());
        assert!(read(column.multiply(&row)).contains("memory"));
        assert!(read(column.matmul(&row)).contains("memory"));
    }

    fn elements_of_another_type<A>() {
        let x: A = array(&[1.0; 6], &[2, 3]);
        let message = x.to_vec::<i32>().unwrap_err().to_string();
        assert_eq!(message, "cannot to_vec float32[2, 3]: the elements are float32, not int32; convert them with `astype` first");
        let message = x.item::<f32>().unwrap_err().to_string();
        assert_eq!(message, "cannot item float32[2, 3]: the array has 6 elements, not 1; use `to_vec`");
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

    /// Functions that are built on others, too, report their own name.
    fn errors_name_the_function_that_was_called<A>() {
        let x: A = array(&[1.0; 6], &[2, 3]);
        let (y, scalar): (A, A) = (array(&[1.0; 4], &[4]), array(&[1.0], &[]));
        let integers = x.astype(Dtype::Int32).unwrap();
        let (mask, indices) = (x.equal(&x).unwrap(), A::scalar(9_u32).unwrap());
        let too_large = [usize::MAX, 2];
        let from_buffer = |array: &A, shape: &[usize]| A::from_buffer(array.to_buffer().unwrap(), shape);
        let refused = [
            ("from_slice", A::from_slice(&[1.0_f32], &[2])),
            ("from_buffer", from_buffer(&x, &[2])),
            ("full", A::full(&too_large, 0.0, Dtype::Float32)),
            ("zeros", A::zeros(&too_large, Dtype::Float32)),
            ("ones", A::ones(&too_large, Dtype::Float32)),
            ("negative", mask.negative()),
            ("add", x.add(&y)),
            ("subtract", x.subtract(&y)),
            ("multiply", x.multiply(&y)),
            ("divide", x.divide(&y)),
            ("divide", integers.divide(&y.astype(Dtype::Int32).unwrap())),
            ("maximum", x.maximum(&y)),
            ("minimum", x.minimum(&y)),
            ("power", x.power(&y)),
            ("equal", x.equal(&y)),
            ("greater", x.greater(&y)),
            ("less", x.less(&y)),
            ("where_cond", mask.where_cond(&x, &y)),
            ("sum", x.sum(&[7], false)),
            ("sum", mask.sum(&[7], true)),
            ("mean", x.mean(&[7], false)),
            ("mean", integers.mean(&[7], true)),
            ("max", x.max(&[7], false)),
            ("max", A::zeros(&[2, 0], Dtype::Float32).unwrap().max(&[1], false)),
            ("min", x.min(&[7], false)),
            ("logsumexp", x.logsumexp(&[7], false)),
            ("argmax", x.argmax(7, false)),
            ("matmul", x.matmul(&x)),
            ("matmul", y.matmul(&x)),
            ("matmul", x.matmul(&scalar)),
            ("addmm", x.addmm(&x, &x, 1.0, 1.0)),
            ("addmm", x.addmm(&y, &scalar, 1.0, 1.0)),
            ("softmax", x.softmax(7)),
            ("layer_norm", x.layer_norm(&y, &y, 0.1)),
            ("layer_norm", scalar.layer_norm(&y, &y, 0.1)),
            ("scaled_dot_product_attention", x.scaled_dot_product_attention(&x, &x, 1.0, None)),
            ("reshape", x.reshape(&[7])),
            ("transpose", x.transpose(&[0])),
            ("expand_dims", x.expand_dims(7)),
            ("squeeze", x.squeeze(0)),
            ("broadcast_to", x.broadcast_to(&[7])),
            ("concatenate", A::concatenate(&[], 0)),
            ("concatenate", A::concatenate(&[x.clone(), y], 0)),
            ("slice", x.slice(&[0, 0], &[2, 4])),
            ("take", x.take(&indices, 0)),
        ];
        for (name, result) in refused {
            let error = result.expect_err(name);
            assert!(matches!(error, Error::Operation { op, .. } if op == name), "{name}: {error}");
            assert!(error.to_string().starts_with(&format!("cannot {name}")), "{name}: {error}");
        }
        for (name, error) in [
            ("to_vec", x.to_vec::<bool>().unwrap_err()),
            ("item", x.item::<f32>().unwrap_err()),
            ("item", scalar.item::<bool>().unwrap_err()),
            ("zip_with", vec![x.clone()].zip_with(&vec![], |x, y| x.add(y)).unwrap_err()),
        ] {
            assert!(matches!(error, Error::Operation { op, .. } if op == name), "{name}: {error}");
        }
    }

    /// No primals, an integer primal, a value that is not a scalar, and inference mode.
    fn errors_name_the_transform_that_was_called<A>() {
        let (x, scalar): (A, A) = (array(&[1.0; 6], &[2, 3]), array(&[1.0], &[]));
        let integers = x.astype(Dtype::Int32).unwrap();
        let transforms: [(&str, Transform<A>); 5] = [
            ("grad", |x| A::grad(|x| x[0].square(), x).map(drop)),
            ("value_and_grad", |x| A::value_and_grad(|x| x[0].square(), x).map(drop)),
            ("grad", |x| params::grad(|x: &Vec<A>| x[0].square(), &x.to_vec()).map(drop)),
            ("value_and_grad", |x| params::value_and_grad(|x: &Vec<A>| x[0].square(), &x.to_vec()).map(drop)),
            ("value_and_grad_with_aux", |x| {
                let function = |x: &Vec<A>| Ok::<_, Error>((x[0].square()?, ()));
                params::value_and_grad_with_aux(function, &x.to_vec()).map(drop)
            }),
        ];
        for (name, transform) in transforms {
            for primals in [vec![], vec![integers.clone()], vec![x.clone()]] {
                let error = transform(&primals).unwrap_err();
                assert!(matches!(error, Error::Operation { op, .. } if op == name), "{name}: {error}");
            }
            let error = inference_mode!(transform(std::slice::from_ref(&scalar))).unwrap_err();
            assert!(matches!(error, Error::InferenceMode { transform } if transform == name), "{name}: {error}");
        }
    }

    /// An error of the differentiated function names the operation in it.
    fn errors_inside_a_transform_name_the_operation<A>() {
        let x: A = array(&[1.0; 6], &[2, 3]);
        let refused = A::grad(|x| x[0].sum(&[7], false), std::slice::from_ref(&x));
        assert!(matches!(refused.unwrap_err(), Error::Operation { op: "sum", .. }));
        let refused = params::grad(|x: &A| x.squeeze(0)?.sum_all(), &x);
        assert!(matches!(refused.unwrap_err(), Error::Operation { op: "squeeze", .. }));
    }

    fn messages_say_what_was_found<A>() {
        let x: A = array(&[1.0; 6], &[2, 3]);
        let message = |refused: Result<A>| refused.unwrap_err().to_string();
        assert_eq!(
            message(A::from_slice(&[1.0_f32; 5], &[2, 3])),
            "cannot from_slice float32[2, 3]: 5 elements were given, and the shape holds 6"
        );
        assert_eq!(
            message(A::grad(|x| x[0].square(), std::slice::from_ref(&x)).map(|mut gradients| gradients.remove(0))),
            "cannot grad float32[2, 3]: the value of the function is not a floating point scalar; reduce it, for example \
             with `sum_all`"
        );
        assert_eq!(
            message(inference_mode!(params::grad(|x: &A| x.sum_all(), &x))),
            "cannot start grad in inference mode: nothing can be recorded there; leave it with `inference_mode(false)`, or \
             use `no_grad` instead"
        );
    }
}
