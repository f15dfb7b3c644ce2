//! A tape autograd of one's own that obeys scopes, plugged in both ways.
//!
//! ```text
//! cargo run --release -p grad-examples --no-default-features --bin my-tape
//! ```

#[macro_use]
extern crate grad_runtime;

use grad_examples::tape::{MyTape, Tape, Var};
use grad_runtime::prelude::*;

fn main() -> anyhow::Result<()> {
    println!("A tape that asks is_grad_enabled():");
    let tape = Tape::default();
    show("x · x²", &tape, |x| x * square(x));
    show("x · no_grad!(x²)", &tape, |x| x * no_grad!(square(x)));
    show("x · target(x), #[no_grad]", &tape, |x| x * target(x));
    show("x · no_grad! { <Cpu> x² }", &tape, |x| x * no_grad! { <Cpu> square(x) });
    show("x · no_grad! { <MyTape> x² }, not its switch", &tape, |x| x * no_grad! { <MyTape> square(x) });

    grad_runtime::install(&MyTape)?;
    println!("\nA tape with a switch of its own, installed as {:?}:", MyTape.name());
    let tape = Tape::with_its_own_switch();
    show("x · x²", &tape, |x| x * square(x));
    show("x · no_grad!(x²)", &tape, |x| x * no_grad!(square(x)));
    show("x · no_grad! { <MyTape> x² }", &tape, |x| x * no_grad! { <MyTape> square(x) });
    show("x · target_on_my_tape(x), #[no_grad(…)]", &tape, |x| x * target_on_my_tape(x));
    show("x · no_grad! { <Cpu> x² }, not its switch", &tape, |x| x * no_grad! { <Cpu> square(x) });
    Ok(())
}

fn square(x: Var<'_>) -> Var<'_> {
    x * x
}

/// A target is a constant to whoever trains towards it.
#[no_grad]
fn target(x: Var<'_>) -> Var<'_> {
    square(x)
}

#[no_grad(backend = MyTape)]
fn target_on_my_tape(x: Var<'_>) -> Var<'_> {
    square(x)
}

/// Value and derivative of `f` at 3, and what it left on the tape.
fn show(form: &str, tape: &Tape, f: impl FnOnce(Var<'_>) -> Var<'_>) {
    let before = tape.recorded();
    let x = tape.var(3.0);
    let y = f(x);
    let recorded = tape.recorded() - before;
    println!("  {form:<46} {:>2}, derivative {:>2}, {recorded} recorded", y.value(), y.backward().of(x));
}
