//! Checks what scopes do to MLX's own switch (guarantee 13). The test in `mlx/native_switch.rs` builds it with an MLX that has one.

use grad_runtime::prelude::*;
use grad_runtime::{Mlx, Result, Scope, enable_grad, installed, mlx, no_grad};

/// Returns whether MLX's switch is on for this thread.
fn switch() -> bool {
    let switch = installed().find(|backend| backend.name() == "mlx-switch").expect("this MLX has a switch");
    switch.grad_mode().is_enabled()
}

#[no_grad]
fn annotated() -> bool {
    switch()
}

fn main() -> Result<()> {
    // The code of a user is the same with a switch and without.
    let x = mlx::Array::scalar(3.0_f32)?;
    assert!(switch(), "loading MLX leaves its switch on");
    assert!(!no_grad!(switch()));
    assert!(!annotated());
    assert!(no_grad!(enable_grad!(switch())));
    assert!(!no_grad!(<Mlx> switch()), "a selective scope switches it too");
    assert!(no_grad!(std::thread::scope(|threads| threads.spawn(switch).join().unwrap())), "guarantee 1");
    assert!(std::panic::catch_unwind(|| no_grad!(std::panic::resume_unwind(Box::new(())))).is_err());
    assert!(switch(), "guarantee 2");

    // Other code switched it off. Scopes switch it, and restore that.
    let native = installed().find(|backend| backend.name() == "mlx-switch").expect("this MLX has a switch");
    native.set_grad_mode(GradMode::NoGrad);
    assert!(enable_grad!(switch()));
    drop(Scope::NoGrad.enter());
    assert!(!switch(), "guarantee 11");
    native.set_grad_mode(GradMode::Enabled);

    // A transform started in a scope runs with the switch on, and restores it.
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
