//! How deep this thread is inside the functions of transforms, and the mode that a differentiated function starts in.

use std::cell::Cell;

use grad_core::GradGuard;
use grad_core::ModeSnapshot;
use grad_core::Scope;
use grad_core::{Backend, Cpu, Mlx};

thread_local! {
    /// How many differentiated functions are running on this thread, one inside the other.
    static DIFFERENTIATED: Cell<u32> = const { Cell::new(0) };
    /// How many functions are running to be mapped or compiled.
    static TRACED: Cell<u32> = const { Cell::new(0) };
}

/// Returns whether this thread is inside a function that is being differentiated. MLX's own flag on arrays does not tell,
/// since an inner transform clears it on all arrays that its function touched.
pub fn is_differentiating() -> bool {
    DIFFERENTIATED.get() > 0
}

/// Returns whether this thread is inside the function of any transform.
pub fn is_transforming() -> bool {
    is_differentiating() || TRACED.get() > 0
}

/// Lives while a function runs to be mapped or compiled.
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
        DIFFERENTIATED.set(DIFFERENTIATED.get() + 1);
        Self { _modes: modes }
    }
}

impl Drop for Differentiating {
    fn drop(&mut self) {
        DIFFERENTIATED.set(DIFFERENTIATED.get() - 1);
    }
}
