//! What a `Backend` alone can show of the law.

use std::cell::RefCell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use super::rules::{self, Rule};
use super::violation::{Checked, name_of};
use super::watched::Watched;
use grad_core::GradGuard;
use grad_core::ModeSnapshot;
use grad_core::{Backend, Cpu, Mlx, install};
use grad_core::{GradMode, Scope};

use GradMode::{Enabled, Inference, NoGrad};

const MODES: [GradMode; 3] = [Enabled, NoGrad, Inference];
const SCOPES: [Scope; 4] =
    [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)];

/// The names of this crate's own backends, those that come with a feature included.
const OUR_NAMES: [&str; 3] = ["cpu", "mlx", "torch"];

/// Something to look at, on a thread of its own.
struct Check {
    /// Where a call was made that went wrong, as the end of a sentence.
    situation: &'static str,
    of_panics: &'static Rule,
    run: fn(&'static Watched) -> Checked,
}

impl Check {
    const fn new(situation: &'static str, run: fn(&'static Watched) -> Checked) -> Self {
        Self { situation, of_panics: rules::NEVER_PANICS, run }
    }

    fn on(&self, backend: &'static Watched) -> Checked {
        let run = self.run;
        let outcome = on_a_new_thread(move || run(backend));
        // A panic explains whatever else was found.
        backend.noted(self.situation, self.of_panics).and(outcome)
    }
}

/// From the ground up: each stands on those before it.
const CHECKS: [Check; 11] = [
    Check::new("on a new thread, before anything else", starts_enabled),
    Check::new("on a new thread", reports_what_was_set),
    Check::new("on two threads", is_this_threads_alone),
    Check::new("on a thread that started after another had ended", is_gone_with_its_thread),
    Check::new("on many threads at once", keeps_the_modes_of_many_threads),
    Check::new("around a scope on this backend alone", obeys_selective_scopes),
    Check::new("around a scope on one backend", shares_no_switch),
    Check::new("around scopes in scopes", obeys_scopes_in_scopes),
    Check::new("around guards dropped out of order", obeys_the_innermost_guard_alive),
    Check::new("on a way out of a scope", restores_on_every_way_out),
    Check {
        situation: "in the destructor of a thread-local, while the thread was torn down",
        of_panics: rules::NEVER_PANICS_AT_TEAR_DOWN,
        run: works_while_a_thread_is_torn_down,
    },
];

pub(super) fn check(backend: &'static dyn Backend) -> Checked {
    let watched = Watched::new(backend, backend.name());
    has_a_name_of_its_own(backend, watched)?;
    CHECKS.iter().try_for_each(|check| check.on(watched))?;
    // Last of all, since there is no way back.
    let newly = install(backend).is_ok();
    let is_obeyed = if newly { is_switched_by_universal_scopes } else { is_the_one_that_universal_scopes_switch };
    Check::new("around a universal scope", is_obeyed).on(watched)
}

/// Runs `check` on a thread that nobody has used before.
fn on_a_new_thread(check: impl FnOnce() -> Checked + Send + 'static) -> Checked {
    let thread = thread::Builder::new().name("grad_runtime::testing".to_owned()).spawn(check);
    let thread = thread.expect("the checks need threads");
    // Its own panics are not the backend's, which were caught.
    thread.join().unwrap_or_else(|payload| resume_unwind(payload))
}

fn has_a_name_of_its_own(backend: &'static dyn Backend, watched: &'static Watched) -> Checked {
    let name = watched.name();
    let wrong = |rule, expected| Err(watched.violation(rule, "`name()`", expected, format_args!("`{name}`")));
    watched.noted("a second time", rules::NEVER_PANICS)?;
    on_a_new_thread(|| {
        watched.name();
        watched.noted("on another thread", rules::NEVER_PANICS)
    })?;
    if name.trim().is_empty() {
        return wrong(rules::NAME_IN_LOWER_CASE, "a name");
    }
    if name.chars().any(char::is_uppercase) {
        return wrong(rules::NAME_IN_LOWER_CASE, "lower case");
    }
    if OUR_NAMES.contains(&name) && backend.slot().is_none() {
        return wrong(rules::NAME_OF_ITS_OWN, "a name that no backend of grad-runtime has");
    }
    Ok(())
}

