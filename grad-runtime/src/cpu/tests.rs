//! Tests of the tape itself, and of every gradient against finite differences, in first and second order.
#![allow(clippy::float_cmp, reason = "the numbers in these tests are exact")]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice::from_ref;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};

use super::tape::record;
use super::{Array, elementwise};
use crate::dtype::Dtype;
use crate::{Error, Result, grad_mode, inference_mode, no_grad, params};

fn array(elements: &[f32], shape: &[usize]) -> Array {
    Array::from_slice(elements, shape).unwrap()
}

/// Returns pseudorandom numbers between `low` and `high`, the same in each run.
fn numbers(seed: u32, shape: &[usize], low: f32, high: f32) -> Array {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        low + (high - low) * f32::from(u16::try_from(state >> 16).unwrap()) / 65_535.0
    };
    let elements: Vec<_> = (0..shape.iter().product()).map(|_| next()).collect();
    array(&elements, shape)
}

type Function = dyn Fn(&[Array]) -> Result<Array>;

/// Reduces the result of `function` to a scalar, with a different weight for each element.
fn scalar(function: &Function, primals: &[Array]) -> Result<Array> {
    let result = function(primals)?;
    let weights = numbers(99, &result.shape(), 0.5, 1.5);
    result.multiply(&weights)?.sum_all()
}

/// Asserts that the gradient of `function` agrees with finite differences.
fn assert_gradient(name: &str, function: &Function, primals: &[Array]) {
    const STEP: f32 = 1e-2;
    let gradients = Array::grad(function, primals).unwrap();
    for (at, gradient) in gradients.iter().enumerate() {
        assert_eq!(gradient.shape(), primals[at].shape(), "{name}");
        let elements = primals[at].to_vec::<f32>().unwrap();
        for (element, found) in gradient.to_vec::<f32>().unwrap().into_iter().enumerate() {
            let value = |step: f32| {
                let mut moved = elements.clone();
                moved[element] += step;
                let mut primals = primals.to_vec();
                primals[at] = array(&moved, &primals[at].shape());
                function(&primals).unwrap().item::<f32>().unwrap()
            };
            // Fourth order allows a step that is large enough for float32.
            let near = (value(STEP) - value(-STEP)) * (2.0 / 3.0);
            let far = (value(2.0 * STEP) - value(-2.0 * STEP)) / 12.0;
            let expected = (near - far) / STEP;
            let error = (found - expected).abs() / (1.0 + expected.abs());
            assert!(error < 1e-2, "{name}, primal {at}, element {element}: {found} is not {expected}");
        }
    }
}

/// Asserts that the gradient, and that of the sum of its squares, agree with finite differences.
fn assert_gradients(name: &str, primals: &[Array], function: impl Fn(&[Array]) -> Result<Array> + 'static) {
    let first = move |primals: &[Array]| scalar(&function, primals);
    assert_gradient(name, &first, primals);
    let second = move |primals: &[Array]| {
        let gradients = Array::grad(&first, primals)?;
        gradients.iter().try_fold(Array::scalar(0.0_f32)?, |sum, gradient| sum.add(&gradient.square()?.sum_all()?))
    };
    assert_gradient(&format!("{name}, second order"), &second, primals);
}

#[test]
fn an_auxiliary_output_does_not_hold_what_the_transform_recorded() {
    let x = numbers(1, &[3], -1.0, 1.0);
    let kept = RefCell::new(None);
    let ((_, aux), _) = params::value_and_grad_with_aux(
        |x: &Array| {
            let square = x.square()?;
            *kept.borrow_mut() = Some(square.clone());
            Ok::<_, Error>((square.sum_all()?, (square, x.clone())))
        },
        &x,
    )
    .unwrap();
    assert!(kept.into_inner().unwrap().node.is_some(), "an array that leaves by side effect keeps its node");
    assert!(aux.0.node.is_none() && aux.1.node.is_none());
}

#[test]
fn gradients_of_functions_of_an_element() {
    let any = numbers(1, &[2, 3], -1.5, 1.5);
    let positive = numbers(2, &[2, 3], 0.5, 2.0);
    let away_from_zero = array(&[-1.3, -0.4, 0.3, 0.8, 1.1, -0.7], &[2, 3]);
    let check = |name, x: &Array, function: fn(&Array) -> Result<Array>| {
        assert_gradients(name, from_ref(x), move |primals| function(&primals[0]));
    };
    check("abs", &away_from_zero, |x| x.abs()?.multiply(x));
    check("negative", &any, |x| x.negative()?.multiply(x));
    check("exp", &any, Array::exp);
    check("log", &positive, Array::log);
    check("sqrt", &positive, Array::sqrt);
    check("square", &any, Array::square);
    check("sin", &any, Array::sin);
    check("cos", &any, Array::cos);
    check("tanh", &any, Array::tanh);
    check("erf", &any, Array::erf);
    check("sigmoid", &any, Array::sigmoid);
    check("relu", &away_from_zero, |x| x.relu()?.multiply(x));
    check("gelu", &any, Array::gelu);
    check("affine", &any, |x| x.affine(1.5, -0.5)?.multiply(x));
}

#[test]
fn gradients_of_functions_of_a_pair() {
    let shapes: [(&[usize], &[usize]); 5] =
        [(&[2, 3], &[2, 3]), (&[2, 3], &[3]), (&[2, 1], &[3]), (&[], &[2, 2]), (&[3], &[2, 1, 1])];
    for (x, y) in shapes {
        let pair = |low, high| [numbers(3, x, low, high), numbers(4, y, low, high)];
        let check = |name: &str, pair: [Array; 2], function: fn(&Array, &Array) -> Result<Array>| {
            let name = format!("{name} of {x:?} and {y:?}");
            assert_gradients(&name, &pair, move |primals| function(&primals[0], &primals[1]));
        };
        check("add", pair(-1.0, 1.0), |x, y| x.add(y)?.square());
        check("subtract", pair(-1.0, 1.0), |x, y| x.subtract(y)?.square());
        check("multiply", pair(-1.0, 1.0), |x, y| x.multiply(y));
        check("divide", pair(0.5, 1.5), |x, y| x.divide(y));
        check("power", pair(0.5, 1.5), |x, y| x.power(y));
        let apart = [numbers(5, x, 0.5, 1.0), numbers(6, y, 1.1, 1.5)];
        check("maximum", apart.clone(), |x, y| x.maximum(y)?.square());
        check("minimum", apart, |x, y| x.minimum(y)?.square());
        check("where_cond", pair(-1.0, 1.0), |x, y| {
            let condition = Array::from_slice(&[true, false], &[2, 1, 1])?;
            condition.where_cond(&x.square()?, &y.sin()?)
        });
    }
}

