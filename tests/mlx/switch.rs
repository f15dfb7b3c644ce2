//! A program that says what scopes do to MLX's own switch, for the test of law 13: it is built with an MLX that has one.

use grad_runtime::prelude::*;
use grad_runtime::{Mlx, Result, Scope, enable_grad, installed, mlx, no_grad};

/// Whether MLX's switch is on, on this thread.
fn switch() -> bool {
    let switch = installed().find(|backend| backend.name() == "mlx-switch").expect("this MLX has a switch");
    switch.grad_mode().is_enabled()
}

#[no_grad]
fn annotated() -> bool {
    switch()
}

fn main() -> Result<()> {
    // What a user writes is the same with a switch and without.
    let x = mlx::Array::scalar(3.0_f32)?;
    assert!(switch(), "loading MLX leaves its switch on");
    assert!(!no_grad!(switch()));
    assert!(!annotated());
    assert!(no_grad!(enable_grad!(switch())));
    assert!(!no_grad!(<Mlx> switch()), "a selective scope turns it too");
    assert!(no_grad!(std::thread::scope(|threads| threads.spawn(switch).join().unwrap())), "law 1");
    assert!(std::panic::catch_unwind(|| no_grad!(std::panic::resume_unwind(Box::new(())))).is_err());
    assert!(switch(), "law 2");

    // Somebody else turned it off: that is what they find afterwards, and in between our scopes decide.
    let theirs = installed().find(|backend| backend.name() == "mlx-switch").expect("this MLX has a switch");
    theirs.set_grad_mode(GradMode::NoGrad);
    assert!(enable_grad!(switch()));
    drop(Scope::NoGrad.enter());
    assert!(!switch(), "law 11");
    theirs.set_grad_mode(GradMode::Enabled);

    // A transform started in a scope runs with the switch on, and gives back what it found.
    let product = |x: &[mlx::Array]| {
        assert!(switch());
        let constant = no_grad! {
            assert!(!switch());
            x[0].square()?
        };
        x[0].multiply(&constant)
    };
    let gradients = no_grad! {
        let gradients = mlx::Array::grad(product, &[x])?;
        assert!(!switch());
        gradients
    };
    println!("{:?}", gradients[0].to_vec::<f32>()?);
    Ok(())
}
