//! Guarantees 10 and 11: the backends that a scope switches, and the mode that it restores in a backend with a switch of its
//! own.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::sync::Once;

use grad_runtime::{
    AlreadyInstalled, Backend, Carry, Cpu, GradGuard, GradMode, Mlx, ModeSnapshot, Scope, carry, cutting_scopes,
    enable_grad, grad_mode, inference_mode, install, installed, no_grad, open_scopes, watch_scopes,
};
use proptest::prelude::*;
use support::backend;
use support::backends::{OnOff, Plain, Reentrant};

use GradMode::{Enabled, Inference, NoGrad};

thread_local! {
    static ENGINE_MODE: Cell<GradMode> = const { Cell::new(Enabled) };
    static SWITCHED_TO: RefCell<Vec<GradMode>> = const { RefCell::new(Vec::new()) };
}

backend! {
    /// A backend with a switch of its own, installed once in this process, that logs each switch.
    Engine, "engine", || ENGINE_MODE.get(), |mode| {
        SWITCHED_TO.with_borrow_mut(|switched| switched.push(mode));
        ENGINE_MODE.set(mode);
    }
}

/// Installs [`Engine`]. [`Plain`] is never installed here, so only selective scopes reach it.
fn with_engine() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| install(&Engine).unwrap());
}

fn modes() -> [GradMode; 4] {
    let backends: [&dyn Backend; 4] = [&Cpu, &Mlx, &Engine, &Plain];
    backends.map(Backend::grad_mode)
}

#[test]
fn guarantee_10_a_universal_scope_switches_every_installed_backend() {
    with_engine();
    let _guard = no_grad();
    assert_eq!(modes(), [NoGrad, NoGrad, NoGrad, Enabled], "`plain` is not installed");
    {
        let _inner = enable_grad();
        assert_eq!(modes(), [Enabled; 4]);
    }
    assert_eq!(modes(), [NoGrad, NoGrad, NoGrad, Enabled]);
}

#[test]
fn guarantee_10_a_selective_scope_switches_one_backend() {
    with_engine();
    let backends: [&'static dyn Backend; 4] = [&Cpu, &Mlx, &Engine, &Plain];
    for (at, backend) in backends.into_iter().enumerate() {
        let guard = Scope::NoGrad.enter_for(backend);
        let mut expected = [Enabled; 4];
        expected[at] = NoGrad;
        assert_eq!(modes(), expected, "no_grad on {}", backend.name());
        drop(guard);
        assert_eq!(modes(), [Enabled; 4]);
    }
}

#[test]
fn guarantee_11_the_mode_found_is_restored() {
    with_engine();
    for found in [Enabled, NoGrad, Inference] {
        ENGINE_MODE.set(found);
        for scope in [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)] {
            let guard = scope.enter();
            assert_eq!(ENGINE_MODE.get(), scope.applied_to(found), "{scope:?} in {found:?}");
            drop(guard);
            assert_eq!(ENGINE_MODE.get(), found, "after {scope:?}");
        }
    }
    ENGINE_MODE.set(Enabled);
}

/// Scopes of the engine around scopes of this crate, and inside them.
#[test]
fn guarantee_11_scopes_nest_with_those_of_the_engine() {
    fn no_grad_of_the_engine<T>(run: impl FnOnce() -> T) -> T {
        let found = ENGINE_MODE.replace(NoGrad);
        let result = run();
        ENGINE_MODE.set(found);
        result
    }
    with_engine();
    no_grad_of_the_engine(|| {
        let guard = enable_grad();
        assert_eq!(ENGINE_MODE.get(), Enabled);
        no_grad_of_the_engine(|| {
            let _innermost = no_grad();
            assert_eq!(ENGINE_MODE.get(), NoGrad);
        });
        assert_eq!(ENGINE_MODE.get(), Enabled);
        drop(guard);
        assert_eq!(ENGINE_MODE.get(), NoGrad, "the engine's scope is still in force");
    });
    assert_eq!(ENGINE_MODE.get(), Enabled);
}