#[test]
fn gradients_of_reductions() {
    let x = numbers(7, &[2, 3, 2], -1.0, 1.0);
    for axes in [&[0][..], &[1], &[-1], &[0, 2], &[2, 0, 1], &[]] {
        for keepdims in [false, true] {
            let check = |name: &str, function: fn(&Array, &[isize], bool) -> Result<Array>| {
                let name = format!("{name} over {axes:?}");
                assert_gradients(&name, from_ref(&x), move |primals| function(&primals[0], axes, keepdims));
            };
            check("sum", |x, axes, keepdims| x.sum(axes, keepdims)?.square());
            check("mean", |x, axes, keepdims| x.mean(axes, keepdims)?.square());
            check("max", |x, axes, keepdims| x.max(axes, keepdims)?.square());
            check("min", |x, axes, keepdims| x.min(axes, keepdims)?.square());
            check("logsumexp", Array::logsumexp);
        }
    }
    for axis in [0, 1, -1] {
        assert_gradients("softmax", from_ref(&x), move |primals| primals[0].softmax(axis));
    }
}

#[test]
fn gradients_of_matmul() {
    let shapes: [(&[usize], &[usize]); 8] = [
        (&[2, 3], &[3, 2]),
        (&[3], &[3]),
        (&[3], &[3, 2]),
        (&[2, 3], &[3]),
        (&[2, 2, 3], &[3, 2]),
        (&[2, 3], &[2, 3, 2]),
        (&[2, 1, 2, 3], &[2, 3, 2]),
        (&[2, 2, 3], &[3]),
    ];
    for (x, y) in shapes {
        let pair = [numbers(8, x, -1.0, 1.0), numbers(9, y, -1.0, 1.0)];
        assert_gradients(&format!("matmul of {x:?} and {y:?}"), &pair, |primals| primals[0].matmul(&primals[1]));
    }
    let pair = [numbers(8, &[2, 3, 2, 2], -1.0, 1.0), numbers(9, &[2, 3, 2, 2], -1.0, 1.0)];
    assert_gradients("matmul of transposed", &pair, |primals| {
        let x = primals[0].transpose(&[0, 2, 1, 3])?;
        x.matmul(&primals[1].transpose(&[0, 2, 3, 1])?)
    });
}

#[test]
fn gradients_of_layer_norm() {
    let primals = [numbers(10, &[2, 2, 4], -1.0, 1.0), numbers(11, &[4], 0.5, 1.5), numbers(12, &[4], -1.0, 1.0)];
    assert_gradients("layer_norm", &primals, |primals| primals[0].layer_norm(&primals[1], &primals[2], 0.1));
}

#[test]
fn gradients_of_shapes_and_indexing() {
    let x = numbers(13, &[2, 3, 1], -1.0, 1.0);
    let check = |name, function: fn(&Array) -> Result<Array>| {
        assert_gradients(name, from_ref(&x), move |primals| function(&primals[0].sin()?)?.square());
    };
    check("reshape", |x| x.reshape(&[3, 2]));
    check("transpose", |x| x.transpose(&[2, 0, 1]));
    check("reshape of transpose", |x| x.transpose(&[1, 0, 2])?.reshape(&[6]));
    check("expand_dims", |x| x.expand_dims(-2));
    check("squeeze", |x| x.squeeze(-1));
    check("broadcast_to", |x| x.broadcast_to(&[2, 2, 3, 2]));
    check("concatenate", |x| Array::concatenate(&[x.clone(), x.exp()?, x.slice(&[0, 1, 0], &[2, 2, 1])?], 1));
    check("slice", |x| x.slice(&[1, 0, 0], &[2, 2, 1]));
    check("take", |x| x.take(&Array::from_slice(&[2_u32, 0, 2, 2], &[2, 2])?, 1));
    check("take of a column", |x| x.take(&Array::scalar(1_i32)?, 0));
    check("astype", |x| x.astype(Dtype::Float32));
}

#[test]
fn gradients_pass_through_half_precision() {
    for dtype in [Dtype::Float16, Dtype::BFloat16] {
        let x = array(&[0.5, 2.0], &[2]);
        let gradients = Array::grad(|primals| primals[0].astype(dtype)?.square()?.sum_all(), from_ref(&x)).unwrap();
        assert_eq!(gradients[0].to_vec::<f32>().unwrap(), [1.0, 4.0]);
        let gradients =
            Array::grad(|primals| primals[0].multiply(&x)?.sum_all(), &[x.astype(dtype).unwrap()]).unwrap();
        assert_eq!(gradients[0].dtype(), dtype);
        assert_eq!(gradients[0].astype(Dtype::Float32).unwrap().to_vec::<f32>().unwrap(), [0.5, 2.0]);
    }
}

#[test]
fn slopes_at_kinks_and_ties_are_those_of_mlx() {
    let grad = |x: &[f32], function: fn(&Array) -> Result<Array>| {
        let x = array(x, &[x.len()]);
        Array::grad(|primals| function(&primals[0])?.sum_all(), &[x]).unwrap()[0].to_vec::<f32>().unwrap()
    };
    assert_eq!(grad(&[0.0], Array::abs), [0.0]);
    assert_eq!(grad(&[0.0], Array::relu), [0.0]);
    assert_eq!(grad(&[2.0, 1.0, 2.0], |x| x.max(&[0], false)), [0.5, 0.0, 0.5]);
    assert_eq!(grad(&[1.0, 1.0, 2.0], |x| x.min(&[0], false)), [0.5, 0.5, 0.0]);
    assert_eq!(grad(&[1.0], |x| x.maximum(&x.stop_gradient()?)), [0.0]);
    assert_eq!(grad(&[1.0], |x| x.stop_gradient()?.minimum(x)), [1.0]);
    assert_eq!(grad(&[0.0, 3.0], |x| x.power(&Array::scalar(0.0_f32)?)), [0.0, 0.0]);
    assert_eq!(grad(&[0.0, -3.0], |x| x.power(&Array::scalar(2.0_f32)?)), [0.0, -6.0]);
    assert_eq!(grad(&[2.0], |x| Array::scalar(0.0_f32)?.power(x)), [0.0]);
}

