//! Compares what a backend makes of a program with the reference.

use std::collections::BTreeSet;

use crate::mode_model::{Engine, Pair};
use crate::program::Program;
use crate::reference::{self, Expected, Mistake};
use crate::reference_tensors::{SAFETY, Stop, Tensor};
use crate::run::{self, Elements, Found, Outcome, Transforms};
use crate::shrink::shrink;

/// The result of checking a program.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Agrees,
    /// The first difference between the backend and the reference.
    Differs(String),
    /// It is no program, or rounding would decide.
    PassedOver(Stop),
}

/// Runs a program on the backend and on the reference.
pub fn check<A: Transforms>(program: &Program, mistake: Option<Mistake>) -> Verdict {
    match expect(program, A::ENGINE, mistake) {
        Err(stop) => Verdict::PassedOver(stop),
        Ok(expected) => {
            let found = run::run::<A>(program);
            let difference = expected.iter().zip(&found).find_map(|(expected, found)| difference(expected, found));
            difference.map_or(Verdict::Agrees, Verdict::Differs)
        }
    }
}

/// Returns the text about a program that a backend gets wrong: the smallest that was found, and how it differs.
pub fn explained<A: Transforms>(program: Program, difference: &str) -> String {
    let types = |program: &Program| {
        let expected = reference::run(program, A::ENGINE, None);
        expected.into_iter().map(|block| block.types).collect()
    };
    let fails = |program: &Program| matches!(check::<A>(program, None), Verdict::Differs(_));
    let smallest = shrink(program, types, fails);
    let smallest_difference = match check::<A>(&smallest, None) {
        Verdict::Differs(difference) => difference,
        verdict => format!("{verdict:?}: it does not differ each time"),
    };
    format!(
        "{:?} differs from the reference: {smallest_difference}\n\n{smallest}\n\
         This is the smallest program found. Before, it was: {difference}",
        A::ENGINE
    )
}

/// Returns what the reference makes of a program, unless it passes over it.
pub fn expect(program: &Program, engine: Engine, mistake: Option<Mistake>) -> Result<Vec<Expected>, Stop> {
    let expected = reference::run(program, engine, mistake);
    for block in &expected {
        match &block.results {
            Err(stop @ (Stop::Invalid | Stop::Rounding)) => return Err(*stop),
            Err(Stop::InferenceMode | Stop::Failed) => {}
            Ok(values) => {
                if values.values().any(|array| !is_telling(array)) {
                    return Err(Stop::Rounding);
                }
            }
        }
    }
    Ok(expected)
}

/// The difference that rounding may make to an element.
fn tolerance(value: f64, error: f64) -> f64 {
    SAFETY * error + 4e-6 * value.abs().max(1.0)
}

/// Returns whether the tolerance is small enough to tell right from wrong.
fn is_telling(array: &Tensor) -> bool {
    let mut elements = array.elements.iter();
    elements.all(|x| x.is_finite() && tolerance(x.value(), x.error()) <= 0.05 * x.value().abs().max(1.0))
}

fn difference(expected: &Expected, found: &Found) -> Option<String> {
    match (&expected.results, &found.outcome) {
        (Ok(expected), Outcome::Values(found)) => {
            for (value, found) in found {
                if let Some(difference) = expected.get(value).and_then(|array| differs(array, found)) {
                    return Some(format!("v{value}: {difference}"));
                }
            }
            if expected.len() != found.len() {
                return Some(format!("expected {} values, found {}", expected.len(), found.len()));
            }
        }
        (Err(Stop::InferenceMode), Outcome::InferenceMode) | (Err(Stop::Failed), Outcome::Failed) => {}
        (Ok(_), found) => return Some(format!("expected values, found {found:?}")),
        (Err(expected), found) => return Some(format!("expected {expected:?}, found {found:?}")),
    }
    for (value, found) in &found.reads {
        let expected = expected.reads.get(value).into_iter().flatten();
        let differences: Vec<_> = expected.map(|array| differs(array, found)).collect();
        if differences.iter().all(Option::is_some) {
            return Some(format!("what is read for v{value}: {differences:?}"));
        }
    }
    for (value, found) in &found.modes {
        let expected: &[Pair] = expected.modes.get(value).map_or(&[], Vec::as_slice);
        if !expected.contains(found) {
            return Some(format!(
                "the modes of the CPU and MLX at v{value}: expected {expected:?}, found {found:?}"
            ));
        }
    }
    let made: BTreeSet<_> = found.modes.iter().map(|(value, _)| value).collect();
    if let Some(value) =
        expected.modes.keys().find(|value| !made.contains(value) && !expected.optional.contains(value))
    {
        return Some(format!("v{value} was not made"));
    }
    (found.left != Pair::default()).then(|| format!("the modes {:?} are left", found.left))
}

fn differs(expected: &Tensor, found: &Elements) -> Option<String> {
    if (&expected.shape, expected.dtype) != (&found.shape, found.dtype) {
        return Some(format!(
            "expected {}{:?}, found {}{:?}",
            expected.dtype, expected.shape, found.dtype, found.shape
        ));
    }
    let close = |(expected, found): (&crate::numbers::Number, &f64)| {
        (expected.value() - found).abs() <= tolerance(expected.value(), expected.error())
    };
    let same = expected.elements.iter().zip(&found.values).all(close);
    let values: Vec<f64> = expected.elements.iter().map(crate::numbers::Number::value).collect();
    (!same).then(|| format!("expected {values:?}, found {:?}", found.values))
}
