//! Random numbers: equal keys give the numbers of Python's MLX, on both backends, in every shape and dtype.

use grad_runtime::{Array, Dtype, Result, no_grad, random};
use serde_json::Value;
use support::arrays::elements;

/// Draws of Python's MLX, which `reference/random_numbers.py` wrote.
const REFERENCES: &str = include_str!("reference/random_numbers.json");

fn dtype_of(name: &str) -> Dtype {
    let dtypes = [Dtype::Float32, Dtype::Float16, Dtype::BFloat16, Dtype::Int32, Dtype::UInt32, Dtype::Bool];
    dtypes.into_iter().find(|dtype| dtype.to_string() == name).expect("a dtype")
}

fn key_of<A: Array>(case: &Value) -> A {
    let mut key: A = random::key(case["seed"].as_u64().unwrap()).unwrap();
    for step in case["path"].as_array().unwrap() {
        let [num, index] = [0, 1].map(|at| usize::try_from(step[at].as_u64().unwrap()).unwrap());
        let index = A::scalar(u32::try_from(index).unwrap()).unwrap();
        key = random::split(&key, num).unwrap().take(&index, 0).unwrap();
    }
    key
}

fn lengths(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|length| usize::try_from(length.as_u64().unwrap()).unwrap()).collect()
}

/// Makes the draw of a reference.
fn draw<A: Array>(case: &Value) -> Result<A> {
    let (shape, dtype) = (&lengths(&case["shape"])[..], dtype_of(case["dtype"].as_str().unwrap()));
    let float = |name: &str| case[name].as_f64().unwrap();
    let whole = |name: &str| case[name].as_i64().unwrap();
    let length = |name: &str| usize::try_from(whole(name)).unwrap();
    let key = &key_of::<A>(case);
    match case["function"].as_str().unwrap() {
        "key" => Ok(key.clone()),
        "split" => random::split(key, length("num")),
        "uniform" => random::uniform(float("low"), float("high"), shape, dtype, key),
        "normal" => random::normal(shape, dtype, float("loc"), float("scale"), key),
        "laplace" => random::laplace(shape, dtype, float("loc"), float("scale"), key),
        "truncated_normal" => random::truncated_normal(float("lower"), float("upper"), shape, dtype, key),
        "gumbel" => random::gumbel(shape, dtype, key),
        "randint" => random::randint(whole("low"), whole("high"), shape, dtype, key),
        "bernoulli" => random::bernoulli(float("p"), shape, key),
        "randperm" => random::randperm(length("n"), key),
        "categorical" => {
            #[allow(clippy::cast_possible_truncation, reason = "the references are of float32")]
            let logit = |logit: &Value| logit.as_f64().map_or(f32::NEG_INFINITY, |logit| logit as f32);
            let logits: Vec<f32> = case["logits"].as_array().unwrap().iter().map(logit).collect();
            let logits = A::from_slice(&logits, &lengths(&case["logits_shape"]))?;
            random::categorical(&logits, isize::try_from(whole("axis")).unwrap(), length("num_samples"), key)
        }
        other => panic!("no function {other}"),
    }
}

/// Returns the elements as numbers, whatever their dtype.
fn numbers<A: Array>(array: &A) -> Vec<f64> {
    match array.dtype() {
        Dtype::UInt32 => array.to_vec::<u32>().unwrap().into_iter().map(f64::from).collect(),
        Dtype::Int32 => array.to_vec::<i32>().unwrap().into_iter().map(f64::from).collect(),
        _ => elements(array).into_iter().map(f64::from).collect(),
    }
}

/// The largest difference between a draw and its reference, relative to the larger of the reference and 1.
fn tolerance(function: &str, dtype: Dtype) -> f64 {
    match (function, dtype) {
        ("normal" | "laplace" | "truncated_normal" | "gumbel", Dtype::Float16) => 1e-3,
        ("normal" | "laplace" | "truncated_normal" | "gumbel", Dtype::BFloat16) => 8e-3,
        ("truncated_normal", _) => 5e-6,
        ("normal" | "laplace" | "gumbel", _) => 1e-6,
        _ => 0.0,
    }
}

