//! The checks of a `Backend`.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use super::guarantees::{self, Guarantee};
use super::monitored::Monitored;
use super::violation::Checked;
use grad_core::{Backend, Cpu, GradGuard, GradMode, Mlx, ModeSnapshot, Scope, install};

use GradMode::{Enabled, Inference, NoGrad};

const MODES: [GradMode; 3] = [Enabled, NoGrad, Inference];
const SCOPES: [Scope; 4] =
    [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)];

/// The names of grad-runtime's own backends, with and without their features.
const RESERVED_NAMES: [&str; 3] = ["cpu", "mlx", "torch"];

/// A check that runs on a new thread.
struct Check {
    /// Says where this check calls the backend; completes the steps of a violation.
    situation: &'static str,
    /// The guarantee that a panic of the backend violates.
    panic_guarantee: &'static Guarantee,
    run: fn(&'static Monitored) -> Checked,
}

impl Check {
    const fn new(situation: &'static str, run: fn(&'static Monitored) -> Checked) -> Self {
        Self { situation, panic_guarantee: guarantees::NEVER_PANICS, run }
    }

    fn on(&self, backend: &'static Monitored) -> Checked {
        let run = self.run;
        let outcome = on_a_new_thread(move || run(backend));
        // A panic is the cause of anything else that was found.
        backend.take_violation(self.situation, self.panic_guarantee).and(outcome)
    }
}

/// In this order, each check relies on those before it.
const CHECKS: [Check; 11] = [
    Check::new("on a new thread, before anything else", starts_enabled),
    Check::new("on a new thread", reports_the_last_mode),
    Check::new("on two threads", is_per_thread),
    Check::new("on a thread that started after another had ended", is_not_inherited),
    Check::new("on many threads at once", keeps_modes_of_many_threads),
    Check::new("around a scope on this backend alone", obeys_selective_scopes),
    Check::new("around a scope on one backend", leaves_others_unchanged),
    Check::new("around nested scopes", obeys_nested_scopes),
    Check::new("around guards dropped out of order", obeys_the_innermost_guard_alive),
    Check::new("on a way out of a scope", restores_on_every_exit),
    Check {
        situation: "in the destructor of a thread-local, while the thread was torn down",
        panic_guarantee: guarantees::NEVER_PANICS_DURING_TEARDOWN,
        run: works_during_teardown,
    },
];

pub(super) fn check(backend: &'static dyn Backend) -> Checked {
    let monitored = Monitored::new(backend, backend.name());
    has_a_valid_name(backend, monitored)?;
    CHECKS.iter().try_for_each(|check| check.on(monitored))?;
    // The last check, since a backend cannot be uninstalled.
    let newly = install(backend).is_ok();
    let universal = if newly { obeys_universal_scopes } else { is_the_installed_one };
    Check::new("around a universal scope", universal).on(monitored)
}

/// Runs `check` on a new thread.
fn on_a_new_thread(check: impl FnOnce() -> Checked + Send + 'static) -> Checked {
    let thread = thread::Builder::new().name("grad_runtime::testing".to_owned()).spawn(check);
    let thread = thread.expect("the checks need threads");
    // Panics of the backend were caught: this one is a failure of the check itself.
    thread.join().unwrap_or_else(|payload| resume_unwind(payload))
}

fn has_a_valid_name(backend: &'static dyn Backend, monitored: &'static Monitored) -> Checked {
    let name = monitored.name();
    let wrong =
        |guarantee, expected| Err(monitored.violation(guarantee, "`name()`", expected, format_args!("`{name}`")));
    monitored.take_violation("a second time", guarantees::NEVER_PANICS)?;
    on_a_new_thread(|| {
        monitored.name();
        monitored.take_violation("on another thread", guarantees::NEVER_PANICS)
    })?;
    if name.trim().is_empty() {
        return wrong(guarantees::LOWER_CASE_NAME, "a name");
    }
    if name.chars().any(char::is_uppercase) {
        return wrong(guarantees::LOWER_CASE_NAME, "lower case");
    }
    if RESERVED_NAMES.contains(&name) && backend.slot().is_none() {
        return wrong(guarantees::UNRESERVED_NAME, "a name that no backend of grad-runtime has");
    }
    Ok(())
}

