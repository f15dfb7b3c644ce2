//! `assert_grad_mode`: an assertion about the mode, and the message when it fails.

use crate::backend::{Backend, Mlx};
use crate::mode::GradMode;
use crate::places::{self, open_scopes};
use crate::thread_state::{Slot, grad_mode, is_covered};

use GradMode::{Enabled, Inference, NoGrad};

/// Panics unless this thread is in the mode `expected`: for code that relies on a scope which its callers entered.
///
/// Work that moves to another thread without its scope starts Enabled there, and nothing fails: its results are right, and
/// its graph is recorded. An assertion finds such a place, in a test or in the code itself.
///
/// ```
/// use grad_core::{GradMode, assert_grad_mode, no_grad};
///
/// let _guard = no_grad();
/// assert_grad_mode(GradMode::NoGrad);
/// let moved = std::thread::spawn(|| assert_grad_mode(GradMode::NoGrad));
/// assert!(moved.join().is_err());
/// ```
///
/// # Panics
///
/// If `grad_mode() != expected`. The message names the thread, the scope that is on and the backends that it covers, and says
/// what to do. After a call of [`watch_scopes`](crate::watch_scopes) it lists the open scopes and their places too.
#[track_caller]
pub fn assert_grad_mode(expected: GradMode) {
    let found = grad_mode();
    if found != expected {
        let thread = std::thread::current();
        panic!(
            "expected grad mode {expected:?} on thread {:?} ({:?}), found {found:?}\nnote: {}{}\nhelp: {}",
            thread.name().unwrap_or("without a name"),
            thread.id(),
            note(found),
            scopes(),
            help(expected, found),
        );
    }
}

/// Returns what this thread's state tells about the origin of the mode `found`.
fn note(found: GradMode) -> String {
    let origin = match (found, is_covered(Slot::Cpu)) {
        (Enabled, false) => "no scope is on",
        (_, false) => "no scope is on; `Cpu.set_grad_mode` was called",
        (NoGrad, true) => "`no_grad` is on, entered on this thread or carried to it",
        (Inference, true) => "`inference_mode` is on, entered on this thread or carried to it",
        (Enabled, true) => {
            "a scope enables recording: `enable_grad`, `inference_mode(false)`, a mode carried to this thread, or a function \
             that is being differentiated"
        }
    };
    match Mlx.grad_mode() {
        mlx if mlx == found => origin.into(),
        mlx => format!("{origin}; the mode of MLX alone, `Mlx.grad_mode()`, is {mlx:?}"),
    }
}

/// Returns the lines that list the open scopes of this thread, or say how to get that list.
fn scopes() -> String {
    let scopes = open_scopes();
    if scopes.is_empty() {
        String::new()
    } else if places::are_recorded() {
        let lines: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        format!("\nnote: open scopes, outermost first:\n    {}", lines.join("\n    "))
    } else {
        "\nnote: to see where scopes were entered, call `watch_scopes()` on this thread before".into()
    }
}

/// Returns what to do where the mode is `found` instead of `expected`.
fn help(expected: GradMode, found: GradMode) -> &'static str {
    match (expected, found) {
        (Enabled, NoGrad) => {
            "call this code outside of the `no_grad` scope, or re-enable recording around it with `enable_grad`"
        }
        (Enabled, _) => {
            "call this code outside of the `inference_mode` scope, or leave inference mode around it with \
             `inference_mode(false)`; `enable_grad` does not lift it"
        }
        (NoGrad, Inference) => {
            "nothing is recorded in inference mode either; to accept both modes, assert `!is_grad_enabled()`"
        }
        (_, NoGrad) => "enter `inference_mode` instead of `no_grad`",
        _ if is_covered(Slot::Cpu) => "call this code outside of that scope, or enter the expected one inside it",
        _ => {
            "enter the scope on this thread, around this code; if it was entered on another thread, move the work here with \
             `carry(…)`, `.in_current_grad_mode()` or `.with_grad_mode(…)`"
        }
    }
}
