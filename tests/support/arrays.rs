//! Arrays of float32, and how close they are.

use grad_runtime::{Array, Dtype};

/// Returns an array of float32 with these elements in row-major order.
///
/// # Panics
///
/// If the elements do not fill the shape.
#[track_caller]
#[must_use]
pub fn array<A: Array>(elements: &[f32], shape: &[usize]) -> A {
    A::from_slice(elements, shape).unwrap()
}

/// Returns the elements, converted to float32.
///
/// # Panics
///
/// If they cannot be computed.
#[track_caller]
#[must_use]
pub fn elements<A: Array>(array: &A) -> Vec<f32> {
    array.astype(Dtype::Float32).unwrap().to_vec().unwrap()
}

/// Asserts that the elements are pairwise close, to a tolerance relative to the larger magnitude, or to 1 if that is larger.
///
/// # Panics
///
/// If they are not close, or not finite.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "number of elements");
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        let is_close = difference.is_finite() && difference <= tolerance * found.abs().max(expected.abs()).max(1.0);
        assert!(is_close, "element {at}: found {found}, expected {expected}, tolerance {tolerance}");
    }
}