type Operation = fn(&Array) -> Result<Array>;

/// Every operation, also with arguments that change nothing.
const OPERATIONS: [(&str, Operation); 49] = [
    ("abs", Array::abs),
    ("negative", Array::negative),
    ("exp", Array::exp),
    ("log", Array::log),
    ("sqrt", Array::sqrt),
    ("square", Array::square),
    ("sin", Array::sin),
    ("cos", Array::cos),
    ("tanh", Array::tanh),
    ("erf", Array::erf),
    ("sigmoid", Array::sigmoid),
    ("relu", Array::relu),
    ("gelu", Array::gelu),
    ("add", |x| x.add(x)),
    ("subtract", |x| x.subtract(x)),
    ("multiply", |x| x.multiply(x)),
    ("divide", |x| x.divide(x)),
    ("maximum", |x| x.maximum(x)),
    ("minimum", |x| x.minimum(x)),
    ("power", |x| x.power(x)),
    ("where_cond", |x| x.greater(x)?.where_cond(x, x)),
    ("sum", |x| x.sum(&[0], false)),
    ("sum over none", |x| x.sum(&[], false)),
    ("mean", |x| x.mean(&[0], false)),
    ("mean over none", |x| x.mean(&[], false)),
    ("max", |x| x.max(&[0], false)),
    ("max over none", |x| x.max(&[], false)),
    ("min", |x| x.min(&[0], true)),
    ("logsumexp", |x| x.logsumexp(&[0], false)),
    ("softmax", |x| x.softmax(0)),
    ("sum_all", Array::sum_all),
    ("mean_all", Array::mean_all),
    ("matmul", |x| x.matmul(x)),
    ("matmul of rows", |x| x.expand_dims(0)?.matmul(x)),
    ("matmul of a batch", |x| x.reshape(&[1, 1, 2])?.matmul(&x.reshape(&[2, 1])?)),
    ("layer_norm", |x| x.layer_norm(x, x, 0.1)),
    ("reshape", |x| x.reshape(&[2, 1])),
    ("reshape to the same", |x| x.reshape(&[2])),
    ("transpose", |x| x.transpose(&[0])),
    ("expand_dims", |x| x.expand_dims(0)),
    ("squeeze", |x| x.expand_dims(0)?.squeeze(0)),
    ("broadcast_to", |x| x.broadcast_to(&[3, 2])),
    ("broadcast_to the same", |x| x.broadcast_to(&[2])),
    ("concatenate", |x| Array::concatenate(&[x.clone(), x.clone()], 0)),
    ("concatenate one", |x| Array::concatenate(from_ref(x), 0)),
    ("slice", |x| x.slice(&[0], &[2])),
    ("take", |x| x.take(&Array::from_slice(&[1_u32], &[1])?, 0)),
    ("astype", |x| x.astype(Dtype::Float16)),
    ("astype the same", |x| x.astype(Dtype::Float32)),
];

#[test]
fn every_operation_is_recorded_in_a_transform_and_not_in_a_scope() {
    let x = array(&[1.0, 2.0], &[2]);
    for (name, operation) in OPERATIONS {
        let function = |primals: &[Array]| {
            let recorded = operation(&primals[0])?;
            assert!(recorded.is_tracer(), "{name}");
            let constant = no_grad! { operation(&primals[0])? };
            assert!(constant.node.is_none(), "{name}");
            assert_eq!(constant.to_buffer()?, recorded.to_buffer()?, "{name}");
            primals[0].sum_all()
        };
        Array::grad(function, from_ref(&x)).unwrap();
        assert!(operation(&x).unwrap().node.is_none(), "{name}");
    }
}

#[test]
fn an_array_made_in_a_scope_or_outside_of_a_transform_has_no_node() {
    let x = array(&[1.0, 2.0], &[2]);
    assert!(x.exp().unwrap().node.is_none());
    Array::grad(
        |primals| {
            let x = &primals[0];
            assert!(x.is_tracer());
            no_grad! { assert!(x.exp()?.node.is_none()) }
            assert!(x.greater(&x.exp()?)?.node.is_none());
            assert!(x.astype(Dtype::Int32)?.node.is_none());
            assert!(x.stop_gradient()?.node.is_none());
            x.exp()?.sum_all()
        },
        &[x],
    )
    .unwrap();
}

#[test]
fn results_of_the_outermost_transform_have_no_node_and_those_of_inner_ones_do() {
    let x = Array::scalar(3.0_f32).unwrap();
    let cube = |primals: &[Array]| primals[0].square()?.multiply(&primals[0]);
    let (value, gradients) = Array::value_and_grad(
        |primals| {
            let (value, gradients) = Array::value_and_grad(cube, primals)?;
            assert!(value.is_tracer() && gradients[0].is_tracer());
            let (value, gradients) = no_grad! { Array::value_and_grad(cube, primals)? };
            assert!(value.node.is_none() && gradients[0].node.is_none());
            Array::grad(cube, primals).map(|mut gradients| gradients.remove(0))
        },
        &[x],
    )
    .unwrap();
    assert!(value.node.is_none() && gradients[0].node.is_none());
    assert_eq!(value.item::<f32>().unwrap(), 27.0);
    assert_eq!(gradients[0].item::<f32>().unwrap(), 18.0);
}

