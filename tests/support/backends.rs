//! Backends of other authors, from the smallest one on. None is installed here.

use std::cell::{Cell, RefCell};

use grad_runtime::{Backend, Cpu, GradMode, Mlx, Scope};

/// Defines a backend by its name, and by how it reads and sets the mode.
#[macro_export]
macro_rules! backend {
    ($(#[$attribute:meta])* $vis:vis $backend:ident, $name:expr, || $grad_mode:expr, |$mode:pat_param| $set_grad_mode:expr) => {
        $(#[$attribute])*
        $vis struct $backend;

        impl grad_runtime::Backend for $backend {
            fn name(&self) -> &'static str {
                $name
            }

            fn grad_mode(&self) -> grad_runtime::GradMode {
                $grad_mode
            }

            fn set_grad_mode(&self, $mode: grad_runtime::GradMode) {
                $set_grad_mode
            }
        }
    };
}

thread_local! {
    static PLAIN: Cell<GradMode> = const { Cell::new(GradMode::Enabled) };
    static RECORDING: Cell<bool> = const { Cell::new(true) };
    static STATE: RefCell<State> = const { RefCell::new(State { mode: GradMode::Enabled, _nodes: Vec::new() }) };
    static REENTRANT: Cell<GradMode> = const { Cell::new(GradMode::Enabled) };
}

backend! {
    /// The smallest correct backend: a mode in a thread-local.
    pub Plain, "plain", || PLAIN.get(), |mode| PLAIN.set(mode)
}

backend! {
    /// A backend without an inference mode, as in the documentation of `Backend`: it records or does not.
    pub OnOff, "on-off",
    || if RECORDING.get() { GradMode::Enabled } else { GradMode::NoGrad },
    |mode| RECORDING.set(mode.is_enabled())
}

impl OnOff {
    /// Returns whether it records on this thread.
    #[must_use]
    pub fn records(&self) -> bool {
        self.grad_mode().is_enabled()
    }
}

struct State {
    mode: GradMode,
    _nodes: Vec<f64>,
}

backend! {
    /// A backend whose thread-local state has a destructor. Once that has run, it reports `NoGrad`.
    pub Destructible, "destructible",
    || STATE.try_with(|state| state.borrow().mode).unwrap_or(GradMode::NoGrad),
    |mode| {
        let _ = STATE.try_with(|state| state.borrow_mut().mode = mode);
    }
}

backend! {
    /// A backend that enters scopes on others while it is read and set.
    pub Reentrant, "reentrant",
    || {
        let _scope = Scope::NoGrad.enter_for(&Cpu);
        REENTRANT.get()
    },
    |mode| {
        let _scope = Scope::InferenceMode(true).enter_for(&Mlx);
        REENTRANT.set(mode);
    }
}
