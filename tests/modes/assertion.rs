//! `assert_grad_mode`: its message names the scope that is on, and what to do.

use std::panic::catch_unwind;
use std::thread;

use grad_runtime::{
    Backend, Cpu, GradGuard, GradMode, Mlx, ModeSnapshot, Scope, assert_grad_mode, enable_grad, inference_mode,
    no_grad, watch_scopes,
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
    let note = lines.next().and_then(|line| line.strip_prefix("note: ")).expect(&message).to_owned();
    let help = lines.next_back().and_then(|line| line.strip_prefix("help: ")).expect(&message).to_owned();
    let hint = "note: to see where scopes were entered, call `watch_scopes()` on this thread before";
    let any_scope_is_open = !note.starts_with("no scope is on") || note.contains("MLX alone");
    let cpu_was_set = note.contains("set_grad_mode");
    assert_eq!(lines.next(), (any_scope_is_open && !cpu_was_set).then_some(hint));
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
            "around it with `enable_grad`",
        ),
        (
            Enabled,
            carried,
            "`no_grad` is on, entered on this thread or carried to it",
            "around it with `enable_grad`",
        ),
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
            "around it with `enable_grad`",
        ),
        (
            Enabled,
            || {
                Cpu.set_grad_mode(NoGrad);
                Vec::new()
            },
            "no scope is on; `Cpu.set_grad_mode` was called; the mode of MLX alone, `Mlx.grad_mode()`, is Enabled",
            "around it with `enable_grad`",
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

#[test]
fn guarantee_14_the_message_lists_the_open_scopes() {
    let panicked = thread::spawn(|| {
        let _before = no_grad();
        let _watch = watch_scopes();
        let _enabled = enable_grad();
        let _inner = Scope::NoGrad.enter_for(&Cpu);
        let line = line!();
        let panic = catch_unwind(|| assert_grad_mode(Enabled)).unwrap_err();
        (line, *panic.downcast::<String>().unwrap())
    });
    let (line, message) = panicked.join().unwrap();
    let listed = format!(
        "\nnote: open scopes, outermost first:\n    a scope in mode no_grad, entered before places were recorded\n    \
         enable_grad at {file}:{}:24\n    no_grad for cpu at {file}:{}:36\nhelp: ",
        line - 2,
        line - 1,
        file = file!(),
    );
    assert!(message.contains(&listed), "{message}\nis without\n{listed}");
}
