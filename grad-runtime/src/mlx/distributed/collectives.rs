//! The collectives.

use std::panic::Location;

use grad_mlx_sys::Collective;

use super::group::{Group, Members};
use super::{Backend, cuts};
use crate::array::refused;
use crate::dtype::Dtype;
use crate::error::{Error, Operand, Result};
use crate::explain::record;
use crate::mlx::ffi::{self, Failure, FfiResult, Handle};
use crate::mlx::{Array, evaluation_error, running, transforms};

/// Computes the sum of the arrays of all processes, which is the same on each. Their shapes and dtypes must be equal.
///
/// The cotangent passes to each process unchanged ([gradients](super#gradients)).
///
/// # Errors
///
/// [`Error::Operation`] for bools, which have no sum; see [`distributed`](super#errors) for others.
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// let sum = distributed::all_sum(&Array::from_slice(&[1.0_f32, 2.0], &[2])?, &group)?;
/// assert_eq!(sum.to_vec::<f32>()?, [1.0, 2.0]); // This process is alone.
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn all_sum(x: &Array, group: &Group) -> Result<Array> {
    collective(Collective::AllSum, x, group)
}

/// Computes the elementwise maximum of the arrays of all processes, which is the same on each. Their shapes and dtypes must be equal.
///
/// The cotangent of an element goes to the process that holds the maximum. Where several do, each gets an equal part. To find
/// them, the backward pass issues an `all_sum`: every process must run it.
///
/// # Errors
///
/// [`Error::Operation`] for complex numbers, which have no order; see [`distributed`](super#errors) for others.
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// assert_eq!(distributed::all_max(&Array::scalar(3)?, &group)?.item::<i32>()?, 3);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn all_max(x: &Array, group: &Group) -> Result<Array> {
    collective(Collective::AllMax, x, group)
}

/// Computes the elementwise minimum of the arrays of all processes. See [`all_max`].
///
/// # Errors
///
/// As [`all_max`].
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// assert_eq!(distributed::all_min(&Array::scalar(3)?, &group)?.item::<i32>()?, 3);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn all_min(x: &Array, group: &Group) -> Result<Array> {
    collective(Collective::AllMin, x, group)
}

/// Concatenates the arrays of all processes along axis 0, in the order of the ranks. Their shapes and dtypes must be equal; scalars
/// become an array of one axis.
///
/// Each process gets its own part of the cotangent ([gradients](super#gradients)).
///
/// # Errors
///
/// [`Error::Operation`] if the result is too long; see [`distributed`](super#errors) for others.
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// assert_eq!(distributed::all_gather(&Array::scalar(3)?, &group)?.shape(), [group.size()]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn all_gather(x: &Array, group: &Group) -> Result<Array> {
    collective(Collective::AllGather, x, group)
}

/// Computes the sum of the arrays of all processes, and returns to each its part of axis 0, in the order of the ranks.
///
/// The cotangents of the parts are gathered.
///
/// # Errors
///
/// [`Error::Operation`] if the length of axis 0 is no multiple of the number of processes, for bools, and on the ring and MPI, which
/// have no such collective: use [`all_sum`] and [`Array::narrow`]. See [`distributed`](super#errors) for others.
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// let part = distributed::sum_scatter(&Array::from_slice(&[1, 2], &[2])?, &group)?;
/// assert_eq!(part.to_vec::<i32>()?, [1, 2]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn sum_scatter(x: &Array, group: &Group) -> Result<Array> {
    collective(Collective::SumScatter, x, group)
}

/// Sends an array to the process of rank `destination`, and returns it. That process calls [`recv`].
///
/// The result has no gradient: to differentiate it is an error.
///
/// # Errors
///
/// [`Error::Operation`] if there is no other process of this rank; on the ring if it is no neighbour; with NCCL, where MLX does not send.
/// See [`distributed`](super#errors) for others.
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// let error = distributed::send(&Array::scalar(1)?, 1, &group).unwrap_err();
/// assert!(error.to_string().ends_with("rank 1 is no other process of the group, which has 1"));
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn send(x: &Array, destination: usize, group: &Group) -> Result<Array> {
    const OP: &str = "send";
    let place = Location::caller();
    let refuse = |reason| refused(OP, &[x], reason);
    let (members, peer) = require_peer(group, destination).map_err(refuse)?;
    require_no_compilation().map_err(refuse)?;
    let sent = cuts::at(place, || members.raw.send(x.handle(), peer));
    finish(OP, &[x], sent, place)
}

/// Receives an array of this shape and dtype from the process of rank `source`, which calls [`send`].
///
/// The result is a constant to all transforms. The process waits for it before it computes anything that depends on it, and before
/// its next collective.
///
/// # Errors
///
/// As [`send`].
///
/// ```
/// use grad_runtime::Dtype;
/// use grad_runtime::mlx::distributed;
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// let error = distributed::recv(&[2], Dtype::Float32, 1, &group).unwrap_err();
/// assert!(error.to_string().starts_with("cannot recv float32[2]: "));
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn recv(shape: &[usize], dtype: Dtype, source: usize, group: &Group) -> Result<Array> {
    const OP: &str = "recv";
    let place = Location::caller();
    let refuse =
        |reason| Error::Operation { op: OP, operands: vec![Operand { shape: shape.to_vec(), dtype }], reason };
    let (members, peer) = require_peer(group, source).map_err(refuse)?;
    require_no_compilation().map_err(refuse)?;
    let lengths = ffi::to_lengths(shape).map_err(refuse)?;
    let like = Array::zeros(&[], dtype)?;
    let received = cuts::at(place, || members.raw.recv(&lengths, like.handle(), peer));
    finish(OP, &[&like], received, place)
}

