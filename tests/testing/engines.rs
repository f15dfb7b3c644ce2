//! Engines that keep the guarantees and engines that break one, made from the smallest engine there is.

use std::cell::Cell;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;

use grad_runtime::testing::{Engine, assert_engine, check_engine};
use grad_runtime::{Backend, Cpu, GradMode, Mlx, grad_mode, inference_mode, is_grad_enabled, no_grad};

use support::backend;
use support::backends::Plain;

use GradMode::{Enabled, Inference, NoGrad};

/// A number that is recorded or not.
#[derive(Clone, Copy)]
struct Number {
    value: f64,
    recorded: bool,
}

/// An engine whose one operation the test defines.
struct Square {
    backend: &'static dyn Backend,
    operation: fn(Number) -> Number,
}

impl Engine for Square {
    type Array = Number;

    fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    fn leaf(&self) -> Number {
        Number { value: 3.0, recorded: true }
    }

    fn operation(&self, input: &Number) -> Number {
        (self.operation)(*input)
    }

    fn is_recorded(&self, array: &Number) -> bool {
        array.recorded
    }

    fn values(&self, array: &Number) -> Vec<f64> {
        vec![array.value]
    }
}

fn square(x: Number, recorded: bool) -> Number {
    Number { value: x.value * x.value, recorded }
}

/// Returns the message of the violation, or "kept". The checks run one at a time: they switch every backend, one of them broken.
fn message(backend: &'static dyn Backend, operation: fn(Number) -> Number) -> String {
    static LOCK: Mutex<()> = Mutex::new(());
    let _alone = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    check_engine(&Square { backend, operation })
        .map_or_else(|violation| violation.to_string(), |()| "kept".to_owned())
}

#[test]
fn engines_that_keep_the_guarantees_pass() {
    assert_eq!(message(&Cpu, |x| square(x, x.recorded && is_grad_enabled())), "kept");
    assert_eq!(message(&Mlx, |x| square(x, x.recorded && Mlx.grad_mode().is_enabled())), "kept");
    assert_eq!(message(&Plain, |x| square(x, x.recorded && Plain.grad_mode().is_enabled())), "kept");
}

#[test]
fn the_scopes_of_the_caller_do_not_count() {
    let _guard = inference_mode(true);
    assert_eq!(message(&Cpu, |x| square(x, x.recorded && is_grad_enabled())), "kept");
    assert_eq!(grad_mode(), Inference);
}

/// An engine on the stack, whose arrays borrow from it.
#[test]
fn an_engine_that_is_a_borrowed_tape() {
    struct Tape(Cell<usize>);
    #[derive(Clone, Copy)]
    struct Variable<'t> {
        tape: &'t Tape,
        at: Option<usize>,
    }
    impl<'t> Engine for &'t Tape {
        type Array = Variable<'t>;

        fn leaf(&self) -> Variable<'t> {
            Variable { tape: self, at: Some(self.0.replace(self.0.get() + 1)) }
        }

        fn operation(&self, input: &Variable<'t>) -> Variable<'t> {
            let tape = input.tape;
            let at = input.at.filter(|_| is_grad_enabled()).map(|_| tape.0.replace(tape.0.get() + 1));
            Variable { tape, at }
        }

        fn is_recorded(&self, array: &Variable<'t>) -> bool {
            array.at.is_some()
        }

        fn values(&self, _: &Variable<'t>) -> Vec<f64> {
            vec![f64::NAN, -0.0] // Compared bit for bit.
        }
    }
    assert_engine(&&Tape(Cell::new(0)));
}

#[test]
fn violation_of_guarantee_3_an_operation_is_recorded_in_a_scope() {
    assert_eq!(
        message(&Cpu, |x| square(x, x.recorded)),
        "engine `testing::engines::Square` on backend `cpu` breaks guarantee 3: an array produced while the \
         mode is off is a constant, and its value is unchanged
    what was done: an operation on a leaf, in a universal `no_grad`
    expected: a constant
    found: a recorded result
    what to do: check the mode at the point where operations create their results, in every call"
    );
}