fn starts_enabled(backend: &'static Monitored) -> Checked {
    backend.expect(guarantees::STARTS_ENABLED, Enabled, "`grad_mode()` on a new thread, before anything else")
}

/// Sets every mode after every mode.
fn reports_the_last_mode(backend: &'static Monitored) -> Checked {
    let turns = [Enabled, NoGrad, NoGrad, Enabled, Enabled, Inference, Inference, NoGrad, Inference, Enabled];
    for (at, &mode) in turns.iter().enumerate() {
        backend.set_grad_mode(mode);
        let history = turns[..=at].iter().map(|mode| format!("{mode:?}")).collect::<Vec<_>>().join(", ");
        let steps = format!("`set_grad_mode` of {history} in turn on one thread, then `grad_mode()`");
        let guarantee =
            if mode == Inference { guarantees::INFERENCE_DISABLES } else { guarantees::REPORTS_LAST_MODE };
        let reported = backend.grad_mode();
        backend.compare(guarantee, mode, reported, &steps)?;
        backend.expect_again(guarantees::READING_CHANGES_NOTHING, reported, format_args!("{steps} once more"))?;
    }
    Ok(())
}

fn is_per_thread(backend: &'static Monitored) -> Checked {
    const GUARANTEE: &Guarantee = guarantees::PER_THREAD;
    backend.set_grad_mode(NoGrad);
    on_a_new_thread(|| {
        backend.expect(
            GUARANTEE,
            Enabled,
            "`set_grad_mode(NoGrad)` on one thread, then `grad_mode()` on a new one",
        )?;
        backend.set_grad_mode(Enabled);
        Ok(())
    })?;
    backend.expect(
        GUARANTEE,
        NoGrad,
        "`set_grad_mode(NoGrad)` on one thread, `set_grad_mode(Enabled)` on another, then `grad_mode()` on the first",
    )?;
    backend.set_grad_mode(Enabled);
    on_a_new_thread(|| {
        backend.set_grad_mode(Inference);
        Ok(())
    })?;
    backend.expect(
        GUARANTEE,
        Enabled,
        "`set_grad_mode(Enabled)` on one thread, `set_grad_mode(Inference)` on another, then `grad_mode()` on the first",
    )
}

/// Starts threads one after another: the system often reuses the stack and the identity of a thread that has ended.
fn is_not_inherited(backend: &'static Monitored) -> Checked {
    (0..8).try_for_each(|_| {
        on_a_new_thread(|| {
            let steps = "`grad_mode()` on a new thread, after another had ended in NoGrad";
            backend.expect(guarantees::NOT_INHERITED, Enabled, steps)?;
            backend.set_grad_mode(NoGrad);
            Ok(())
        })
    })
}

/// Lets many threads switch in step, neighbours to different modes.
fn keeps_modes_of_many_threads(backend: &'static Monitored) -> Checked {
    const THREADS: usize = 32;
    let step = Barrier::new(THREADS);
    let take_part = |thread: usize| {
        let mut outcome = Ok(());
        for turn in 0..6 {
            let mode = MODES[(thread + turn) % MODES.len()];
            backend.set_grad_mode(mode);
            step.wait();
            // A thread that returned early would leave the others waiting at the barrier.
            let steps = format!(
                "`set_grad_mode({mode:?})` and `grad_mode()` on one of {THREADS} threads that switch at the same time"
            );
            outcome = outcome.and_then(|()| backend.expect(guarantees::PER_THREAD, mode, steps));
            step.wait();
        }
        outcome
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || take_part(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|payload| resume_unwind(payload)))
    })
}

/// Enters every selective scope in every mode.
fn obeys_selective_scopes(backend: &'static Monitored) -> Checked {
    obeys(backend, "a selective", guarantees::SWITCHED_BY_SCOPES, |scope| scope.enter_for(backend))
}

