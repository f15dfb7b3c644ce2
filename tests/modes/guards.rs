//! Guards as values: stored, moved, and dropped out of order (guarantee 2).

use grad_runtime::{GradGuard, GradMode, Scope, enable_grad, grad_mode, inference_mode, no_grad};
use proptest::prelude::*;
use support::implements;

use GradMode::{Enabled, Inference, NoGrad};

/// So a guard cannot be moved to another thread, and a future that holds one across an `.await` cannot be spawned on a thread
/// pool. `packages/compile-fail` has the errors.
#[test]
fn guarantee_9_a_guard_is_neither_send_nor_sync() {
    assert!(implements!(u8: Send) && implements!(u8: Sync), "the check itself");
    assert!(!implements!(GradGuard: Send) && !implements!(GradGuard: Sync));
    assert!(!implements!(Option<Box<GradGuard>>: Send) && !implements!(&GradGuard: Send));
}

#[test]
fn a_guard_is_at_most_24_bytes() {
    assert!(size_of::<GradGuard>() <= 24, "it is {} bytes", size_of::<GradGuard>());
    assert!(size_of::<Option<GradGuard>>() <= 32);
}

/// Drops three guards in every order, and checks the mode after each drop.
#[test]
fn guarantee_2_three_guards_in_every_order() {
    let established = [NoGrad, Enabled, Inference];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut guards = [Some(no_grad()), Some(enable_grad()), Some(inference_mode(true))];
        for at in order {
            guards[at] = None;
            let innermost_alive = (0..3).rev().find(|&guard| guards[guard].is_some());
            let expected = innermost_alive.map_or(Enabled, |guard| established[guard]);
            assert_eq!(grad_mode(), expected, "dropping {order:?}, after {at}");
        }
    }
}

#[test]
fn a_guard_stored_in_a_struct() {
    struct Evaluation {
        scope: GradGuard,
        batches: usize,
    }
    let evaluation = Evaluation { scope: no_grad(), batches: 3 };
    assert_eq!((grad_mode(), evaluation.batches), (NoGrad, 3));
    let moved = Box::new(evaluation);
    assert_eq!(grad_mode(), NoGrad, "moving a guard does not leave its scope");
    let Evaluation { scope, .. } = *moved;
    assert_eq!(grad_mode(), NoGrad);
    drop(scope);
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn an_outer_guard_dropped_inside_an_inner_scope() {
    let outer = no_grad();
    {
        let _inner = enable_grad();
        drop(outer);
        assert_eq!(grad_mode(), Enabled, "the inner guard is the innermost one alive");
        let _innermost = inference_mode(true);
        assert_eq!(grad_mode(), Inference);
    }
    assert_eq!(grad_mode(), Enabled, "no guard is alive");
}

#[test]
fn replacing_a_guard_drops_the_old_one_after_the_new_one_was_entered() {
    let mut guard = no_grad();
    guard = {
        let new = enable_grad();
        drop(guard);
        new
    };
    assert_eq!(grad_mode(), Enabled);
    drop(guard);
    assert_eq!(grad_mode(), Enabled);
    let mut slot = Some(inference_mode(true));
    assert!(slot.is_some());
    slot = Some(inference_mode(false));
    assert_eq!(grad_mode(), Enabled);
    drop(slot);
    assert_eq!(grad_mode(), Enabled);
}

/// Replacing a guard in a field enters the new scope before the old guard is dropped. The cost must not grow with the number
/// of replacements.
#[test]
fn replacing_a_guard_a_million_times() {
    let mut slot = Some(no_grad());
    for round in 0..1_000_000 {
        slot = Some(Scope::set_grad_enabled(round % 2 == 0).enter());
        assert_eq!(grad_mode(), if round % 2 == 0 { Enabled } else { NoGrad });
    }
    assert!(slot.is_some());
    drop(slot);
    assert_eq!(grad_mode(), Enabled);
}

/// The specification of guarantee 2: a list of the guards alive, of which the last decides.
#[derive(Default)]
struct Model {
    alive: Vec<(usize, GradMode)>,
}

impl Model {
    fn mode(&self) -> GradMode {
        self.alive.last().map_or(Enabled, |&(_, mode)| mode)
    }
}

proptest! {
    /// Guards that are entered and dropped in any order agree with the model at every step.
    #[test]
    fn guarantee_2_any_order_agrees_with_the_model(
        steps in prop::collection::vec((0..6_usize, any::<prop::sample::Index>()), 0..200)
    ) {
        let scopes = [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)];
        let (mut guards, mut model, mut next) = (Vec::new(), Model::default(), 0);
        for (step, which) in steps {
            if let Some(&scope) = scopes.get(step) {
                guards.push((next, scope.enter()));
                let mode = scope.applied_to(model.mode());
                model.alive.push((next, mode));
                next += 1;
            } else if !guards.is_empty() {
                let (dropped, guard) = guards.swap_remove(which.index(guards.len()));
                drop(guard);
                model.alive.retain(|&(guard, _)| guard != dropped);
            }
            prop_assert_eq!(grad_mode(), model.mode());
        }
        drop(guards);
        prop_assert_eq!(grad_mode(), Enabled);
    }
}