#[test]
fn a_scope_that_changes_nothing_does_not_switch() {
    with_engine();
    SWITCHED_TO.take();
    {
        let _outer = no_grad();
        let _inner = no_grad();
    }
    assert_eq!(SWITCHED_TO.take()[0], NoGrad);
    {
        let _unchanged = enable_grad();
        assert_eq!(SWITCHED_TO.with_borrow(Vec::len), 0);
    }
}

/// Universal and selective guards on the same backends, dropped out of order.
#[test]
fn guarantee_2_universal_and_selective_guards_out_of_order() {
    with_engine();
    let universal = no_grad();
    let engine = Scope::EnableGrad.enter_for(&Engine);
    let mlx = Scope::InferenceMode(true).enter_for(&Mlx);
    assert_eq!(modes(), [NoGrad, Inference, Enabled, Enabled]);
    drop(universal);
    assert_eq!(modes(), [Enabled, Inference, Enabled, Enabled], "no other guard covers the CPU");
    drop(engine);
    assert_eq!(modes(), [Enabled, Inference, Enabled, Enabled]);
    drop(mlx);
    assert_eq!(modes(), [Enabled; 4]);
}

#[test]
fn a_backend_that_uses_scopes_while_it_is_switched() {
    let guard = Scope::NoGrad.enter_for(&Reentrant);
    assert_eq!([&Reentrant as &dyn Backend, &Cpu, &Mlx].map(Backend::grad_mode), [NoGrad, Enabled, Enabled]);
    drop(guard);
    assert_eq!([&Reentrant as &dyn Backend, &Cpu, &Mlx].map(Backend::grad_mode), [Enabled; 3]);
}

#[test]
fn a_name_can_be_installed_once() {
    backend!(SecondMlx, "mlx", || unreachable!("never installed"), |_| unreachable!("never installed"));
    with_engine();
    assert_eq!(install(&Engine), Err(AlreadyInstalled { name: "engine" }));
    assert_eq!(install(&SecondMlx), Err(AlreadyInstalled { name: "mlx" }));
    assert_eq!(install(&Cpu), Err(AlreadyInstalled { name: "cpu" }));
    let names: Vec<_> = installed().map(Backend::name).collect();
    assert_eq!(names, ["cpu", "mlx", "engine"]);
}

#[test]
fn guarantee_7_a_backend_without_an_inference_mode() {
    let serving = Scope::InferenceMode(true).enter_for(&OnOff);
    {
        let _enabled = Scope::EnableGrad.enter_for(&OnOff);
        assert!(!OnOff.records(), "enable_grad does not lift inference mode");
        let _again = Scope::EnableGrad.enter_for(&OnOff);
        assert!(!OnOff.records());
        let _training = Scope::InferenceMode(false).enter_for(&OnOff);
        assert!(OnOff.records());
    }
    assert!(!OnOff.records());
    // The backend is switched directly inside the scope: from here on, the mode that it reports counts.
    OnOff.set_grad_mode(Enabled);
    {
        let _off = Scope::NoGrad.enter_for(&OnOff);
        let _on = Scope::EnableGrad.enter_for(&OnOff);
        assert!(OnOff.records());
    }
    drop(serving);
    assert!(OnOff.records());
}

/// Scopes set the mode of `Mlx` also where libmlx is not loaded.
#[test]
fn mlx_has_a_mode_without_its_library() {
    let _guard = inference_mode(true);
    assert_eq!(Mlx.grad_mode(), Inference);
    assert_eq!(grad_mode(), Inference);
}

