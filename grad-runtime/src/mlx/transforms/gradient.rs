//! Transforms that differentiate.

use grad_core::{Backend, Mlx};

use super::{TransformRecord, finish_outputs, on_handles, transform_error};
use crate::array::docs::array_doc;
use crate::array::{require_loss, require_primals};
use crate::error::{Error, Result};
use crate::explain::Watched;
use crate::mlx::Array;
use crate::mlx::depth::Differentiating;
use crate::mlx::ffi;
use crate::mlx::running::{self, Running};

/// Computes the outputs of a function, and the product of `cotangents` with its Jacobian: an array for each primal, of its
/// shape and dtype. There must be a cotangent for each output, of its shape.
///
/// `function` is called once, with grad mode `Enabled`, whatever scope the call is in; scopes inside it count. Inside a no-grad
/// scope, the results are constants to transforms further out. A primal that no output depends on gets zeros.
///
/// # Errors
///
/// Returns the error of `function`; [`Error::InferenceMode`] in inference mode; [`Error::Operation`] if there are no primals,
/// one of them is not of a float dtype, or the cotangents differ from the outputs in number or shape.
///
/// # Panics
///
/// If `function` panics, with its payload; the grad mode is restored.
///
/// ```
/// use grad_runtime::mlx::{self, Array};
/// use grad_runtime::no_grad;
///
/// let x = Array::from_slice(&[2.0_f32, 3.0], &[2])?;
/// let (outputs, cotangents) = mlx::vjp(
///     |x| Ok::<_, grad_runtime::Error>(vec![x[0].square()?, no_grad! { x[0].square()? }]),
///     &[x],
///     &[Array::from_slice(&[1.0_f32, 10.0], &[2])?, Array::from_slice(&[7.0_f32, 7.0], &[2])?],
/// )?;
/// assert_eq!(outputs[1].to_vec::<f32>()?, [4.0, 9.0]);
/// assert_eq!(cotangents[0].to_vec::<f32>()?, [4.0, 60.0]); // 2x, and nothing through the scope.
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn vjp<F, E>(function: F, primals: &[Array], cotangents: &[Array]) -> Result<(Vec<Array>, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Vec<Array>, E>,
    E: From<Error>,
{
    const NAME: &str = "vjp";
    require_primals(NAME, primals)?;
    let record = TransformRecord::new();
    let running = Running::start(NAME, Some(record.place));
    let differentiating = Differentiating::start();
    let function = observe(&record, primals, function);
    let derived = ffi::vjp(on_handles(function), ffi::as_handles(primals), ffi::as_handles(cotangents));
    drop((differentiating, running));
    finish_derived(NAME, primals, cotangents, derived, &record)
}

/// Computes the outputs of a function, and the product of its Jacobian with `tangents`: an array for each output, of its shape.
/// There must be a tangent for each primal, of its shape.
///
/// Modes are as in [`vjp`]. An output that does not depend on the primals has tangent zero.
///
/// # Errors
///
/// As [`vjp`], where the tangents must match the primals.
///
/// # Panics
///
/// As [`vjp`].
///
/// ```
/// use grad_runtime::mlx::{self, Array};
/// use grad_runtime::no_grad;
///
/// let (x, one) = (Array::scalar(3.0_f32)?, Array::scalar(1.0_f32)?);
/// // x · stop(x): only the first factor has a tangent.
/// let product = |x: &[Array]| Ok::<_, grad_runtime::Error>(vec![x[0].multiply(&no_grad! { x[0].abs()? })?]);
/// let (_, tangents) = mlx::jvp(product, &[x], &[one])?;
/// assert_eq!(tangents[0].item::<f32>()?, 3.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn jvp<F, E>(function: F, primals: &[Array], tangents: &[Array]) -> Result<(Vec<Array>, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Vec<Array>, E>,
    E: From<Error>,
{
    const NAME: &str = "jvp";
    require_primals(NAME, primals)?;
    let record = TransformRecord::new();
    let running = Running::start(NAME, Some(record.place));
    let differentiating = Differentiating::start();
    let function = observe(&record, primals, function);
    let derived = ffi::jvp(on_handles(function), ffi::as_handles(primals), ffi::as_handles(tangents));
    drop((differentiating, running));
    finish_derived(NAME, primals, tangents, derived, &record)
}

/// Computes the value and the gradient for `name`, the function that the user called.
#[track_caller]
pub(in crate::mlx) fn value_and_grad<F, E>(
    name: &'static str,
    function: F,
    primals: &[Array],
) -> Result<(Array, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Array, E>,
    E: From<Error>,
{
    require_primals(name, primals)?;
    let watched = Watched::start();
    let scalar = |seen: &[Array]| {
        watched.called(primals, seen);
        let loss = function(seen)?;
        require_loss(name, &loss)?;
        watched.returned(&loss);
        Ok::<_, E>(vec![loss])
    };
    // The cotangent takes the dtype of the loss.
    let one = ffi::Handle::from_data(&[1.0_f32], &[])?;
    let one = one.map_err(|reason| super::operation_error(name, primals, reason))?;
    let record = TransformRecord::new();
    let running = Running::start(name, Some(record.place));
    let differentiating = Differentiating::start();
    let scalar = observe(&record, primals, scalar);
    let derived = ffi::vjp(on_handles(scalar), ffi::as_handles(primals), &[one]);
    drop((differentiating, running));
    let (mut values, gradients) = finish_derived(name, primals, &[], derived, &record)?;
    watched.finish(&gradients);
    Ok((values.swap_remove(0), gradients))
}

fn observe<F, E>(
    record: &TransformRecord,
    given: &[Array],
    function: F,
) -> impl FnOnce(&[Array]) -> Result<Vec<Array>, E>
where
    F: FnOnce(&[Array]) -> Result<Vec<Array>, E>,
{
    move |primals| {
        record.add_inputs(given, primals);
        let outputs = function(primals)?;
        record.keep_outputs(&outputs);
        running::function_returned();
        Ok(outputs)
    }
}

/// Returns outputs and derivatives as arrays, in the caller's mode. `directions` are the tangents or cotangents that were given.
fn finish_derived<E: From<Error>>(
    name: &'static str,
    primals: &[Array],
    directions: &[Array],
    derived: ffi::Derived<E>,
    record: &TransformRecord,
) -> Result<(Vec<Array>, Vec<Array>), E> {
    let (outputs, derivatives) = derived.map_err(|failure| transform_error(name, primals, failure))?;
    let (outputs, derivatives) =
        (finish_outputs(name, primals, outputs)?, finish_outputs(name, primals, derivatives)?);
    // In a scope the outputs are new arrays.
    if !Mlx.grad_mode().is_enabled() {
        record.add_results(name, &[], &outputs);
    }
    record.add_results(name, &[primals, directions].concat(), &derivatives);
    Ok((outputs, derivatives))
}

/// # Gradients
///
/// Those of functions with several outputs are in the [module](crate::mlx): [`vjp`](crate::mlx::vjp), [`jvp`](crate::mlx::jvp).
impl Array {
    #[doc = array_doc!(value_and_grad, "mlx")]
    #[track_caller]
    pub fn value_and_grad<F, E>(function: F, primals: &[Self]) -> Result<(Self, Vec<Self>), E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        value_and_grad("value_and_grad", function, primals)
    }

    #[doc = array_doc!(grad, "mlx")]
    #[track_caller]
    pub fn grad<F, E>(function: F, primals: &[Self]) -> Result<Vec<Self>, E>
    where
        F: FnOnce(&[Self]) -> Result<Self, E>,
        E: From<Error>,
    {
        Ok(value_and_grad("grad", function, primals)?.1)
    }
}
