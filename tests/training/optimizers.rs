//! Optimizers, clipping, averages and accumulation, step by step as in PyTorch.

use std::f64::consts::PI;

use grad_runtime::optim::{
    Accumulator, Adam, AdamOptions, AdamW, AdamWOptions, Ema, Sgd, SgdOptions, clip_grad_norm, clip_grad_value,
};
use grad_runtime::{Array, Result, params};
use support::arrays::{assert_close, elements};
use support::on_every_backend;

use crate::models::{Mlp, wave};
use crate::reference::{assert_parameters, numbers, reference};

/// The steps after which parameters are compared.
const COMPARED: [u32; 5] = [1, 2, 10, 50, 100];

/// Trains the model of `reference.py` for 100 steps, each of which `step` makes.
fn regression<A: Array>(mut step: impl FnMut(&mut Mlp<A>, &Mlp<A>, u32) -> Result<()>) {
    let mut train = || {
        let mut model = Mlp::new(0.0, &[3, 4, 2])?;
        let x = wave(1.0, &[8, 3])?;
        for number in 1..=100 {
            let y = wave(0.1 * f64::from(number), &[8, 2])?;
            let (_, gradients) = params::value_and_grad(|model: &Mlp<A>| model.squared_error(&x, &y), &model)?;
            step(&mut model, &gradients, number)?;
            params::eval(&model)?;
        }
        Ok::<_, grad_runtime::Error>(())
    };
    train().unwrap();
}

/// Trains with each of the optimizers, and compares the parameters after some of the steps.
macro_rules! assert_trains_as_in_pytorch {
    ($optimizer:ident: $($name:literal $options:expr),*) => {$(
        println!("{}", $name);
        let (mut optimizer, expected) = (None, reference(concat!("optimizers.", $name)));
        regression(|model, gradients, number| {
            if optimizer.is_none() {
                optimizer = Some($optimizer::new(model, $options)?);
            }
            let optimizer = optimizer.as_mut().expect("it was made");
            optimizer.step(model, gradients)?;
            params::eval(optimizer)?;
            assert_eq!(optimizer.step_count()?, u64::from(number));
            assert_parameters::<A>(model, expected, number);
            Ok(())
        });
    )*};
}