crate::on_every_backend! {
    fn integers_of_other_widths<A>() {
        let key = random::key::<A>(7).unwrap();
        let expected = elements(&random::randint(-9, 100, &[50], Dtype::Int32, &key).unwrap());
        for dtype in [Dtype::Int16, Dtype::Int64] {
            let draws = random::randint(-9, 100, &[50], dtype, &key).unwrap();
            assert_eq!((draws.dtype(), elements(&draws)), (dtype, expected.clone()));
        }
        assert_eq!(random::randint(0, 256, &[5], Dtype::UInt8, &key).unwrap().dtype(), Dtype::UInt8);
        let large = random::randint(0, 1 << 32, &[50], Dtype::Int64, &key).unwrap();
        assert!(large.to_vec::<i64>().unwrap().into_iter().any(|draw| draw > i64::from(i32::MAX)));
        for (low, high, dtype) in [(0, 257, Dtype::UInt8), (-1, 2, Dtype::UInt8), (0, 1 << 33, Dtype::Int64)] {
            assert!(random::randint(low, high, &[5], dtype, &key).unwrap_err().to_string().contains("exceeds"));
        }
        assert!(random::randint(0, 2, &[5], Dtype::Bool, &key).is_err());
    }

    /// Bits, uniform numbers, integers, bools and permutations exactly, the others up to rounding.
    fn draws_are_those_of_python<A>() {
        let references: Value = serde_json::from_str(REFERENCES).unwrap();
        let cases = references["cases"].as_array().unwrap();
        assert!(cases.len() > 700);
        for case in cases {
            let draws = draw::<A>(case).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(draws.shape(), lengths(&case["shape"]), "{case}");
            assert_eq!(draws.dtype(), dtype_of(case["dtype"].as_str().unwrap()), "{case}");
            let number = |element: &Value| match element.as_f64() {
                None => element.as_bool().unwrap().into(),
                // To float32 first: serde_json may be one unit in the last place of float64 off.
                #[allow(clippy::cast_possible_truncation, reason = "the references are of float32")]
                Some(element) if draws.dtype().is_float() => f64::from(element as f32),
                Some(element) => element,
            };
            let expected: Vec<f64> = case["elements"].as_array().unwrap().iter().map(number).collect();
            let found = numbers(&draws);
            assert_eq!(found.len(), expected.len());
            let tolerance = tolerance(case["function"].as_str().unwrap(), draws.dtype());
            for (found, expected) in found.iter().zip(expected) {
                let difference = (found - expected).abs();
                assert!(difference <= tolerance * expected.abs().max(1.0), "{found} is not {expected} in {case}");
            }
        }
    }

    fn split_keys_are_its_rows<A>() {
        let key: A = random::key(7).unwrap();
        let rows = random::split(&key, 3).unwrap().to_vec::<u32>().unwrap();
        let keys: [A; 3] = random::split_into(&key).unwrap();
        let keys = keys.map(|key| key.to_vec::<u32>().unwrap());
        assert_eq!(keys.concat(), rows);
        assert!(random::split_into::<A, 0>(&key).unwrap().is_empty());
    }

    /// Mean and variance of each distribution, and the correlation of neighbours.
    fn draws_have_the_moments_of_their_distribution<A>() {
        const SIZE: usize = 100_000;
        let keys: [A; 8] = random::split_into(&random::key(11).unwrap()).unwrap();
        let float = Dtype::Float32;
        let die = random::randint(1, 7, &[SIZE], Dtype::Int32, &keys[5]).unwrap();
        let logits = A::from_slice(&[0.25_f32.ln(), f32::NEG_INFINITY, 0.75_f32.ln()], &[3]).unwrap();
        let euler = 0.577_215_66;
        let draws = [
            (random::uniform(-1.0, 3.0, &[SIZE], float, &keys[0]).unwrap(), 1.0, 16.0 / 12.0),
            (random::normal(&[SIZE], float, 2.0, 3.0, &keys[1]).unwrap(), 2.0, 9.0),
            (random::truncated_normal(-1.0, 1.0, &[SIZE], float, &keys[2]).unwrap(), 0.0, 0.291_125),
            (random::laplace(&[SIZE], float, 1.0, 2.0, &keys[3]).unwrap(), 1.0, 8.0),
            (random::gumbel(&[SIZE], float, &keys[4]).unwrap(), euler, 1.644_934),
            (die.astype(float).unwrap(), 3.5, 35.0 / 12.0),
            (random::bernoulli(0.3, &[SIZE], &keys[6]).unwrap().astype(float).unwrap(), 0.3, 0.21),
            (random::categorical(&logits, 0, SIZE, &keys[7]).unwrap().astype(float).unwrap(), 1.5, 0.75),
        ];
        for (draws, mean, variance) in draws {
            let draws = numbers(&draws);
            #[allow(clippy::cast_precision_loss, reason = "it is small")]
            let average = |sum: f64| sum / SIZE as f64;
            let found = average(draws.iter().sum());
            // Five standard deviations of the average.
            assert!((found - mean).abs() < 5.0 * average(variance).sqrt(), "mean {found}, not {mean}");
            let spread = average(draws.iter().map(|draw| (draw - mean).powi(2)).sum());
            assert!((spread / variance - 1.0).abs() < 0.05, "variance {spread}, not {variance}");
            let neighbours = average(draws.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum());
            assert!((neighbours / variance).abs() < 0.02, "correlation of neighbours {}", neighbours / variance);
        }
    }

    /// Samples of the rows of a matrix follow each its own distribution.
    fn categorical_samples_along_any_axis<A>() {
        let logits = A::from_slice(&[0.0_f32, -1e9, -1e9, 0.0], &[2, 2]).unwrap();
        let key = random::key(3).unwrap();
        for axis in [0, 1, -1] {
            let draws = random::categorical(&logits, axis, 3, &key).unwrap();
            assert_eq!(draws.shape(), [2, 3]);
            assert_eq!(draws.to_vec::<u32>().unwrap(), [0, 0, 0, 1, 1, 1]);
        }
    }

    fn permutation_moves_whole_entries<A>() {
        let x = A::from_slice(&(0..12).collect::<Vec<i32>>(), &[4, 3]).unwrap();
        let key = random::key(5).unwrap();
        let order = random::randperm(4, &key).unwrap();
        let shuffled = random::permutation(&x, 0, &key).unwrap();
        assert_eq!(shuffled.to_vec::<i32>().unwrap(), x.take(&order, 0).unwrap().to_vec::<i32>().unwrap());
        let columns = random::permutation(&x, -1, &key).unwrap();
        assert_eq!(columns.sum(&[1], false).unwrap().to_vec::<i32>().unwrap(), [3, 12, 21, 30]);
        let empty = random::permutation(&x.slice(&[0, 0], &[0, 3]).unwrap(), 0, &key).unwrap();
        assert_eq!(empty.shape(), [0, 3]);
    }

    /// Draws have no gradient, a permuted array has one, and neither makes a transform fail.
    fn draws_are_constants_in_a_transform<A>() {
        let x = A::from_slice(&[1.0_f32, 2.0, 3.0], &[3]).unwrap();
        let key = &random::key::<A>(5).unwrap();
        let gradients = A::grad(
            |x| {
                let noise = random::normal(&[3], Dtype::Float32, 0.0, 1.0, key)?;
                assert!(!noise.is_traced());
                let index = random::categorical(&x[0], 0, 2, key)?;
                let picked = random::permutation(&x[0], 0, key)?.take(&index, 0)?;
                let loud = no_grad! { random::uniform(0.0, 1.0, &[3], Dtype::Float32, key)? };
                x[0].multiply(&noise)?.add(&loud)?.sum_all()?.add(&picked.sum_all()?)
            },
            std::slice::from_ref(&x),
        )
        .unwrap();
        let noise = random::normal(&[3], Dtype::Float32, 0.0, 1.0, key).unwrap();
        let rest = gradients[0].subtract(&noise).unwrap().sum_all().unwrap().item::<f32>().unwrap();
        assert!((rest - 2.0).abs() < 1e-5);
    }
}

