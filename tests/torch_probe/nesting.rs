//! Scopes of this crate and of libtorch, nested in any order (guarantee 11).

use std::panic::{AssertUnwindSafe, catch_unwind};

use grad_runtime::prelude::*;
use grad_runtime::{GradGuard, ModeSnapshot, Scope, grad_mode, inference_mode, no_grad, thread};

use GradMode::{Enabled, NoGrad};

use crate::fake_libtorch::FakeLibtorch;
use crate::process::alone;

/// A scope of this crate, universal or on libtorch alone, or a scope of libtorch.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Universal(Scope),
    Selective(Scope),
    OfLibtorch(bool),
}

const KINDS: [Kind; 6] = [
    Kind::Universal(Scope::NoGrad),
    Kind::Universal(Scope::EnableGrad),
    Kind::Selective(Scope::NoGrad),
    Kind::Selective(Scope::EnableGrad),
    Kind::OfLibtorch(false),
    Kind::OfLibtorch(true),
];

/// Four guards of every kind, dropped in every order: the innermost one alive that covers libtorch decides there, the innermost one
/// alive that covers the CPU decides on the CPU, and the last one restores what the first one found.
#[test]
fn guarantee_11_guards_dropped_in_any_order() {
    /// A guard, and the mode that it established on libtorch and on the CPU, if it covers them.
    struct Alive {
        _guard: GradGuard,
        torch: Option<GradMode>,
        cpu: Option<GradMode>,
    }

    fn innermost(
        alive: &[Option<Alive>],
        mode: impl Fn(&Alive) -> Option<GradMode>,
        outside: GradMode,
    ) -> GradMode {
        alive.iter().flatten().rev().find_map(mode).unwrap_or(outside)
    }

    const KINDS: usize = 7;
    fn enter(kind: usize, torch: GradMode, cpu: GradMode) -> Alive {
        let universal = |scope: Scope| Alive {
            _guard: scope.enter(),
            torch: Some(scope.applied_to(torch)),
            cpu: Some(scope.applied_to(cpu)),
        };
        let on_torch = |scope: Scope| Alive {
            _guard: scope.enter_for(&Torch),
            torch: Some(scope.applied_to(torch)),
            cpu: None,
        };
        match kind {
            0 => universal(Scope::NoGrad),
            1 => universal(Scope::EnableGrad),
            2 => universal(Scope::InferenceMode(true)),
            3 => on_torch(Scope::NoGrad),
            4 => on_torch(Scope::EnableGrad),
            5 => Alive {
                _guard: Scope::NoGrad.enter_for(&Cpu),
                torch: None,
                cpu: Some(Scope::NoGrad.applied_to(cpu)),
            },
            _ => Alive { _guard: ModeSnapshot::all(Enabled).enter(), torch: Some(Enabled), cpu: Some(Enabled) },
        }
    }

    fn check(libtorch: FakeLibtorch, alive: &[Option<Alive>], found: GradMode) -> (GradMode, GradMode) {
        let (torch, cpu) =
            (innermost(alive, |guard| guard.torch, found), innermost(alive, |guard| guard.cpu, Enabled));
        assert_eq!((libtorch.is_on(), grad_mode()), (torch.is_enabled(), cpu));
        (torch, cpu)
    }

    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        drop(no_grad());
        for found in [Enabled, NoGrad] {
            libtorch.set(found.is_enabled());
            for case in 0..KINDS.pow(4) * 24 {
                let (kinds, mut order) = (case / 24, case % 24);
                let mut alive: Vec<Option<Alive>> = vec![];
                for position in 0..4 {
                    let (torch, cpu) = check(libtorch, &alive, found);
                    alive.push(Some(enter(kinds / KINDS.pow(position) % KINDS, torch, cpu)));
                }
                for left in (1..=4).rev() {
                    check(libtorch, &alive, found);
                    let mut guards = alive.iter_mut().filter(|guard| guard.is_some());
                    drop(guards.nth(order % left).and_then(Option::take));
                    order /= left;
                }
                check(libtorch, &alive, found);
            }
        }
    });
}

