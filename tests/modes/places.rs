//! Guarantee 14, its base: where the open scopes of a thread were entered.

use std::cell::Cell;
use std::panic::Location;
use std::sync::mpsc;
use std::thread;

use grad_runtime::attr::no_grad as no_grad_attribute;
use grad_runtime::{
    Backend, Cpu, GradGuard, GradMode, Mlx, ModeSnapshot, OpenScope, Scope, ScopeKind, WatchGuard, cutting_scopes,
    enable_grad, grad_mode, inference_mode, no_grad, open_scopes, set_grad_enabled, watch_scopes,
};
use proptest::prelude::*;
use support::backends::Plain;
use support::implements;

use GradMode::{Enabled, NoGrad};

/// Returns the file and line of the innermost open scope.
fn innermost() -> (&'static str, u32) {
    let place = open_scopes().last().and_then(OpenScope::place).expect("a scope with a place is open");
    (place.file(), place.line())
}

#[test]
fn guarantee_14_the_place_is_the_call_of_each_entering_function() {
    let _watch = watch_scopes();
    /// Enters a scope on the line of the macro, and checks its place.
    macro_rules! check {
        ($enter:expr) => {{
            let _guard = $enter;
            assert_eq!(innermost(), (file!(), line!()));
        }};
    }
    check!(no_grad());
    check!(enable_grad());
    check!(set_grad_enabled(false));
    check!(inference_mode(true));
    check!(Scope::NoGrad.enter());
    check!(Scope::NoGrad.enter_for(&Cpu));
    check!(Scope::NoGrad.enter_for(&Mlx));
    check!(Scope::NoGrad.enter_for(&Plain));
    check!(ModeSnapshot::current().enter());
    check!(ModeSnapshot::current().as_static().enter());
    assert_eq!(open_scopes(), []);
}

#[no_grad_attribute]
fn annotated() -> (&'static str, u32) {
    innermost()
}
const ATTRIBUTE_LINE: u32 = line!() - 4;

#[test]
fn guarantee_14_the_place_is_the_macro() {
    let _watch = watch_scopes();
    let line = line!() + 1;
    let place = grad_runtime::no_grad! {
        innermost()
    };
    assert_eq!(place, (file!(), line));
    let line = line!() + 1;
    let place = grad_runtime::inference_mode! { <Mlx> innermost() };
    assert_eq!(place, (file!(), line));
    assert_eq!(annotated(), (file!(), ATTRIBUTE_LINE));
}

#[test]
fn guarantee_14_cutting_scopes_end_at_one_that_enables() {
    let _watch = watch_scopes();
    let displayed =
        |backend: &dyn Backend| cutting_scopes(backend).iter().map(ToString::to_string).collect::<Vec<String>>();
    let at = |what: &str, line: u32, column: u32| format!("{what} at {}:{line}:{column}", file!());
    let _lifted = no_grad();
    let _enabled = enable_grad();
    assert!(cutting_scopes(&Cpu).is_empty());
    let line = line!();
    let _first = no_grad();
    let _mlx = Scope::NoGrad.enter_for(&Mlx);
    let _plain = Scope::NoGrad.enter_for(&Plain);
    let _serving = inference_mode(true);
    let _does_nothing = enable_grad();
    let [first, serving] = [at("no_grad", line + 1, 18), at("inference_mode", line + 4, 20)];
    assert_eq!(displayed(&Cpu), [serving.clone(), first.clone()]);
    assert_eq!(displayed(&Mlx), [serving, at("no_grad for mlx", line + 2, 30), first]);
    assert_eq!(displayed(&Plain), [at("no_grad for plain", line + 3, 32)]);
}

#[test]
fn guarantee_14_a_scope_from_before_is_listed_without_a_place() {
    let _universal = no_grad();
    let _selective = Scope::NoGrad.enter_for(&Plain);
    let _watch = watch_scopes();
    let backends: [&dyn Backend; 3] = [&Cpu, &Mlx, &Plain];
    for backend in backends {
        let cutting = cutting_scopes(backend);
        assert_eq!(cutting.len(), 1, "{}", backend.name());
        assert_eq!(cutting[0].kind(), ScopeKind::Unrecorded { mode: Some(NoGrad) }, "{}", backend.name());
        assert_eq!(cutting[0].place(), None);
    }
    let _enabled = enable_grad();
    assert!(cutting_scopes(&Cpu).is_empty());
}

/// Scopes from before are the fewest that account for the guards, with a mode where it is certain.
#[test]
fn guarantee_14_scopes_from_before_of_which_one_was_dropped_early() {
    let _outer = no_grad();
    let inner = enable_grad();
    let _watch = watch_scopes();
    let _recorded = no_grad();
    drop(inner);
    let kinds: Vec<_> = open_scopes().iter().map(OpenScope::kind).collect();
    assert_eq!(kinds, [ScopeKind::Unrecorded { mode: Some(NoGrad) }, ScopeKind::Scope(Scope::NoGrad)]);
}