#[test]
fn violation_of_guarantee_3_inference_mode_is_forgotten() {
    let message = message(&Cpu, |x| square(x, x.recorded && grad_mode() != NoGrad));
    assert!(message.contains("breaks guarantee 3: "), "{message}");
    assert!(
        message
            .contains("in a universal `inference_mode`\n    expected: a constant\n    found: a recorded result\n"),
        "{message}"
    );
}

#[test]
fn violation_of_guarantee_3_a_value_changes_in_a_scope() {
    let message = message(&Cpu, |x| {
        let recorded = x.recorded && is_grad_enabled();
        // As a faster kernel would, it rounds in another way.
        if recorded { square(x, true) } else { Number { value: 9.0 + f64::EPSILON * 8.0, recorded } }
    });
    assert!(message.contains("breaks guarantee 3: "), "{message}");
    assert!(
        message.ends_with(
            "expected: [9.0], as in no scope\n    found: [9.000000000000002]\n    what to do: compute first, then decide \
             whether to record: a scope must not change values"
        ),
        "{message}"
    );
}

/// The mode counts for leaves only: results are recorded as their inputs were.
#[test]
fn violation_of_guarantee_3_a_scope_counts_for_leaves_only() {
    let message = message(&Cpu, |x| {
        let is_leaf = x.value.to_bits() == 3.0_f64.to_bits();
        square(x, x.recorded && (!is_leaf || is_grad_enabled()))
    });
    assert!(message.contains("breaks guarantee 3: "), "{message}");
    assert!(
        message.contains("an operation in `no_grad`, on a result recorded before\n    expected: a constant\n"),
        "{message}"
    );
}

#[test]
fn violation_of_guarantee_3_a_constant_is_recorded_later() {
    let message = message(&Cpu, |x| square(x, is_grad_enabled()));
    assert!(message.contains("breaks guarantee 3: "), "{message}");
    assert!(
        message.contains(
            "an operation in no scope, on the result of an operation in `no_grad`\n    expected: a constant\n    found: a \
             recorded result\n"
        ),
        "{message}"
    );
}

/// Each operation in a scope empties the tape.
#[test]
fn violation_of_guarantee_3_arrays_recorded_before_a_scope_are_lost() {
    struct Emptied;
    thread_local!(static TAPE: Cell<usize> = const { Cell::new(0) });
    impl Engine for Emptied {
        type Array = Option<usize>;

        fn leaf(&self) -> Option<usize> {
            Some(TAPE.get())
        }

        fn operation(&self, input: &Option<usize>) -> Option<usize> {
            if !is_grad_enabled() {
                TAPE.set(TAPE.get() + 1);
            }
            input.filter(|_| is_grad_enabled())
        }

        fn is_recorded(&self, array: &Option<usize>) -> bool {
            *array == Some(TAPE.get())
        }

        fn values(&self, _: &Option<usize>) -> Vec<f64> {
            Vec::new()
        }
    }
    let message = check_engine(&Emptied).unwrap_err().to_string();
    assert!(message.contains("breaks guarantee 3: "), "{message}");
    assert!(message.ends_with("an array recorded before stays recorded"), "{message}");
}

#[test]
fn nothing_is_ever_recorded() {
    let expected = "engine `testing::engines::Square` on backend `cpu` breaks the guarantee of `Engine::operation`: an \
         operation on a leaf is recorded where no scope is in force
    what was done: an operation on a leaf, in no scope
    expected: a recorded result
    found: a constant
    what to do: let `Engine::leaf` return an array that requires a gradient and `Engine::operation` apply a differentiable \
         operation";
    assert_eq!(message(&Cpu, |x| square(x, false)), expected);
    let panic = catch_unwind(|| assert_engine(&Square { backend: &Cpu, operation: |x| square(x, false) }));
    assert_eq!(panic.unwrap_err().downcast_ref::<String>().map(String::as_str), Some(expected));
}

