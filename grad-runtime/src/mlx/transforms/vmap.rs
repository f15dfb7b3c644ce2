//! Functions mapped over an axis.

use super::running::Tracing;
use super::{failed, handed_out, over_handles, refuse};
use crate::error::{Error, Result};
use crate::mlx::Array;
use crate::mlx::ffi;

/// Maps a function over an axis of each input, all of one length, and stacks what it returns along `out_axes`.
///
/// `function` is called once, with arrays that lack the mapped axis and have no elements: it cannot look at them.
/// `in_axes` has the axis of each input, or `None` for one that is the same for all; `out_axes` has one for each output.
/// The function runs in the grad mode of the call, and in a no-grad scope the results are constants.
///
/// # Errors
///
/// What `function` returns; [`Error::Operation`] if the axes do not fit, or a mapped one is empty.
///
/// # Panics
///
/// If `function` panics, with its payload.
///
/// ```
/// use grad_runtime::{Array, mlx};
///
/// // A gradient for each row.
/// let rows = mlx::Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
/// let gradients = mlx::vmap(
///     |row| mlx::Array::grad(|x| x[0].square()?.sum_all(), row),
///     &[rows],
///     &[Some(0)],
///     &[0],
/// )?;
/// assert_eq!(gradients[0].to_vec::<f32>()?, [2.0, 4.0, 6.0, 8.0]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
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
    const NAME: &str = "vmap";
    let mapped = counted(inputs, in_axes).map_err(|reason| refuse(NAME, inputs, reason))?;
    let traced = |inputs: &[Array]| {
        let _tracing = Tracing::start();
        function(inputs)
    };
    let outputs = ffi::vmap(over_handles(traced), ffi::handles(inputs), &mapped)
        .map_err(|failure| failed(NAME, inputs, failure))?;
    if outputs.len() != out_axes.len() {
        let reason =
            format!("the function returned {} arrays, and there are {} out_axes", outputs.len(), out_axes.len());
        return Err(refuse(NAME, inputs, reason).into());
    }
    let outputs: Vec<Array> = handed_out(NAME, inputs, outputs)?;
    let moved = outputs.into_iter().zip(out_axes).map(|(output, &axis)| match axis {
        0 => Ok(output),
        axis => output.moveaxis(0, axis),
    });
    Ok(moved.collect::<Result<_>>()?)
}

/// The axes as MLX has them: from the start, and -1 for none.
fn counted(inputs: &[Array], in_axes: &[Option<isize>]) -> Result<Vec<i32>, String> {
    if in_axes.len() != inputs.len() {
        return Err(format!("there are {} inputs and {} in_axes", inputs.len(), in_axes.len()));
    }
    if in_axes.iter().all(Option::is_none) {
        return Err("no input has an axis to map over".into());
    }
    let axes = inputs.iter().zip(in_axes).map(|(input, axis)| {
        let Some(axis) = *axis else { return Ok(-1) };
        let ndim = input.ndim().cast_signed();
        let from_start = if axis < 0 { axis.saturating_add(ndim) } else { axis };
        let fits = (0..ndim).contains(&from_start);
        if fits && input.shape()[from_start.cast_unsigned()] == 0 {
            return Err(format!("axis {axis} is empty, so there is nothing to map over"));
        }
        i32::try_from(from_start)
            .ok()
            .filter(|_| fits)
            .ok_or_else(|| format!("there is no axis {axis} to map over"))
    });
    axes.collect()
}
