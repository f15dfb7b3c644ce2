//! What lives while the function of a transform runs, and the mode that a differentiated function starts in.

use grad_core::GradGuard;
use grad_core::ModeSnapshot;
use grad_core::Scope;
use grad_core::{Backend, Cpu, Mlx};

use super::ffi::thread;

/// Lives while a transform traces a function.
pub struct Tracing {
    kind: u64,
}

impl Tracing {
    /// Starts a function that is compiled or mapped, not differentiated.
    pub fn start() -> Self {
        Self::of(thread::FUNCTION)
    }

    fn of(kind: u64) -> Self {
        thread::enter_function(kind);
        Self { kind }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        thread::leave_function(self.kind);
    }
}

/// Lives while a differentiated function runs.
pub struct Differentiating {
    _modes: [Option<GradGuard>; 2],
    _tracing: Tracing,
}

impl Differentiating {
    /// Starts a function in mode Enabled, whatever scope the call is in; `is_grad_enabled()` says so too.
    pub fn start() -> Self {
        let backends: [&'static dyn Backend; 2] = [&Cpu, &Mlx];
        Self::with_modes(backends.map(|backend| Some(Scope::InferenceMode(false).enter_for(backend))))
    }

    /// Starts a function again, in the modes of its first call.
    pub fn restart(modes: ModeSnapshot) -> Self {
        Self::with_modes([Some(modes.enter()), None])
    }

    fn with_modes(modes: [Option<GradGuard>; 2]) -> Self {
        Self { _modes: modes, _tracing: Tracing::of(thread::FUNCTION + thread::DIFFERENTIATED) }
    }
}