#[test]
fn a_stale_graph_is_freed() {
    let leaked = RefCell::new(None);
    let x = array(&[1.0, 2.0], &[2]);
    let function = |primals: &[Array]| {
        let y = primals[0].exp()?;
        *leaked.borrow_mut() = Some(y.clone());
        y.sum_all()
    };
    Array::grad(function, from_ref(&x)).unwrap();
    let stale = leaked.take().unwrap();
    assert!(!stale.is_tracer());
    let watched = Arc::downgrade(stale.node.as_ref().unwrap());

    // Neither an operation nor another transform keeps the graph of the one that ended.
    let constant = stale.exp().unwrap();
    assert!(constant.node.is_none());
    let gradients = Array::grad(
        |primals| {
            let product = primals[0].multiply(&stale)?;
            assert!(product.node.as_ref().unwrap().is_made_from_constants_and_leaves());
            product.sum_all()
        },
        &[x],
    )
    .unwrap();
    assert_eq!(gradients[0].to_vec::<f32>().unwrap(), stale.to_vec::<f32>().unwrap());
    drop(stale);
    assert!(watched.upgrade().is_none());
}

#[test]
fn a_deep_chain_is_walked_and_dropped_without_recursion() {
    let x = Array::scalar(1.0_f32).unwrap();
    let gradients =
        Array::grad(|primals| (0..200_000).try_fold(primals[0].clone(), |x, _| x.negative()), &[x]).unwrap();
    assert_eq!(gradients[0].item::<f32>().unwrap(), 1.0);
}

#[test]
fn a_transform_that_panics_or_fails_ends() {
    let x = Array::scalar(1.0_f32).unwrap();
    let leaked = RefCell::new(None);
    let guard = no_grad();
    let mode = grad_mode();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        Array::grad::<_, Error>(
            |primals| {
                *leaked.borrow_mut() = Some(primals[0].clone());
                panic!("in the function")
            },
            from_ref(&x),
        )
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"in the function"));
    assert_eq!(grad_mode(), mode);
    assert!(!leaked.take().unwrap().is_tracer());

    let failed = Array::grad(
        |primals| {
            *leaked.borrow_mut() = Some(primals[0].clone());
            primals[0].sum(&[7], false)
        },
        from_ref(&x),
    );
    assert_eq!(
        failed.unwrap_err().to_string(),
        "cannot sum float32[]: axis 7 is out of range; a scalar has no axes"
    );
    assert_eq!(grad_mode(), mode);
    assert!(!leaked.take().unwrap().is_tracer());
    drop(guard);

    let _guard = inference_mode(true);
    let refused = Array::grad(|primals| primals[0].square(), &[x]);
    assert!(matches!(refused.unwrap_err(), Error::InferenceMode { transform: "grad" }));
}

#[test]
fn an_error_of_a_vjp_names_the_transform() {
    let x = array(&[1.0, 2.0], &[2]);
    let function = |primals: &[Array]| {
        record(x.tensor().clone(), x.dtype(), &[&primals[0]], |_, args| args.cotangent.reshape(&[7])).sum_all()
    };
    let error = Array::grad(function, from_ref(&x)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot grad float32[2]: shape [7] holds 7 elements, and the array has 2; they must be equal"
    );
}

#[test]
fn tensors_without_an_array_are_refused() {
    let message = |tensor: &Tensor| Array::from_tensor(tensor).unwrap_err().to_string();
    let tensor = |dtype| Tensor::full(1_f32, &[1], &Device::Cpu).and_then(|x| x.to_dtype(dtype)).unwrap();
    assert_eq!(
        message(&tensor(DType::F8E4M3)),
        "cannot from_tensor: there are no arrays of F8E4M3; convert the tensor with `to_dtype`"
    );
    let axes = tensor(DType::F32).reshape(vec![1; 9]).unwrap();
    assert!(message(&axes).ends_with(" has 9 axes; an array on the CPU has at most 8"));
}

#[test]
fn transforms_that_overlap_on_two_threads_keep_their_own_tracers() {
    // The first ends while the second, which uses one of its arrays, still runs.
    let x = Array::scalar(2.0_f32).unwrap();
    let (hand_over, taken) = std::sync::mpsc::channel::<Array>();
    let (use_it, used) = std::sync::mpsc::channel::<()>();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let second = std::thread::spawn({
        let x = x.clone();
        move || {
            let foreign = taken.recv().unwrap();
            let function = |primals: &[Array]| {
                let product = primals[0].multiply(&foreign)?;
                use_it.send(()).unwrap();
                ended.recv().unwrap();
                product.square()
            };
            Array::grad(function, &[x]).unwrap()[0].item::<f32>().unwrap()
        }
    });
    Array::grad(
        |primals| {
            hand_over.send(primals[0].clone()).unwrap();
            used.recv().unwrap();
            primals[0].square()
        },
        &[x],
    )
    .unwrap();
    end.send(()).unwrap();
    assert_eq!(second.join().unwrap(), 16.0);
}

