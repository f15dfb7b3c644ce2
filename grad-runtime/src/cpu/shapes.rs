//! Shapes of results.

use super::operation::{Reason, bail};
use crate::array::operands;
use crate::error::Result;

/// The most axes that candle's kernels support.
const MAX_AXES: usize = 8;

/// Returns `shape` with length 1 at `axes`.
pub(super) fn keepdims(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let length = |(axis, &length)| if axes.contains(&axis) { 1 } else { length };
    shape.iter().enumerate().map(length).collect()
}

/// Returns `shape` without `axes`.
pub(super) fn without(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, length)| *length).collect()
}

/// Refuses shapes of arrays that cannot be created.
pub(super) fn check(shape: &[usize]) -> Result<(), Reason> {
    // From this many elements on, it is asked whether there is memory for them: candle ends the process where there is none.
    const LARGE: usize = 1 << 28;

    if shape.len() > MAX_AXES {
        let count = shape.len();
        bail!("shape {shape:?} has {count} axes; an array on the CPU has at most {MAX_AXES}");
    }
    let size = operands::size(shape)?;
    if size >= LARGE && Vec::<f32>::new().try_reserve_exact(size).is_err() {
        bail!("an array of shape {shape:?} does not fit in memory");
    }
    Ok(())
}

/// Returns the shape that `shapes` broadcast to.
pub(super) fn broadcast(shapes: &[&[usize]]) -> Result<Vec<usize>, Reason> {
    let broadcast = operands::broadcast(shapes)?;
    check(&broadcast)?;
    Ok(broadcast)
}