#[test]
fn violation_of_guarantee_2_a_scope_is_never_left() {
    thread_local!(static STUCK: Cell<bool> = const { Cell::new(false) });
    let message = message(&Cpu, |x| {
        STUCK.set(STUCK.get() || !is_grad_enabled());
        square(x, x.recorded && !STUCK.get())
    });
    assert!(message.contains("breaks guarantee 2: "), "{message}");
    assert!(
        message.contains(
            "an operation on a leaf, after a universal `no_grad` was left\n    expected: a recorded result\n    found: a \
             constant\n"
        ),
        "{message}"
    );
}

/// A tape for eight results, which is full when the check reaches `enable_grad`.
#[test]
fn violation_of_guarantee_7_a_tape_is_full_inside_enable_grad() {
    thread_local!(static FREE: Cell<usize> = const { Cell::new(8) });
    let message = message(&Cpu, |x| {
        let recorded = x.recorded && is_grad_enabled() && FREE.get() > 0;
        FREE.set(FREE.get() - usize::from(recorded));
        square(x, recorded)
    });
    assert!(message.contains("breaks guarantee 7: "), "{message}");
    assert!(
        message.contains(
            "an operation on a leaf, in a universal `enable_grad` inside a universal `no_grad`\n    expected: a recorded \
             result\n    found: a constant\n"
        ),
        "{message}"
    );
}

#[test]
fn violation_of_guarantee_10_the_engine_asks_another_backend_than_it_names() {
    let message = message(&Plain, |x| square(x, x.recorded && is_grad_enabled()));
    assert!(
        message.starts_with("engine `testing::engines::Square` on backend `plain` breaks guarantee 10: "),
        "{message}"
    );
    assert!(
        message.ends_with(
            "an operation on a leaf, in `no_grad` on backend `plain`
    expected: a constant
    found: a recorded result
    what to do: check the mode of the backend that `Engine::backend` returns, and no other: `is_grad_enabled()` is the mode of `Cpu`"
        ),
        "{message}"
    );
}

#[test]
fn violation_of_guarantee_10_the_engine_asks_two_backends() {
    let message = message(&Plain, |x| square(x, x.recorded && Plain.grad_mode().is_enabled() && is_grad_enabled()));
    assert!(message.contains("breaks guarantee 10: "), "{message}");
    assert!(
        message.contains("in `no_grad` on backend `cpu`\n    expected: a recorded result\n    found: a constant\n"),
        "{message}"
    );
}

/// Threads without a name, as in a pool, share one mode that every thread follows.
#[test]
fn violation_of_guarantee_1_the_scope_of_another_thread_counts() {
    static POOL_IS_OFF: AtomicBool = AtomicBool::new(false);
    thread_local!(static MODE: Cell<GradMode> = const { Cell::new(Enabled) });
    backend!(Pool, "pool", || MODE.get(), |mode| {
        if thread::current().name().is_none() {
            POOL_IS_OFF.store(!mode.is_enabled(), Relaxed);
        }
        MODE.set(mode);
    });
    let message =
        message(&Pool, |x| square(x, x.recorded && Pool.grad_mode().is_enabled() && !POOL_IS_OFF.load(Relaxed)));
    assert!(message.contains("on backend `pool` breaks guarantee 1: "), "{message}");
    assert!(
        message.contains(
            "an operation on a leaf, in no scope, while another thread was in `no_grad`\n    expected: a recorded \
             result\n    found: a constant\n"
        ),
        "{message}"
    );
}

/// An engine's panic passes through, and the scopes of the check are left.
#[test]
fn a_panic_of_the_engine_passes_through() {
    let panic = catch_unwind(|| {
        assert_engine(&Square {
            backend: &Cpu,
            operation: |x| {
                assert!(is_grad_enabled(), "not in here");
                square(x, true)
            },
        });
    });
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"not in here"));
    assert_eq!(grad_mode(), Enabled);
    let _guard = no_grad();
    assert_eq!(grad_mode(), NoGrad);
}