fn starts_enabled(backend: &'static Watched) -> Checked {
    backend.expect(rules::STARTS_ENABLED, Enabled, "`grad_mode()` on a new thread, before anything else")
}

/// Every mode after every mode.
fn reports_what_was_set(backend: &'static Watched) -> Checked {
    let turns = [Enabled, NoGrad, NoGrad, Enabled, Enabled, Inference, Inference, NoGrad, Inference, Enabled];
    for (at, &mode) in turns.iter().enumerate() {
        backend.set_grad_mode(mode);
        let history = turns[..=at].iter().map(|mode| format!("{mode:?}")).collect::<Vec<_>>().join(", ");
        let done = format!("`set_grad_mode` of {history} in turn on one thread, then `grad_mode()`");
        let rule = if mode == Inference { rules::INFERENCE_IS_OFF } else { rules::LAST_SET_IS_REPORTED };
        let reported = backend.grad_mode();
        backend.agrees(rule, mode, reported, &done)?;
        backend.expect_again(rules::ASKING_CHANGES_NOTHING, reported, format_args!("{done} once more"))?;
    }
    Ok(())
}

fn is_this_threads_alone(backend: &'static Watched) -> Checked {
    const RULE: &Rule = rules::THIS_THREADS_ALONE;
    backend.set_grad_mode(NoGrad);
    on_a_new_thread(|| {
        backend.expect(RULE, Enabled, "`set_grad_mode(NoGrad)` on one thread, then `grad_mode()` on a new one")?;
        backend.set_grad_mode(Enabled);
        Ok(())
    })?;
    backend.expect(
        RULE,
        NoGrad,
        "`set_grad_mode(NoGrad)` on one thread, `set_grad_mode(Enabled)` on another, then `grad_mode()` on the first",
    )?;
    backend.set_grad_mode(Enabled);
    on_a_new_thread(|| {
        backend.set_grad_mode(Inference);
        Ok(())
    })?;
    backend.expect(
        RULE,
        Enabled,
        "`set_grad_mode(Enabled)` on one thread, `set_grad_mode(Inference)` on another, then `grad_mode()` on the first",
    )
}

/// The system gives a new thread the stack, and often the identity, of one that has ended.
fn is_gone_with_its_thread(backend: &'static Watched) -> Checked {
    (0..8).try_for_each(|_| {
        on_a_new_thread(|| {
            let done = "`grad_mode()` on a new thread, after another had ended in NoGrad";
            backend.expect(rules::GONE_WITH_ITS_THREAD, Enabled, done)?;
            backend.set_grad_mode(NoGrad);
            Ok(())
        })
    })
}

/// All switch in step, each to a mode of its own turn.
fn keeps_the_modes_of_many_threads(backend: &'static Watched) -> Checked {
    const THREADS: usize = 32;
    let step = Barrier::new(THREADS);
    let take_part = |thread: usize| {
        let mut outcome = Ok(());
        for turn in 0..6 {
            let mode = MODES[(thread + turn) % MODES.len()];
            backend.set_grad_mode(mode);
            step.wait();
            // Nobody may leave early: the others would wait for good.
            let done = format!(
                "`set_grad_mode({mode:?})` and `grad_mode()` on one of {THREADS} threads that switch at once"
            );
            outcome = outcome.and_then(|()| backend.expect(rules::THIS_THREADS_ALONE, mode, done));
            step.wait();
        }
        outcome
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || take_part(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|payload| resume_unwind(payload)))
    })
}