#[test]
fn layer_norm_is_right_far_from_zero() {
    let x = array(&[10_000.0, 10_001.0, 9_999.0, 10_002.0], &[4]);
    let (weight, bias) = (array(&[1.0; 4], &[4]), array(&[0.0; 4], &[4]));
    let normal = x.layer_norm(&weight, &bias, 0.0).unwrap();
    // Deviations from the mean of -0.5, 0.5, -1.5 and 1.5, in units of √1.25.
    let expected = [-0.447_213_6, 0.447_213_6, -1.341_640_8, 1.341_640_8];
    for (found, expected) in normal.to_vec::<f32>().unwrap().into_iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

/// Computes the attention by other operations. Heads are not shared.
fn composed_attention(
    queries: &Array,
    keys: &Array,
    values: &Array,
    scale: f32,
    mask: Option<&Array>,
) -> Result<Array> {
    let scores = queries.multiply(scale)?.matmul(&keys.swapaxes(2, 3)?)?;
    let scores = match mask {
        Some(mask) if mask.dtype() == Dtype::Bool => mask.where_cond(scores, -60_000.0)?,
        Some(mask) => scores.add(mask)?,
        None => scores,
    };
    scores.softmax(-1)?.matmul(values)
}

fn in_float64(x: &Array) -> Array {
    x.astype(Dtype::Float64).unwrap()
}

/// Asserts that the elements differ by at most `tolerance`, in units of the larger of 1 and the element. NaN is the same as NaN.
#[track_caller]
fn assert_near(found: &Array, expected: &Array, tolerance: f64) {
    assert_eq!((found.shape(), found.dtype()), (expected.shape(), expected.dtype()));
    let elements = |x: &Array| in_float64(x).to_vec::<f64>().unwrap();
    for (at, (found, expected)) in elements(found).into_iter().zip(elements(expected)).enumerate() {
        let is_near = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(is_near || found.is_nan() && expected.is_nan(), "element {at}: {found} is not {expected}");
    }
}

/// Numbers of rows and columns below, at and above those that are computed together, and enough work for several threads.
#[test]
fn attention_is_that_of_its_parts() {
    for [batch, heads, count, tokens, features, value_features] in [
        [1, 1, 1, 1, 1, 1],
        [2, 3, 5, 7, 4, 6],
        [1, 2, 33, 31, 8, 40],
        [2, 2, 32, 32, 32, 32],
        [3, 2, 64, 65, 33, 31],
        [1, 1, 129, 3, 5, 33],
    ] {
        let queries = numbers(1, &[batch, heads, count, features], -2.0, 2.0);
        let keys = numbers(2, &[batch, heads, tokens, features], -2.0, 2.0);
        let values = numbers(3, &[batch, heads, tokens, value_features], -2.0, 2.0);
        let scores = numbers(4, &[batch, heads, count, tokens], -1.0, 1.0);
        let masks = [
            None,
            Some(scores.greater(-0.5).unwrap()),
            Some(scores.greater(2.0).unwrap()),
            Some(scores.narrow(2, 0, 1).unwrap()),
            Some(scores),
        ];
        for (dtype, tolerance) in [(Dtype::Float32, 1e-5), (Dtype::Float64, 2e-14), (Dtype::Float16, 1e-3)] {
            let [queries, keys, values] = [&queries, &keys, &values].map(|x| x.astype(dtype).unwrap());
            for mask in masks.iter().map(Option::as_ref) {
                let mask = mask.map(|mask| match mask.dtype() {
                    Dtype::Bool => mask.clone(),
                    _ => mask.astype(dtype).unwrap(),
                });
                let found = queries.scaled_dot_product_attention(&keys, &values, 0.5, mask.as_ref()).unwrap();
                let [queries, keys, values] = [&queries, &keys, &values].map(in_float64);
                let expected = composed_attention(&queries, &keys, &values, 0.5, mask.as_ref()).unwrap();
                assert_near(&found, &expected.astype(dtype).unwrap(), tolerance);
            }
        }
    }
}

#[test]
fn gradients_of_attention_are_those_of_its_parts() {
    type Attention = fn(&Array, &Array, &Array, f32, Option<&Array>) -> Result<Array>;
    let primals = [
        numbers(1, &[1, 2, 35, 3], -1.0, 1.0),
        numbers(2, &[1, 2, 33, 3], -1.0, 1.0),
        numbers(3, &[1, 2, 33, 2], -1.0, 1.0),
        numbers(4, &[2, 1, 33], -1.0, 1.0),
    ];
    let gradients = |attention: Attention| {
        Array::grad(|x| scalar(&move |x: &[Array]| attention(&x[0], &x[1], &x[2], 0.7, Some(&x[3])), x), &primals)
            .unwrap()
    };
    let (found, expected) = (gradients(Array::scaled_dot_product_attention), gradients(composed_attention));
    found.iter().zip(&expected).for_each(|(found, expected)| assert_near(found, expected, 1e-5));
}

/// Views give the same bits as copies of their elements.
#[test]
fn attention_of_views() {
    let copy = |x: &Array| Array::from_slice(&x.to_vec::<f32>().unwrap(), &x.shape()).unwrap();
    let all = numbers(5, &[2, 40, 3, 2, 4], -1.0, 1.0).transpose(&[2, 0, 3, 1, 4]).unwrap();
    let part = |at| all.narrow(0, at, 1).unwrap().squeeze(0).unwrap();
    let broadcast = numbers(6, &[2, 1, 40, 1], -1.0, 1.0).broadcast_to(&[2, 2, 40, 4]).unwrap();
    for [queries, keys, values] in [
        [part(0), part(1), part(2)],
        [part(2), broadcast.clone(), part(0)],
        [broadcast.clone(), part(1), broadcast.clone()],
        [part(0).narrow(3, 1, 2).unwrap(), part(1).narrow(3, 2, 2).unwrap(), part(2).narrow(3, 0, 3).unwrap()],
    ] {
        let found = queries.scaled_dot_product_attention(&keys, &values, 1.0, None).unwrap();
        let copies = [&queries, &keys, &values].map(copy);
        let expected = copies[0].scaled_dot_product_attention(&copies[1], &copies[2], 1.0, None).unwrap();
        assert_near(&found, &expected, 0.0);
    }
    // Two heads of the queries for each of the keys.
    let (queries, keys) = (numbers(7, &[2, 4, 40, 4], -1.0, 1.0), part(1));
    let repeated = keys.expand_dims(2).unwrap().broadcast_to(&[2, 2, 2, 40, 4]).unwrap();
    let repeated = repeated.reshape(&[2, 4, 40, 4]).unwrap();
    let found = queries.scaled_dot_product_attention(&keys, &keys, 1.0, None).unwrap();
    assert_near(&found, &queries.scaled_dot_product_attention(&repeated, &repeated, 1.0, None).unwrap(), 0.0);
}

#[test]
fn attention_of_nothing_nan_and_infinities() {
    let attend_to_zeros = |queries: usize, tokens: usize, features: usize, value_features: usize| {
        let zeros = |tokens, features| Array::zeros(&[1, 2, tokens, features], Dtype::Float32).unwrap();
        let (keys, values) = (zeros(tokens, features), zeros(tokens, value_features));
        let attended = zeros(queries, features).scaled_dot_product_attention(&keys, &values, 1.0, None).unwrap();
        (attended.shape(), attended.to_vec::<f32>().unwrap())
    };
    assert_eq!(attend_to_zeros(0, 3, 2, 1), (vec![1, 2, 0, 1], vec![]));
    assert_eq!(attend_to_zeros(1, 0, 2, 1), (vec![1, 2, 1, 1], vec![0.0; 2]));
    assert_eq!(attend_to_zeros(1, 3, 0, 1), (vec![1, 2, 1, 1], vec![0.0; 2]));
    assert_eq!(attend_to_zeros(1, 3, 2, 0), (vec![1, 2, 1, 0], vec![]));

    let inf = f32::INFINITY;
    let queries = Array::ones(&[1, 1, 2, 1], Dtype::Float32).unwrap();
    let values = array(&[1.0, 5.0, 3.0], &[1, 1, 3, 1]);
    let attend = |keys: [f32; 3], mask: Option<&Array>| {
        let keys = array(&keys, &[1, 1, 3, 1]);
        queries.scaled_dot_product_attention(&keys, &values, 1.0, mask).unwrap().to_vec::<f32>().unwrap()
    };
    assert!(attend([1.0, f32::NAN, 1.0], None).iter().all(|x| x.is_nan()));
    let shown = Array::from_slice(&[true, false, true], &[3]).unwrap();
    assert_eq!(attend([1.0, f32::NAN, 1.0], Some(&shown)), [2.0, 2.0], "the score is replaced");
    let rows = array(&[0.0, -inf, 0.0, -inf, -inf, -inf], &[2, 3]);
    let attended = attend([1.0; 3], Some(&rows));
    assert!(attended[0] == 2.0 && attended[1].is_nan(), "{attended:?}");
}

#[test]
fn addmm_is_that_of_its_parts() {
    for [rows, length, columns] in
        [[1, 1, 1], [1, 5, 3], [7, 3, 5], [129, 33, 1025], [3, 0, 2], [0, 2, 3], [2, 3, 0]]
    {
        let (a, b) = (numbers(1, &[rows, length], -1.0, 1.0), numbers(2, &[columns, length], -1.0, 1.0));
        let added = [
            numbers(4, &[columns], -1.0, 1.0),
            numbers(5, &[], -1.0, 1.0),
            numbers(6, &[rows, 1], -1.0, 1.0),
            numbers(3, &[columns, rows], -1.0, 1.0).transpose(&[1, 0]).unwrap(),
            array(&[f32::NAN], &[1]),
        ];
        for (dtype, tolerance) in [(Dtype::Float32, 2e-6), (Dtype::Float64, 1e-14), (Dtype::Float16, 1e-3)] {
            let [a, b] = [&a, &b].map(|x| x.astype(dtype).unwrap());
            let b = b.transpose(&[1, 0]).unwrap();
            for c in &added {
                let c = c.astype(dtype).unwrap();
                let found = c.addmm(&a, &b, 0.5, -2.0).unwrap();
                let prepacked = c.addmm(&a, &b.prepacked().unwrap(), 0.5, -2.0).unwrap();
                let [a, b, c] = [&a, &b, &c].map(in_float64);
                let product = a.matmul(&b).unwrap().multiply(0.5).unwrap();
                let expected = product.add(c.multiply(-2.0).unwrap()).unwrap();
                let expected = expected.astype(dtype).unwrap();
                assert_near(&found, &expected, tolerance);
                assert_near(&prepacked, &expected, tolerance);
            }
        }
    }
}

#[test]
fn a_variable_that_changed_is_prepacked_again() {
    let variable = Var::ones((3, 128), DType::F32, &Device::Cpu).unwrap();
    let array = Array::from_tensor(&variable).unwrap();
    let x = Array::ones(&[2, 3], Dtype::Float32).unwrap();
    let product = |matrix: &Array| x.matmul(matrix).unwrap().to_vec::<f32>().unwrap();
    let before = array.prepacked().unwrap();
    variable.set(&Tensor::zeros((3, 128), DType::F32, &Device::Cpu).unwrap()).unwrap();
    assert_eq!(product(&before), [3.0; 256]);
    assert_eq!((product(&array), product(&before.prepacked().unwrap())), (vec![0.0; 256], vec![0.0; 256]));
}

#[test]
fn a_prepacked_matrix_stays_so_until_it_is_computed_with() {
    let matrix = numbers(1, &[3, 70], -1.0, 1.0).prepacked().unwrap();
    let is_prepacked = |x: &Array| x.panels.is_some();
    assert!(is_prepacked(&matrix));
    assert!(is_prepacked(&matrix.astype(Dtype::Float32).unwrap()));
    assert!(is_prepacked(&matrix.stop_gradient().unwrap()));
    let shared = params::share(&vec![matrix.clone()]).unwrap();
    assert!(is_prepacked(&shared.open(&vec![matrix.clone()]).unwrap()[0]));
    let gradient = Array::value_and_grad(
        |x: &[Array]| -> Result<Array, Error> {
            assert!(is_prepacked(&x[0]));
            let prepacked = x[0].multiply(2.0)?.prepacked()?;
            assert!(is_prepacked(&prepacked));
            Array::ones(&[1, 3], Dtype::Float32)?.matmul(&prepacked)?.sum_all()
        },
        from_ref(&matrix),
    );
    assert_eq!(gradient.unwrap().1[0].to_vec::<f32>().unwrap(), [2.0; 210]);
    assert!(!is_prepacked(&matrix.transpose(&[1, 0]).unwrap()));
    assert!(!is_prepacked(&matrix.reshape(&[1, 3, 70]).unwrap().prepacked().unwrap()), "it is no matrix");
    assert!(!is_prepacked(&matrix.narrow(1, 0, 63).unwrap().prepacked().unwrap()), "it is narrow");
    assert!(!is_prepacked(&matrix.astype(Dtype::Int32).unwrap().prepacked().unwrap()));
}

/// Products whose results are cut into rows, columns and matrices, and of vectors, whatever was in the memory of the result before. They
/// read no element that is not theirs: the matrices are views within larger arrays of NaN.
#[test]
fn guarantee_16_products_of_views() {
    /// Returns an array with the elements of `x` among NaNs, in a layout of its own.
    fn among_nans(x: &Array, transposed: bool) -> Array {
        let x = if transposed { x.swapaxes(1, 2).unwrap() } else { x.clone() };
        let frame = array(&[f32::NAN], &[1, 1, 1]).astype(x.dtype()).unwrap();
        let mut framed = x.clone();
        for axis in 0..3 {
            let mut shape = framed.shape();
            shape[axis] = 1;
            let side = frame.broadcast_to(&shape).unwrap();
            framed = Array::concatenate(&[side.clone(), framed, side], axis.cast_signed()).unwrap();
        }
        let stop: Vec<usize> = x.shape().iter().map(|length| length + 1).collect();
        let view = framed.slice(&[1, 1, 1], &stop).unwrap();
        if transposed { view.swapaxes(1, 2).unwrap() } else { view }
    }

    for [batch, rows, length, columns] in [
        [1, 5, 1, 7],
        [1, 4, 2, 300],
        [2, 1, 40, 9],
        [2, 9, 40, 1],
        [2, 3, 0, 4],
        [1, 70, 90, 700],
        [1, 900, 64, 80],
        [3, 200, 60, 130],
        [40, 20, 70, 80],
    ] {
        let (x, y) =
            (numbers(1, &[batch, rows, length], -1.0, 1.0), numbers(2, &[batch, length, columns], -1.0, 1.0));
        let [xs, ys] = [&x, &y].map(|x| x.to_vec::<f32>().unwrap());
        let element = |at: usize| -> f64 {
            let (matrix, row, column) = (at / columns / rows, at / columns % rows, at % columns);
            let left = &xs[(matrix * rows + row) * length..][..length];
            let right = ys[matrix * length * columns..].iter().skip(column).step_by(columns);
            left.iter().zip(right).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        let elements = batch * rows * columns;
        let expected: Vec<f64> = (0..elements).map(element).collect();
        let expected = Array::from_slice(&expected, &[batch, rows, columns]).unwrap();
        for (dtype, tolerance) in [(Dtype::Float32, 1e-5), (Dtype::Float64, 1e-13)] {
            for [of_x, of_y] in [[false, false], [false, true], [true, false], [true, true]] {
                let (x, y) =
                    (among_nans(&x.astype(dtype).unwrap(), of_x), among_nans(&y.astype(dtype).unwrap(), of_y));
                // The allocator gives memory of this size again, with what was in it.
                drop(array(&vec![f32::NAN; elements * dtype.size() / 4], &[elements * dtype.size() / 4]));
                let product = x.matmul(&y).unwrap();
                assert_near(&product, &expected.astype(dtype).unwrap(), tolerance);
                if batch == 1 {
                    let [x, y] = [&x, &y].map(|x| x.squeeze(0).unwrap());
                    let expected = expected.squeeze(0).unwrap().astype(dtype).unwrap();
                    let one = Array::scalar(1.0_f32).unwrap();
                    for y in [y.clone(), y.prepacked().unwrap()] {
                        assert_near(&x.matmul(&y).unwrap(), &expected, tolerance);
                        assert_near(&one.addmm(&x, &y, 1.0, 1.0).unwrap(), &expected.add(1.0).unwrap(), tolerance);
                    }
                }
            }
        }
    }
}

/// Enough elements for several threads, and not a multiple of a block.
#[test]
fn elementwise_functions_of_many_elements() {
    let (x, y) = (numbers(1, &[263, 1021], -1.0, 1.0), numbers(2, &[263, 1021], -1.0, 1.0));
    let [xs, ys] = [&x, &y].map(|x| x.to_vec::<f32>().unwrap());
    let each_pair = |f: fn(f32, f32) -> f32| xs.iter().zip(&ys).map(|(x, y)| f(*x, *y)).collect::<Vec<_>>();
    assert_eq!(x.add(&y).unwrap().to_vec::<f32>().unwrap(), each_pair(|x, y| x + y));
    assert_eq!(x.subtract(&y).unwrap().to_vec::<f32>().unwrap(), each_pair(|x, y| x - y));
    assert_eq!(x.multiply(&y).unwrap().to_vec::<f32>().unwrap(), each_pair(|x, y| x * y));
    let gelu = x.gelu().unwrap().to_vec::<f32>().unwrap();
    assert!(gelu.iter().zip(&xs).all(|(gelu, x)| *gelu == elementwise::gelu(*x)), "as on any instruction set");
}

/// Returns evenly spaced numbers from `low` to `high`.
fn grid(low: f32, high: f32) -> Vec<f32> {
    const STEPS: u16 = 50_000;
    (0..=STEPS).map(|step| low + (high - low) * (f32::from(step) / f32::from(STEPS))).collect()
}

/// Computes candle's float64 function of each element.
fn by_candle(x: &[f32], function: fn(&Tensor) -> candle_core::Result<Tensor>) -> Vec<f64> {
    let x = Tensor::new(x, &Device::Cpu).and_then(|x| x.to_dtype(DType::F64)).unwrap();
    function(&x).and_then(|y| y.to_vec1()).unwrap()
}

#[test]
fn erf_and_gelu_are_as_precise_as_float32() {
    let x: Vec<_> = [grid(-5.0, 5.0), grid(-1.0, 1.0), grid(-1e-3, 1e-3), grid(-1e-37, 1e-37)].concat();
    let all = array(&x, &[x.len()]);
    let found = all.erf().unwrap().to_vec::<f32>().unwrap();
    for ((x, found), expected) in x.iter().zip(found).zip(by_candle(&x, Tensor::erf)) {
        let error = (f64::from(found) - expected).abs();
        let relative = error / expected.abs().max(f64::from(f32::MIN_POSITIVE));
        assert!(error <= 1.4e-7 && relative <= 1.8e-7, "erf of {x:e}: {found:e} is not {expected:e}");
    }
    let found = all.gelu().unwrap().to_vec::<f32>().unwrap();
    for ((x, found), expected) in x.iter().zip(found).zip(by_candle(&x, Tensor::gelu_erf)) {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= 2e-7 * f64::from(x.abs()) + 1e-44, "gelu of {x:e}: {found:e} is not {expected:e}");
    }
    for (x, expected) in [(f32::INFINITY, 1.0), (f32::MAX, 1.0), (4.0, 1.0), (3.95, 1.0), (0.0, 0.0)] {
        for (x, expected) in [(x, expected), (-x, -expected)] {
            assert_eq!(elementwise::erf(x).to_bits(), f32::to_bits(expected), "erf of {x}");
        }
    }
    assert!(elementwise::erf(f32::NAN).is_nan() && elementwise::gelu(f32::NAN).is_nan());
}

#[test]
fn logarithms_and_erfinv_are_as_precise_as_float32() {
    let assert_close = |name: &str, x: f32, found: f32, expected: f64, limit: f64| {
        let error = (f64::from(found) / expected - 1.0).abs();
        assert!(error <= limit, "{name} of {x:e}: {found:e} is not {expected:e}");
    };
    for x in [grid(1e-10, 1e-5), grid(1e-5, 1.0), grid(0.99, 1.01), grid(1.0, 1e9)].concat() {
        if x != 1.0 {
            assert_close("ln", x, elementwise::ln(x), f64::from(x).ln(), 1.2e-7);
        }
    }
    for x in [grid(-0.9999, 1.0), grid(-1e-3, 1e-3), grid(-1e-9, 1e-9)].concat() {
        if x != 0.0 {
            assert_close("ln_1p", x, elementwise::ln_1p(x), f64::from(x).ln_1p(), 4e-7);
        }
    }
    // Through the error function, whose slope at y is 2 / √π · exp(-y²).
    let x = [grid(-0.9999, 0.9999), grid(-1e-3, 1e-3)].concat();
    let found: Vec<_> = x.iter().map(|x| elementwise::erfinv(*x)).collect();
    for ((x, y), back) in x.iter().zip(&found).zip(by_candle(&found, Tensor::erf)) {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-f64::from(*y).powi(2)).exp();
        let error = ((back - f64::from(*x)) / slope).abs();
        assert!(error <= 4e-7 * f64::from(y.abs()), "erfinv of {x:e}: {y:e}");
    }
    let inf = f32::INFINITY;
    assert_eq!([elementwise::ln(0.0), elementwise::ln(1.0), elementwise::ln(inf)], [-inf, 0.0, inf]);
    assert_eq!([elementwise::ln_1p(-1.0), elementwise::ln_1p(0.0)], [-inf, 0.0]);
    assert_eq!([-1.0, 0.0, 1.0].map(elementwise::erfinv), [-inf, 0.0, inf]);
}