/// Receives an array of the shape and dtype of `x`: [`recv`].
///
/// # Errors
///
/// As [`send`].
///
/// ```
/// use grad_runtime::mlx::{Array, distributed};
///
/// let group = distributed::init(false, distributed::Backend::Any)?;
/// assert!(distributed::recv_like(&Array::scalar(1)?, 1, &group).is_err()); // This process is alone.
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[track_caller]
pub fn recv_like(x: &Array, source: usize, group: &Group) -> Result<Array> {
    recv(&x.shape(), x.dtype(), source, group)
}

#[track_caller]
fn collective(collective: Collective, x: &Array, group: &Group) -> Result<Array> {
    let (op, place) = (super::session::name_of(collective), Location::caller());
    let refuse = |reason| refused(op, &[x], reason);
    require_operand(collective, x, group).map_err(refuse)?;
    let Some(members) = group.members() else {
        let result = if collective == Collective::AllGather && x.ndim() == 0 {
            x.reshape(&[1_usize])?.handle().clone()
        } else {
            x.handle().clone()
        };
        return finish(op, &[x], Ok(result), place);
    };
    require_no_compilation().map_err(refuse)?;
    let result = cuts::at(place, || members.raw.collective(collective, x.handle()));
    finish(op, &[x], result, place)
}

/// Returns the result as an array of the user's, and tells an explanation's record of it.
fn finish(
    op: &'static str,
    operands: &[&Array],
    result: FfiResult<Handle, Failure<Error>>,
    place: &'static Location<'static>,
) -> Result<Array> {
    let refuse = |reason| refused(op, operands, reason);
    let result = result.map_err(|failure| evaluation_error(failure, refuse))?;
    let result = Array::new(result).map_err(refuse)?;
    if record::is_recording() {
        let operands: Vec<Array> = operands.iter().map(|&operand| operand.clone()).collect();
        record::operation(op, &operands, std::slice::from_ref(&result), place);
    }
    Ok(result)
}

fn require_operand(collective: Collective, x: &Array, group: &Group) -> Result<(), String> {
    let dtype = x.dtype();
    match collective {
        Collective::AllSum | Collective::SumScatter if dtype == Dtype::Bool => {
            return Err("bools have no sum; convert them with `astype`".into());
        }
        Collective::AllMax | Collective::AllMin if dtype == Dtype::Complex64 => {
            return Err("complex numbers have no order".into());
        }
        _ => {}
    }
    let unsupported = [Dtype::Bool, Dtype::Int16, Dtype::UInt16, Dtype::Complex64];
    if group.backend() == Some(Backend::Nccl) && unsupported.contains(&dtype) {
        return Err(format!("MLX does not communicate {dtype} with NCCL; convert it with `astype`"));
    }
    let first = x.shape().first().copied();
    match (collective, first) {
        (Collective::SumScatter, None) => Err("a scalar has no axis to divide; reshape it".into()),
        (Collective::SumScatter, Some(length)) if length % group.size() != 0 => {
            Err(format!("axis 0 has length {length}, which is no multiple of the {} processes", group.size()))
        }
        (Collective::SumScatter, _) if matches!(group.backend(), Some(Backend::Ring | Backend::Mpi)) => {
            Err("MLX has `sum_scatter` with NCCL only; use `all_sum` and `narrow`".into())
        }
        (Collective::AllGather, Some(length)) if i32::try_from(length.saturating_mul(group.size())).is_err() => {
            Err(format!("axis 0 of the result would be longer than 2^31 - 1, {length} for each process"))
        }
        _ => Ok(()),
    }
}

/// Returns the members of the group, and the rank as MLX takes it.
fn require_peer(group: &Group, peer: usize) -> Result<(&Members, i32), String> {
    let (rank, size) = (group.rank(), group.size());
    let members = group
        .members()
        .filter(|_| peer < size && peer != rank)
        .ok_or_else(|| format!("rank {peer} is no other process of the group, which has {size}"))?;
    match group.backend() {
        Some(Backend::Nccl) => {
            return Err("MLX does not send with NCCL; use a collective, such as `all_gather`".into());
        }
        Some(Backend::Ring) if ![(rank + 1) % size, (rank + size - 1) % size].contains(&peer) => {
            return Err(format!(
                "rank {peer} is no neighbour of rank {rank} in the ring of {size}; use a collective, or send by way of those \
                 between"
            ));
        }
        _ => {}
    }
    let peer = i32::try_from(peer).map_err(|_| format!("rank {peer} is out of bounds"))?;
    Ok((members, peer))
}

/// A compiled function runs without its Rust code, so nothing could compare its collectives or order them.
fn require_no_compilation() -> Result<(), String> {
    if running::transforms().iter().any(|transform| transform.name() == transforms::COMPILE) {
        return Err("a compiled function cannot communicate; compile the parts before and after".into());
    }
    Ok(())
}