#[cfg(all(feature = "cpu", feature = "mlx"))]
mod on_both {
    use grad_runtime::{Error, cpu, mlx};

    use super::*;

    /// Every number of elements, across the blocks that the CPU fallback computes in parallel.
    #[test]
    fn bits_are_equal_for_every_size() {
        fn bits<A: Array>(shape: &[usize]) -> Vec<u32> {
            random::bits(shape, &random::key::<A>(1 << 33).unwrap()).unwrap().to_vec().unwrap()
        }
        for size in (0..70).chain([16_384, 32_767, 32_768, 32_769, 65_537, 100_003]) {
            assert!(bits::<cpu::Array>(&[size]) == bits::<mlx::Array>(&[size]), "{size} elements");
        }
        assert_eq!(bits::<cpu::Array>(&[3, 5]), bits::<cpu::Array>(&[15]));
    }

    /// Where the references are few: many numbers, with the extremes among them.
    #[test]
    fn many_draws_are_equal_or_close() {
        type Draws<A> = fn(Dtype, &A) -> Result<A>;
        fn all<A: Array>() -> [(Draws<A>, f64); 5] {
            [
                (|dtype, key| random::uniform(-3.0, 0.7, &[200_001], dtype, key), 0.0),
                (|dtype, key| random::normal(&[200_001], dtype, 0.5, 2.0, key), 2.0),
                (|dtype, key| random::laplace(&[200_001], dtype, 0.5, 2.0, key), 2.0),
                (|dtype, key| random::gumbel(&[200_001], dtype, key), 1.0),
                (|dtype, key| random::truncated_normal(-2.0, 1.5, &[200_001], dtype, key), 5.0),
            ]
        }
        for (dtype, ulp) in [(Dtype::Float32, 1e-6), (Dtype::Float16, 1e-3), (Dtype::BFloat16, 8e-3)] {
            for (at, ((on_cpu, rounding), (on_mlx, _))) in all().into_iter().zip(all()).enumerate() {
                let on_cpu = on_cpu(dtype, &random::key::<cpu::Array>(99).unwrap()).unwrap();
                let on_mlx = on_mlx(dtype, &random::key::<mlx::Array>(99).unwrap()).unwrap();
                let mut rounded_otherwise = 0;
                for (found, expected) in numbers(&on_cpu).into_iter().zip(numbers(&on_mlx)) {
                    let limit = rounding * ulp * expected.abs().max(1.0);
                    let is_close = found == expected || (found - expected).abs() <= limit;
                    assert!(is_close, "{dtype} of function {at}: {found} is not {expected}");
                    rounded_otherwise += usize::from(found != expected);
                }
                // In half precision, a result differs only where the exact one is near a number half-way between two.
                assert!(
                    dtype == Dtype::Float32 || rounded_otherwise < 400,
                    "{dtype} of function {at}: {rounded_otherwise}"
                );
            }
        }
    }

