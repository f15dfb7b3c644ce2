//! The transforms that differentiate.

use super::running::Running;
use super::{failed, handed_out, over_handles};
use crate::array::{require_loss, require_primals};
use crate::error::{Error, Result};
use crate::mlx::Array;
use crate::mlx::ffi;

/// The outputs of a function and the product of `cotangents`, one for each output and of its shape, with the Jacobian:
/// an array for each primal, of its shape and dtype.
///
/// `function` is called once, with grad mode `Enabled`, whatever scope the call stands in; scopes inside it count. Called
/// inside a no-grad scope, the results are constants to the transforms around. A primal that no output depends on gets
/// zeros.
///
/// # Errors
///
/// What `function` returns; [`Error::InferenceMode`] in inference mode; [`Error::Operation`] if there are no primals, one
/// of them is not of a float dtype, or the cotangents are not as many as the outputs or not of their shapes.
///
/// # Panics
///
/// If `function` panics, with its payload; the grad mode is as before.
///
/// ```
/// use grad_runtime::{Array, mlx, no_grad};
///
/// let x = mlx::Array::from_slice(&[2.0_f32, 3.0], &[2])?;
/// let (outputs, cotangents) = mlx::vjp(
///     |x| Ok::<_, grad_runtime::Error>(vec![x[0].square()?, no_grad! { x[0].square()? }]),
///     &[x],
///     &[mlx::Array::from_slice(&[1.0_f32, 10.0], &[2])?, mlx::Array::from_slice(&[7.0_f32, 7.0], &[2])?],
/// )?;
/// assert_eq!(outputs[1].to_vec::<f32>()?, [4.0, 9.0]);
/// assert_eq!(cotangents[0].to_vec::<f32>()?, [4.0, 60.0]); // 2x, and nothing through the scope.
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn vjp<F, E>(function: F, primals: &[Array], cotangents: &[Array]) -> Result<(Vec<Array>, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Vec<Array>, E>,
    E: From<Error>,
{
    const NAME: &str = "vjp";
    require_primals(NAME, primals)?;
    let running = Running::start();
    let derived = ffi::vjp(over_handles(function), ffi::handles(primals), ffi::handles(cotangents));
    drop(running);
    handed_out_both(NAME, primals, derived)
}

/// The outputs of a function and how they move when the primals move by `tangents`, one for each primal and of its shape:
/// an array for each output, of its shape.
///
/// Modes are as in [`vjp`]. An output that does not depend on the primals has tangent zero.
///
/// # Errors
///
/// As [`vjp`], of tangents and primals.
///
/// # Panics
///
/// As [`vjp`].
///
/// ```
/// use grad_runtime::{Array, mlx, no_grad};
///
/// let (x, one) = (mlx::Array::scalar(3.0_f32)?, mlx::Array::scalar(1.0_f32)?);
/// // x · stop(x): only the first factor moves.
/// let product = |x: &[mlx::Array]| Ok::<_, grad_runtime::Error>(vec![x[0].multiply(&no_grad! { x[0].abs()? })?]);
/// let (_, tangents) = mlx::jvp(product, &[x], &[one])?;
/// assert_eq!(tangents[0].item::<f32>()?, 3.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn jvp<F, E>(function: F, primals: &[Array], tangents: &[Array]) -> Result<(Vec<Array>, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Vec<Array>, E>,
    E: From<Error>,
{
    const NAME: &str = "jvp";
    require_primals(NAME, primals)?;
    let running = Running::start();
    let derived = ffi::jvp(over_handles(function), ffi::handles(primals), ffi::handles(tangents));
    drop(running);
    handed_out_both(NAME, primals, derived)
}

/// Behind `value_and_grad` and `grad` of arrays; errors name `op`.
pub fn value_and_grad<F, E>(op: &'static str, function: F, primals: &[Array]) -> Result<(Array, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Array, E>,
    E: From<Error>,
{
    require_primals(op, primals)?;
    let scalar = |primals: &[Array]| {
        let loss = function(primals)?;
        require_loss(op, &loss)?;
        Ok::<_, E>(vec![loss])
    };
    // The cotangent takes the dtype of the loss.
    let one = ffi::Handle::full(&[], 1.0, crate::Dtype::Float32 as i32)?;
    let one = one.map_err(|reason| super::refuse(op, primals, reason))?;
    let running = Running::start();
    let derived = ffi::vjp(over_handles(scalar), ffi::handles(primals), &[one]);
    drop(running);
    let (mut values, gradients) = handed_out_both(op, primals, derived)?;
    Ok((values.swap_remove(0), gradients))
}

/// Back in the caller's mode: in a no-grad scope, the results are constants to the transforms around.
fn handed_out_both<E: From<Error>>(
    name: &'static str,
    primals: &[Array],
    derived: ffi::Derived<E>,
) -> Result<(Vec<Array>, Vec<Array>), E> {
    let (outputs, derivatives) = derived.map_err(|failure| failed(name, primals, failure))?;
    Ok((handed_out(name, primals, outputs)?, handed_out(name, primals, derivatives)?))
}
