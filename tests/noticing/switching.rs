//! Law 11 and its neighbours on a switch that is found: whose scope is inside of whose does not matter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use grad_runtime::prelude::*;
use grad_runtime::{Scope, inference_mode, no_grad, thread};

use GradMode::{Enabled, NoGrad};

use crate::library::Theirs;
use crate::process::alone;

/// Scopes of ours and of theirs.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Ours(Scope),
    OursAlone(Scope),
    Theirs(bool),
}

const KINDS: [Kind; 6] = [
    Kind::Ours(Scope::NoGrad),
    Kind::Ours(Scope::EnableGrad),
    Kind::OursAlone(Scope::NoGrad),
    Kind::OursAlone(Scope::EnableGrad),
    Kind::Theirs(false),
    Kind::Theirs(true),
];

#[test]
fn law_11_scopes_of_ours_and_theirs_nest_in_any_order() {
    /// Every nesting inside of this place; the innermost scope decides, and each leaves what it found.
    fn nest(theirs: Theirs, depth: u32, nestings: &mut u32) {
        let found = theirs.on();
        for kind in KINDS {
            let expected = match kind {
                Kind::Ours(scope) | Kind::OursAlone(scope) => scope == Scope::EnableGrad,
                Kind::Theirs(enabled) => enabled,
            };
            let inside = |nestings: &mut u32| {
                assert_eq!(theirs.on(), expected, "inside of {kind:?}");
                assert_eq!(Torch.grad_mode().is_enabled(), expected);
                *nestings += 1;
                if depth > 1 {
                    nest(theirs, depth - 1, nestings);
                }
                assert_eq!(theirs.on(), expected, "after what was inside of {kind:?}");
            };
            match kind {
                Kind::Ours(scope) => {
                    let _guard = scope.enter();
                    inside(nestings);
                }
                Kind::OursAlone(scope) => {
                    let _guard = scope.enter_on(&Torch);
                    inside(nestings);
                }
                Kind::Theirs(enabled) => theirs.scope(enabled, || inside(nestings)),
            }
            assert_eq!(theirs.on(), found, "after {kind:?}");
        }
    }
    alone(|| {
        let (theirs, mut nestings) = (Theirs::loaded(), 0);
        nest(theirs, 5, &mut nestings);
        assert_eq!(nestings, 6 + 6_u32.pow(2) + 6_u32.pow(3) + 6_u32.pow(4) + 6_u32.pow(5));
        assert!(theirs.on());
    });
}

/// What the framework was left in by somebody else is found, and stays.
#[test]
fn law_11_what_was_found_is_left() {
    alone(|| {
        let theirs = Theirs::loaded();
        theirs.set(false);
        for scope in [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)] {
            let guard = scope.enter();
            assert_eq!(theirs.on(), matches!(scope, Scope::EnableGrad | Scope::InferenceMode(false)));
            drop(guard);
            assert!(!theirs.on(), "after {scope:?}");
        }
    });
}

/// A framework's scope that a panic leaves is not undone; ours is, and takes what was left inside of it along.
#[test]
fn law_2_a_panic_restores_the_switch() {
    alone(|| {
        let theirs = Theirs::loaded();
        let ours = catch_unwind(|| no_grad! { std::hint::black_box(()); panic!("in our scope") });
        assert!(ours.is_err());
        assert!(theirs.on());
        let both = catch_unwind(AssertUnwindSafe(|| {
            let _guard = no_grad();
            theirs.scope(false, || panic!("in theirs, in ours"));
        }));
        assert!(both.is_err());
        assert!(theirs.on());
    });
}

#[test]
fn law_2_guards_out_of_order() {
    alone(|| {
        let theirs = Theirs::loaded();
        let (outer, inner) = (no_grad(), Scope::EnableGrad.enter_on(&Torch));
        drop(outer);
        assert!(theirs.on());
        drop(inner);
        assert!(theirs.on());
    });
}

#[test]
fn law_1_a_scope_is_this_threads_alone_and_can_be_carried() {
    alone(|| {
        let theirs = Theirs::loaded();
        let _guard = no_grad();
        let plain = std::thread::spawn(move || theirs.on());
        let carried = thread::spawn(move || (theirs.on(), Torch.grad_mode()));
        assert!(plain.join().unwrap());
        assert_eq!(carried.join().unwrap(), (false, NoGrad));
    });
}

/// libtorch's switch knows on and off; what our scopes asked for is remembered.
#[test]
fn law_7_inference_mode_is_off_and_enable_grad_does_not_lift_it() {
    alone(|| {
        let theirs = Theirs::loaded();
        let _serving = inference_mode(true);
        assert_eq!((Torch.grad_mode(), theirs.on()), (NoGrad, false));
        {
            let _still = Scope::EnableGrad.enter();
            assert!(!theirs.on());
            let _training = inference_mode(false);
            assert!(theirs.on());
        }
        assert!(!theirs.on());
    });
}

#[test]
fn law_10_an_attribute_for_one_backend() {
    #[grad_runtime::attr::no_grad(backend = Torch)]
    fn forward(theirs: Theirs) -> (bool, bool) {
        (theirs.on(), is_grad_enabled())
    }
    alone(|| {
        let theirs = Theirs::loaded();
        assert_eq!(forward(theirs), (false, true));
        assert_eq!(Torch.grad_mode(), Enabled);
    });
}