    /// Bounds that float32 does not have, and those at the ends of the dtype.
    #[test]
    fn integers_are_equal_and_in_range() {
        for (low, high, dtype) in [
            (i64::from(i32::MAX) - 3, i64::from(i32::MAX) + 1, Dtype::Int32),
            (i64::from(i32::MAX) - 1000, i64::from(i32::MAX), Dtype::Int32),
            (i64::from(i32::MIN), i64::from(i32::MIN) + 2, Dtype::Int32),
            (i64::from(u32::MAX) - 700, i64::from(u32::MAX) + 1, Dtype::UInt32),
            (-16_777_217, 16_777_219, Dtype::Int32),
        ] {
            let on_cpu = random::randint(low, high, &[999], dtype, &random::key::<cpu::Array>(4).unwrap()).unwrap();
            let on_mlx = random::randint(low, high, &[999], dtype, &random::key::<mlx::Array>(4).unwrap()).unwrap();
            assert_eq!(numbers(&on_cpu), numbers(&on_mlx), "{low}..{high}");
            #[allow(clippy::cast_possible_truncation, reason = "they are integers")]
            let is_in_range = |draw: f64| (low..high).contains(&(draw as i64));
            assert!(numbers(&on_cpu).into_iter().all(is_in_range), "{low}..{high}");
        }
    }

