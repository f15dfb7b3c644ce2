//! Whether a transform is running, and the mode that its function starts in.

use std::cell::Cell;

use grad_core::GradGuard;
use grad_core::ModeSnapshot;
use grad_core::Scope;
use grad_core::{Backend, Cpu, Mlx};

thread_local! {
    /// How many differentiated functions are running on this thread, one inside the other.
    static RUNNING: Cell<u32> = const { Cell::new(0) };
    /// How many functions are running to be mapped or compiled.
    static TRACING: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside a function that is being differentiated. MLX's own mark on arrays does not tell: an
/// inner transform takes it from all that its function touched.
pub fn is_running() -> bool {
    RUNNING.get() > 0
}

/// Whether this thread is inside of any transform's function, differentiated or only traced.
pub fn is_tracing() -> bool {
    is_running() || TRACING.get() > 0
}

/// What holds while a function runs to be mapped or compiled.
pub struct Tracing(());

impl Tracing {
    pub fn start() -> Self {
        TRACING.set(TRACING.get() + 1);
        Self(())
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        TRACING.set(TRACING.get() - 1);
    }
}

/// What holds while a differentiated function runs.
pub struct Running {
    _modes: [Option<GradGuard>; 2],
}

impl Running {
    /// The function starts Enabled, whatever scope the call stands in, and `is_grad_enabled()` says so.
    pub fn start() -> Self {
        let backends: [&'static dyn Backend; 2] = [&Cpu, &Mlx];
        Self::counted(backends.map(|backend| Some(Scope::InferenceMode(false).enter_for(backend))))
    }

    /// The function runs again in the modes that it first ran in.
    pub fn again(modes: ModeSnapshot) -> Self {
        Self::counted([Some(modes.enter()), None])
    }

    fn counted(modes: [Option<GradGuard>; 2]) -> Self {
        RUNNING.set(RUNNING.get() + 1);
        Self { _modes: modes }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get() - 1);
    }
}
