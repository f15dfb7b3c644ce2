//! What holds for every optimizer: a failed step changes nothing, results are constants, dtypes stay, errors say what to do.

use grad_runtime::optim::{
    Accumulator, Adam, AdamOptions, AdamW, AdamWOptions, Ema, Sgd, SgdOptions, clip_grad_norm, clip_grad_value,
};
use grad_runtime::params::{self, Path};
use grad_runtime::{Array, Dtype, Params, enable_grad, inference_mode, no_grad};
use support::arrays::{array, elements};
use support::on_every_backend;

/// Returns the elements by name, each as float32.
fn snapshot<A: Array>(params: &impl Params<A>) -> Vec<(String, Vec<f32>)> {
    params.named().iter().map(|(name, array)| (name.clone(), elements(array))).collect()
}

/// Runs the code with each optimizer, which has all of its state.
macro_rules! with_each_optimizer {
    (|$optimizer:ident, $model:ident| $body:block) => {{
        let model = &$model;
        let options = SgdOptions { lr: 0.5, momentum: 0.9, ..SgdOptions::default() };
        let mut $optimizer = Sgd::new(model, options).unwrap();
        $body
        let options = AdamOptions { lr: 0.5, amsgrad: true, ..AdamOptions::default() };
        let mut $optimizer = Adam::new(model, options).unwrap();
        $body
        let options = AdamWOptions { lr: 0.5, amsgrad: true, ..AdamWOptions::default() };
        let mut $optimizer = AdamW::new(model, options).unwrap();
        $body
    }};
}

