//! Backends that keep the guarantees, and the state that a check leaves.

use std::panic::catch_unwind;

use grad_runtime::testing::{assert_backend, check_backend};
use grad_runtime::{Backend, Cpu, GradMode, Mlx, Scope, enable_grad, inference_mode, installed};
use support::backend;
use support::backends::{Destructible, OnOff, Plain, Reentrant};

use GradMode::{Enabled, Inference, NoGrad};

#[test]
fn backends_that_keep_the_guarantees_pass() {
    let backends: [&'static dyn Backend; 6] = [&Cpu, &Mlx, &Plain, &OnOff, &Destructible, &Reentrant];
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

/// The checks neither see the scopes that the caller is in nor change them.
#[test]
fn the_modes_of_the_calling_thread_are_neither_used_nor_changed() {
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
    backend!(Unnamed, "", || Enabled, |_| ());
    let violation = check_backend(&Unnamed).unwrap_err();
    let panic = catch_unwind(|| assert_backend(&Unnamed)).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>(), Some(&violation.to_string()));
    let error: Box<dyn std::error::Error + Send + Sync> = violation.clone().into();
    assert_eq!(error.to_string(), violation.to_string());
}
