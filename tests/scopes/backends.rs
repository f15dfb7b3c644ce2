//! Laws 10 and 11: which backends a scope switches, and that one with a switch of its own gets back what was found.

use std::cell::{Cell, RefCell};
use std::sync::Once;

use grad_runtime::{
    Backend, Carry, Cpu, Error, GradGuard, GradMode, Mlx, Modes, Scope, carry, enable_grad, grad_mode,
    inference_mode, install, installed, no_grad,
};
use proptest::prelude::*;

use GradMode::{Enabled, Inference, NoGrad};

thread_local! {
    static ENGINE_MODE: Cell<GradMode> = const { Cell::new(Enabled) };
    static SWITCHED_TO: RefCell<Vec<GradMode>> = const { RefCell::new(Vec::new()) };
}

/// A third-party engine with a thread-local switch of its own, installed once for this process.
struct Engine;

impl Backend for Engine {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn grad_mode(&self) -> GradMode {
        ENGINE_MODE.get()
    }

    fn set_grad_mode(&self, mode: GradMode) {
        SWITCHED_TO.with_borrow_mut(|switched| switched.push(mode));
        ENGINE_MODE.set(mode);
    }
}

/// Another, never installed: only selective scopes reach it.
struct Standalone;

thread_local!(static STANDALONE_MODE: Cell<GradMode> = const { Cell::new(Enabled) });

impl Backend for Standalone {
    fn name(&self) -> &'static str {
        "standalone"
    }

    fn grad_mode(&self) -> GradMode {
        STANDALONE_MODE.get()
    }

    fn set_grad_mode(&self, mode: GradMode) {
        STANDALONE_MODE.set(mode);
    }
}

fn with_engine() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| install(&Engine).unwrap());
}

fn modes() -> [GradMode; 4] {
    let backends: [&dyn Backend; 4] = [&Cpu, &Mlx, &Engine, &Standalone];
    backends.map(Backend::grad_mode)
}

#[test]
fn law_10_a_universal_scope_switches_every_installed_backend() {
    with_engine();
    let _guard = no_grad();
    assert_eq!(modes(), [NoGrad, NoGrad, NoGrad, Enabled], "all but the one that is not installed");
    {
        let _inner = enable_grad();
        assert_eq!(modes(), [Enabled; 4]);
    }
    assert_eq!(modes(), [NoGrad, NoGrad, NoGrad, Enabled]);
}

#[test]
fn law_10_a_selective_scope_switches_one_backend() {
    with_engine();
    let backends: [&'static dyn Backend; 4] = [&Cpu, &Mlx, &Engine, &Standalone];
    for (at, backend) in backends.into_iter().enumerate() {
        let guard = Scope::NoGrad.enter_on(backend);
        let mut expected = [Enabled; 4];
        expected[at] = NoGrad;
        assert_eq!(modes(), expected, "no_grad on {}", backend.name());
        drop(guard);
        assert_eq!(modes(), [Enabled; 4]);
    }
}

#[test]
fn law_11_what_was_found_is_put_back() {
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

/// The engine's own scope around ours, inside ours, and both.
#[test]
fn law_11_our_scopes_nest_with_the_engines_own() {
    fn engines_own_no_grad<T>(run: impl FnOnce() -> T) -> T {
        let found = ENGINE_MODE.replace(NoGrad);
        let result = run();
        ENGINE_MODE.set(found);
        result
    }
    with_engine();
    engines_own_no_grad(|| {
        let ours = enable_grad();
        assert_eq!(ENGINE_MODE.get(), Enabled);
        engines_own_no_grad(|| {
            let _innermost = no_grad();
            assert_eq!(ENGINE_MODE.get(), NoGrad);
        });
        assert_eq!(ENGINE_MODE.get(), Enabled);
        drop(ours);
        assert_eq!(ENGINE_MODE.get(), NoGrad, "the engine's own scope is still on");
    });
    assert_eq!(ENGINE_MODE.get(), Enabled);
}

#[test]
fn a_switch_is_left_alone_where_nothing_changes() {
    with_engine();
    SWITCHED_TO.take();
    {
        let _outer = no_grad();
        let _inner = no_grad();
    }
    assert_eq!(SWITCHED_TO.take()[0], NoGrad);
    {
        let _nothing_to_do = enable_grad();
        assert_eq!(SWITCHED_TO.with_borrow(Vec::len), 0);
    }
}

/// Universal and selective guards over the same backend, dropped across each other.
#[test]
fn law_2_universal_and_selective_guards_out_of_order() {
    with_engine();
    let universal = no_grad();
    let engine = Scope::EnableGrad.enter_on(&Engine);
    let mlx = Scope::InferenceMode(true).enter_on(&Mlx);
    assert_eq!(modes(), [NoGrad, Inference, Enabled, Enabled]);
    drop(universal);
    assert_eq!(modes(), [Enabled, Inference, Enabled, Enabled], "only the CPU had nobody else");
    drop(engine);
    assert_eq!(modes(), [Enabled, Inference, Enabled, Enabled]);
    drop(mlx);
    assert_eq!(modes(), [Enabled; 4]);
}

#[test]
fn a_backend_that_uses_scopes_while_it_is_switched() {
    struct Reentrant;
    thread_local!(static MODE: Cell<GradMode> = const { Cell::new(Enabled) });
    impl Backend for Reentrant {
        fn name(&self) -> &'static str {
            "reentrant"
        }
        fn grad_mode(&self) -> GradMode {
            let _scope = Scope::NoGrad.enter_on(&Standalone);
            MODE.get()
        }
        fn set_grad_mode(&self, mode: GradMode) {
            let _scope = Scope::NoGrad.enter_on(&Standalone);
            MODE.set(mode);
        }
    }
    let guard = Scope::NoGrad.enter_on(&Reentrant);
    assert_eq!(MODE.get(), NoGrad);
    drop(guard);
    assert_eq!((MODE.get(), STANDALONE_MODE.get()), (Enabled, Enabled));
}

#[test]
fn a_name_can_be_installed_once() {
    struct Impostor;
    impl Backend for Impostor {
        fn name(&self) -> &'static str {
            "mlx"
        }
        fn grad_mode(&self) -> GradMode {
            unreachable!("never installed")
        }
        fn set_grad_mode(&self, _: GradMode) {
            unreachable!("never installed")
        }
    }
    with_engine();
    assert!(matches!(install(&Engine), Err(Error::AlreadyInstalled(taken)) if taken.name == "engine"));
    assert!(matches!(install(&Impostor), Err(Error::AlreadyInstalled(taken)) if taken.name == "mlx"));
    assert!(matches!(install(&Cpu), Err(Error::AlreadyInstalled(taken)) if taken.name == "cpu"));
    let names: Vec<_> = installed().map(Backend::name).collect();
    assert_eq!(names, ["cpu", "mlx", "engine"]);
}

