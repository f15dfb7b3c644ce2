//! Checks the reference against finite differences, in float64.
//!
//! A function with transforms inside is differentiated once more by tags, and by differences of its values. Constants made in
//! scopes are held at the values that they have in the middle, as `stop_gradient` means it; so the differences know as little of
//! tags as can be.

use grad_runtime::Dtype;
use support::random::Random;

use crate::generate::{self, Language};
use crate::mode_model::Engine;
use crate::numbers::Number;
use crate::program::Function;
use crate::reference::{Held, Reference};
use crate::reference_tensors::{Result, Tensor};

/// The number of functions checked of each kind.
const FUNCTIONS: usize = 300;
/// The step of the differences.
const STEP: f64 = 1e-5;

fn reference() -> Reference {
    Reference::new(Engine::Mlx, None)
}

/// Checks each derivative of a function by each element of its inputs. Returns whether one of them is not zero, or what is wrong.
fn check(function: &Function, inputs: &[Tensor]) -> Result<Result<bool, String>> {
    let mut elements = 0;
    let mut tag = |x: &Number| {
        elements += 1;
        Ok(x.with_tag(0, elements - 1))
    };
    let tagged = inputs.iter().map(|input| input.map(&mut tag)).collect::<Result<Vec<_>>>()?;
    let (results, held) = reference().differentiate(function, &tagged, true, Held::Recording(Vec::new()))?;
    let Held::Recording(constants) = held else { unreachable!("it records") };
    let results: Vec<&Number> = results.iter().flat_map(|result| &result.elements).collect();

    let values_at = |moved: usize, step: f64| -> Result<Vec<f64>> {
        let mut next = 0;
        let mut shift = |x: &Number| {
            next += 1;
            let step = if next - 1 == moved { step } else { 0.0 };
            Ok(Number::exact(x.value() + step))
        };
        let shifted = inputs.iter().map(|input| input.map(&mut shift)).collect::<Result<Vec<_>>>()?;
        let held = Held::Replaying(constants.clone(), 0);
        let (results, _) = reference().differentiate(function, &shifted, false, held)?;
        Ok(results.iter().flat_map(|result| &result.elements).map(Number::value).collect())
    };
    let mut moves = false;
    for at in 0..elements {
        let difference = |step: f64| -> Result<Vec<f64>> {
            let (above, below) = (values_at(at, step)?, values_at(at, -step)?);
            Ok(above.iter().zip(&below).map(|(above, below)| (above - below) / (2.0 * step)).collect())
        };
        let (near, far) = (difference(STEP)?, difference(2.0 * STEP)?);
        for (number, (near, far)) in near.iter().zip(&far).enumerate() {
            let derivative = results[number].coefficient(0, at).value();
            let tolerance = 1e-5 * results[number].magnitude().max(1.0);
            // Where two steps do not agree, there is a kink between.
            if (near - far).abs() <= tolerance && (derivative - near).abs() > tolerance {
                let what = format!("element {number} by element {at}");
                return Ok(Err(format!("{what}: {derivative} by tags, {near} by differences")));
            }
            moves |= derivative != 0.0;
        }
    }
    Ok(Ok(moves))
}

/// Checks random functions. Most of them must have a derivative that is not zero.
fn check_functions(scopes: bool) {
    let language = Language { engine: Engine::Mlx, scopes, custom_derivatives: false };
    let (mut checked, mut moving) = (0, 0);
    let mut seed = 0;
    while checked < FUNCTIONS {
        let (function, shapes) = generate::function(seed, language);
        let random = Random::new(seed);
        let inputs = shapes.map(|shape| {
            #[allow(clippy::cast_precision_loss, reason = "they are small")]
            let mut element = |_| random.below(320) as f32 / 64.0 - 2.5;
            let elements: Vec<f32> = (0..shape.iter().product()).map(&mut element).collect();
            Tensor::constant(&shape, Dtype::Float32, &elements)
        });
        match check(&function, &inputs) {
            Ok(Ok(moves)) => {
                checked += 1;
                moving += usize::from(moves);
            }
            Ok(Err(message)) => panic!("{message}, in the function of seed {seed}:\n{function}"),
            Err(_) => {}
        }
        seed += 1;
    }
    assert!(moving * 2 > FUNCTIONS, "{moving} functions of {FUNCTIONS} depend on their inputs");
}

#[test]
fn functions_without_scopes() {
    check_functions(false);
}

#[test]
fn functions_with_constants_held() {
    check_functions(true);
}
