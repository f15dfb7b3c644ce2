//! Functions mapped over an axis.

use super::{TransformRecord, finish_outputs, on_handles, operation_error, transform_error};
use crate::error::{Error, Result};
use crate::mlx::Array;
use crate::mlx::depth::Tracing;
use crate::mlx::ffi;
use crate::mlx::running::{self, Running};

/// Maps a function over an axis of each input, all of the same length, and stacks its outputs along `out_axes`.
///
/// `function` is called once, with arrays that lack the mapped axis; it cannot read their elements. `in_axes` has the axis of
/// each input, or `None` for an input that is not mapped; `out_axes` has one for each output. The function runs in the grad
/// mode of the call, and in a no-grad scope the results are constants.
///
/// # Errors
///
/// Returns the error of `function`; [`Error::Operation`] if the axes do not fit, or a mapped axis is empty.
///
/// # Panics
///
/// If `function` panics, with its payload.
///
/// ```
/// use grad_runtime::mlx::{self, Array};
///
/// // A gradient for each row.
/// let rows = Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
/// let gradients = mlx::vmap(
///     |row| Array::grad(|x| x[0].square()?.sum_all(), row),
///     &[rows],
///     &[Some(0)],
///     &[0],
/// )?;
/// assert_eq!(gradients[0].to_vec::<f32>()?, [2.0, 4.0, 6.0, 8.0]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn vmap<F, E>(
    function: F,
    inputs: &[Array],
    in_axes: &[Option<isize>],
    out_axes: &[isize],
) -> Result<Vec<Array>, E>
where
    F: FnOnce(&[Array]) -> Result<Vec<Array>, E>,
    E: From<Error>,
{
    let outputs = map_over(function, inputs, in_axes)?;
    if outputs.len() != out_axes.len() {
        let reason = format!(
            "the function returned {} arrays, and there are {} out_axes; give one for each",
            outputs.len(),
            out_axes.len()
        );
        return Err(operation_error(NAME, inputs, reason).into());
    }
    let moved = outputs.into_iter().zip(out_axes).map(|(output, &axis)| match axis {
        0 => Ok(output),
        axis => output.moveaxis(0, axis),
    });
    Ok(moved.collect::<Result<_>>()?)
}

const NAME: &str = "vmap";

/// Maps a function and stacks its outputs along their first axes.
#[track_caller]
pub(crate) fn map_over<F, E>(function: F, inputs: &[Array], in_axes: &[Option<isize>]) -> Result<Vec<Array>, E>
where
    F: FnOnce(&[Array]) -> Result<Vec<Array>, E>,
    E: From<Error>,
{
    let mapped = resolve_axes(inputs, in_axes).map_err(|reason| operation_error(NAME, inputs, reason))?;
    let record = TransformRecord::new();
    let _running = Running::start(NAME, Some(record.place));
    let traced = |entries: &[Array]| {
        let _tracing = Tracing::start();
        record.add_inputs(inputs, entries);
        let outputs = function(entries)?;
        record.keep_outputs(&outputs);
        running::function_returned();
        Ok::<_, E>(outputs)
    };
    let outputs = ffi::vmap(on_handles(traced), ffi::as_handles(inputs), &mapped)
        .map_err(|failure| transform_error(NAME, inputs, failure))?;
    let outputs: Vec<Array> = finish_outputs(NAME, inputs, outputs)?;
    record.add_results(NAME, &[], &outputs);
    Ok(outputs)
}

/// Returns the axes as MLX takes them: counted from the first, and -1 for none.
fn resolve_axes(inputs: &[Array], in_axes: &[Option<isize>]) -> Result<Vec<i32>, String> {
    if in_axes.len() != inputs.len() {
        return Err(format!("there are {} inputs and {} in_axes; give one for each", inputs.len(), in_axes.len()));
    }
    if in_axes.iter().all(Option::is_none) {
        return Err("no input has an axis to map over; give one".into());
    }
    let axes = inputs.iter().zip(in_axes).map(|(input, axis)| {
        let Some(axis) = *axis else { return Ok(-1) };
        let ndim = input.ndim().cast_signed();
        let from_start = if axis < 0 { axis.saturating_add(ndim) } else { axis };
        if !(0..ndim).contains(&from_start) {
            return Err(format!("axis {axis} is out of bounds for an input of {ndim} axes"));
        }
        if input.shape()[from_start.cast_unsigned()] == 0 {
            return Err(format!("axis {axis} is empty, so there is nothing to map over"));
        }
        Ok(i32::try_from(from_start).expect("MLX counts axes in 32 bits"))
    });
    axes.collect()
}
