//! Three steps of training in which a parameter receives no gradient, on the CPU fallback. `GRAD_EXPLAIN=1` explains it.

use grad_runtime::{Array, Params, Result, cpu, no_grad, params};

#[derive(Params)]
struct Model<A: Array> {
    encoder: A,
    head: A,
}

fn loss<A: Array>(model: &Model<A>, x: &A) -> Result<A> {
    let features = no_grad!(x.multiply(&model.encoder)?);
    features.multiply(&model.head)?.square()?.mean_all()
}

fn main() -> Result<()> {
    let x = cpu::Array::from_slice(&[1.0_f32, 2.0], &[2])?;
    let mut model = Model { encoder: x.clone(), head: x.clone() };
    for _ in 0..3 {
        let gradients = params::grad(|model| loss(model, &x), &model)?;
        model = model.zip_with(&gradients, |weight, gradient| weight.subtract(gradient))?;
    }
    Ok(())
}
