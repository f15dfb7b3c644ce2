//! Laws 1, 2, 7, 12: what each scope does to the mode it finds, on this thread alone.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use grad_runtime::{
    Backend, Cpu, GradGuard, GradMode, Mlx, Scope, enable_grad, grad_mode, inference_mode, is_grad_enabled,
    no_grad, set_grad_enabled,
};

use GradMode::{Enabled, Inference, NoGrad};

/// Every guard function, and the mode inside it when entered in each mode. Law 7 is the row of `Inference`.
#[test]
fn law_7_each_scope_in_each_mode() {
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

/// The table above, told by `Scope` and by `GradMode` alone.
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
fn law_1_a_scope_is_this_threads_alone() {
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
    assert_eq!(grad_mode(), NoGrad, "the other thread's scope is not ours");
    seen.send(()).unwrap();
    assert_eq!(other.join().unwrap(), Inference, "nor ours the other's");
}

#[test]
fn law_2_every_way_out_restores() {
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
        unreachable!("x is no number")
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
fn law_2_a_panic_restores() {
    let panicked = catch_unwind(|| {
        let _outer = no_grad();
        let _inner = enable_grad();
        panic!("inside two scopes");
    });
    assert_eq!(*panicked.unwrap_err().downcast_ref::<&str>().unwrap(), "inside two scopes");
    assert_eq!(grad_mode(), Enabled);
}

#[test]
fn law_2_a_panic_while_a_guard_is_dropped_by_unwinding() {
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

/// A scope may be used while its thread is torn down, when other thread-locals are gone already.
#[test]
fn scopes_in_a_thread_locals_destructor() {
    struct AtExit(mpsc::Sender<[GradMode; 4]>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let before = grad_mode();
            let (first, second) = (no_grad(), enable_grad());
            let inside = grad_mode();
            drop(first); // Out of order, so that the slow path is used here too.
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

/// A leaked guard stays alive, as its documentation says: the mode remains its own.
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

/// Law 12: nothing is installed, no backend is there, and a scope is still a scope.
#[test]
fn law_12_a_scope_without_any_backend() {
    assert!(!grad_runtime::no_grad!(is_grad_enabled()));
    assert!(is_grad_enabled());
}