/// Every scope in every mode, which the framework's own switch may have put in force.
fn obeys_selective_scopes(backend: &'static Watched) -> Checked {
    obeys(backend, "a selective", rules::SCOPES_SWITCH_IT, |scope| scope.enter_for(backend))
}

fn obeys(backend: &Watched, kind: &str, inside: &'static Rule, enter: impl Fn(Scope) -> GradGuard) -> Checked {
    for set in MODES {
        for scope in SCOPES {
            backend.set_grad_mode(set);
            let found = backend.grad_mode();
            let guard = enter(scope);
            let entered = format!("{kind} {} entered where {found:?} was in force", name_of(scope));
            backend.expect(inside, scope.applied_to(found), format_args!("{entered}, then `grad_mode()` in it"))?;
            drop(guard);
            backend.expect_again(
                rules::FOUND_IS_PUT_BACK,
                found,
                format_args!("{entered} and left, then `grad_mode()`"),
            )?;
        }
    }
    Ok(())
}

/// Backends that are always there. Whatever else is installed may be under test itself.
pub(super) fn others(than: &dyn Backend) -> impl Iterator<Item = &'static dyn Backend> {
    let ours: [&'static dyn Backend; 2] = [&Cpu, &Mlx];
    ours.into_iter().filter(|other| other.name() != than.name())
}

