//! The tape: its gradients, the guarantees that it keeps, the macros around it, and the output of its program.

#[macro_use]
extern crate grad_runtime;

use std::process::Command;

use grad_example_tape::{MyTape, Tape, Var};
use grad_runtime::prelude::*;
use grad_runtime::testing::{Engine, assert_backend, assert_engine};

/// An operation of a tape, and the backend that the tape obeys.
struct Case<'t> {
    tape: &'t Tape,
    backend: &'static dyn Backend,
    operation: fn(Var<'t>) -> Var<'t>,
}

impl<'t> Engine for Case<'t> {
    type Array = Var<'t>;

    fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    fn leaf(&self) -> Var<'t> {
        self.tape.var(0.7)
    }

    fn operation(&self, input: &Var<'t>) -> Var<'t> {
        (self.operation)(*input)
    }

    fn is_recorded(&self, array: &Var<'t>) -> bool {
        array.is_recorded()
    }

    fn values(&self, array: &Var<'t>) -> Vec<f64> {
        vec![array.value()]
    }
}

#[test]
fn my_tape_keeps_the_guarantees() {
    assert_backend(&MyTape);
}

#[test]
fn every_operation_keeps_the_guarantees_on_both_tapes() {
    let tapes: [(Tape, &'static dyn Backend); 2] = [(Tape::default(), &Cpu), (Tape::with_own_switch(), &MyTape)];
    for (tape, backend) in &tapes {
        let operations: [fn(Var<'_>) -> Var<'_>; 4] = [|x| x + x, |x| x - x * x, |x| x * x, |x| x.exp()];
        for operation in operations {
            assert_engine(&Case { tape, backend: *backend, operation });
        }
    }
}

/// Compares with the derivatives by hand.
#[test]
fn gradients_are_right() {
    let tape = Tape::default();
    let (x, y) = (tape.var(0.5), tape.var(-2.0));
    let z = (x * y).exp() - x * x * y - y;
    let gradients = z.backward();
    let exp = (-1.0_f64).exp();
    assert!((z.value() - (exp + 0.5 + 2.0)).abs() < 1e-15);
    assert!((gradients.wrt(x) - (-2.0 * exp + 2.0)).abs() < 1e-15);
    assert!((gradients.wrt(y) - (0.5 * exp - 0.25 - 1.0)).abs() < 1e-15);
}

#[test]
fn a_scope_leaves_nothing_on_the_tape() {
    let tape = Tape::default();
    assert!(tape.is_empty());
    let x = tape.var(3.0);
    let y = no_grad! { (0..1000).fold(x, |y, _| y * x - y) };
    assert!(!y.is_recorded());
    assert_eq!(tape.len(), 1, "the leaf");
    assert_eq!(y.backward().wrt(x).to_bits(), 0.0_f64.to_bits());
}

fn square(x: Var<'_>) -> Var<'_> {
    x * x
}

#[no_grad]
fn target(x: Var<'_>) -> Var<'_> {
    square(x)
}

#[no_grad(backend = MyTape)]
fn target_on_my_tape(x: Var<'_>) -> Var<'_> {
    square(x)
}

/// Computes x · f(x) at 3, and returns its value, its derivative, and the number of recorded leaves and operations.
fn times_x(tape: &Tape, f: impl FnOnce(Var<'_>) -> Var<'_>) -> (f64, f64, usize) {
    let before = tape.len();
    let x = tape.var(3.0);
    let y = x * f(x);
    (y.value(), y.backward().wrt(x), tape.len() - before)
}

/// x · x² where x² is recorded: the derivative is 3x².
const RECORDED: (f64, f64, usize) = (27.0, 27.0, 3);

/// x · x² where x² is a constant: the derivative is x².
const CONSTANT: (f64, f64, usize) = (27.0, 9.0, 2);

#[test]
fn macros_switch_a_tape_that_calls_is_grad_enabled() {
    let tape = Tape::default();
    assert_eq!(times_x(&tape, square), RECORDED);
    assert_eq!(times_x(&tape, |x| no_grad!(square(x))), CONSTANT);
    assert_eq!(times_x(&tape, target), CONSTANT);
    assert_eq!(times_x(&tape, |x| no_grad! { <Cpu> square(x) }), CONSTANT);
    assert_eq!(times_x(&tape, |x| no_grad! { <MyTape> square(x) }), RECORDED);
    assert_eq!(times_x(&tape, target_on_my_tape), RECORDED);
}

#[test]
fn macros_switch_a_tape_with_its_own_switch() {
    let _ = grad_runtime::install(&MyTape); // Another test may have installed it.
    let tape = Tape::with_own_switch();
    assert_eq!(times_x(&tape, square), RECORDED);
    assert_eq!(times_x(&tape, |x| no_grad!(square(x))), CONSTANT);
    assert_eq!(times_x(&tape, target), CONSTANT);
    assert_eq!(times_x(&tape, |x| no_grad! { <Cpu> square(x) }), RECORDED);
    assert_eq!(times_x(&tape, |x| no_grad! { <MyTape> square(x) }), CONSTANT);
    assert_eq!(times_x(&tape, target_on_my_tape), CONSTANT);
}

#[test]
fn the_program_prints_each_derivative() {
    let output = Command::new(env!("CARGO_BIN_EXE_my-tape")).output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "\
A tape that calls is_grad_enabled():
  scope around x² in y = x · x²     y  dy/dx  recorded
  none                             27     27         3
  no_grad()                        27      9         2
  no_grad(), then enable_grad()    27     27         3
  Scope::NoGrad.enter_for(&Cpu)    27      9         2
  Scope::NoGrad.enter_for(&MyTape) 27     27         3

A tape with its own switch, installed as `my-tape`:
  scope around x² in y = x · x²     y  dy/dx  recorded
  none                             27     27         3
  no_grad()                        27      9         2
  no_grad(), then enable_grad()    27     27         3
  Scope::NoGrad.enter_for(&Cpu)    27     27         3
  Scope::NoGrad.enter_for(&MyTape) 27      9         2
"
    );
}