    fn messages<A: Array>() -> Vec<String> {
        let key: A = random::key(0).unwrap();
        let vector = A::from_slice(&[1_u32, 2, 3], &[3]).unwrap();
        let float = A::from_slice(&[1.0_f32, 2.0], &[2]).unwrap();
        let empty = A::zeros(&[2, 0], Dtype::Float32).unwrap();
        let float32 = Dtype::Float32;
        let mut messages = Vec::new();
        let mut refuse = |result: Result<A>| messages.push(result.expect_err("an invalid call").to_string());
        for key in [&vector, &float] {
            refuse(random::split(key, 2));
            refuse(random::split_into::<A, 2>(key).map(|[first, _]| first));
            refuse(random::bits(&[2], key));
            refuse(random::uniform(0.0, 1.0, &[2], float32, key));
            refuse(random::normal(&[2], float32, 0.0, 1.0, key));
            refuse(random::truncated_normal(0.0, 1.0, &[2], float32, key));
            refuse(random::laplace(&[2], float32, 0.0, 1.0, key));
            refuse(random::gumbel(&[], float32, key));
            refuse(random::randint(0, 2, &[2], Dtype::Int32, key));
            refuse(random::bernoulli(0.5, &[2], key));
            refuse(random::categorical(&float, 0, 2, key));
            refuse(random::permutation(&float, 0, key));
            refuse(random::randperm(3, key));
        }
        for dtype in [Dtype::Int32, Dtype::Bool] {
            refuse(random::uniform(0.0, 1.0, &[2], dtype, &key));
            refuse(random::normal(&[2], dtype, 0.0, 1.0, &key));
            refuse(random::truncated_normal(0.0, 1.0, &[2], dtype, &key));
            refuse(random::laplace(&[2], dtype, 0.0, 1.0, &key));
            refuse(random::gumbel(&[2], dtype, &key));
        }
        refuse(random::randint(0, 2, &[2], float32, &key));
        refuse(random::randint(0, 2, &[2], Dtype::Bool, &key));
        for (low, high) in [(1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (-3e38, 3e38)] {
            refuse(random::uniform(low, high, &[2], float32, &key));
        }
        refuse(random::uniform(0.0, 1e5, &[2], Dtype::Float16, &key));
        refuse(random::truncated_normal(1.0, -1.0, &[2], float32, &key));
        refuse(random::truncated_normal(f64::NAN, 1.0, &[2], float32, &key));
        refuse(random::normal(&[2], float32, 0.0, -1.0, &key));
        refuse(random::laplace(&[2], float32, 0.0, f64::NAN, &key));
        for (low, high, dtype) in [
            (2, 2, Dtype::Int32),
            (2, 1, Dtype::Int32),
            (i64::MIN, 0, Dtype::Int32),
            (0, i64::MAX, Dtype::Int32),
            (-1, 2, Dtype::UInt32),
            (0, (1 << 32) + 1, Dtype::UInt32),
        ] {
            refuse(random::randint(low, high, &[2], dtype, &key));
        }
        for p in [-0.1, 1.1, f64::NAN] {
            refuse(random::bernoulli(p, &[2], &key));
        }
        refuse(random::bits(&[usize::MAX, 2], &key));
        refuse(random::split(&key, usize::MAX));
        refuse(random::randperm(usize::MAX, &key));
        refuse(random::categorical(&float, 1, 2, &key));
        refuse(random::categorical(&empty, 1, 2, &key));
        refuse(random::categorical(&float.sum_all().unwrap(), 0, 2, &key));
        refuse(random::categorical(&float, 0, usize::MAX, &key));
        refuse(random::permutation(&float, 2, &key));
        messages
    }

    #[test]
    fn messages_are_the_same_on_both_backends() {
        let (on_cpu, on_mlx) = (messages::<cpu::Array>(), messages::<mlx::Array>());
        assert_eq!(on_cpu, on_mlx);
        for message in on_cpu {
            let (call, reason) = message.split_once(": ").unwrap();
            assert!(call.starts_with("cannot ") && !reason.is_empty(), "{message}");
        }
        let key = random::key::<cpu::Array>(0).unwrap();
        let error = random::randint(2, 2, &[3], Dtype::Int32, &key).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot randint int32[3]: the range 2..2 is empty; the upper bound is not part of it"
        );
        let error = random::bernoulli(1.5, &[], &key).unwrap_err();
        assert_eq!(error.to_string(), "cannot bernoulli bool[]: the probability is 1.5; it must be from 0 to 1");
        let no_key = cpu::Array::scalar(1_u32).unwrap();
        let error = random::gumbel(&[2], Dtype::Float16, &no_key).unwrap_err();
        let reason = "the key is uint32[], not uint32[2]; make one with `random::key`";
        assert_eq!(error.to_string(), format!("cannot gumbel float16[2]: {reason}"));
    }

    /// The generator maps over keys, as in MLX: each row is the draw of its own key.
    #[test]
    fn draws_can_be_mapped_over_keys() {
        let keys = random::split(&random::key::<mlx::Array>(2).unwrap(), 3).unwrap();
        let draw = |key: &mlx::Array| random::normal(&[4], Dtype::Float32, 0.0, 1.0, key);
        let draws =
            mlx::vmap(|keys| Ok::<_, Error>(vec![draw(&keys[0])?]), std::slice::from_ref(&keys), &[Some(0)], &[0])
                .unwrap();
        for row in 0..3 {
            let key = keys.take(&mlx::Array::scalar(u32::try_from(row).unwrap()).unwrap(), 0).unwrap();
            let expected = draw(&key).unwrap().to_vec::<f32>().unwrap();
            let found = draws[0].slice(&[row, 0], &[row + 1, 4]).unwrap().to_vec::<f32>().unwrap();
            assert_eq!(found, expected);
        }
    }
}
