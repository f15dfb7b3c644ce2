//! MLX's transforms of functions of Rust.

use std::ptr::NonNull;

use grad_mlx_sys as sys;

use super::callbacks::{Failure, StoredFn, no_function, resume, store, with_callback};
use super::handle::{Handle, array_slice, from_raw_list};
use super::integers::int_slice;
use super::{FfiResult, entered, last_error, loaded};
use crate::error::Result;

/// The outputs of a function, and the derivatives.
pub type Derived<E> = FfiResult<(Vec<Handle>, Vec<Handle>), Failure<E>>;

/// Returns the outputs, and a cotangent for each primal. There must be a primal.
pub fn vjp<F, E>(function: F, primals: &[Handle], cotangents: &[Handle]) -> Derived<E>
where
    F: FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: the arrays are alive and borrowed for the call. The shim returns a new list, and mx::vjp runs the function
    // before it returns.
    let mut outputs = unsafe {
        with_callback(function, |function| (api.vjp)(function, array_slice(primals), array_slice(cotangents)))
    }?;
    let cotangents = outputs.split_off(outputs.len() - primals.len());
    Ok((outputs, cotangents))
}

/// Returns the outputs, and a tangent for each of them.
pub fn jvp<F, E>(function: F, primals: &[Handle], tangents: &[Handle]) -> Derived<E>
where
    F: FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: as in `vjp`.
    let mut outputs = unsafe {
        with_callback(function, |function| (api.jvp)(function, array_slice(primals), array_slice(tangents)))
    }?;
    let tangents = outputs.split_off(outputs.len() / 2);
    Ok((outputs, tangents))
}

/// Returns the outputs of the function mapped over `axes` of its inputs, -1 for none, stacked along axis 0.
pub fn vmap<F, E>(function: F, inputs: &[Handle], axes: &[i32]) -> FfiResult<Vec<Handle>, Failure<E>>
where
    F: FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: as in `vjp`.
    unsafe { with_callback(function, |function| (api.vmap)(function, array_slice(inputs), int_slice(axes))) }
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
        // SAFETY: the function and the arrays are alive. The shim returns a new list.
        resume(unsafe { from_raw_list((api.call)(self.0.as_ptr(), array_slice(inputs))) })
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // SAFETY: the function is owned, and this is its last use.
        unsafe { (loaded().free_function)(self.0.as_ptr()) }
    }
}

/// Returns the outputs of `function`, which is called again for a gradient.
pub fn checkpoint<E>(function: StoredFn, inputs: &[Handle]) -> FfiResult<Vec<Handle>, Failure<E>> {
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: the arrays are alive, and the shim owns the function from here on. It returns a new list.
    resume(unsafe { from_raw_list((api.checkpoint)(store(function), array_slice(inputs))) })
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
    // SAFETY: as in `checkpoint`.
    resume(unsafe { from_raw_list((api.custom)(store(function), backward, forward, array_slice(inputs))) })
}
