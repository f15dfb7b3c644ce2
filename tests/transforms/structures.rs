//! The transforms of `params`: over models instead of slices of arrays.

use std::cell::Cell;
use std::rc::Rc;

use grad_runtime::mlx::{self, Array};
use grad_runtime::optim::{Adam, AdamOptions};
use grad_runtime::{Dtype, Error, Params, Result, enable_grad, inference_mode, no_grad, params};
use support::arrays::{array, assert_close, elements};

#[derive(Params, Clone)]
struct Block<A: grad_runtime::Array> {
    weight: A,
    bias: Option<A>,
    #[params(frozen)]
    scale: A,
    power: i32,
}

impl Block<Array> {
    fn new() -> Self {
        let weight = array(&[0.5, -1.0, 1.5, 0.25], &[2, 2]);
        Self { weight, bias: Some(array(&[0.1, -0.2], &[2])), scale: Array::scalar(2.0_f32).unwrap(), power: 3 }
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        let y = x.matmul(&self.weight)?.multiply(&self.scale)?.power(self.power)?;
        self.bias.iter().try_fold(y, |y, bias| y.add(bias)?.tanh())
    }
}

fn input() -> Array {
    array(&[0.2, 0.4, -0.3, 0.1, 0.6, -0.5], &[3, 2])
}

fn loss(block: &Block<Array>, x: &Array) -> Result<Array> {
    block.forward(x)?.square()?.sum_all()
}

/// The gradients of all arrays in a row.
fn flat(block: &impl Params<Array>) -> Vec<f32> {
    block.arrays().iter().flat_map(elements).collect()
}

#[test]
fn vjp_and_jvp_are_those_of_the_arrays() {
    let (block, x) = (Block::new(), input());
    let function = |block: &Block<Array>| Ok::<_, Error>(vec![block.forward(&x)?, block.weight.square()?]);
    let cotangents =
        vec![Array::ones(&[3, 2], Dtype::Float32).unwrap(), Array::zeros(&[2, 2], Dtype::Float32).unwrap()];
    let (outputs, gradients) = params::vjp(function, &block, &cotangents).unwrap();
    assert_eq!(outputs.len(), 2);
    let expected = params::grad(|block: &Block<Array>| block.forward(&x)?.sum_all(), &block).unwrap();
    assert_eq!(flat(&gradients), flat(&expected));
    assert_eq!(elements(&gradients.scale), [0.0], "frozen");
    assert_eq!(gradients.power, 3);

    // The derivative in a direction is the product of the gradient with it.
    let direction = block.try_map(|_, array| array.add(0.5)).unwrap();
    let (value, tangent) = params::jvp(|block: &Block<Array>| loss(block, &x), &block, &direction).unwrap();
    let gradients = params::grad(|block: &Block<Array>| loss(block, &x), &block).unwrap();
    let product: f32 = flat(&gradients).iter().zip(flat(&direction)).map(|(x, y)| x * y).sum();
    assert_close(&[tangent.item().unwrap()], &[product], 1e-5);
    assert_eq!(elements(&value), elements(&loss(&block, &x).unwrap()));
}

#[test]
fn guarantee_5_vjp_and_jvp_ignore_the_scope_they_start_in() {
    let x = Array::scalar(3.0_f32).unwrap();
    let outer = |x: &Array| {
        let (value, slope) = no_grad! { params::jvp(|x: &Array| x.square(), x, &x.ones_like()?)? };
        let ((), by_x) = ((), no_grad! { params::vjp(|x: &Array| x.square(), x, &x.ones_like()?)?.1 });
        x.multiply(&value)?.add(x.multiply(&slope)?)?.add(x.multiply(&by_x)?)
    };
    // 9 + 6 + 6: what the scopes return are constants.
    assert_eq!(params::grad(outer, &x).unwrap().item::<f32>().unwrap(), 21.0);
    let refused = inference_mode! { params::vjp(|x: &Array| x.square(), &x, &x).map(|_| ()) };
    assert!(matches!(refused, Err(Error::InferenceMode { transform: "vjp" })));
}