fn obeys(
    backend: &Monitored,
    kind: &str,
    guarantee: &'static Guarantee,
    enter: impl Fn(Scope) -> GradGuard,
) -> Checked {
    for set in MODES {
        for scope in SCOPES {
            backend.set_grad_mode(set);
            let found = backend.grad_mode();
            let guard = enter(scope);
            let entered = format!("{kind} `{scope}` entered where {found:?} was in force");
            backend.expect(
                guarantee,
                scope.applied_to(found),
                format_args!("{entered}, then `grad_mode()` in it"),
            )?;
            drop(guard);
            backend.expect_again(
                guarantees::FOUND_MODE_IS_RESTORED,
                found,
                format_args!("{entered} and left, then `grad_mode()`"),
            )?;
        }
    }
    Ok(())
}

/// Returns the backends that are always installed, less `backend`. Any other may itself be under test.
pub(super) fn others(backend: &dyn Backend) -> impl Iterator<Item = &'static dyn Backend> {
    let always: [&'static dyn Backend; 2] = [&Cpu, &Mlx];
    always.into_iter().filter(|other| other.name() != backend.name())
}

fn leaves_others_unchanged(backend: &'static Monitored) -> Checked {
    for other in others(backend) {
        let expect = |on: &str, steps: String, before: GradMode, found: GradMode| {
            let expected = format!("{before:?} on backend `{on}`, as before");
            if found == before {
                return Ok(());
            }
            Err(backend.violation(guarantees::OTHERS_UNCHANGED, steps, expected, format_args!("{found:?}")))
        };
        let (mine, others) = (backend.grad_mode(), other.grad_mode());
        for scope in [Scope::NoGrad, Scope::InferenceMode(true)] {
            let entered = |on: &dyn Backend| format!("a selective `{scope}` entered on backend `{}`", on.name());
            let on_this = scope.enter_for(backend);
            expect(other.name(), entered(backend), others, other.grad_mode())?;
            drop(on_this);
            let on_that = scope.enter_for(other);
            expect(backend.name(), entered(other), mine, backend.grad_mode())?;
            drop(on_that);
        }
    }
    Ok(())
}

/// Nests every pair of scopes, then a hundred.
fn obeys_nested_scopes(backend: &'static Monitored) -> Checked {
    for outer in SCOPES {
        for inner in SCOPES {
            // A backend without an inference mode reports another: what counts is the mode that the scope asked for.
            let outside = outer.applied_to(Enabled);
            let outer_guard = outer.enter_for(backend);
            let reported = backend.grad_mode();
            let inner_guard = inner.enter_for(backend);
            let entered = format!("`{inner}` entered inside `{outer}`");
            let steps = format!("{entered}, then `grad_mode()` in it");
            backend.expect(guarantees::ENABLE_GRAD_LIFTS, inner.applied_to(outside), steps)?;
            drop(inner_guard);
            let steps = format!("{entered} and left, then `grad_mode()` in the outer one");
            backend.expect_again(guarantees::INNERMOST_DECIDES, reported, steps)?;
            drop(outer_guard);
        }
    }
    let depth = 100;
    let mut guards: Vec<_> =
        (0..depth).map(|level| Scope::set_grad_enabled(level % 2 == 1).enter_for(backend)).collect();
    while guards.pop().is_some() {
        let expected = if guards.len() % 2 == 1 { NoGrad } else { Enabled };
        let steps =
            format!("{depth} scopes, `no_grad` and `enable_grad` alternating, left down to {}", guards.len());
        backend.expect(guarantees::INNERMOST_DECIDES, expected, steps)?;
    }
    Ok(())
}

/// Drops three guards in every order.
fn obeys_the_innermost_guard_alive(backend: &'static Monitored) -> Checked {
    let scopes = [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut guards = scopes.map(|scope| Some(scope.enter_for(backend)));
        for (dropped, at) in order.into_iter().enumerate() {
            guards[at] = None;
            let innermost_alive = (0..scopes.len()).rev().find(|&guard| guards[guard].is_some());
            // Each of the three sets the same mode wherever it is entered.
            let expected = innermost_alive.map_or(Enabled, |guard| scopes[guard].applied_to(Enabled));
            let steps = format!(
                "guards of {} entered in this order, then {} dropped in this order",
                listed(scopes),
                listed(order[..=dropped].iter().map(|&guard| scopes[guard]))
            );
            backend.expect(guarantees::INNERMOST_DECIDES, expected, steps)?;
        }
    }
    Ok(())
}

