//! The tape of one's own: its gradients, that it keeps the law, and what its program prints.

#[macro_use]
extern crate grad_runtime;

use std::process::Command;

use grad_examples::tape::{MyTape, Tape, Var};
use grad_runtime::prelude::*;
use grad_runtime::testing::{Engine, assert_backend, assert_engine};

/// A tape, the backend that it obeys, and one of its operations.
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
fn my_tape_keeps_the_law() {
    assert_backend(&MyTape);
}

#[test]
fn every_operation_keeps_the_law_on_both_tapes() {
    let tapes: [(Tape, &'static dyn Backend); 2] =
        [(Tape::default(), &Cpu), (Tape::with_its_own_switch(), &MyTape)];
    for (tape, backend) in &tapes {
        let operations: [fn(Var<'_>) -> Var<'_>; 4] = [|x| x + x, |x| x - x * x, |x| x * x, |x| x.exp()];
        for operation in operations {
            assert_engine(&Case { tape, backend: *backend, operation });
        }
    }
}

/// Against the formulas.
#[test]
fn gradients_are_right() {
    let tape = Tape::default();
    let (x, y) = (tape.var(0.5), tape.var(-2.0));
    let z = (x * y).exp() - x * x * y - y;
    let gradients = z.backward();
    let exp = (-1.0_f64).exp();
    assert!((z.value() - (exp + 0.5 + 2.0)).abs() < 1e-15);
    assert!((gradients.of(x) - (-2.0 * exp + 2.0)).abs() < 1e-15);
    assert!((gradients.of(y) - (0.5 * exp - 0.25 - 1.0)).abs() < 1e-15);
}

#[test]
fn nothing_is_left_on_the_tape_by_a_scope() {
    let tape = Tape::default();
    assert_eq!(tape.recorded(), 0);
    let x = tape.var(3.0);
    let y = no_grad! { (0..1000).fold(x, |y, _| y * x - y) };
    assert!(!y.is_recorded());
    assert_eq!(tape.recorded(), 1, "the leaf");
    assert_eq!(y.backward().of(x).to_bits(), 0.0_f64.to_bits());
}

#[test]
fn the_program_prints_each_derivative() {
    let output = Command::new(env!("CARGO_BIN_EXE_my-tape")).output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "\
A tape that asks is_grad_enabled():
  x · x²                                         27, derivative 27, 3 recorded
  x · no_grad!(x²)                               27, derivative  9, 2 recorded
  x · target(x), #[no_grad]                      27, derivative  9, 2 recorded
  x · no_grad! { <Cpu> x² }                      27, derivative  9, 2 recorded
  x · no_grad! { <MyTape> x² }, not its switch   27, derivative 27, 3 recorded

A tape with a switch of its own, installed as \"my-tape\":
  x · x²                                         27, derivative 27, 3 recorded
  x · no_grad!(x²)                               27, derivative  9, 2 recorded
  x · no_grad! { <MyTape> x² }                   27, derivative  9, 2 recorded
  x · target_on_my_tape(x), #[no_grad(…)]        27, derivative  9, 2 recorded
  x · no_grad! { <Cpu> x² }, not its switch      27, derivative 27, 3 recorded
"
    );
}