#[test]
fn guarantee_11_scopes_nest_with_those_of_libtorch_in_any_order() {
    /// Enters each kind of scope here, and all nestings inside. The innermost scope decides, and each restores the mode it found.
    fn nest(libtorch: FakeLibtorch, depth: u32, nestings: &mut u32) {
        let found = libtorch.is_on();
        for kind in KINDS {
            let expected = match kind {
                Kind::Universal(scope) | Kind::Selective(scope) => scope == Scope::EnableGrad,
                Kind::OfLibtorch(enabled) => enabled,
            };
            let inside = |nestings: &mut u32| {
                assert_eq!(libtorch.is_on(), expected, "inside {kind:?}");
                assert_eq!(Torch.grad_mode().is_enabled(), expected);
                *nestings += 1;
                if depth > 1 {
                    nest(libtorch, depth - 1, nestings);
                }
                assert_eq!(libtorch.is_on(), expected, "after the scopes inside {kind:?}");
            };
            match kind {
                Kind::Universal(scope) => {
                    let _guard = scope.enter();
                    inside(nestings);
                }
                Kind::Selective(scope) => {
                    let _guard = scope.enter_for(&Torch);
                    inside(nestings);
                }
                Kind::OfLibtorch(enabled) => libtorch.scope(enabled, || inside(nestings)),
            }
            assert_eq!(libtorch.is_on(), found, "after {kind:?}");
        }
    }
    alone(|| {
        let (libtorch, mut nestings) = (FakeLibtorch::loaded(), 0);
        nest(libtorch, 5, &mut nestings);
        assert_eq!(nestings, 6 + 6_u32.pow(2) + 6_u32.pow(3) + 6_u32.pow(4) + 6_u32.pow(5));
        assert!(libtorch.is_on());
    });
}

/// libtorch was switched off outside any scope, and stays off after ours.
#[test]
fn guarantee_11_the_mode_found_is_restored() {
    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        libtorch.set(false);
        for scope in [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)] {
            let guard = scope.enter();
            assert_eq!(libtorch.is_on(), matches!(scope, Scope::EnableGrad | Scope::InferenceMode(false)));
            drop(guard);
            assert!(!libtorch.is_on(), "after {scope:?}");
        }
    });
}

/// A panic leaves libtorch's scope unrestored, unless a scope of ours around it restores the mode it found.
#[test]
fn guarantee_2_a_panic_restores_the_switch() {
    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        let ours = catch_unwind(|| no_grad! { std::hint::black_box(()); panic!("in our scope") });
        assert!(ours.is_err());
        assert!(libtorch.is_on());
        let both = catch_unwind(AssertUnwindSafe(|| {
            let _guard = no_grad();
            libtorch.scope(false, || panic!("in a scope of libtorch, in ours"));
        }));
        assert!(both.is_err());
        assert!(libtorch.is_on());
    });
}

#[test]
fn guarantee_2_guards_out_of_order() {
    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        let (outer, inner) = (no_grad(), Scope::EnableGrad.enter_for(&Torch));
        drop(outer);
        assert!(libtorch.is_on());
        drop(inner);
        assert!(libtorch.is_on());
    });
}

#[test]
fn guarantee_1_a_scope_belongs_to_its_thread_and_can_be_carried() {
    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        let _guard = no_grad();
        let plain = std::thread::spawn(move || libtorch.is_on());
        let carried = thread::spawn(move || (libtorch.is_on(), Torch.grad_mode()));
        assert!(plain.join().unwrap());
        assert_eq!(carried.join().unwrap(), (false, NoGrad));
    });
}

/// libtorch's switch is on or off; scopes remember that inference mode was entered.
#[test]
fn guarantee_7_enable_grad_does_not_lift_inference_mode() {
    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        let _serving = inference_mode(true);
        assert_eq!((Torch.grad_mode(), libtorch.is_on()), (NoGrad, false));
        {
            let _still = Scope::EnableGrad.enter();
            assert!(!libtorch.is_on());
            let _training = inference_mode(false);
            assert!(libtorch.is_on());
        }
        assert!(!libtorch.is_on());
    });
}

#[test]
fn guarantee_10_an_attribute_for_one_backend() {
    #[grad_runtime::attr::no_grad(backend = Torch)]
    fn forward(libtorch: FakeLibtorch) -> (bool, bool) {
        (libtorch.is_on(), is_grad_enabled())
    }
    alone(|| {
        let libtorch = FakeLibtorch::loaded();
        assert_eq!(forward(libtorch), (false, true));
        assert_eq!(Torch.grad_mode(), Enabled);
    });
}
