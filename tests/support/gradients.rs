//! Gradients of single operations, and their check by central differences.

use grad_runtime::{Array, Result, no_grad};

use crate::arrays::{array, assert_close, elements};

/// An operation that is differentiable with respect to all its operands.
pub type Operation<A> = fn(&[A]) -> Result<A>;

/// The range of an operand's elements. They all differ, so no maximum is a tie.
#[derive(Clone, Copy)]
pub enum Range {
    /// ±[0.3, 1.8], with both signs.
    Signed,
    /// [0.3, 1.8].
    Positive,
}

/// Returns an operand that is the same on every backend and in every run. `salt` makes the operands of one operation differ.
///
/// # Panics
///
/// If the array cannot be made.
#[must_use]
pub fn operand<A: Array>(range: Range, shape: &[usize], salt: usize) -> A {
    // A walk through all of 0..97, which is prime.
    let element = |at: usize| {
        let step = u8::try_from((31 * (at + 7 * salt) + 11) % 97).expect("less than 97");
        let magnitude = 0.3 + 1.5 * f32::from(step) / 97.0;
        match range {
            Range::Signed if !(at + salt).is_multiple_of(2) => -magnitude,
            _ => magnitude,
        }
    };
    array(&(0..shape.iter().product()).map(element).collect::<Vec<_>>(), shape)
}

/// Returns an operand for each range and shape.
#[must_use]
pub fn operands<A: Array>(parts: &[(Range, &[usize])]) -> Vec<A> {
    parts.iter().enumerate().map(|(salt, (range, shape))| operand(*range, shape, salt)).collect()
}

/// Returns a scalar that depends on each element of `output` by another weight.
///
/// # Errors
///
/// If it cannot be computed.
pub fn weighted_sum<A: Array>(output: &A) -> Result<A> {
    output.multiply(&operand::<A>(Range::Positive, &output.shape(), 5))?.sum_all()
}

/// Returns the gradient with respect to each operand, all elements in a row.
///
/// # Errors
///
/// If the function fails.
///
/// # Panics
///
/// If a gradient differs from its operand in shape or dtype.
pub fn gradient<A: Array>(function: impl FnOnce(&[A]) -> Result<A>, operands: &[A]) -> Result<Vec<f32>> {
    let gradients = A::grad(function, operands)?;
    for (gradient, operand) in gradients.iter().zip(operands) {
        assert_eq!((gradient.shape(), gradient.dtype()), (operand.shape(), operand.dtype()));
    }
    Ok(gradients.iter().flat_map(elements).collect())
}

/// Returns the gradient of [`weighted_sum`] of the operation by central differences, all elements in a row.
///
/// # Panics
///
/// If the operation fails.
#[must_use]
pub fn central_differences<A: Array>(operation: Operation<A>, operands: &[A]) -> Vec<f32> {
    const STEP: f32 = 1e-2;
    let mut gradient = Vec::new();
    for (at, operand) in operands.iter().enumerate() {
        let (middle, shape) = (elements(operand), operand.shape());
        for element in 0..middle.len() {
            let value_at = |offset: f32| {
                let mut moved = middle.clone();
                moved[element] += offset;
                let mut operands = operands.to_vec();
                operands[at] = array(&moved, &shape);
                weighted_sum(&operation(&operands).unwrap()).unwrap().item::<f32>().unwrap()
            };
            gradient.push((value_at(STEP) - value_at(-STEP)) / (2.0 * STEP));
        }
    }
    gradient
}

/// Asserts guarantees 3 and 4 for one operation: in a scope its value is the same, outside a transform its graph too, and inside
/// one its result is a constant.
///
/// # Panics
///
/// If the operation does not keep them, or fails.
#[track_caller]
pub fn assert_constant_in_a_scope<A: Array>(operation: Operation<A>, operands: &[A]) {
    let outside = operation(operands).unwrap();
    let inside = no_grad!(operation(operands).unwrap());
    // The graph of a lazy backend ends in the operation itself, with nothing behind it.
    assert_eq!(format!("{inside:?}"), format!("{outside:?}"), "outside a transform a scope adds nothing");
    assert_eq!(elements(&inside), elements(&outside), "a scope changes no value");

    let (value, gradients) = A::value_and_grad(|x| weighted_sum(&no_grad!(operation(x)?)), operands).unwrap();
    let expected = weighted_sum(&outside).unwrap().item::<f32>().unwrap();
    assert_close(&[value.item().unwrap()], &[expected], 1e-6);
    for gradient in &gradients {
        assert!(
            elements(gradient).iter().all(|&element| element == 0.0),
            "the operation is in a scope: {gradient:?}"
        );
    }

    // d/df Σ f · c is the constant c itself.
    let factor = A::ones(&outside.shape(), grad_runtime::Dtype::Float32).unwrap();
    let with_factor: Vec<A> = [factor].iter().chain(operands).cloned().collect();
    let product = |x: &[A]| x[0].multiply(&no_grad!(operation(&x[1..])?))?.sum_all();
    let gradients = A::grad(product, &with_factor).unwrap();
    // On a GPU, a kernel of MLX may round another way than the operations that take its place where it lacks derivatives.
    assert_close(&elements(&gradients[0]), &elements(&outside), 1e-6);
}
