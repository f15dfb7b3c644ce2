//! Prints how long calls of a compiled function take: the first one, which traces the function, those after it, and the first one
//! for another shape and in another grad mode. Beside it, the function itself.
//!
//! MLX keeps the kernels that it builds in the folder for temporary files. With an empty one, as in
//! `TMPDIR=$(mktemp -d) cargo run --release -p grad-tests --bin mlx-first-call`, the first call builds them.

use std::time::{Duration, Instant};

use grad_runtime::mlx::{self, Array};
use grad_runtime::{Dtype, Result, no_grad};

/// A layer with elementwise operations that MLX can fuse.
fn layer(x: &[Array]) -> Result<Vec<Array>> {
    let y = x[0].matmul(&x[1])?;
    Ok(vec![y.multiply(&y.sigmoid()?)?.add(&x[0])?.tanh()?])
}

fn inputs(rows: usize) -> Result<[Array; 2]> {
    let inputs = [Array::ones(&[rows, 64], Dtype::Float32)?, Array::ones(&[64, 64], Dtype::Float32)?];
    mlx::eval(&inputs)?;
    Ok(inputs)
}

/// Returns how long `call` takes with the evaluation of its result.
fn time(call: impl FnOnce() -> Result<Vec<Array>>) -> Result<Duration> {
    let start = Instant::now();
    mlx::eval(&call()?)?;
    Ok(start.elapsed())
}

/// Returns the median time of 101 calls.
fn median(mut call: impl FnMut() -> Result<Vec<Array>>) -> Result<Duration> {
    let mut times = (0..101).map(|_| time(&mut call)).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[50])
}

fn main() -> Result<()> {
    let (x, longer) = (inputs(64)?, inputs(65)?);
    println!("the function itself, first call: {:?}", time(|| layer(&x))?);
    println!("the function itself, median: {:?}", median(|| layer(&x))?);
    let compiled = mlx::compile(layer);
    println!("compiled, first call: {:?}", time(|| compiled.call(&x))?);
    println!("compiled, median: {:?}", median(|| compiled.call(&x))?);
    println!("compiled, first call with another shape: {:?}", time(|| compiled.call(&longer))?);
    println!("compiled, first call in no_grad: {:?}", time(|| no_grad!(compiled.call(&x)))?);
    let again = mlx::compile(layer);
    println!("compiled anew, first call: {:?}", time(|| again.call(&x))?);
    Ok(())
}
