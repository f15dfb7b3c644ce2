//! Scopes with a C interface, for processes in other languages. Nothing here depends on libtorch.

use grad_runtime::{Scope, Torch, installed};

/// Runs `f` in a scope.
fn inside(scope: Scope, f: extern "C" fn()) {
    let _guard = scope.enter();
    f();
}

#[unsafe(no_mangle)]
extern "C" fn grad_no_grad(f: extern "C" fn()) {
    inside(Scope::NoGrad, f);
}

#[unsafe(no_mangle)]
extern "C" fn grad_enable_grad(f: extern "C" fn()) {
    inside(Scope::EnableGrad, f);
}

#[unsafe(no_mangle)]
extern "C" fn grad_inference_mode(f: extern "C" fn()) {
    inside(Scope::InferenceMode(true), f);
}

/// Runs `f` in a scope on libtorch alone.
#[unsafe(no_mangle)]
extern "C" fn grad_no_grad_on_torch(f: extern "C" fn()) {
    let _guard = Scope::NoGrad.enter_for(&Torch);
    f();
}

/// Returns whether universal scopes switch libtorch.
#[unsafe(no_mangle)]
extern "C" fn grad_torch_is_installed() -> bool {
    installed().any(|backend| backend.name() == "torch")
}