#[test]
fn an_ensemble_is_mapped() {
    let blocks: Vec<_> =
        [1.0_f32, 2.0, 3.0].map(|factor| Block::new().try_map(|_, a| a.multiply(factor)).unwrap()).into();
    let stacked = blocks[0]
        .try_map_with([&blocks[1], &blocks[2]], |_, first, [second, third]| {
            mlx::stack(&[first.clone(), second.clone(), third.clone()], 0)
        })
        .unwrap();
    let x = input();
    let gradient = |block: &Block<Array>| params::value_and_grad(|block: &Block<Array>| loss(block, &x), block);
    let (losses, gradients) = params::vmap(gradient, &stacked, |_| Some(0)).unwrap();
    for (at, block) in blocks.iter().enumerate() {
        let (expected, expected_gradients) = gradient(block).unwrap();
        assert_close(&elements(&losses)[at..=at], &elements(&expected), 1e-5);
        let of_weight = gradients.weight.narrow(0, at, 1).unwrap();
        assert_close(&elements(&of_weight), &elements(&expected_gradients.weight), 1e-4);
    }
    // One of the arrays, along another axis.
    let rows = params::vmap(
        |(block, x): &(Block<Array>, Array)| block.forward(&x.expand_dims(0)?)?.squeeze(0),
        &(Block::new(), x.transpose(&[1, 0]).unwrap()),
        |path| (path.to_string() == "1").then_some(1),
    );
    assert_close(&elements(&rows.unwrap()), &elements(&Block::new().forward(&x).unwrap()), 1e-6);
}

#[test]
fn a_checkpointed_block_has_the_gradients_of_the_block() {
    let (block, x) = (Block::new(), input());
    let calls = Rc::new(Cell::new(0));
    let checkpointed = |(block, x): &(Block<Array>, Array)| {
        let calls = Rc::clone(&calls);
        let forward = move |(block, x): &(Block<Array>, Array)| {
            calls.set(calls.get() + 1);
            Ok((block.forward(x)?, block.weight.square()?))
        };
        let (y, square) = params::checkpoint(forward, &(block.clone(), x.clone()))?;
        y.square()?.sum_all()?.add(square.sum_all()?)
    };
    let plain = |(block, x): &(Block<Array>, Array)| loss(block, x)?.add(block.weight.square()?.sum_all()?);
    let both = (block, x);
    let (value, gradients) = params::value_and_grad(checkpointed, &both).unwrap();
    let (expected, expected_gradients) = params::value_and_grad(plain, &both).unwrap();
    assert_eq!(elements(&value), elements(&expected));
    assert_close(&flat(&gradients), &flat(&expected_gradients), 1e-6);
    assert_eq!(calls.get(), 2, "once forward and once for the gradient");

    // Guarantee 3: in a scope it is a constant.
    let in_a_scope = |both: &(Block<Array>, Array)| no_grad!(checkpointed(both)?).multiply(both.1.sum_all()?);
    let gradients = params::grad(in_a_scope, &both).unwrap();
    assert!(elements(&gradients.0.weight).iter().all(|element| *element == 0.0));
}

#[test]
fn a_custom_gradient_over_a_structure() {
    let both = (Array::scalar(3.0_f32).unwrap(), vec![Array::scalar(5.0_f32).unwrap()]);
    let product = |both: &(Array, Vec<Array>)| {
        params::custom(
            |(x, y): &(Array, Vec<Array>)| Ok(vec![x.multiply(&y[0])?]),
            |(x, y), cotangents: &Vec<Array>, outputs: &Vec<Array>| {
                assert_eq!(outputs[0].ndim(), 0);
                // Twice the gradient.
                let twice = cotangents[0].multiply(2)?;
                Ok((twice.multiply(&y[0])?, vec![twice.multiply(x)?]))
            },
            both,
        )
    };
    let gradients =
        params::grad(|both: &(Array, Vec<Array>)| Ok::<_, Error>(product(both)?.remove(0)), &both).unwrap();
    assert_eq!(flat(&gradients), [10.0, 6.0]);
}