proptest! {
    /// Guards on any backends are entered and dropped in any order. At every step each backend is in the mode of the innermost
    /// guard alive that covers it, and in the end in the mode that it started in.
    #[test]
    fn guarantee_2_any_order_on_every_backend(
        steps in prop::collection::vec((0..8_usize, 0..5_usize, any::<prop::sample::Index>()), 0..120)
    ) {
        with_engine();
        let scopes = [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)];
        let backends: [&'static dyn Backend; 4] = [&Cpu, &Mlx, &Engine, &Plain];
        // For each backend, the guards alive that cover it, with the mode that each established.
        let mut alive: [Vec<(usize, GradMode)>; 4] = Default::default();
        let mut guards: Vec<(usize, GradGuard)> = Vec::new();
        for (number, (step, target, which)) in steps.into_iter().enumerate() {
            if let Some(&scope) = scopes.get(step) {
                guards.push((number, backends.get(target).map_or_else(|| scope.enter(), |&on| scope.enter_for(on))));
                for (at, living) in alive.iter_mut().enumerate() {
                    let universal_and_installed = target == 4 && at != 3;
                    if universal_and_installed || target == at {
                        let found = living.last().map_or(Enabled, |&(_, mode)| mode);
                        living.push((number, scope.applied_to(found)));
                    }
                }
            } else if !guards.is_empty() {
                let (dropped, guard) = guards.swap_remove(which.index(guards.len()));
                drop(guard);
                for living in &mut alive {
                    living.retain(|&(guard, _)| guard != dropped);
                }
            }
            let expected = alive.each_ref().map(|living| living.last().map_or(Enabled, |&(_, mode)| mode));
            prop_assert_eq!(modes(), expected);
        }
        drop(guards);
        prop_assert_eq!(modes(), [Enabled; 4]);
    }
}

#[test]
fn guarantee_10_a_snapshot_holds_each_installed_backends_mode() {
    with_engine();
    let engine = || (Engine.grad_mode(), grad_mode());
    let (carried, again) = {
        let _guard = Scope::NoGrad.enter_for(&Engine);
        let iterator = || std::iter::repeat_with(engine).in_current_grad_mode();
        (carry(engine), iterator())
    };
    assert_eq!(engine(), (Enabled, Enabled));
    let on_another_thread = std::thread::spawn(move || {
        ENGINE_MODE.set(Inference);
        (carried(), engine())
    });
    assert_eq!(on_another_thread.join().unwrap(), ((NoGrad, Enabled), (Inference, Enabled)));
    let _guard = inference_mode(true);
    assert_eq!(again.take(2).collect::<Vec<_>>(), [(NoGrad, Enabled); 2]);
    assert_eq!(engine(), (Inference, Inference));
    assert_eq!(std::iter::once_with(engine).with_grad_mode(Enabled).next(), Some((Enabled, Enabled)));
    assert_eq!(engine(), (Inference, Inference));
}

#[test]
fn snapshots_are_equal_where_every_backends_mode_is() {
    with_engine();
    let _guard = no_grad();
    assert_eq!(ModeSnapshot::current(), ModeSnapshot::current());
    let before = ModeSnapshot::current();
    let _engine = Scope::EnableGrad.enter_for(&Engine);
    assert_ne!(ModeSnapshot::current(), before);
    assert_eq!(format!("{:?}", ModeSnapshot::current()), r#"{"cpu": NoGrad, "mlx": NoGrad, "engine": Enabled}"#);
}

#[test]
fn guarantee_14_scopes_that_cut_an_installed_backend() {
    with_engine();
    let before = no_grad();
    let _watch = watch_scopes();
    let places =
        || cutting_scopes(&Engine).iter().map(|scope| scope.place().map(Location::line)).collect::<Vec<_>>();
    assert_eq!(places(), [None]);
    let line = line!();
    let universal = no_grad();
    let _selective = Scope::NoGrad.enter_for(&Engine);
    let _other = Scope::NoGrad.enter_for(&Plain);
    assert_eq!(places(), [Some(line + 2), Some(line + 1), None]);
    assert_eq!(open_scopes().len(), 4);
    drop(universal); // Out of order.
    assert_eq!(places(), [Some(line + 2), None]);
    drop(before);
    assert_eq!(places(), [Some(line + 2)]);
    {
        let _enabled = enable_grad();
        let _disabled = inference_mode(true);
        assert_eq!(places(), [Some(line + 12)]);
    }
    assert_eq!(open_scopes().len(), 2);
}
