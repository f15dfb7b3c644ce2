//! Whether this thread is inside a function of a transform, and the mode that a differentiated function starts in.

use std::cell::Cell;

use grad_core::GradGuard;
use grad_core::ModeSnapshot;
use grad_core::Scope;
use grad_core::{Backend, Cpu, Mlx};

thread_local! {
    /// How many functions of transforms are running on this thread, one inside the other.
    static TRACED: Cell<u32> = const { Cell::new(0) };
}

/// Returns whether this thread is inside the function of any transform. Where it is not, no transform traces anything.
#[inline]
pub fn is_transforming() -> bool {
    TRACED.get() > 0
}

/// Lives while a transform traces a function.
pub struct Tracing(());

impl Tracing {
    pub fn start() -> Self {
        TRACED.set(TRACED.get() + 1);
        Self(())
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        TRACED.set(TRACED.get() - 1);
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
        Self { _modes: modes, _tracing: Tracing::start() }
    }
}