#[test]
fn guarantee_14_the_fewest_scopes_from_before() {
    type Listed = (Option<&'static str>, Option<GradMode>);
    type Case = (fn() -> Vec<GradGuard>, &'static [Listed]);
    let cases: [Case; 6] = [
        (|| vec![no_grad()], &[(None, Some(NoGrad))]),
        (|| vec![no_grad(), enable_grad()], &[(None, None), (None, Some(Enabled))]),
        (|| vec![Scope::NoGrad.enter_for(&Mlx)], &[(Some("mlx"), Some(NoGrad))]),
        (|| vec![no_grad(), Scope::NoGrad.enter_for(&Mlx)], &[(None, None), (Some("mlx"), None)]),
        (|| vec![Scope::NoGrad.enter_for(&Cpu), Scope::InferenceMode(true).enter_for(&Mlx)], &[(None, None)]),
        (|| vec![Scope::NoGrad.enter_for(&Plain)], &[(Some("plain"), Some(NoGrad))]),
    ];
    for (case, (enter, expected)) in cases.into_iter().enumerate() {
        let _before = enter();
        let _watch = watch_scopes();
        let listed = open_scopes().into_iter().map(|scope| match scope.kind() {
            ScopeKind::Unrecorded { mode } => (scope.backend(), mode),
            kind => panic!("{kind:?} was entered before"),
        });
        assert_eq!(listed.collect::<Vec<_>>(), expected, "case {case}");
    }
}

#[test]
fn guarantee_14_watching_belongs_to_its_thread() {
    assert!(!implements!(WatchGuard: Send) && !implements!(WatchGuard: Sync));
    let _watch = watch_scopes();
    let _guard = no_grad();
    let other = thread::spawn(|| {
        let _guard = no_grad();
        open_scopes()[0].place()
    });
    assert_eq!(other.join().unwrap(), None);
    assert!(open_scopes()[0].place().is_some());
}

#[test]
fn guarantee_14_places_in_a_thread_locals_destructor() {
    struct AtExit(mpsc::Sender<Vec<OpenScope>>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let _watch = watch_scopes();
            let _guard = no_grad();
            self.0.send(open_scopes()).unwrap();
        }
    }
    thread_local!(static AT_EXIT: Cell<Option<AtExit>> = const { Cell::new(None) });

    let (report, reported) = mpsc::channel();
    thread::spawn(move || AT_EXIT.set(Some(AtExit(report)))).join().unwrap();
    assert_eq!(reported.recv().unwrap().len(), 1);
}

/// The backends that the random programs switch: none (all of them), or one.
const BACKENDS: [Option<&'static dyn Backend>; 4] = [None, Some(&Cpu), Some(&Mlx), Some(&Plain)];

#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(Scope, usize),
    Carry(GradMode),
    /// Drops, or leaks, the guard at this place among those alive.
    Drop(usize),
    Leak(usize),
    Watch,
    Unwatch,
}

/// A scope of the naive model.
struct Alive {
    guard: Option<GradGuard>,
    kind: ScopeKind,
    backend: usize,
    place: Option<&'static Location<'static>>,
    /// The mode that it established in the CPU, MLX and `Plain`, where it covers them.
    modes: [Option<GradMode>; 3],
}

fn modes_of(alive: &[Alive]) -> [GradMode; 3] {
    [0, 1, 2].map(|at| alive.iter().rev().find_map(|scope| scope.modes[at]).unwrap_or(Enabled))
}

/// Returns how many of the scopes without a place cover each of the CPU, MLX and `Plain`.
fn unrecorded(scopes: impl Iterator<Item = (bool, [bool; 3])>) -> [usize; 3] {
    let mut counts = [0; 3];
    for (_, covers) in scopes.filter(|(has_place, _)| !has_place) {
        counts.iter_mut().zip(covers).for_each(|(count, covers)| *count += usize::from(covers));
    }
    counts
}

fn check(alive: &[Alive]) {
    let backends: [&dyn Backend; 3] = [&Cpu, &Mlx, &Plain];
    let modes = modes_of(alive);
    assert_eq!(backends.map(Backend::grad_mode), modes, "modes");

    let open = open_scopes();
    let found: Vec<_> = open.iter().filter(|scope| scope.place().is_some()).collect();
    let found: Vec<_> = found.iter().map(|scope| (scope.kind(), scope.backend(), scope.place())).collect();
    let expected: Vec<_> = alive.iter().filter(|scope| scope.place.is_some()).collect();
    let name = |backend: usize| BACKENDS[backend].map(Backend::name);
    let expected: Vec<_> = expected.iter().map(|scope| (scope.kind, name(scope.backend), scope.place)).collect();
    assert_eq!(found, expected, "scopes with places");
    assert!(open.is_sorted_by_key(|scope| scope.place().is_some()), "scopes without places are older");

    let covers = |name: Option<&str>| {
        backends.map(|backend| name.map_or(backend.name() != "plain", |name| name == backend.name()))
    };
    let found = unrecorded(open.iter().map(|scope| (scope.place().is_some(), covers(scope.backend()))));
    let expected =
        unrecorded(alive.iter().map(|scope| (scope.place.is_some(), scope.modes.map(|mode| mode.is_some()))));
    assert_eq!(found, expected, "numbers of scopes without places");

    for (at, backend) in backends.into_iter().enumerate() {
        let mut cutting = Vec::new();
        for scope in alive.iter().rev() {
            match scope.modes[at] {
                None => {}
                Some(Enabled) => break,
                Some(_) if scope.place.is_none() => {
                    cutting.push(None);
                    break;
                }
                Some(_) if scope.kind == ScopeKind::Scope(Scope::EnableGrad) => {}
                Some(_) => cutting.push(scope.place),
            }
        }
        let found: Vec<_> = cutting_scopes(backend).iter().map(OpenScope::place).collect();
        assert_eq!(found, cutting, "scopes that cut {}", backend.name());
    }
}

fn run(steps: &[Step]) {
    let mut alive: Vec<Alive> = Vec::new();
    let mut watches: Vec<WatchGuard> = Vec::new();
    for &step in steps {
        match step {
            Step::Enter(scope, backend) => {
                let found = modes_of(&alive);
                let modes = [1, 2, 3].map(|own| {
                    (backend == own || (backend == 0 && own < 3)).then(|| scope.applied_to(found[own - 1]))
                });
                let guard = match BACKENDS[backend] {
                    None => scope.enter(),
                    Some(only) => scope.enter_for(only),
                };
                let place = open_scopes().last().and_then(OpenScope::place).filter(|_| !watches.is_empty());
                alive.push(Alive { guard: Some(guard), kind: ScopeKind::Scope(scope), backend, place, modes });
            }
            Step::Carry(mode) => {
                let modes = ModeSnapshot::all(mode);
                let guard = Some(modes.enter());
                let place = open_scopes().last().and_then(OpenScope::place).filter(|_| !watches.is_empty());
                let kind = ScopeKind::Carried(modes);
                alive.push(Alive { guard, kind, backend: 0, place, modes: [Some(mode), Some(mode), None] });
            }
            Step::Drop(at) if !alive.is_empty() => {
                let at = at % alive.len();
                if alive[at].guard.is_some() {
                    alive.remove(at);
                }
            }
            Step::Leak(at) if !alive.is_empty() => {
                let at = at % alive.len();
                std::mem::forget(alive[at].guard.take());
            }
            Step::Watch => watches.push(watch_scopes()),
            Step::Unwatch => {
                if watches.pop().is_some() && watches.is_empty() {
                    for scope in &mut alive {
                        scope.place = None;
                    }
                }
            }
            Step::Drop(_) | Step::Leak(_) => {}
        }
        check(&alive);
    }
    // Whatever order is left, the thread ends in the mode of the guards that were leaked.
    drop(watches);
    alive.retain(|scope| scope.guard.is_none());
    assert_eq!(grad_mode(), modes_of(&alive)[0]);
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scope = prop::sample::select(vec![
        Scope::NoGrad,
        Scope::EnableGrad,
        Scope::InferenceMode(true),
        Scope::InferenceMode(false),
    ]);
    let mode = prop::sample::select(vec![Enabled, NoGrad, GradMode::Inference]);
    prop::collection::vec(
        prop_oneof![
            8 => (scope, 0..BACKENDS.len()).prop_map(|(scope, backend)| Step::Enter(scope, backend)),
            1 => mode.prop_map(Step::Carry),
            8 => (0..100_usize).prop_map(Step::Drop),
            1 => (0..100_usize).prop_map(Step::Leak),
            2 => Just(Step::Watch),
            2 => Just(Step::Unwatch),
        ],
        0..60,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Modes and open scopes are those of a list of the guards alive, in programs that enter scopes, drop guards in any order,
    /// leak them, and start and end the recording of places.
    #[test]
    fn guarantee_14_random_programs_against_a_list(steps in steps()) {
        // A thread of its own, since guards are leaked.
        let result = thread::spawn(move || run(&steps)).join();
        prop_assert!(result.is_ok());
    }
}
