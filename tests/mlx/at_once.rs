//! Several threads that each train with arrays of their own, all at once: for the race detector (`races.py`), and as a
//! test that they come to the same weights as one thread alone.

use std::thread;

use grad_runtime::mlx::Array as Mlx;
use grad_runtime::{Dtype, Result, mlx, no_grad};

fn train(steps: usize) -> Result<Vec<f32>> {
    let x = Mlx::from_slice(&[0.5_f32, -1.0, 1.5, 0.25, -0.75, 1.0], &[2, 3])?;
    let rate = Mlx::scalar(0.01_f32)?;
    let layer = mlx::checkpoint(|x| Ok(vec![x[0].matmul(&x[1])?.gelu()?]));
    let update = mlx::compile(|x| Ok(vec![x[0].subtract(&x[1].multiply(&x[2])?)?]));
    let mut weight = Mlx::ones(&[3, 4], Dtype::Float32)?;
    for _ in 0..steps {
        let loss = |weights: &[Mlx]| {
            let hidden = layer.call(&[x.clone(), weights[0].clone()])?.remove(0);
            let target = no_grad!(hidden.softmax(-1)?);
            hidden.subtract(&target)?.square()?.mean_all()
        };
        let gradient = Mlx::grad(loss, std::slice::from_ref(&weight))?.remove(0);
        weight = update.call(&[weight, gradient, rate.clone()])?.remove(0);
        mlx::async_eval(std::slice::from_ref(&weight))?;
    }
    weight.to_vec()
}

fn main() -> Result<()> {
    let steps: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100);
    let alone = train(steps)?;
    thread::scope(|threads| {
        let others = [(); 3].map(|()| threads.spawn(|| train(steps)));
        for other in others {
            assert_eq!(other.join().expect("no thread panics").unwrap(), alone);
        }
    });
    println!("3 threads, {steps} steps, the weights of one thread alone");
    Ok(())
}