#[test]
fn guarantee_3_results_of_mapped_and_custom_functions_in_a_scope_are_constants() {
    let x = array(&[1.0, 2.0], &[2]);
    let mapped = |x: &Array| params::vmap(|x: &Array| x.square(), x, |_| Some(0));
    let custom = |x: &Array| {
        params::custom(Array::square, |x: &Array, cotangent: &Array, _| x.multiply(2)?.multiply(cotangent), x)
    };
    let outside = params::grad(|x: &Array| mapped(x)?.add(custom(x)?)?.sum_all(), &x).unwrap();
    assert_eq!(elements(&outside), [4.0, 8.0]);
    // x · (x² + x²), where the squares are constants: nothing but the first factor has a gradient.
    let inside = |x: &Array| x.multiply(no_grad! { mapped(x)?.add(custom(x)?)? })?.sum_all();
    assert_eq!(elements(&params::grad(inside, &x).unwrap()), [2.0, 8.0]);
    // Scopes inside the functions count, too.
    let cut = |x: &Array| params::vmap(|x: &Array| x.multiply(no_grad! { x.square()? }), x, |_| Some(0))?.sum_all();
    assert_eq!(elements(&params::grad(cut, &x).unwrap()), [1.0, 4.0]);
}

#[test]
fn guarantee_6_a_compiled_step_is_traced_once_for_each_kind_and_mode() {
    let traced = Rc::new(Cell::new(0));
    let step = params::compile({
        let traced = Rc::clone(&traced);
        move |(block, x): &(Block<Array>, Array)| {
            traced.set(traced.get() + 1);
            let gradients = params::grad(|block: &Block<Array>| loss(block, x), block)?;
            block.try_map_with([&gradients], |path, array, [gradient]| {
                if path.is_trainable() {
                    array.subtract(gradient.multiply(0.1)?)
                } else {
                    Ok::<_, Error>(array.clone())
                }
            })
        }
    });
    let (mut block, mut expected, x) = (Block::new(), Block::new(), input());
    for _ in 0..4 {
        block = step.call(&(block, x.clone())).unwrap();
        let gradients = params::grad(|block: &Block<Array>| loss(block, &x), &expected).unwrap();
        expected.weight = expected.weight.subtract(gradients.weight.multiply(0.1).unwrap()).unwrap();
        expected.bias =
            Some(expected.bias.unwrap().subtract(gradients.bias.unwrap().multiply(0.1).unwrap()).unwrap());
    }
    assert_close(&flat(&block), &flat(&expected), 1e-5);
    assert_eq!((traced.get(), block.power), (1, 3));
    // Another structure, another shape, another mode: each has a trace of its own, and the others stay.
    let without_bias = Block { bias: None, ..block.clone() };
    assert!(step.call(&(without_bias, x.clone())).unwrap().bias.is_none());
    let row = x.slice(&[0, 0], &[1, 2]).unwrap();
    step.call(&(block.clone(), row)).unwrap();
    assert_eq!(traced.get(), 3);
    no_grad! { step.call(&(block.clone(), x.clone())).unwrap() };
    assert_eq!(traced.get(), 4);
    no_grad! { enable_grad! { step.call(&(block.clone(), x.clone())).unwrap() } };
    step.call(&(block, x)).unwrap();
    assert_eq!(traced.get(), 4);
}

/// The gradients, the optimizer and the update in one compiled function, with the optimizer's state as an argument.
#[test]
fn a_whole_training_step_is_compiled() {
    let x = input();
    let step = {
        let x = x.clone();
        move |(block, optimizer): &(Block<Array>, Adam<Array>)| {
            let (mut block, mut optimizer) = (block.clone(), optimizer.clone());
            let (value, gradients) = params::value_and_grad(|block: &Block<Array>| loss(block, &x), &block)?;
            optimizer.step(&mut block, &gradients)?;
            Ok((value, (block, optimizer)))
        }
    };
    let start = || {
        let block = Block::new();
        let optimizer = Adam::new(&block, AdamOptions { lr: 0.05, ..AdamOptions::default() }).unwrap();
        (block, optimizer)
    };
    let compiled = params::compile(step.clone());
    let (mut fast, mut plain) = (start(), start());
    for _ in 0..10 {
        fast = compiled.call(&fast).unwrap().1;
        plain = step(&plain).unwrap().1;
        params::eval(&fast).unwrap();
    }
    assert_close(&flat(&fast.0), &flat(&plain.0), 1e-5);
    assert_eq!(fast.1.step_count().unwrap(), 10);
}

