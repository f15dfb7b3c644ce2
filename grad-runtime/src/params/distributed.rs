//! Structures whose arrays several processes combine.

use super::Params;
use crate::array::refused;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::mlx::distributed::{Group, all_sum};
use crate::mlx::{Array, concatenate};
use grad_core::no_grad;

/// The most bytes of a message, unless one array is larger. That is MLX's number.
const MESSAGE: usize = 32 << 20;

/// Averages gradients over the processes of a group, so that all of them take the same step.
///
/// If the loss of each process is the mean over a batch of `B` examples, the averages are the gradient of the mean over all `N` batches,
/// of `N·B` examples. Arrays of one dtype travel together, in messages of up to 32 MiB. Float16 and bfloat16 are summed in these dtypes.
/// Arrays that are frozen or buffers ([`Role`](super::Role)) are returned as they are: their gradients are zeros.
///
/// The result is a constant to transforms.
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
/// use grad_runtime::params;
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// let gradients = vec![Array::scalar(2.0_f32)?, Array::scalar(4.0_f32)?];
/// let averages = params::average_gradients(&gradients, &group)?;
/// assert_eq!(averages[1].item::<f32>()?, 4.0); // This process is alone.
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Operation`](crate::Error::Operation) if a gradient is not of a float dtype;
/// [`Error::Distributed`](crate::Error::Distributed) if the processes cannot go on, for example because
/// the structures differ.
///
/// # Panics
///
/// If a manual implementation of [`Params`] does not replace the arrays that it visits.
#[track_caller]
pub fn average_gradients<P: Params<Array>>(gradients: &P, group: &Group) -> Result<P> {
    const OP: &str = "average_gradients";
    if group.size() == 1 {
        return no_grad_of(|| gradients.try_map(|_, gradient| Ok(gradient.clone())));
    }
    let mut trained = Vec::new();
    gradients.visit_arrays(&super::Path::root(), &mut |path, gradient| {
        if path.is_trainable() {
            trained.push(gradient.clone());
        }
    });
    if let Some(gradient) = trained.iter().find(|gradient| !gradient.dtype().is_inexact()) {
        return Err(refused(OP, &[gradient], "a gradient is of a float dtype".into()));
    }
    #[allow(clippy::cast_precision_loss, reason = "groups have fewer processes than 2^52")]
    let share = 1.0 / group.size() as f64;
    let mut averages = no_grad_of(|| {
        combine(&trained, |message| all_sum(message, group)?.multiply(share)).map_err(|error| error.with_op(OP))
    })?
    .into_iter();
    gradients.try_map(|path, gradient| {
        if path.is_trainable() {
            Ok(averages.next().expect("there is one for each array that was visited"))
        } else {
            Ok(gradient.clone())
        }
    })
}

/// Returns the arrays of rank 0, on every process of a group: before training starts, so that all have the same weights.
///
/// All arrays of the structure take part, whatever their [`Role`](super::Role), and arrive bit by bit, but for the payloads of NaNs. The result is a
/// constant to transforms.
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
/// use grad_runtime::params;
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// let weights = params::broadcast(&vec![Array::scalar(2.0_f32)?], &group)?;
/// assert_eq!(weights[0].item::<f32>()?, 2.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Distributed`](crate::Error::Distributed) if the processes cannot go on, for example because the structures differ.
///
/// # Panics
///
/// As [`average_gradients`].
#[track_caller]
pub fn broadcast<P: Params<Array>>(params: &P, group: &Group) -> Result<P> {
    const OP: &str = "broadcast";
    let arrays = params.arrays();
    let mut sent = no_grad_of(|| {
        if group.size() == 1 {
            return Ok(arrays.clone());
        }
        let own =
            arrays.iter().map(|array| if group.rank() == 0 { summable(array) } else { negative_zeros(array) });
        let own: Vec<Array> = own.collect::<Result<_>>()?;
        combine(&own, |message| all_sum(message, group)).map_err(|error| error.with_op(OP))
    })?
    .into_iter();
    params.try_map(|_, array| sent.next().expect("there is one for each array").astype(array.dtype()))
}

#[track_caller]
fn no_grad_of<T>(function: impl FnOnce() -> Result<T>) -> Result<T> {
    let _guard = no_grad();
    function()
}

/// Returns the array in a dtype that has a sum.
fn summable(array: &Array) -> Result<Array> {
    if array.dtype() == Dtype::Bool { array.astype(Dtype::UInt8) } else { Ok(array.clone()) }
}

/// Returns what changes no array of this shape and dtype that it is added to: -0, since 0 + -0 is 0.
fn negative_zeros(array: &Array) -> Result<Array> {
    let zeros = Array::zeros(&array.shape(), summable(array)?.dtype())?;
    if array.dtype().is_inexact() { zeros.negative() } else { Ok(zeros) }
}

/// Applies `function` to messages of arrays of one dtype, side by side, and returns the arrays in their places.
fn combine(arrays: &[Array], function: impl Fn(&Array) -> Result<Array>) -> Result<Vec<Array>> {
    let mut combined: Vec<Option<Array>> = arrays.iter().map(|_| None).collect();
    let mut dtypes: Vec<Dtype> = Vec::new();
    for array in arrays {
        if !dtypes.contains(&array.dtype()) {
            dtypes.push(array.dtype());
        }
    }
    for dtype in dtypes {
        let places: Vec<usize> = (0..arrays.len()).filter(|&at| arrays[at].dtype() == dtype).collect();
        for places in messages(&places, |at| arrays[at].size() * dtype.size()) {
            let flat = places.iter().map(|&at| arrays[at].reshape(&[-1_isize]));
            let flat: Vec<Array> = flat.collect::<Result<_>>()?;
            let message = function(&concatenate(&flat, 0)?)?;
            let mut start = 0;
            for &at in places {
                let (shape, size) = (arrays[at].shape(), arrays[at].size());
                combined[at] = Some(message.narrow(0, start, size)?.astype(dtype)?.reshape(&shape)?);
                start += size;
            }
        }
    }
    Ok(combined.into_iter().flatten().collect())
}

/// Divides places into messages of at most [`MESSAGE`] bytes, with at least one array each.
fn messages(places: &[usize], size: impl Fn(usize) -> usize) -> Vec<&[usize]> {
    let (mut messages, mut start, mut total) = (Vec::new(), 0, 0);
    for (end, &place) in places.iter().enumerate() {
        if end > start && total + size(place) > MESSAGE {
            messages.push(&places[start..end]);
            (start, total) = (end, 0);
        }
        total += size(place);
    }
    if start < places.len() {
        messages.push(&places[start..]);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::{MESSAGE, messages};

    #[test]
    fn messages_are_large_and_have_an_array_each() {
        let sizes = [MESSAGE / 2, MESSAGE / 2, 1, 2 * MESSAGE, 3];
        let messages: Vec<Vec<usize>> =
            messages(&[0, 1, 2, 3, 4], |at| sizes[at]).into_iter().map(<[usize]>::to_vec).collect();
        assert_eq!(messages, [vec![0, 1], vec![2], vec![3], vec![4]]);
        assert!(super::messages(&[], |_| 0).is_empty());
    }
}