on_every_backend! {
    fn sgd_as_in_pytorch<A>() {
        let default = SgdOptions::default();
        assert_trains_as_in_pytorch! { Sgd:
            "sgd" SgdOptions { lr: 0.1, ..default },
            "sgd_weight_decay" SgdOptions { lr: 0.1, weight_decay: 0.01, ..default },
            "sgd_momentum" SgdOptions { lr: 0.05, momentum: 0.9, ..default },
            "sgd_dampening" SgdOptions { lr: 0.1, momentum: 0.8, dampening: 0.5, weight_decay: 0.01, ..default },
            "sgd_nesterov" SgdOptions { lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.001, ..default }
        }
    }

    fn adam_as_in_pytorch<A>() {
        let default = AdamOptions::default();
        assert_trains_as_in_pytorch! { Adam:
            "adam" default,
            "adam_options" AdamOptions { lr: 0.02, betas: (0.8, 0.95), eps: 1e-6, weight_decay: 0.01, ..default },
            "adam_amsgrad" AdamOptions { lr: 0.05, betas: (0.9, 0.9), amsgrad: true, ..default }
        }
    }

    fn adamw_as_in_pytorch<A>() {
        let default = AdamWOptions::default();
        assert_trains_as_in_pytorch! { AdamW:
            "adamw" default,
            "adamw_options" AdamWOptions { lr: 0.02, betas: (0.8, 0.95), eps: 1e-6, weight_decay: 0.1, ..default },
            "adamw_amsgrad" AdamWOptions { lr: 0.05, betas: (0.9, 0.9), weight_decay: 0.1, amsgrad: true, ..default }
        }
    }

    fn clipping_as_in_pytorch<A>() {
        let options = SgdOptions { lr: 0.1, ..SgdOptions::default() };
        let mut norms = Vec::new();
        regression::<A>(|model, gradients, number| {
            let (gradients, norm) = clip_grad_norm(gradients, 0.15)?;
            if COMPARED.contains(&number) {
                norms.push(norm.item::<f32>()?);
            }
            Sgd::new(model, options)?.step(model, &gradients)?;
            assert_parameters(model, reference("clipping.norm"), number);
            Ok(())
        });
        assert_close(&norms, &numbers(reference("clipping.norms")), 1e-5);
        assert!(norms[0] > 0.15 && norms[4] < 0.15, "some are clipped, and some are not: {norms:?}");
        regression::<A>(|model, gradients, number| {
            Sgd::new(model, options)?.step(model, &clip_grad_value(gradients, 0.03)?)?;
            assert_parameters(model, reference("clipping.value"), number);
            Ok(())
        });
    }

    fn a_schedule_as_in_pytorch<A>() {
        let mut optimizer = None;
        regression::<A>(|model, gradients, number| {
            if optimizer.is_none() {
                optimizer = Some(AdamW::new(model, AdamWOptions::default())?);
            }
            let optimizer = optimizer.as_mut().expect("it was made");
            // A linear warm-up of ten steps, then a cosine to zero.
            let step = f64::from(number);
            let factor = if step < 10.0 { step / 10.0 } else { f64::midpoint(1.0, (PI * (step - 10.0) / 90.0).cos()) };
            optimizer.set_lr(0.02 * factor);
            optimizer.step(model, gradients)?;
            assert_parameters(model, reference("schedule"), number);
            params::eval(optimizer)
        });
    }

    fn a_moving_average_as_in_pytorch<A>() {
        let mut average: Option<Ema<Mlp<A>>> = None;
        regression::<A>(|model, gradients, number| {
            match &mut average {
                None => average = Some(Ema::new(model, 0.9)?),
                Some(average) => average.update(model)?,
            }
            let average = average.as_ref().expect("it was made");
            assert_parameters(average, reference("moving_average"), number);
            Sgd::new(model, SgdOptions { lr: 0.1, ..SgdOptions::default() })?.step(model, gradients)?;
            params::eval(average)
        });
    }

    fn accumulation_as_in_pytorch<A>() {
        let mut model = Mlp::<A>::new(0.0, &[3, 4, 2]).unwrap();
        let mut optimizer = Adam::new(&model, AdamOptions { lr: 0.01, ..AdamOptions::default() }).unwrap();
        let (x, y) = (wave::<A>(1.0, &[8, 3]).unwrap(), wave::<A>(2.0, &[8, 2]).unwrap());
        let mut accumulator = Accumulator::new();
        for number in 1..=50 {
            for row in [0, 2, 4, 6] {
                let (x, y) = (x.slice(&[row, 0], &[row + 2, 3]).unwrap(), y.slice(&[row, 0], &[row + 2, 2]).unwrap());
                accumulator.add(&params::grad(|model: &Mlp<A>| model.squared_error(&x, &y), &model).unwrap()).unwrap();
            }
            optimizer.step(&mut model, &accumulator.mean().unwrap()).unwrap();
            accumulator.reset();
            params::eval(&model).unwrap();
            assert_parameters(&model, reference("accumulation"), number);
        }
    }

    /// With a gradient that stays the same, both averages of Adam are exact after the correction of their bias, so each step
    /// changes the parameter by the learning rate.
    fn the_bias_correction_of_adam_keeps_its_digits<A>() {
        for beta in [0.0, 0.5, 0.9, 0.999, 0.9999, 0.999_999] {
            let mut x = A::scalar(0.0_f32).unwrap();
            let gradient = A::scalar(1.0_f32).unwrap();
            let options = AdamOptions { lr: 1.0, betas: (0.0, beta), eps: 0.0, ..AdamOptions::default() };
            let mut optimizer = Adam::new(&x, options).unwrap();
            for number in 1..=200_u16 {
                optimizer.step(&mut x, &gradient).unwrap();
                params::eval(&optimizer).unwrap();
                assert_close(&elements(&x), &[-f32::from(number)], 3e-6);
            }
        }
    }
}
