//! Prints which scopes switch each of the two tapes: the derivative of x · x² at 3, with a scope around x².
//!
//! ```text
//! cargo run -p grad-example-tape
//! ```

use grad_core::{AlreadyInstalled, Backend, Cpu, Scope, enable_grad, no_grad};
use grad_example_tape::{MyTape, Tape, Var};

fn main() -> Result<(), AlreadyInstalled> {
    print_table("A tape that calls is_grad_enabled()", &Tape::default());
    grad_core::install(&MyTape)?;
    println!();
    print_table(&format!("A tape with its own switch, installed as `{}`", MyTape.name()), &Tape::with_own_switch());
    Ok(())
}

fn print_table(title: &str, tape: &Tape) {
    println!("{title}:");
    println!("  {:<32}  y  dy/dx  recorded", "scope around x² in y = x · x²");
    print_row("none", tape, square);
    print_row("no_grad()", tape, |x| {
        let _guard = no_grad();
        square(x)
    });
    print_row("no_grad(), then enable_grad()", tape, |x| {
        let _outer = no_grad();
        let _inner = enable_grad();
        square(x)
    });
    print_row("Scope::NoGrad.enter_for(&Cpu)", tape, |x| {
        let _guard = Scope::NoGrad.enter_for(&Cpu);
        square(x)
    });
    print_row("Scope::NoGrad.enter_for(&MyTape)", tape, |x| {
        let _guard = Scope::NoGrad.enter_for(&MyTape);
        square(x)
    });
}

fn square(x: Var<'_>) -> Var<'_> {
    x * x
}

fn print_row(scope: &str, tape: &Tape, square_in_scope: impl FnOnce(Var<'_>) -> Var<'_>) {
    let before = tape.len();
    let x = tape.var(3.0);
    let y = x * square_in_scope(x);
    let recorded = tape.len() - before;
    println!("  {scope:<32} {:>2} {:>6} {recorded:>9}", y.value(), y.backward().wrt(x));
}
