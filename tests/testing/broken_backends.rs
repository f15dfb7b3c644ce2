//! Backends that each break one guarantee, and the message of the check.
//!
//! None of them gets installed: a check installs a backend as its last step.

use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::thread;

use grad_runtime::testing::check_backend;
use grad_runtime::{Backend, Cpu, GradMode, installed};
use support::backend;

use GradMode::{Enabled, Inference, NoGrad};

thread_local! {
    /// The mode of the backend that is checked on this thread. Each check starts new threads.
    static MODE: Cell<GradMode> = const { Cell::new(Enabled) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn message(backend: &'static dyn Backend) -> String {
    let message = check_backend(backend).unwrap_err().to_string();
    assert!(
        !installed().any(|installed| std::ptr::addr_eq(installed, backend) && installed.name() == backend.name())
    );
    message
}

#[test]
fn violation_of_guarantee_1_one_mode_for_the_whole_process() {
    static RECORDING: AtomicU8 = AtomicU8::new(0);
    const MODES: [GradMode; 3] = [Enabled, NoGrad, Inference];
    backend!(Global, "global", || MODES[usize::from(RECORDING.load(Relaxed))], |mode| {
        let at = MODES.iter().position(|&known| known == mode).unwrap();
        RECORDING.store(u8::try_from(at).unwrap(), Relaxed);
    });
    assert_eq!(
        message(&Global),
        "backend `global` breaks guarantee 1: a scope is this thread's alone, and a new thread starts Enabled
    what was done: `set_grad_mode(NoGrad)` on one thread, then `grad_mode()` on a new one
    expected: Enabled
    found: NoGrad
    what to do: keep the mode in a `thread_local!`, not in a `static` that every thread shares"
    );
}

#[test]
fn violation_of_guarantee_1_a_new_thread_starts_in_no_grad() {
    thread_local!(static MODE: Cell<GradMode> = const { Cell::new(NoGrad) });
    backend!(StartsOff, "starts-off", || MODE.get(), |mode| MODE.set(mode));
    assert_eq!(
        message(&StartsOff),
        "backend `starts-off` breaks guarantee 1: a scope is this thread's alone, and a new thread starts Enabled
    what was done: `grad_mode()` on a new thread, before anything else
    expected: Enabled
    found: NoGrad
    what to do: initialize the thread-local mode with `GradMode::Enabled`"
    );
}

/// A table of threads, in which a new thread takes over the entry of one that has ended, with its mode.
#[test]
fn violation_of_guarantee_1_a_thread_inherits_the_mode_of_one_that_has_ended() {
    static TABLE: Mutex<Vec<(bool, GradMode)>> = Mutex::new(Vec::new());
    struct Entry(usize);
    impl Entry {
        fn find() -> Self {
            let mut table = TABLE.lock().unwrap();
            let free = table.iter().position(|&(taken, _)| !taken).unwrap_or_else(|| {
                table.push((false, Enabled));
                table.len() - 1
            });
            table[free].0 = true;
            Self(free)
        }
    }
    impl Drop for Entry {
        fn drop(&mut self) {
            TABLE.lock().unwrap()[self.0].0 = false;
        }
    }
    thread_local!(static ENTRY: Entry = Entry::find());
    backend!(Table, "table", || ENTRY.with(|entry| TABLE.lock().unwrap()[entry.0].1), |mode| ENTRY
        .with(|entry| TABLE.lock().unwrap()[entry.0].1 = mode));
    let message = message(&Table);
    assert!(message.starts_with("backend `table` breaks guarantee 1: "), "{message}");
    assert!(message.contains("expected: Enabled\n"), "{message}");
    assert!(
        message.ends_with(
            "found: NoGrad\n    what to do: keep the mode in a `thread_local!`: in a table indexed by \
             thread, a new thread finds the mode of one that ended"
        ),
        "{message}"
    );
}

/// Four entries that threads take in turn, enough for a few threads.
#[test]
fn violation_of_guarantee_1_too_few_entries_for_many_threads() {
    static PLACES: Mutex<[GradMode; 4]> = Mutex::new([Enabled; 4]);
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static PLACE: usize = {
        let place = NEXT.fetch_add(1, Relaxed) % 4;
        PLACES.lock().unwrap()[place] = Enabled;
        place
    });
    backend!(Places, "places", || PLACE.with(|&place| PLACES.lock().unwrap()[place]), |mode| PLACE
        .with(|&place| PLACES.lock().unwrap()[place] = mode));
    let message = message(&Places);
    assert!(message.starts_with("backend `places` breaks guarantee 1: "), "{message}");
    assert!(
        message.contains("` and `grad_mode()` on one of 32 threads that switch at the same time\n"),
        "{message}"
    );
}

#[test]
fn a_switch_that_is_ignored() {
    backend!(Deaf, "deaf", || Enabled, |_| ());
    assert_eq!(
        message(&Deaf),
        "backend `deaf` breaks the guarantee of `Backend::set_grad_mode`: `grad_mode()` reports the mode that \
         was set last
    what was done: `set_grad_mode` of Enabled, NoGrad in turn on one thread, then `grad_mode()`
    expected: NoGrad
    found: Enabled
    what to do: store the mode that you are given, not a count of calls or the first mode"
    );
}

/// A backend that counts how often it was switched off, and records after as many calls.
#[test]
fn a_switch_that_counts_calls() {
    thread_local!(static OFF: Cell<usize> = const { Cell::new(0) });
    backend!(Counting, "counting", || if OFF.get() == 0 { Enabled } else { NoGrad }, |mode| OFF
        .set(if mode.is_enabled() { OFF.get().saturating_sub(1) } else { OFF.get() + 1 }));
    let message = message(&Counting);
    assert!(
        message.contains(
            "`set_grad_mode` of Enabled, NoGrad, NoGrad, Enabled in turn on one thread, then \
             `grad_mode()`\n    expected: Enabled\n    found: NoGrad\n"
        ),
        "{message}"
    );
}

#[test]
fn a_mode_that_was_not_set_is_reported() {
    backend!(Wrong, "wrong", || if MODE.get() == NoGrad { Inference } else { MODE.get() }, |mode| MODE.set(mode));
    let message = message(&Wrong);
    assert!(message.contains("expected: NoGrad\n    found: Inference\n"), "{message}");
}

#[test]
fn violation_of_guarantee_7_inference_counts_as_enabled() {
    backend!(Training, "training", || if MODE.get() == NoGrad { NoGrad } else { Enabled }, |mode| MODE.set(mode));
    assert_eq!(
        message(&Training),
        "backend `training` breaks the guarantee of `Backend::set_grad_mode`: `grad_mode()` reports the mode that \
         was set last
    what was done: `set_grad_mode` of Enabled, NoGrad, NoGrad, Enabled, Enabled, Inference in turn on one thread, \
         then `grad_mode()`
    expected: Inference, or NoGrad from a backend without an inference mode
    found: Enabled
    what to do: record nothing in Inference: `mode.is_enabled()` says whether to record; a backend without \
         an inference mode reports NoGrad"
    );
}

#[test]
fn violation_of_guarantee_7_inference_mode_is_never_left() {
    backend!(Sticky, "sticky", || MODE.get(), |mode| if MODE.get() != Inference {
        MODE.set(mode);
    });
    let message = message(&Sticky);
    assert!(
        message.contains(
            "Inference, NoGrad in turn on one thread, then `grad_mode()`\n    expected: NoGrad\n    \
             found: Inference\n"
        ),
        "{message}"
    );
}

#[test]
fn reading_the_mode_changes_it() {
    backend!(Forgetful, "forgetful", || MODE.replace(Enabled), |mode| MODE.set(mode));
    let message = message(&Forgetful);
    assert!(message.contains("expected: NoGrad\n    found: Enabled\n"), "{message}");
    assert!(message.ends_with("what to do: let `grad_mode()` read the mode and do nothing else"), "{message}");
}

#[test]
fn a_panic_in_the_switch() {
    backend!(Fragile, "fragile", || MODE.get(), |mode| match mode {
        Inference => panic!("no {mode:?} here"),
        mode => MODE.set(mode),
    });
    assert_eq!(
        message(&Fragile),
        "backend `fragile` breaks the guarantee of `Backend`: its methods do not panic
    what was done: `set_grad_mode(Inference)` on a new thread
    expected: no panic
    found: a panic: no Inference here
    what to do: leave the mode as it is where it cannot be switched: scopes end while threads unwind, where a panic \
         ends the process"
    );
}

#[test]
fn a_panic_when_read_before_it_was_set() {
    thread_local!(static MODE: Cell<Option<GradMode>> = const { Cell::new(None) });
    backend!(Unready, "unready", || MODE.get().expect("no mode was set"), |mode| MODE.set(Some(mode)));
    let message = message(&Unready);
    assert!(
        message.contains(
            "what was done: `grad_mode()` on a new thread, before anything else\n    expected: \
             no panic\n    found: a panic: no mode was set\n"
        ),
        "{message}"
    );
}

/// The check must not cause a second panic on the thread, which would abort the process.
#[test]
fn a_panic_while_the_thread_panics() {
    backend!(Nervous, "nervous", || MODE.get(), |mode| {
        assert!(!thread::panicking(), "not while panicking");
        MODE.set(mode);
    });
    let message = message(&Nervous);
    assert!(
        message.contains(
            "` on a way out of a scope\n    expected: no panic\n    found: a panic: not \
             while panicking\n"
        ),
        "{message}"
    );
}

#[test]
fn violation_of_guarantee_2_a_panic_does_not_restore() {
    backend!(Careless, "careless", || MODE.get(), |mode| if !thread::panicking() {
        MODE.set(mode);
    });
    assert_eq!(
        message(&Careless),
        "backend `careless` breaks guarantee 2: the innermost living scope decides, and every way out of it restores the \
         mode
    what was done: a selective `no_grad` left by a panic, then `grad_mode()`
    expected: Enabled
    found: NoGrad
    what to do: apply every mode that `set_grad_mode` is given, also while the thread is panicking"
    );
}

/// A backend that ignores its switch after 100 calls on a thread.
#[test]
fn violation_of_guarantee_2_more_scopes_than_the_backend_can_count() {
    backend!(Shallow, "shallow", || MODE.get(), |mode| {
        CALLS.set(CALLS.get() + 1);
        if CALLS.get() <= 100 {
            MODE.set(mode);
        }
    });
    let message = message(&Shallow);
    assert!(message.starts_with("backend `shallow` breaks guarantee 2: "), "{message}");
    assert!(message.contains("100 scopes, `no_grad` and `enable_grad` alternating, left down to "), "{message}");
}

/// Backends that ignore their switch after some calls on a thread: up to a scope, up to its end, or up to a nested scope.
#[test]
fn violation_of_guarantees_7_10_and_11_a_switch_that_wears_out() {
    fn up_to(limit: usize, mode: GradMode) {
        CALLS.set(CALLS.get() + 1);
        if CALLS.get() <= limit {
            MODE.set(mode);
        }
    }
    backend!(Tired, "tired", || MODE.get(), |mode| up_to(13, mode));
    backend!(Weary, "weary", || MODE.get(), |mode| up_to(14, mode));
    backend!(Worn, "worn", || MODE.get(), |mode| up_to(35, mode));
    assert_eq!(
        message(&Tired),
        "backend `tired` breaks guarantee 10: a universal scope switches every installed backend, and a selective one \
         switches one
    what was done: a selective `enable_grad` entered where NoGrad was in force, then `grad_mode()` in it
    expected: Enabled
    found: NoGrad
    what to do: apply every mode that `set_grad_mode` is given, wherever it is called"
    );
    assert_eq!(
        message(&Weary),
        "backend `weary` breaks guarantee 11: a scope saves the mode that it finds in a backend, and restores it
    what was done: a selective `enable_grad` entered where NoGrad was in force and left, then `grad_mode()`
    expected: NoGrad
    found: Enabled
    what to do: apply every mode that `set_grad_mode` is given, whichever it is"
    );
    assert_eq!(
        message(&Worn),
        "backend `worn` breaks guarantee 7: `enable_grad` lifts `no_grad`, and nothing but `inference_mode(false)` lifts \
         inference mode
    what was done: `inference_mode(false)` entered inside `inference_mode`, then `grad_mode()` in it
    expected: Enabled
    found: Inference
    what to do: report the mode in force, and apply the mode that you are given: scopes remember the rest"
    );
}

/// A backend that switches the CPU's mode along with its own.
#[test]
fn violation_of_guarantee_10_the_cpu_is_switched_too() {
    backend!(Borrower, "borrower", || MODE.get(), |mode| {
        MODE.set(mode);
        Cpu.set_grad_mode(mode);
    });
    assert_eq!(
        message(&Borrower),
        "backend `borrower` breaks guarantee 10: a universal scope switches every installed backend, and a selective one \
         switches one
    what was done: a selective `no_grad` entered on backend `borrower`
    expected: Enabled on backend `cpu`, as before
    found: NoGrad
    what to do: give the backend a switch that no other backend reads or sets; an engine that follows this thread's \
         mode needs no `Backend`: it calls `is_grad_enabled()`"
    );
}

#[test]
fn violation_of_guarantee_10_the_mode_of_the_cpu_counts_too() {
    backend!(Follower, "follower", || MODE.get().max(Cpu.grad_mode()), |mode| MODE.set(mode));
    let message = message(&Follower);
    assert!(message.starts_with("backend `follower` breaks guarantee 10: "), "{message}");
    assert!(
        message.contains(
            "a selective `no_grad` entered on backend `cpu`\n    expected: Enabled on backend `follower`, as before\n    found: NoGrad\n"
        ),
        "{message}"
    );
}

/// A backend that passes all checks but the last: universal scopes switch the installed backend of the same name.
#[test]
fn violation_of_guarantee_10_the_name_of_an_installed_backend() {
    thread_local!(static FIRST: Cell<GradMode> = const { Cell::new(Enabled) });
    backend!(First, "namesake", || FIRST.get(), |mode| FIRST.set(mode));
    backend!(Second, "namesake", || MODE.get(), |mode| MODE.set(mode));
    assert_eq!(check_backend(&First), Ok(()));
    assert_eq!(
        check_backend(&Second).unwrap_err().to_string(),
        "backend `namesake` breaks guarantee 10: a universal scope switches every installed backend, and a selective one \
         switches one
    what was done: a universal `no_grad` entered where Enabled was in force, then `grad_mode()` in it
    expected: NoGrad
    found: Enabled
    what to do: choose another name: an installed backend already has this one"
    );
}

/// The mode is in a thread-local that has a destructor, since it also holds the nodes.
#[test]
fn a_thread_local_that_is_destroyed_first() {
    thread_local!(static STATE: RefCell<(GradMode, Vec<f64>)> = const { RefCell::new((Enabled, Vec::new())) });
    backend!(Gone, "gone", || STATE.with_borrow(|state| state.0), |mode| STATE
        .with_borrow_mut(|state| state.0 = mode));
    let message = message(&Gone);
    assert!(
        message.starts_with(
            "backend `gone` breaks the guarantee of `Backend`: its methods do not panic
    what was done: `grad_mode()` in the destructor of a thread-local, while the thread was torn down
    expected: no panic
    found: a panic: cannot access a Thread Local Storage value during or after destruction"
        ),
        "{message}"
    );
    assert!(
        message.ends_with(
            "what to do: keep the mode in a thread-local without a destructor, such as `const { \
             Cell::new(GradMode::Enabled) }`, or read it with `try_with` and report NoGrad once it is destroyed"
        ),
        "{message}"
    );
}

/// The same without the panic: once the thread-local is destroyed, the reported mode cannot be switched.
#[test]
fn violation_of_guarantee_2_enabled_is_reported_after_the_thread_local_was_destroyed() {
    thread_local!(static STATE: RefCell<(GradMode, Vec<f64>)> = const { RefCell::new((Enabled, Vec::new())) });
    backend!(Pretending, "pretending", || STATE.try_with(|state| state.borrow().0).unwrap_or(Enabled), |mode| {
        let _ = STATE.try_with(|state| state.borrow_mut().0 = mode);
    });
    let message = message(&Pretending);
    assert!(message.starts_with("backend `pretending` breaks guarantee 2: "), "{message}");
    assert!(
        message.contains(
            "`no_grad` in the destructor of a thread-local, while the thread was torn down\n    expected: NoGrad\n    found: Enabled\n"
        ),
        "{message}"
    );
}

#[test]
fn a_name_that_is_missing_taken_or_changing() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    backend!(Unnamed, " ", || MODE.get(), |mode| MODE.set(mode));
    backend!(Capital, "Torch2", || MODE.get(), |mode| MODE.set(mode));
    backend!(Impostor, "cpu", || MODE.get(), |mode| MODE.set(mode));
    backend!(Fickle, ["one", "two"][ASKED.fetch_add(1, Relaxed) % 2], || MODE.get(), |mode| MODE.set(mode));
    backend!(Moody, if MODE.get() == Enabled { "merry" } else { "sad" }, || MODE.get(), |mode| MODE.set(mode));

    const EXPECTATION: &str =
        "breaks the guarantee of `Backend::name`: a name in lower case that never changes and is unique";
    let cases: [(&'static dyn Backend, &str, [&str; 4]); 5] = [
        (
            &Unnamed,
            " ",
            ["`name()`", "a name", "` `", "return a name in lower case, such as the name of your crate"],
        ),
        (
            &Capital,
            "Torch2",
            ["`name()`", "lower case", "`Torch2`", "return a name in lower case, such as the name of your crate"],
        ),
        (
            &Impostor,
            "cpu",
            [
                "`name()`",
                "a name that no backend of grad-runtime has",
                "`cpu`",
                "choose another name: this one belongs to a backend of grad-runtime",
            ],
        ),
        (
            &Fickle,
            "one",
            [
                "`name()` a second time",
                "`one`, as before",
                "`two`",
                "return one literal: scopes identify a backend by its name",
            ],
        ),
        (
            &Moody,
            "merry",
            [
                "`name()` around a scope on this backend alone",
                "`merry`, as before",
                "`sad`",
                "return one literal: scopes identify a backend by its name",
            ],
        ),
    ];
    for (backend, name, [done, expected, found, help]) in cases {
        assert_eq!(
            check_backend(backend).unwrap_err().to_string(),
            format!(
                "backend `{name}` {EXPECTATION}\n    what was done: {done}\n    expected: {expected}\n    found: {found}\n    \
                 what to do: {help}"
            )
        );
    }
}