fn listed(scopes: impl IntoIterator<Item = Scope>) -> String {
    scopes.into_iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>().join(", ")
}

fn restores_on_every_exit(backend: &'static Monitored) -> Checked {
    fn left_by_return(backend: &'static Monitored) -> Option<()> {
        let _guard = Scope::NoGrad.enter_for(backend);
        None?;
        Some(())
    }
    let left_by = |way: &str| {
        let steps = format!("a selective `no_grad` left by {way}, then `grad_mode()`");
        backend.expect(guarantees::EVERY_EXIT_RESTORES, Enabled, steps)
    };
    left_by_return(backend);
    left_by("an early return")?;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _outer = Scope::InferenceMode(true).enter_for(backend);
        let _inner = Scope::InferenceMode(false).enter_for(backend);
        let _innermost = Scope::NoGrad.enter_for(backend);
        resume_unwind(Box::new("on purpose")); // Unlike `panic!`, prints nothing.
    }));
    debug_assert!(panicked.is_err());
    left_by("a panic")
}

/// Enters a scope in two destructors of thread-locals, one initialized before those of the backend and one after. The order of
/// destruction is the platform's choice, so the later of the two finds those of the backend destroyed.
fn works_during_teardown(backend: &'static Monitored) -> Checked {
    struct ScopeOnDrop {
        backend: &'static Monitored,
        outcome: Arc<Mutex<Checked>>,
    }
    impl Drop for ScopeOnDrop {
        fn drop(&mut self) {
            let found = self.backend.grad_mode();
            let outcome = {
                let _guard = Scope::NoGrad.enter_for(self.backend);
                let steps = "`no_grad` in the destructor of a thread-local, while the thread was torn down";
                self.backend.expect(guarantees::TEARDOWN_RESTORES, NoGrad, steps)
            };
            let outcome = outcome.and_then(|()| {
                let steps = "`no_grad` entered and left in the destructor of a thread-local";
                self.backend.expect_again(guarantees::TEARDOWN_RESTORES, found, steps)
            });
            let mut first = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_ok() {
                *first = outcome;
            }
        }
    }
    thread_local! {
        static BEFORE: RefCell<Option<ScopeOnDrop>> = const { RefCell::new(None) };
        static AFTER: RefCell<Option<ScopeOnDrop>> = const { RefCell::new(None) };
    }
    let outcome = Arc::new(Mutex::new(Ok(())));
    let scope_on_drop = || ScopeOnDrop { backend, outcome: Arc::clone(&outcome) };
    let (before, after) = (scope_on_drop(), scope_on_drop());
    on_a_new_thread(move || {
        BEFORE.set(Some(before));
        drop(Scope::NoGrad.enter_for(backend));
        AFTER.set(Some(after));
        Ok(())
    })?;
    outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn obeys_universal_scopes(backend: &'static Monitored) -> Checked {
    universal(backend, guarantees::SWITCHED_BY_SCOPES)
}

/// Tells `backend` from another of its name that was installed before.
fn is_the_installed_one(backend: &'static Monitored) -> Checked {
    universal(backend, guarantees::UNIQUE_NAME)
}

fn universal(backend: &'static Monitored, guarantee: &'static Guarantee) -> Checked {
    obeys(backend, "a universal", guarantee, Scope::enter)?;
    backend.set_grad_mode(Enabled);
    let snapshot = {
        let _guard = Scope::NoGrad.enter();
        ModeSnapshot::current()
    };
    on_a_new_thread(move || {
        let guard = snapshot.enter();
        let steps = "`ModeSnapshot::current()` taken in `no_grad` on one thread, entered on another";
        backend.expect(guarantees::SNAPSHOTS_APPLY, NoGrad, steps)?;
        drop(guard);
        backend.expect(guarantees::SNAPSHOTS_APPLY, Enabled, format_args!("{steps} and left"))
    })
}