/// A backend that only knows on and off: the one of `Backend`'s documentation.
#[test]
fn law_7_a_backend_without_an_inference_mode() {
    struct OnOff;
    thread_local!(static RECORDING: Cell<bool> = const { Cell::new(true) });
    impl Backend for OnOff {
        fn name(&self) -> &'static str {
            "on-off"
        }
        fn grad_mode(&self) -> GradMode {
            if RECORDING.get() { Enabled } else { NoGrad }
        }
        fn set_grad_mode(&self, mode: GradMode) {
            RECORDING.set(mode.is_enabled());
        }
    }
    let serving = Scope::InferenceMode(true).enter_on(&OnOff);
    {
        let _enabled = Scope::EnableGrad.enter_on(&OnOff);
        assert!(!RECORDING.get(), "enable_grad does not lift inference mode");
        let _again = Scope::EnableGrad.enter_on(&OnOff);
        assert!(!RECORDING.get());
        let _training = Scope::InferenceMode(false).enter_on(&OnOff);
        assert!(RECORDING.get());
    }
    assert!(!RECORDING.get());
    // The backend's own switch, used inside: from there on, what it says counts.
    RECORDING.set(true);
    {
        let _off = Scope::NoGrad.enter_on(&OnOff);
        let _on = Scope::EnableGrad.enter_on(&OnOff);
        assert!(RECORDING.get());
    }
    drop(serving);
    assert!(RECORDING.get());
}

/// Without a library, MLX's mode is a mode all the same.
#[test]
fn mlx_without_a_library_is_a_mode_all_the_same() {
    let _guard = inference_mode(true);
    assert_eq!(Mlx.grad_mode(), Inference);
    assert_eq!(grad_mode(), Inference);
}

proptest! {
    /// Guards on any backends, entered and dropped in any order: each backend obeys the innermost guard alive that
    /// covers it, and in the end each is back where it was.
    #[test]
    fn law_2_any_order_on_every_backend(
        steps in prop::collection::vec((0..8_usize, 0..5_usize, any::<prop::sample::Index>()), 0..120)
    ) {
        with_engine();
        let scopes = [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)];
        let backends: [&'static dyn Backend; 4] = [&Cpu, &Mlx, &Engine, &Standalone];
        // Per backend, the guards alive that cover it and the mode that each established.
        let mut alive: [Vec<(usize, GradMode)>; 4] = Default::default();
        let mut guards: Vec<(usize, GradGuard)> = Vec::new();
        for (number, (step, target, which)) in steps.into_iter().enumerate() {
            if let Some(&scope) = scopes.get(step) {
                guards.push((number, backends.get(target).map_or_else(|| scope.enter(), |&on| scope.enter_on(on))));
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
fn law_10_carried_modes_are_each_installed_backends_own() {
    with_engine();
    let engine = || (Engine.grad_mode(), grad_mode());
    let (carried, again) = {
        let _guard = Scope::NoGrad.enter_on(&Engine);
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
fn modes_are_equal_where_every_backends_is() {
    with_engine();
    let _guard = no_grad();
    assert_eq!(Modes::current(), Modes::current());
    let before = Modes::current();
    let _engine = Scope::EnableGrad.enter_on(&Engine);
    assert_ne!(Modes::current(), before);
    assert_eq!(format!("{:?}", Modes::current()), r#"{"cpu": NoGrad, "mlx": NoGrad, "engine": Enabled}"#);
}
