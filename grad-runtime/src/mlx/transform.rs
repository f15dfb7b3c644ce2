//! Transforms: MLX's own, given Rust functions and held to the law.

use std::cell::Cell;

use super::array::Array;
use super::ffi::{self, Failure};
use crate::array::{refused, require_loss, require_primals};
use crate::backend::{Backend, Cpu, Mlx};
use crate::error::{Error, Result};
use crate::guard::GradGuard;
use crate::mode::Scope;

thread_local! {
    /// How many transforms' functions are running on this thread, one inside the other.
    static RUNNING: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside a transform's function.
pub fn is_running() -> bool {
    RUNNING.get() > 0
}

/// What holds while a transform's function runs: the function starts Enabled, whatever scope the call stands in, and
/// `is_grad_enabled()` says so.
struct Running {
    _modes: [GradGuard; 2],
}

impl Running {
    fn start() -> Self {
        RUNNING.set(RUNNING.get() + 1);
        let backends: [&'static dyn Backend; 2] = [&Cpu, &Mlx];
        Self { _modes: backends.map(|backend| Scope::InferenceMode(false).enter_on(backend)) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get() - 1);
    }
}

pub fn value_and_grad<F, E>(function: F, primals: &[Array]) -> Result<(Array, Vec<Array>), E>
where
    F: FnOnce(&[Array]) -> Result<Array, E>,
    E: From<Error>,
{
    const TRANSFORM: &str = "value_and_grad";
    require_primals(TRANSFORM, primals)?;
    let traced = |primals: Vec<ffi::Handle>| {
        let _running = Running::start();
        let primals: Vec<Array> = primals.into_iter().map(Array::traced).collect();
        let loss = function(&primals)?;
        require_loss(TRANSFORM, &loss)?;
        Ok::<_, E>(loss.handle().clone())
    };
    let handles: Vec<_> = primals.iter().map(Array::handle).collect();
    let operands: Vec<_> = primals.iter().collect();
    let refuse = |reason| E::from(refused(TRANSFORM, &operands, reason));
    let (value, gradients) = ffi::value_and_grad(traced, &handles).map_err(|failure| match failure {
        Failure::Function(error) => error,
        Failure::Mlx(reason) => refuse(reason),
    })?;
    // Back in the caller's mode: in a no-grad scope, the results are constants to the transforms around.
    let value = Array::new(value).map_err(refuse)?;
    let gradients =
        gradients.into_iter().map(|gradient| Array::new(gradient).map_err(refuse)).collect::<Result<_, E>>()?;
    Ok((value, gradients))
}