#[test]
fn softmax_is_as_precise_as_float32() {
    let x: Vec<_> = [grid(-87.3, 0.0), grid(-1.0, 0.0), grid(-1e-6, 0.0)].concat();
    for (x, expected) in x.iter().zip(by_candle(&x, Tensor::exp)) {
        let found = elementwise::exp_nonpositive(*x);
        let error = (f64::from(found) / expected - 1.0).abs();
        assert!(error <= 1e-7, "exp of {x}: {found:e} is not {expected:e}");
    }
    for x in [-88.0, -1e9, f32::MIN, f32::NEG_INFINITY] {
        assert_eq!(elementwise::exp_nonpositive(x), 0.0, "exp of {x}");
    }

    // Rows that are not a multiple of the vector length, and enough of them for several threads.
    let x = numbers(14, &[400, 101], -8.0, 8.0);
    let found = x.softmax(1).unwrap().to_vec::<f32>().unwrap();
    let x = x.to_vec::<f32>().unwrap();
    for (x, found) in x.chunks_exact(101).zip(found.chunks_exact(101)) {
        let exps: Vec<_> = x.iter().map(|x| f64::from(*x).exp()).collect();
        for (found, exp) in found.iter().zip(&exps) {
            let expected = exp / exps.iter().sum::<f64>();
            assert!((f64::from(*found) / expected - 1.0).abs() < 2e-6, "{found:e} is not {expected:e}");
        }
    }

    let inf = f32::INFINITY;
    let rows = [1.0, -inf, 1.0, 1.0, f32::NAN, 1.0, -inf, -inf, -inf, 1.0, inf, 1.0];
    let weights = array(&rows, &[4, 3]).softmax(1).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(weights[..3], [0.5, 0.0, 0.5]);
    assert!(weights[3..].iter().all(|weight| weight.is_nan()), "{weights:?}");
}

