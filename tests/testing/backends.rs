//! Backends that keep the guarantees, and the state that a check leaves.

use std::cell::{Cell, RefCell};
use std::panic::catch_unwind;

use grad_runtime::testing::{assert_backend, check_backend};
use grad_runtime::{Backend, Cpu, GradMode, Mlx, Scope, enable_grad, inference_mode, installed};

use GradMode::{Enabled, Inference, NoGrad};

/// The simplest backend.
pub struct Plain;

thread_local!(static PLAIN: Cell<GradMode> = const { Cell::new(Enabled) });

impl Backend for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn grad_mode(&self) -> GradMode {
        PLAIN.get()
    }

    fn set_grad_mode(&self, mode: GradMode) {
        PLAIN.set(mode);
    }
}

/// A backend without an inference mode.
struct OnOff;

thread_local!(static RECORDING: Cell<bool> = const { Cell::new(true) });

impl Backend for OnOff {
    fn name(&self) -> &'static str {
        "on-off"
    }

    fn grad_mode(&self) -> GradMode {
        if RECORDING.get() { Enabled } else { NoGrad }
    }

    fn set_grad_mode(&self, mode: GradMode) {
        RECORDING.set(mode.is_enabled());
    }
}

/// A backend whose state has a destructor, and that reports `NoGrad` once it is destroyed, as the help says.
struct Guarded;

struct State {
    mode: GradMode,
    _nodes: Vec<f64>,
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State { mode: Enabled, _nodes: Vec::new() }) };
}

impl Backend for Guarded {
    fn name(&self) -> &'static str {
        "guarded"
    }

    fn grad_mode(&self) -> GradMode {
        STATE.try_with(|state| state.borrow().mode).unwrap_or(NoGrad)
    }

    fn set_grad_mode(&self, mode: GradMode) {
        let _ = STATE.try_with(|state| state.borrow_mut().mode = mode);
    }
}

/// A backend that enters scopes on others while it is switched.
struct Reentrant;

thread_local!(static REENTRANT: Cell<GradMode> = const { Cell::new(Enabled) });

impl Backend for Reentrant {
    fn name(&self) -> &'static str {
        "reentrant"
    }

    fn grad_mode(&self) -> GradMode {
        let _scope = Scope::NoGrad.enter_for(&Cpu);
        REENTRANT.get()
    }

    fn set_grad_mode(&self, mode: GradMode) {
        let _scope = Scope::InferenceMode(true).enter_for(&Mlx);
        REENTRANT.set(mode);
    }
}

#[test]
fn correct_backends_pass() {
    let backends: [&'static dyn Backend; 6] = [&Cpu, &Mlx, &Plain, &OnOff, &Guarded, &Reentrant];
    for backend in backends {
        assert_eq!(check_backend(backend), Ok(()), "{}", backend.name());
    }
}

#[test]
fn a_backend_can_be_checked_again_and_is_installed_once() {
    for _ in 0..3 {
        assert_backend(&Plain);
    }
    assert_eq!(installed().filter(|backend| backend.name() == "plain").count(), 1);
}

/// The checks do not depend on the caller's scopes, and do not change them.
#[test]
fn the_calling_threads_modes_are_neither_used_nor_changed() {
    assert_backend(&Plain);
    let _inference = inference_mode(true);
    let _plain = Scope::InferenceMode(false).enter_for(&Plain);
    let _off = Scope::NoGrad.enter_for(&Plain);
    assert_backend(&Plain);
    assert_backend(&Cpu);
    assert_eq!([Cpu.grad_mode(), Mlx.grad_mode(), Plain.grad_mode()], [Inference, Inference, NoGrad]);
    let _enabled = enable_grad();
    assert_eq!([Cpu.grad_mode(), Mlx.grad_mode(), Plain.grad_mode()], [Inference, Inference, Enabled]);
}

#[test]
fn an_assertion_panics_with_the_violation() {
    struct Unnamed;
    impl Backend for Unnamed {
        fn name(&self) -> &'static str {
            ""
        }
        fn grad_mode(&self) -> GradMode {
            Enabled
        }
        fn set_grad_mode(&self, _: GradMode) {}
    }
    let violation = check_backend(&Unnamed).unwrap_err();
    let panic = catch_unwind(|| assert_backend(&Unnamed)).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>(), Some(&violation.to_string()));
    let error: Box<dyn std::error::Error + Send + Sync> = violation.clone().into();
    assert_eq!(error.to_string(), violation.to_string());
}
