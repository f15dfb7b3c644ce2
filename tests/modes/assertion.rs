//! `assert_grad_mode`: its message names the scope that is on, and what to do.

use std::panic::catch_unwind;
use std::thread;

use grad_runtime::{
    Backend, Cpu, GradGuard, GradMode, Mlx, ModeSnapshot, Scope, assert_grad_mode, enable_grad, inference_mode,
    no_grad,
};

use GradMode::{Enabled, Inference, NoGrad};

/// Returns the note and the help of the message, from a new thread with these scopes.
fn message(expected: GradMode, enter: fn() -> Vec<GradGuard>) -> [String; 2] {
    let panicked = thread::Builder::new().name("worker".into()).spawn(move || {
        let _guards = enter();
        let panic = catch_unwind(|| assert_grad_mode(expected)).unwrap_err();
        *panic.downcast::<String>().unwrap()
    });
    let message = panicked.unwrap().join().unwrap();
    let mut lines = message.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with(&format!("expected grad mode {expected:?} on thread \"worker\" (ThreadId(")),
        "{first}"
    );
    let [note, help] = [("note: ", lines.next()), ("help: ", lines.next())]
        .map(|(word, line)| line.and_then(|line| line.strip_prefix(word)).expect(&message).to_owned());
    assert_eq!(lines.next(), None);
    [note, help]
}

#[test]
fn the_message_names_the_scope() {
    let carried = || vec![ModeSnapshot::all(NoGrad).enter()];
    for (expected, enter, note, help) in [
        (
            Enabled,
            (|| vec![no_grad()]) as fn() -> _,
            "`no_grad` is on, entered on this thread or carried to it",
            "`enable_grad`",
        ),
        (Enabled, carried, "`no_grad` is on, entered on this thread or carried to it", "`enable_grad`"),
        (
            Enabled,
            || vec![no_grad(), inference_mode(true), enable_grad()],
            "`inference_mode` is on, entered on this thread or carried to it",
            "`inference_mode(false)`",
        ),
        (
            NoGrad,
            || vec![no_grad(), enable_grad()],
            "a scope enables recording: `enable_grad`, `inference_mode(false)`, a mode carried to this thread, or a function \
             that is being differentiated",
            "outside of that scope",
        ),
        (
            NoGrad,
            || vec![inference_mode(true)],
            "`inference_mode` is on, entered on this thread or carried to it",
            "!is_grad_enabled()",
        ),
        (
            Inference,
            || vec![no_grad()],
            "`no_grad` is on, entered on this thread or carried to it",
            "enter `inference_mode`",
        ),
        (Inference, Vec::new, "no scope is on", "`carry(…)`"),
        (
            NoGrad,
            || vec![Scope::NoGrad.enter_for(&Mlx)],
            "no scope is on; the mode of MLX alone, `Mlx.grad_mode()`, is NoGrad",
            "enter the scope on this thread",
        ),
        (
            Enabled,
            || vec![Scope::NoGrad.enter_for(&Cpu)],
            "`no_grad` is on, entered on this thread or carried to it; the mode of MLX alone, `Mlx.grad_mode()`, is Enabled",
            "`enable_grad`",
        ),
        (
            Enabled,
            || {
                Cpu.set_grad_mode(NoGrad);
                Vec::new()
            },
            "no scope is on; `Cpu.set_grad_mode` was called; the mode of MLX alone, `Mlx.grad_mode()`, is Enabled",
            "`enable_grad`",
        ),
    ] {
        let [found_note, found_help] = message(expected, enter);
        assert_eq!(found_note, note);
        assert!(found_help.contains(help), "{found_help}");
        assert_eq!(
            found_help.contains("carry"),
            help == "`carry(…)`" || help.starts_with("enter the scope"),
            "{found_help}"
        );
    }
}
