//! Derivatives of higher order, and in forward mode, of single operations.

use grad_runtime::{Array, Result};

use crate::arrays::{array, assert_close, elements};
use crate::gradients::weighted_sum;

/// A function of arrays that returns one.
pub type Function<'f, A> = &'f dyn Fn(&[A]) -> Result<A>;

/// Returns a scalar that depends on each derivative of this order of each element of the function, by reverse mode throughout.
///
/// # Errors
///
/// If it cannot be computed.
pub fn derivative<A: Array>(function: Function<A>, order: usize, operands: &[A]) -> Result<A> {
    if order == 0 {
        return weighted_sum(&function(operands)?);
    }
    let gradients = A::grad(|operands| derivative(function, order - 1, operands), operands)?;
    let sums = gradients.iter().map(weighted_sum).collect::<Result<Vec<_>>>()?;
    sums[1..].iter().try_fold(sums[0].clone(), |sum, next| sum.add(next))
}

/// Asserts that the derivatives of this order are those of central differences of the order before.
///
/// # Panics
///
/// If they are not, or the function fails.
#[track_caller]
pub fn assert_derivative<A: Array>(function: Function<A>, order: usize, operands: &[A], tolerance: f32) {
    const STEP: f32 = 1e-2;
    let scalar = |operands: &[A]| derivative(function, order - 1, operands);
    let gradients = A::grad(scalar, operands).unwrap();
    for (at, operand) in operands.iter().enumerate() {
        let (middle, shape) = (elements(operand), operand.shape());
        let expected = (0..middle.len()).map(|element| {
            let value_at = |offset: f32| {
                let mut moved = middle.clone();
                moved[element] += offset;
                let mut operands = operands.to_vec();
                operands[at] = array(&moved, &shape);
                scalar(&operands).unwrap().item::<f32>().unwrap()
            };
            (value_at(STEP) - value_at(-STEP)) / (2.0 * STEP)
        });
        assert_close(&elements(&gradients[at]), &expected.collect::<Vec<_>>(), tolerance);
    }
}

#[cfg(feature = "mlx")]
pub use forward_mode::{assert_forward_mode, forward};

#[cfg(feature = "mlx")]
mod forward_mode {
    use grad_runtime::mlx::{self, Array as Mlx};
    use grad_runtime::{Error, Result};

    use super::{Function, derivative};
    use crate::arrays::{assert_close, elements};
    use crate::gradients::{Range, operand, weighted_sum};

    fn tangents(primals: &[Mlx]) -> Vec<Mlx> {
        let tangent = |(at, primal): (usize, &Mlx)| operand(Range::Signed, &primal.shape(), 11 + at);
        primals.iter().enumerate().map(tangent).collect()
    }

    /// Returns the derivative of a function along fixed tangents, in forward mode.
    ///
    /// # Errors
    ///
    /// If it cannot be computed.
    pub fn forward(function: Function<Mlx>, primals: &[Mlx]) -> Result<Mlx> {
        let list = |primals: &[Mlx]| Ok::<_, Error>(vec![function(primals)?]);
        Ok(mlx::jvp(list, primals, &tangents(primals))?.1.swap_remove(0))
    }

    fn dot(a: &[Mlx], b: &[Mlx]) -> f32 {
        let pairs = a.iter().zip(b).flat_map(|(a, b)| elements(a).into_iter().zip(elements(b)));
        pairs.map(|(a, b)| a * b).sum()
    }

    /// Asserts that forward and reverse mode agree, alone and in all nestings of two.
    ///
    /// # Panics
    ///
    /// If they do not, or the function fails.
    #[track_caller]
    pub fn assert_forward_mode(function: Function<Mlx>, operands: &[Mlx]) {
        let scalars: [Function<Mlx>; 3] =
            [&|x| derivative(function, 0, x), &|x| derivative(function, 1, x), &|x| {
                weighted_sum(&forward(function, x)?)
            }];
        for scalar in scalars {
            let gradients = Mlx::grad(scalar, operands).unwrap();
            let found = forward(scalar, operands).unwrap().item::<f32>().unwrap();
            assert_close(&[found], &[dot(&gradients, &tangents(operands))], 1e-3);
        }
    }
}