/// Values other than arrays are part of a trace, so other values have a trace of their own.
#[test]
fn values_other_than_arrays_are_never_stale() {
    let x = Array::scalar(2.0_f32).unwrap();
    let power = params::compile(|(x, exponent, scale): &(Array, i32, Option<f32>)| {
        x.power(*exponent)?.multiply(scale.unwrap_or(1.0))
    });
    for (exponent, scale, expected) in [(2, None, 4.0), (3, None, 8.0), (3, Some(0.5), 4.0), (2, None, 4.0)] {
        assert_eq!(power.call(&(x.clone(), exponent, scale)).unwrap().item::<f32>().unwrap(), expected);
    }
    // The learning rate, which a schedule changes.
    let step = |(x, optimizer): &(Array, Adam<Array>)| {
        let (mut x, mut optimizer) = (x.clone(), optimizer.clone());
        let gradient = params::grad(|x: &Array| x.square(), &x)?;
        optimizer.step(&mut x, &gradient)?;
        Ok((x, optimizer))
    };
    let compiled = params::compile(step);
    let start = || (x.clone(), Adam::new(&x, AdamOptions::default()).unwrap());
    let (mut fast, mut plain) = (start(), start());
    for lr in [0.1, 0.1, 0.02, 0.5] {
        fast.1.set_lr(lr);
        plain.1.set_lr(lr);
        fast = compiled.call(&fast).unwrap();
        plain = step(&plain).unwrap();
        assert_close(&elements(&fast.0), &elements(&plain.0), 1e-6);
        assert_eq!(fast.1.lr(), lr);
    }
}

#[test]
fn structures_that_do_not_belong_together_are_refused() {
    use std::collections::BTreeMap;
    let map = |keys: [&'static str; 2]| BTreeMap::from(keys.map(|key| (key, Array::scalar(1.0_f32).unwrap())));
    let function = |map: &BTreeMap<&'static str, Array>| map.try_map(|_, array| array.square());
    let error = params::jvp(function, &map(["a", "b"]), &map(["b", "c"])).map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("cannot jvp: the structures differ"), "{error}");
    let error = params::vjp(function, &map(["a", "b"]), &map(["b", "c"])).map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("cannot vjp: the structures differ"), "{error}");
}

/// Arrays that are not trained are inputs too: an outer `vmap` may map them.
#[test]
fn frozen_arrays_of_checkpoints_and_custom_functions_are_mapped() {
    let x = input();
    let scaled = Block { scale: array(&[1.0, 2.0], &[2]), ..Block::new() };
    let is_mapped = |path: &params::Path<'_>| (path.to_string() == "scale").then_some(0);
    let forward = |(block, x): &(Block<Array>, Array)| block.forward(x);
    let expected = params::vmap(|block: &Block<Array>| block.forward(&x), &scaled, is_mapped).unwrap();
    let both = |block: &Block<Array>| (block.clone(), x.clone());
    let checkpointed =
        params::vmap(|block: &Block<Array>| params::checkpoint(forward, &both(block)), &scaled, is_mapped);
    assert_eq!(elements(&checkpointed.unwrap()), elements(&expected));
    let backward = |both: &(Block<Array>, Array), _: &Array, _: &Array| Ok((both.0.clone(), both.1.clone()));
    let custom =
        params::vmap(|block: &Block<Array>| params::custom(forward, backward, &both(block)), &scaled, is_mapped);
    assert_eq!(elements(&custom.unwrap()), elements(&expected));
}