fn shares_no_switch(backend: &'static Watched) -> Checked {
    for other in others(backend) {
        let expect = |on: &str, done: String, before: GradMode, found: GradMode| {
            let expected = format!("{before:?} on backend `{on}`, as before");
            if found == before {
                return Ok(());
            }
            Err(backend.violation(rules::OTHERS_ARE_LEFT_ALONE, done, expected, format_args!("{found:?}")))
        };
        let (mine, others) = (backend.grad_mode(), other.grad_mode());
        for scope in [Scope::NoGrad, Scope::InferenceMode(true)] {
            let entered =
                |on: &dyn Backend| format!("a selective {} entered on backend `{}`", name_of(scope), on.name());
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

/// Each pair of scopes, one in the other; then many.
fn obeys_scopes_in_scopes(backend: &'static Watched) -> Checked {
    for outer in SCOPES {
        for inner in SCOPES {
            // The outer scope's mode as the scopes know it, which a backend that only knows on and off does not.
            let outside = outer.applied_to(Enabled);
            let outer_guard = outer.enter_for(backend);
            let reported = backend.grad_mode();
            let inner_guard = inner.enter_for(backend);
            let entered = format!("{} entered inside {}", name_of(inner), name_of(outer));
            let done = format!("{entered}, then `grad_mode()` in it");
            backend.expect(rules::ENABLE_GRAD_LIFTS, inner.applied_to(outside), done)?;
            drop(inner_guard);
            let done = format!("{entered} and left, then `grad_mode()` in the outer one");
            backend.expect_again(rules::INNERMOST_DECIDES, reported, done)?;
            drop(outer_guard);
        }
    }
    let deep = 100;
    let mut guards: Vec<_> =
        (0..deep).map(|depth| Scope::set_grad_enabled(depth % 2 == 1).enter_for(backend)).collect();
    while guards.pop().is_some() {
        let expected = if guards.len() % 2 == 1 { NoGrad } else { Enabled };
        let done = format!("{deep} scopes, `no_grad` and `enable_grad` by turns, left down to {}", guards.len());
        backend.expect(rules::INNERMOST_DECIDES, expected, done)?;
    }
    Ok(())
}

/// Three guards in every order of dropping them.
fn obeys_the_innermost_guard_alive(backend: &'static Watched) -> Checked {
    let scopes = [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut guards = scopes.map(|scope| Some(scope.enter_for(backend)));
        for (dropped, at) in order.into_iter().enumerate() {
            guards[at] = None;
            let innermost_alive = (0..scopes.len()).rev().find(|&guard| guards[guard].is_some());
            // Each of them decides whatever it is entered in.
            let expected = innermost_alive.map_or(Enabled, |guard| scopes[guard].applied_to(Enabled));
            let done = format!(
                "guards of {} entered in this order, then {} dropped in this order",
                listed(scopes.map(name_of)),
                listed(order[..=dropped].iter().map(|&guard| name_of(scopes[guard])))
            );
            backend.expect(rules::INNERMOST_DECIDES, expected, done)?;
        }
    }
    Ok(())
}

fn listed(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn restores_on_every_way_out(backend: &'static Watched) -> Checked {
    fn left_by_return(backend: &'static Watched) -> Option<()> {
        let _guard = Scope::NoGrad.enter_for(backend);
        None?;
        Some(())
    }
    let left_by = |way: &str| {
        let done = format!("a selective `no_grad` left by {way}, then `grad_mode()`");
        backend.expect(rules::WAYS_OUT_RESTORE, Enabled, done)
    };
    left_by_return(backend);
    left_by("an early return")?;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _outer = Scope::InferenceMode(true).enter_for(backend);
        let _inner = Scope::InferenceMode(false).enter_for(backend);
        let _innermost = Scope::NoGrad.enter_for(backend);
        resume_unwind(Box::new("on purpose")); // Says nothing on stderr.
    }));
    debug_assert!(panicked.is_err());
    left_by("a panic")
}

/// Thread-locals go in an order that the platform chooses. So one of ours is there before the backend's first, and one
/// after: whichever goes last finds the backend's gone.
fn works_while_a_thread_is_torn_down(backend: &'static Watched) -> Checked {
    struct Last {
        backend: &'static Watched,
        outcome: Arc<Mutex<Checked>>,
    }
    impl Drop for Last {
        fn drop(&mut self) {
            let found = self.backend.grad_mode();
            let outcome = {
                let _guard = Scope::NoGrad.enter_for(self.backend);
                let done = "`no_grad` in the destructor of a thread-local, while the thread was torn down";
                self.backend.expect(rules::RESTORES_AT_TEAR_DOWN, NoGrad, done)
            };
            let outcome = outcome.and_then(|()| {
                let done = "`no_grad` entered and left in the destructor of a thread-local";
                self.backend.expect_again(rules::RESTORES_AT_TEAR_DOWN, found, done)
            });
            let mut known = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if known.is_ok() {
                *known = outcome;
            }
        }
    }
    thread_local! {
        static BEFORE: RefCell<Option<Last>> = const { RefCell::new(None) };
        static AFTER: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    let outcome = Arc::new(Mutex::new(Ok(())));
    let last = || Last { backend, outcome: Arc::clone(&outcome) };
    let (before, after) = (last(), last());
    on_a_new_thread(move || {
        BEFORE.set(Some(before));
        drop(Scope::NoGrad.enter_for(backend));
        AFTER.set(Some(after));
        Ok(())
    })?;
    outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn is_switched_by_universal_scopes(backend: &'static Watched) -> Checked {
    universal(backend, rules::SCOPES_SWITCH_IT)
}

/// Where a backend of its name was there already, it may be another.
fn is_the_one_that_universal_scopes_switch(backend: &'static Watched) -> Checked {
    universal(backend, rules::NAME_NOBODY_ELSE_HAS)
}

fn universal(backend: &'static Watched, inside: &'static Rule) -> Checked {
    obeys(backend, "a universal", inside, Scope::enter)?;
    backend.set_grad_mode(Enabled);
    let carried = {
        let _guard = Scope::NoGrad.enter();
        ModeSnapshot::current()
    };
    on_a_new_thread(move || {
        let guard = carried.enter();
        let done = "`ModeSnapshot::current()` taken in `no_grad` on one thread, entered on another";
        backend.expect(rules::CARRIED_MODES_ARRIVE, NoGrad, done)?;
        drop(guard);
        backend.expect(rules::CARRIED_MODES_ARRIVE, Enabled, format_args!("{done} and left"))
    })
}
