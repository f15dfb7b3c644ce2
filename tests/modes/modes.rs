//! Modes, scopes, guards and backends, without arrays. A test's name begins with the number of the guarantee it checks.

mod assertion;
mod guards;
mod installed_backends;
mod places;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use grad_runtime::{
    Backend, Cpu, GradGuard, GradMode, Mlx, Scope, enable_grad, grad_mode, inference_mode, is_grad_enabled,
    no_grad, set_grad_enabled,
};

use GradMode::{Enabled, Inference, NoGrad};

/// The mode inside each scope, by the mode it was entered in. Guarantee 7 is the column `Inference`.
#[test]
fn guarantee_7_each_scope_in_each_mode() {
    type Enter = fn() -> GradGuard;
    let scopes: [(&str, Enter, [GradMode; 3]); 6] = [
        // entered in                               Enabled    NoGrad     Inference
        ("no_grad()", no_grad, [NoGrad, NoGrad, Inference]),
        ("enable_grad()", enable_grad, [Enabled, Enabled, Inference]),
        ("set_grad_enabled(false)", || set_grad_enabled(false), [NoGrad, NoGrad, Inference]),
        ("set_grad_enabled(true)", || set_grad_enabled(true), [Enabled, Enabled, Inference]),
        ("inference_mode(true)", || inference_mode(true), [Inference, Inference, Inference]),
        ("inference_mode(false)", || inference_mode(false), [Enabled, Enabled, Enabled]),
    ];
    let found_by: [(GradMode, Enter); 3] =
        [(Enabled, enable_grad), (NoGrad, no_grad), (Inference, || inference_mode(true))];
    for (name, enter, expected) in scopes {
        for ((found, outer), expected) in found_by.into_iter().zip(expected) {
            let _outer = outer();
            assert_eq!(grad_mode(), found);
            {
                let _inner = enter();
                assert_eq!(grad_mode(), expected, "{name} entered in {found:?}");
                assert_eq!(is_grad_enabled(), expected == Enabled);
                assert_eq!(Mlx.grad_mode(), expected, "{name} is universal");
            }
            assert_eq!(grad_mode(), found, "{name} left");
        }
    }
}

/// `Scope::applied_to` predicts the mode that entering the scope establishes.
#[test]
fn scope_applied_to_agrees_with_entering() {
    for scope in [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)] {
        for found in [Enabled, NoGrad, Inference] {
            Cpu.set_grad_mode(found);
            let guard = scope.enter();
            assert_eq!(grad_mode(), scope.applied_to(found), "{scope:?} in {found:?}");
            drop(guard);
            assert_eq!(grad_mode(), found);
        }
    }
    Cpu.set_grad_mode(Enabled);
}

#[test]
fn guarantee_1_a_scope_belongs_to_its_thread() {
    let _guard = no_grad();
    thread::scope(|threads| {
        threads.spawn(|| assert_eq!(grad_mode(), Enabled, "a new thread starts Enabled"));
    });
    let (entered, wait_entered) = mpsc::channel();
    let (seen, wait_seen) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        let _guard = inference_mode(true);
        entered.send(()).unwrap();
        wait_seen.recv().unwrap();
        grad_mode()
    });
    wait_entered.recv().unwrap();
    assert_eq!(grad_mode(), NoGrad, "the other thread's scope does not count here");
    seen.send(()).unwrap();
    assert_eq!(other.join().unwrap(), Inference, "nor does this thread's scope count there");
}

#[test]
fn guarantee_2_every_early_exit_restores() {
    fn by_return(early: bool) -> GradMode {
        let _guard = no_grad();
        if early {
            return grad_mode();
        }
        Inference
    }
    fn by_question_mark() -> Result<(), std::num::ParseIntError> {
        let _guard = no_grad();
        "x".parse::<i32>()?;
        unreachable!("x is not a number")
    }
    assert_eq!(by_return(true), NoGrad);
    assert_eq!(grad_mode(), Enabled);
    assert!(by_question_mark().is_err());
    assert_eq!(grad_mode(), Enabled);
    for round in 0..4 {
        let _guard = no_grad();
        if round == 1 {
            continue;
        }
        if round == 3 {
            break;
        }
    }
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn guarantee_2_a_panic_restores() {
    let panicked = catch_unwind(|| {
        let _outer = no_grad();
        let _inner = enable_grad();
        panic!("inside two scopes");
    });
    assert_eq!(*panicked.unwrap_err().downcast_ref::<&str>().unwrap(), "inside two scopes");
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn guarantee_2_a_scope_entered_while_unwinding() {
    struct ScopeInDrop;
    impl Drop for ScopeInDrop {
        fn drop(&mut self) {
            let _guard = inference_mode(true);
            assert_eq!(grad_mode(), Inference);
        }
    }
    let mode_between = RefCell::new(None);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _outer = no_grad();
        let _entered_while_unwinding = ScopeInDrop;
        *mode_between.borrow_mut() = Some(grad_mode());
        panic!();
    }));
    assert!(panicked.is_err());
    assert_eq!(mode_between.into_inner(), Some(NoGrad));
    assert_eq!(grad_mode(), Enabled);
}

/// Scopes work while a thread is torn down, after other thread-locals were destroyed.
#[test]
fn scopes_in_a_thread_locals_destructor() {
    struct AtExit(mpsc::Sender<[GradMode; 4]>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let before = grad_mode();
            let (first, second) = (no_grad(), enable_grad());
            let inside = grad_mode();
            drop(first); // Out of order, which takes the slow path.
            let one_left = grad_mode();
            drop(second);
            self.0.send([before, inside, one_left, grad_mode()]).unwrap();
        }
    }
    thread_local!(static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) });

    let (report, reported) = mpsc::channel();
    thread::spawn(move || AT_EXIT.set(Some(AtExit(report)))).join().unwrap();
    assert_eq!(reported.recv().unwrap(), [Enabled, Enabled, Enabled, Enabled]);
}

#[test]
fn scopes_nest_100_000_deep() {
    fn recurse(depth: u32) {
        let _guard = no_grad();
        if depth > 0 {
            recurse(depth - 1);
        }
    }
    let guards: Vec<GradGuard> = (0..100_000).map(|depth| set_grad_enabled(depth % 2 == 1)).collect();
    assert_eq!(grad_mode(), Enabled);
    for (depth, guard) in guards.into_iter().enumerate().rev() {
        assert_eq!(grad_mode(), if depth % 2 == 1 { Enabled } else { NoGrad });
        drop(guard);
    }
    assert_eq!(grad_mode(), Enabled);

    thread::Builder::new().stack_size(256 << 20).spawn(|| recurse(100_000)).unwrap().join().unwrap();
}

/// A leaked guard stays alive, as documented: its mode remains.
#[test]
fn a_leaked_guard_stays_alive() {
    thread::spawn(|| {
        let outer = no_grad();
        std::mem::forget(inference_mode(true));
        drop(outer);
        assert_eq!(grad_mode(), Inference);
        drop(enable_grad());
        assert_eq!(grad_mode(), Inference);
    })
    .join()
    .unwrap();
}

/// Guarantee 12: there is no array of any backend, and a scope still sets the mode.
#[test]
fn guarantee_12_a_scope_without_arrays() {
    assert!(!grad_runtime::no_grad!(is_grad_enabled()));
    assert!(is_grad_enabled());
}
