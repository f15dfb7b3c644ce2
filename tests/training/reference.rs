//! The numbers of PyTorch, in `reference.json`.

use std::sync::LazyLock;

use grad_runtime::{Array, Params};
use serde_json::Value;
use support::arrays::{assert_close, elements};

static REFERENCE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("reference.json")).expect("it is JSON"));

/// How close float32 results of the same training are, after up to 100 steps. Parameters are about 1.
const TOLERANCE: f32 = 2e-5;

/// Returns the numbers at a path such as `optimizers.sgd`.
///
/// # Panics
///
/// If there are none.
pub fn reference(path: &str) -> &'static Value {
    path.split('.').fold(&*REFERENCE, |value, key| value.get(key).unwrap_or_else(|| panic!("no `{path}`")))
}

/// Returns the numbers of an array.
pub fn numbers(value: &Value) -> Vec<f32> {
    let numbers: Vec<f32> = serde_json::from_value(value.clone()).expect("an array of numbers");
    assert!(!numbers.is_empty());
    numbers
}

/// Compares every parameter after `step` with those of PyTorch, if there are any for that step.
#[track_caller]
pub fn assert_parameters<A: Array>(model: &impl Params<A>, steps: &Value, step: u32) {
    if let Some(expected) = steps.get(step.to_string()) {
        assert_same_parameters(model, expected, step);
    }
}

/// Compares every parameter with those of PyTorch.
#[track_caller]
pub fn assert_same_parameters<A: Array>(model: &impl Params<A>, expected: &Value, step: u32) {
    let (named, expected) = (model.named(), expected.as_object().expect("parameters by name"));
    assert!(named.keys().all(|name| expected.contains_key(name)) && named.len() == expected.len());
    for (name, array) in &named {
        println!("step {step}, {name}");
        assert_close(&elements(array), &numbers(&expected[name]), TOLERANCE);
    }
}
