//! Data-parallel training.

use grad_runtime::mlx::Array;
use grad_runtime::optim::{AdamW, AdamWOptions};
use grad_runtime::{Dtype, Params, Result, bf16, params};
use support::rings::Ring;

use crate::{assert_all_succeed, failure, join};

#[derive(Params)]
struct Model {
    weight: Array,
    bias: Array,
    #[params(frozen)]
    frozen: Array,
    #[params(buffer)]
    count: Array,
    low: Array,
}

fn model(seed: f32) -> Model {
    let row = |values: &[f32]| Array::from_slice(values, &[values.len()]).unwrap();
    Model {
        weight: row(&[seed, -0.0, f32::MIN_POSITIVE]).reshape(&[3_usize, 1]).unwrap(),
        bias: row(&[0.25 * seed]),
        frozen: row(&[3.0 * seed, f32::INFINITY]),
        count: Array::from_slice(&[seed > 1.0, true], &[2]).unwrap(),
        low: Array::from_slice(&[bf16::from_f32(seed)], &[1]).unwrap(),
    }
}

#[test]
fn broadcast_brings_the_arrays_of_rank_0_bit_by_bit() {
    assert_all_succeed(&Ring::new(4).run(|rank| {
        let group = join();
        let received = params::broadcast(&model(1.5 + rank as f32), &group).unwrap();
        for (received, sent) in received.arrays().iter().zip(model(1.5).arrays()) {
            let bits = |array: &Array| match array.dtype() {
                Dtype::Float32 => {
                    array.to_vec::<f32>().unwrap().iter().map(|value| u64::from(value.to_bits())).collect()
                }
                _ => array
                    .astype(Dtype::Float32)
                    .unwrap()
                    .to_vec::<f32>()
                    .unwrap()
                    .iter()
                    .map(|&value| value as u64)
                    .collect::<Vec<_>>(),
            };
            assert_eq!(
                (received.dtype(), received.shape(), bits(received)),
                (sent.dtype(), sent.shape(), bits(&sent))
            );
        }
    }));
}

#[test]
fn average_gradients_averages_what_is_trained() {
    assert_all_succeed(&Ring::new(4).run(|rank| {
        let group = join();
        let averages = params::average_gradients(&model(1.0 + rank as f32), &group).unwrap();
        assert_eq!(averages.weight.to_vec::<f32>().unwrap(), [2.5, 0.0, f32::MIN_POSITIVE]);
        assert_eq!(averages.weight.shape(), [3, 1]);
        assert_eq!(averages.bias.to_vec::<f32>().unwrap(), [0.625]);
        assert_eq!(averages.low.to_vec::<bf16>().unwrap(), [bf16::from_f32(2.5)]);
        assert_eq!(averages.frozen.to_vec::<f32>().unwrap()[0], 3.0 * (1.0 + rank as f32));
        assert!(!averages.weight.is_traced());
    }));
}

#[test]
fn structures_that_differ_are_an_error() {
    let outcomes = Ring::new(2).run(|rank| {
        let group = join();
        let gradients = vec![Array::ones(&[2 + rank], Dtype::Float32).unwrap(); 2];
        let (_, text) = failure(params::average_gradients(&gradients, &group));
        assert!(
            text.contains("rank 0: all_sum of float32[4] at ") && text.contains("rank 1: all_sum of float32[6]"),
            "{text}"
        );
        assert!(text.contains("training.rs"), "{text}");
    });
    assert_all_succeed(&outcomes);
}

fn loss((weight, bias): &(Array, Array), x: &Array, y: &Array) -> Result<Array> {
    x.matmul(weight)?.add(bias)?.tanh()?.subtract(y)?.square()?.mean_all()
}

/// Trains for some steps, and returns the weights. `examples` are the numbers of the examples of a batch.
fn train(
    mut model: (Array, Array),
    examples: impl Fn(usize) -> std::ops::Range<usize>,
    average: impl Fn((Array, Array)) -> Result<(Array, Array)>,
) -> Vec<f32> {
    let mut optimizer = AdamW::new(&model, AdamWOptions { lr: 0.05, ..AdamWOptions::default() }).unwrap();
    for step in 0..20 {
        let examples = examples(step);
        let inputs: Vec<f32> =
            examples.clone().flat_map(|at| [at as f32, (at * at) as f32 / 100.0].map(f32::sin)).collect();
        let targets: Vec<f32> = examples.clone().map(|at| (at as f32 * 0.7).cos()).collect();
        let x = Array::from_slice(&inputs, &[examples.len(), 2]).unwrap();
        let y = Array::from_slice(&targets, &[examples.len(), 1]).unwrap();
        let gradients = params::grad(|model| loss(model, &x, &y), &model).unwrap();
        optimizer.step(&mut model, &average(gradients).unwrap()).unwrap();
        params::eval(&model).unwrap();
    }
    [model.0.to_vec::<f32>().unwrap(), model.1.to_vec::<f32>().unwrap()].concat()
}

/// N processes with a batch of B train the weights of one process with a batch of N·B.
#[test]
fn processes_train_the_weights_of_one() {
    const BATCH: usize = 6;
    for (size, check) in [(2, 0), (4, 1)] {
        assert_all_succeed(&Ring::new(size).variable("GRAD_DISTRIBUTED_CHECK", check.to_string()).run(|rank| {
            let group = join();
            let start = |seed: f32| {
                (Array::from_slice(&[seed, 0.2], &[2, 1]).unwrap(), Array::from_slice(&[seed], &[1]).unwrap())
            };
            let together = train(
                params::broadcast(&start(0.3 + rank as f32), &group).unwrap(),
                |step| (step * size + rank) * BATCH..(step * size + rank + 1) * BATCH,
                |gradients| params::average_gradients(&gradients, &group),
            );
            let alone = train(start(0.3), |step| step * size * BATCH..(step + 1) * size * BATCH, Ok);
            for (together, alone) in together.iter().zip(&alone) {
                assert!((together - alone).abs() < 2e-5, "{together} {alone}");
            }
        }));
    }
}