#[test]
fn empty_arrays_and_nan_are_as_in_numpy() {
    let empty = Array::zeros(&[2, 0], Dtype::Float32).unwrap();
    assert_eq!(empty.sum(&[1], false).unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0]);
    let refused = empty.max(&[1], false).unwrap_err().to_string();
    assert_eq!(refused, "cannot max float32[2, 0]: axis 1 is empty; reduce over axes that have elements");
    // A slice that begins at the end of the elements; candle's kernels would panic on it.
    let end = array(&[1.0, 2.0], &[2]).slice(&[2], &[2]).unwrap();
    assert_eq!(end.transpose(&[0]).unwrap().exp().unwrap().shape(), [0]);

    let nan = array(&[1.0, f32::NAN, -1.0], &[3]);
    let one = Array::scalar(1.0_f32).unwrap();
    for lost in [nan.maximum(&one), one.minimum(&nan), nan.relu()] {
        assert!(lost.unwrap().to_vec::<f32>().unwrap()[1].is_nan());
    }
    for lost in [nan.max(&[0], false), nan.min(&[0], false), nan.logsumexp(&[0], false)] {
        assert!(lost.unwrap().item::<f32>().unwrap().is_nan());
    }
}

#[test]
fn integers_wrap_around_and_bools_saturate() {
    let x = Array::from_slice(&[i32::MAX, i32::MIN], &[2]).unwrap();
    let one = Array::scalar(1_i32).unwrap();
    assert_eq!(x.add(&one).unwrap().to_vec::<i32>().unwrap(), [i32::MIN, i32::MIN + 1]);
    assert_eq!(x.abs().unwrap().to_vec::<i32>().unwrap(), [i32::MAX, i32::MIN]);
    assert_eq!(x.sum_all().unwrap().item::<i32>().unwrap(), -1);
    let truth = Array::from_slice(&[true, false], &[2]).unwrap();
    assert_eq!(truth.add(&truth).unwrap().to_vec::<bool>().unwrap(), [true, false]);
    assert_eq!(truth.sum_all().unwrap().item::<i32>().unwrap(), 1);
    // uint8 and bool are stored alike, and are not the same.
    let bytes = truth.astype(Dtype::UInt8).unwrap();
    assert_eq!(bytes.add(&bytes).unwrap().to_vec::<u8>().unwrap(), [2, 0]);
    assert_eq!(bytes.subtract(1).unwrap().to_vec::<u8>().unwrap(), [0, 255]);
    assert_eq!(bytes.reshape(&[2, 1]).unwrap().dtype(), Dtype::UInt8);
    assert_eq!(truth.reshape(&[2, 1]).unwrap().dtype(), Dtype::Bool);
}
