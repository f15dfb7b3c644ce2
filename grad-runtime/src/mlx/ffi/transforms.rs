//! MLX's transforms, given functions of Rust.

use std::ptr::NonNull;

use super::arguments::{List, Numbers};
use super::function::{Failure, Lasting, during_call, finished, kept, none};
use super::handle::{Handle, Handles};
use super::{Made, RawTransformable, entered, last_error, loaded};
use crate::error::Result;

/// What a function gave, and the derivatives.
pub type Derived<E> = Made<(Vec<Handle>, Vec<Handle>), Failure<E>>;

/// The outputs, and a cotangent for each primal, of which there must be at least one.
pub fn vjp<F, E>(function: F, primals: &[Handle], cotangents: &[Handle]) -> Derived<E>
where
    F: FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: the arrays are alive and lent for the call, as the function is.
    let call = |function| unsafe { (api.vjp)(function, List::lent(primals), List::lent(cotangents)) };
    let mut outputs = during_call(function, call)?;
    let cotangents = outputs.split_off(outputs.len() - primals.len());
    Ok((outputs, cotangents))
}

/// The outputs, and a tangent for each of them.
pub fn jvp<F, E>(function: F, primals: &[Handle], tangents: &[Handle]) -> Derived<E>
where
    F: FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: as in `vjp`.
    let call = |function| unsafe { (api.jvp)(function, List::lent(primals), List::lent(tangents)) };
    let mut outputs = during_call(function, call)?;
    let tangents = outputs.split_off(outputs.len() / 2);
    Ok((outputs, tangents))
}

/// The function mapped over `axes` of its inputs, -1 for none, and over axis 0 of its outputs.
pub fn vmap<F, E>(function: F, inputs: &[Handle], axes: &[i32]) -> Made<Vec<Handle>, Failure<E>>
where
    F: FnOnce(Vec<Handle>) -> Result<Vec<Handle>, E>,
{
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: as in `vjp`.
    during_call(function, |function| unsafe { (api.vmap)(function, List::lent(inputs), Numbers::lent(axes)) })
}

/// A compiled function, owned. It stays on its thread, as arrays do.
pub struct Compiled(NonNull<RawTransformable>);

pub fn compile(function: Lasting, shapeless: bool) -> Made<Compiled> {
    let api = entered()?;
    // SAFETY: the function is the shim's from here on.
    let compiled = unsafe { (api.compile)(kept(function), shapeless) };
    NonNull::new(compiled).map(Compiled).ok_or_else(last_error)
}

impl Compiled {
    pub fn call<E>(&self, inputs: &[Handle]) -> Made<Vec<Handle>, Failure<E>> {
        let api = entered().map_err(Failure::Mlx)?;
        // SAFETY: the function and the arrays are alive.
        finished(listed(unsafe { (api.call)(self.0.as_ptr(), List::lent(inputs)) }))
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // SAFETY: the function is owned, and gone after this.
        unsafe { (loaded().free_function)(self.0.as_ptr()) }
    }
}

/// What `function` makes of the inputs; for a gradient it is called again.
pub fn checkpoint<E>(function: Lasting, inputs: &[Handle]) -> Made<Vec<Handle>, Failure<E>> {
    let api = entered().map_err(Failure::Mlx)?;
    // SAFETY: the arrays are alive; the function is the shim's from here on.
    finished(listed(unsafe { (api.checkpoint)(kept(function), List::lent(inputs)) }))
}

/// What `function` makes of the inputs. `backward` makes cotangents of primals, cotangents and outputs; `forward` makes
/// tangents of primals and tangents.
pub fn custom<E>(
    function: Lasting,
    backward: Option<Lasting>,
    forward: Option<Lasting>,
    inputs: &[Handle],
) -> Made<Vec<Handle>, Failure<E>> {
    let api = entered().map_err(Failure::Mlx)?;
    let [backward, forward] = [backward, forward].map(|function| function.map_or_else(none, kept));
    // SAFETY: as in `checkpoint`.
    finished(listed(unsafe { (api.custom)(kept(function), backward, forward, List::lent(inputs)) }))
}

fn listed(raw: *mut super::RawArrays) -> Made<Vec<Handle>> {
    Handles::made(raw)?.to_vec()
}
