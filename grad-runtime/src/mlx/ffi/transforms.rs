//! MLX's transforms of functions of Rust.

use std::ptr::NonNull;

use grad_mlx_sys as sys;

use super::callbacks::{Failure, StoredFn, no_function, resume, store, with_callback};
use super::handle::{Handle, array_slice, construct_list};
use super::integers::int_slice;
use super::{FfiResult, entered, last_error, loaded};
use crate::error::Result;

/// The outputs of a function, and the derivatives.
pub type Derived<E> = FfiResult<(Vec<Handle>, Vec<Handle>), Failure<E>>;

/// Returns the outputs, and a cotangent for each primal. There must be a primal.
pub fn vjp<F, E>(function: F, primals: &[Handle], cotangents: &[Handle]) -> Derived<E>
where
    F: FnOnce(&[Handle]) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    let (given, directions) = (array_slice(primals), array_slice(cotangents));
    // SAFETY: the arrays are alive and borrowed for the call. The shim constructs the list, and runs the function before it
    // returns.
    let mut outputs =
        unsafe { with_callback(function, |outputs, function| (api.vjp)(outputs, function, given, directions)) }?;
    let cotangents = outputs.split_off(outputs.len() - primals.len());
    Ok((outputs, cotangents))
}

/// Returns the outputs, and a tangent for each of them.
pub fn jvp<F, E>(function: F, primals: &[Handle], tangents: &[Handle]) -> Derived<E>
where
    F: FnOnce(&[Handle]) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    let (given, directions) = (array_slice(primals), array_slice(tangents));
    // SAFETY: as in `vjp`.
    let mut outputs =
        unsafe { with_callback(function, |outputs, function| (api.jvp)(outputs, function, given, directions)) }?;
    let tangents = outputs.split_off(outputs.len() / 2);
    Ok((outputs, tangents))
}

/// Returns the outputs of the function mapped over `axes` of its inputs, -1 for none, stacked along axis 0.
pub fn vmap<F, E>(function: F, inputs: &[Handle], axes: &[i32]) -> FfiResult<Vec<Handle>, Failure<E>>
where
    F: FnOnce(&[Handle]) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    let (inputs, axes) = (array_slice(inputs), int_slice(axes));
    // SAFETY: as in `vjp`.
    unsafe { with_callback(function, |outputs, function| (api.vmap)(outputs, function, inputs, axes)) }
}

/// An owned compiled function. It stays on its thread, as arrays do.
pub struct Compiled(NonNull<sys::Transformable>);

pub fn compile(function: StoredFn, shapeless: bool) -> FfiResult<Compiled> {
    let api = entered()?;
    // SAFETY: the shim owns the function from here on.
    let compiled = unsafe { (api.compile)(store(function), shapeless) };
    NonNull::new(compiled).map(Compiled).ok_or_else(last_error)
}

impl Compiled {
    pub fn call<E>(&self, inputs: &[Handle]) -> FfiResult<Vec<Handle>, Failure<E>> {
        let api = entered().map_err(Failure::Mlx)?;
        // SAFETY: the function and the arrays are alive. The shim constructs the list.
        resume(unsafe { construct_list(|outputs| (api.call)(outputs, self.0.as_ptr(), array_slice(inputs))) })
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // SAFETY: the function is owned, so MLX is loaded, and this is its last use.
        unsafe { (loaded().free_function)(self.0.as_ptr()) }
    }
}

/// Returns the outputs of `function`, which is called again for a gradient.
pub fn checkpoint<E>(function: StoredFn, inputs: &[Handle]) -> FfiResult<Vec<Handle>, Failure<E>> {
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: the arrays are alive, and the shim owns the function from here on. It constructs the list.
    resume(unsafe { construct_list(|outputs| (api.checkpoint)(outputs, store(function), array_slice(inputs))) })
}

/// Returns the outputs of `function`. `backward` takes primals, cotangents and outputs and returns cotangents; `forward` takes
/// primals and tangents and returns tangents.
pub fn custom<E>(
    function: StoredFn,
    backward: Option<StoredFn>,
    forward: Option<StoredFn>,
    inputs: &[Handle],
) -> FfiResult<Vec<Handle>, Failure<E>> {
    let api = entered().map_err(Failure::Mlx)?;
    let [backward, forward] = [backward, forward].map(|function| function.map_or_else(no_function, store));
    let (function, inputs) = (store(function), array_slice(inputs));
    // SAFETY: as in `checkpoint`.
    resume(unsafe { construct_list(|outputs| (api.custom)(outputs, function, backward, forward, inputs)) })
}
