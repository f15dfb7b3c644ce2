//! A program outside the workspace, which depends on the packages as they would be published.

use grad_runtime::{no_grad, prelude::*};

#[grad_runtime::attr::no_grad]
fn evaluate() -> bool {
    is_grad_enabled()
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
fn gradients<A: Array>() -> Result<()> {
    let x = [A::scalar(3.0_f32)?];
    let scope = A::grad(|x| x[0].multiply(&no_grad! { x[0].square()? }), &x)?;
    assert_eq!(scope[0].item::<f32>()?, 9.0);
    let recorded = A::grad(|x| x[0].multiply(&x[0].square()?), &x)?;
    assert_eq!(recorded[0].item::<f32>()?, 27.0);
    println!("gradients in and out of a scope: {}", std::any::type_name::<A>());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    assert!(!evaluate());
    assert!(!no_grad! { is_grad_enabled() });
    assert!(is_grad_enabled());
    println!("scopes");
    #[cfg(feature = "cpu")]
    gradients::<grad_runtime::cpu::Array>()?;
    #[cfg(feature = "mlx")]
    gradients::<grad_runtime::mlx::Array>()?;
    Ok(())
}
