//! Repeats all uses of the binding: operations, errors, and transforms that succeed, fail and panic, nested and in scopes.
//! Prints by how many bytes MLX's active memory has grown.

use std::panic::{AssertUnwindSafe, catch_unwind};

use grad_runtime::mlx::Array as Mlx;
use grad_runtime::{Dtype, Error, Result, mlx, no_grad};

fn loss(weight: &Mlx, x: &Mlx) -> Result<Mlx> {
    let hidden = x.matmul(weight)?.gelu()?;
    let target = no_grad!(hidden.softmax(-1)?);
    hidden.subtract(&target)?.square()?.mean_all()
}

fn step(weight: &Mlx, x: &Mlx) -> Result<Mlx> {
    let (value, gradients) = Mlx::value_and_grad(|weights| loss(&weights[0], x), std::slice::from_ref(weight))?;
    let weight = weight.subtract(&gradients[0].multiply(&Mlx::scalar(0.01_f32)?)?)?;
    weight.eval()?;
    assert!(value.item::<f32>()?.is_finite());

    assert!(x.matmul(x).is_err());
    assert!(x.take(&Mlx::scalar(99_u32)?, 0).is_err());
    assert!(Mlx::ones(&[2], Dtype::Int32)?.add(&Mlx::ones(&[3], Dtype::Int32)?).is_err());
    let primals = std::slice::from_ref(&weight);
    let failed: Result<_> = Mlx::value_and_grad(|_| Err(Error::InferenceMode { transform: "a test" }), primals);
    assert!(failed.is_err());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        Mlx::value_and_grad(
            |weights| -> Result<Mlx> {
                let square = weights[0].square()?;
                std::panic::resume_unwind(Box::new(square.size()));
            },
            primals,
        )
    }));
    assert!(panicked.is_err());
    let second = Mlx::grad(|outer| Mlx::grad(|inner| loss(&inner[0], x), outer)?[0].sum_all(), primals)?;
    second[0].eval()?;
    use_stored_functions(&weight, x)?;
    Ok(weight)
}

/// Uses each kind of object that stores a function: under other transforms, in scopes, with a function that fails. Drops some
/// results unevaluated.
fn use_stored_functions(weight: &Mlx, x: &Mlx) -> Result<()> {
    let layer = || {
        let captured = x.clone();
        move |weights: &[Mlx]| Ok(vec![loss(&weights[0], &captured)?])
    };
    let checkpoint = mlx::checkpoint(layer());
    let custom = mlx::custom_function(layer())
        .vjp(|primals, cotangents, outputs| Ok(vec![primals[0].multiply(&cotangents[0])?.multiply(&outputs[0])?]));
    let failing = mlx::custom_function(layer()).vjp(|primals, _, _| Ok(vec![primals[0].sum_all()?]));
    let compiled = mlx::compile(layer());
    let weights = std::slice::from_ref(weight);
    for f in [
        &(|weights: &[Mlx]| checkpoint.call(weights)) as &dyn Fn(&[Mlx]) -> Result<Vec<Mlx>>,
        &|weights| custom.call(weights),
        &|weights| compiled.call(weights),
    ] {
        f(weights)?[0].eval()?;
        no_grad!(f(weights)?)[0].eval()?;
        Mlx::grad(|weights| Ok::<_, Error>(f(weights)?.swap_remove(0)), weights)?[0].eval()?;
        let _unevaluated = no_grad!(Mlx::grad(|weights| Ok::<_, Error>(f(weights)?.swap_remove(0)), weights)?);
        mlx::jvp(f, weights, weights)?.1[0].eval()?;
        let batch = Mlx::concatenate(&[weight.expand_dims(0)?, weight.expand_dims(0)?], 0)?;
        let of_each = |weights: &[Mlx]| Mlx::grad(|weights| Ok::<_, Error>(f(weights)?.swap_remove(0)), weights);
        mlx::vmap(of_each, &[batch], &[Some(0)], &[0])?[0].eval()?;
    }
    assert!(Mlx::grad(|weights| Ok::<_, Error>(failing.call(weights)?.swap_remove(0)), weights).is_err());
    Ok(())
}

fn main() -> Result<()> {
    let steps: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100);
    let x = Mlx::from_slice(&[0.5_f32, -1.0, 1.5, 0.25, -0.75, 1.0], &[2, 3])?;
    let mut weight = step(&Mlx::ones(&[3, 4], Dtype::Float32)?, &x)?;
    let before = mlx::active_memory()?;
    for _ in 0..steps {
        weight = step(&weight, &x)?;
    }
    let after = mlx::active_memory()?;
    println!("{steps} steps, {} bytes more than before", after.cast_signed() - before.cast_signed());
    Ok(())
}