on_every_backend! {
    fn a_failed_step_changes_nothing<A>() {
        let model: Vec<A> = vec![array(&[1.0, 2.0], &[2]), array(&[3.0], &[1])];
        let gradients: Vec<A> = vec![array(&[0.5, 0.25], &[2]), array(&[-1.0], &[1])];
        let invalid: [Vec<A>; 4] = [
            vec![gradients[0].clone()],
            vec![gradients[0].clone(), array(&[1.0, 2.0], &[2])],
            vec![gradients[0].clone(), gradients[1].astype(Dtype::Float16).unwrap()],
            vec![gradients[0].clone(), gradients[1].clone(), gradients[1].clone()],
        ];
        with_each_optimizer!(|optimizer, model| {
            let mut model = model.clone();
            optimizer.step(&mut model, &gradients).unwrap();
            let before = (snapshot(&model), snapshot(&optimizer));
            for invalid in &invalid {
                optimizer.step(&mut model, invalid).unwrap_err();
                assert_eq!((snapshot(&model), snapshot(&optimizer)), before);
            }
            let lr = optimizer.lr();
            for invalid in [f64::NAN, f64::INFINITY, -0.1] {
                optimizer.set_lr(invalid);
                let error = optimizer.step(&mut model, &gradients).unwrap_err();
                assert_eq!(error.to_string(), format!("cannot step: `lr` is {invalid}; it must be finite and at least 0"));
                assert_eq!((snapshot(&model), snapshot(&optimizer)), before);
            }
            optimizer.set_lr(lr);
            optimizer.step(&mut model, &gradients).unwrap();
            assert_ne!(snapshot(&model), before.0);
            assert_eq!(optimizer.step_count().unwrap(), 2);
        });
    }

    fn errors_name_the_array<A>() {
        let model: Vec<A> = vec![array(&[1.0, 2.0], &[2])];
        let mut optimizer = Adam::new(&model, AdamOptions::default()).unwrap();
        let error = optimizer.step(&mut model.clone(), &vec![array(&[1.0], &[1])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot step float32[2] and float32[1]: the gradient of `0` must have the shape and dtype of the array; pass the \
             gradients of this model"
        );
        let mut other: Vec<A> = vec![array(&[1.0], &[1])];
        let error = optimizer.step(&mut other.clone(), &other).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot step float32[1]: the optimizer's state for `0` is of another shape or dtype; make the optimizer from the \
             model that it trains"
        );
        other.insert(0, model[0].clone());
        let error = optimizer.step(&mut other.clone(), &other).unwrap_err();
        assert!(error.to_string().contains("the optimizer's state for `1` is not there"), "{error}");
        let error = Adam::new(&vec![A::scalar(1_i32).unwrap()], AdamOptions::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot create Adam int32[]: `0` is not floating point and cannot be trained; mark its field `#[params(buffer)]` or \
             `#[params(skip)]`"
        );
        let mut ema = Ema::new(&model, 0.5).unwrap();
        let error = ema.update(&vec![array::<A>(&[1.0], &[1])]).unwrap_err();
        assert!(error.to_string().starts_with("cannot update float32[2] and float32[1]: `0` must have"), "{error}");
        assert_eq!(elements(&ema.model()[0]), [1.0, 2.0]);
        let mut accumulator = Accumulator::new();
        accumulator.add(&model).unwrap();
        accumulator.add(&vec![array::<A>(&[1.0], &[1])]).unwrap_err();
        assert_eq!((accumulator.len(), elements(&accumulator.mean().unwrap()[0])), (1, vec![1.0, 2.0]));
        for invalid in [-1.0, f64::NAN] {
            assert!(clip_grad_norm(&model, invalid).is_err() && clip_grad_value(&model, invalid).is_err());
        }
    }

    /// Inside a transform too, and in a scope that records: what this module computes depends on no primal.
    fn guarantee_3_results_are_constants<A>() {
        let start: Vec<A> = vec![array(&[1.0, 2.0], &[2])];
        let all_constant = |params: &Vec<A>| params.iter().all(|array| !array.is_traced());
        let gradients = A::grad(|x| {
            enable_grad! {
                let traced: Vec<A> = x.to_vec();
                assert!(traced[0].is_traced());
                with_each_optimizer!(|optimizer, start| {
                    let mut model = traced.clone();
                    optimizer.step(&mut model, &traced)?;
                    assert!(all_constant(&model) && optimizer.arrays().iter().all(|array| !array.is_traced()));
                });
                let mut ema = Ema::new(&traced, 0.5)?;
                assert!(all_constant(ema.model()));
                ema.update(&traced)?;
                assert!(all_constant(ema.model()));
                let mut accumulator = Accumulator::new();
                accumulator.add(&traced)?;
                accumulator.add(&traced)?;
                assert!(all_constant(&accumulator.mean()?));
                let (clipped, norm) = clip_grad_norm(&traced, 0.5)?;
                assert!(all_constant(&clipped) && !norm.is_traced());
                assert!(all_constant(&clip_grad_value(&traced, 0.5)?));
                // The loss depends on x once, beside the constants.
                x[0].multiply(&clipped[0])?.sum_all()
            }
        }, &start).unwrap();
        let (clipped, _) = clip_grad_norm(&start, 0.5).unwrap();
        assert_eq!(elements(&gradients[0]), elements(&clipped[0]));
    }

    fn a_step_works_in_scopes_of_all_kinds<A>() {
        let step = || {
            let mut model: Vec<A> = vec![array(&[1.0], &[1])];
            Sgd::new(&model, SgdOptions { lr: 0.5, ..SgdOptions::default() })?.step(&mut model, &vec![array(&[1.0], &[1])])?;
            Ok::<_, grad_runtime::Error>(elements(&model[0]))
        };
        assert_eq!(step().unwrap(), [0.5]);
        assert_eq!(no_grad!(step().unwrap()), [0.5]);
        assert_eq!(inference_mode!(step().unwrap()), [0.5]);
    }

    /// From parameters and gradients that half precision represents, a step gives that of float32, rounded once.
    fn half_precision_is_computed_in_float32<A>() {
        let step = |dtype: Dtype, rounded: Dtype| {
            let model = vec![array::<A>(&[1.0, -2.0], &[2]).astype(dtype).unwrap()];
            let gradients = vec![array::<A>(&[0.5, 0.375], &[2]).astype(dtype).unwrap()];
            let mut results = Vec::new();
            with_each_optimizer!(|optimizer, model| {
                let mut model = model.clone();
                optimizer.step(&mut model, &gradients).unwrap();
                assert_eq!(model[0].dtype(), dtype);
                let state = optimizer.named();
                assert!(state.iter().all(|(name, array)| name == "step" || array.dtype() == dtype), "{state:?}");
                let arrays = model.iter().chain(state.values());
                results.extend(arrays.map(|array| elements(&array.astype(rounded).unwrap())));
            });
            let mut ema = Ema::new(&model, 0.75).unwrap();
            ema.update(&gradients).unwrap();
            let mut accumulator = Accumulator::new();
            for _ in 0..3 {
                accumulator.add(&gradients).unwrap();
            }
            let (clipped, norm) = clip_grad_norm(&gradients, 0.125).unwrap();
            assert_eq!((norm.dtype(), clipped[0].dtype(), ema.model()[0].dtype()), (Dtype::Float32, dtype, dtype));
            assert_eq!(accumulator.mean().unwrap()[0].dtype(), dtype);
            for array in [&ema.model()[0], &accumulator.mean().unwrap()[0], &clipped[0]] {
                results.push(elements(&array.astype(rounded).unwrap()));
            }
            results
        };
        for dtype in [Dtype::Float16, Dtype::BFloat16] {
            assert_eq!(step(dtype, dtype), step(Dtype::Float32, dtype), "{dtype}");
        }
    }

    /// A sum of bfloat16 would stop at 256, where 1 is half of a rounding.
    fn accumulation_does_not_stop<A>() {
        let one = A::ones(&[], Dtype::BFloat16).unwrap();
        let mut accumulator = Accumulator::new();
        for _ in 0..512 {
            accumulator.add(&one).unwrap();
        }
        assert_eq!(elements(&accumulator.mean().unwrap()), [1.0]);
    }

    fn an_average_is_not_trained_and_copies_integers<A>() {
        let model = |value: f32, count: i64| (A::scalar(value).unwrap(), A::scalar(count).unwrap());
        let mut ema = Ema::new(&model(1.0, 1), 0.5).unwrap();
        ema.update(&model(2.0, 5)).unwrap();
        assert_eq!((elements(&ema.model().0), ema.model().1.item::<i64>().unwrap()), (vec![1.5], 5));
        let mut trainable = 0;
        ema.visit_arrays(&Path::root(), &mut |path, _: &A| trainable += u32::from(path.is_trainable()));
        assert_eq!(trainable, 0);
        let error = params::grad(|ema: &Ema<(A, A)>| ema.model().0.square(), &ema).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("there are no primals"), "{error}");
    }
}
