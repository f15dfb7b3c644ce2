//! Computes with one model on 8 threads at once, checks that each gets what one thread alone gets, and prints the most bytes that
//! MLX held meanwhile beside those of the model. It is a program because MLX counts the memory of the whole process.
//!
//! `.ci/run` also runs it under helgrind, whose report races.py reads.

use std::thread;

use grad_runtime::mlx::{self, Array as Mlx};
use grad_runtime::{Array, Dtype, Params, Result, params};

const THREADS: u8 = 8;
const LAYERS: usize = 4;
const WIDTH: usize = 512;

#[derive(Params)]
struct Model<A: Array> {
    layers: Vec<(A, A)>,
}

impl<A: Array> Model<A> {
    /// Makes a model whose arrays are the results of `make`, which is given the layer, the shape and the dtype.
    fn new(make: impl Fn(usize, &[usize], Dtype) -> Result<A>) -> Result<Self> {
        let layer = |at| Ok((make(at, &[WIDTH, WIDTH], Dtype::Float32)?, make(at, &[WIDTH], Dtype::Float32)?));
        Ok(Self { layers: (0..LAYERS).map(layer).collect::<Result<_>>()? })
    }

    fn zeros() -> Result<Self> {
        Self::new(|_, shape, dtype| A::zeros(shape, dtype))
    }

    fn forward(&self, x: &A) -> Result<A> {
        self.layers.iter().try_fold(x.clone(), |x, (weight, bias)| x.matmul(weight)?.add(bias)?.tanh())
    }
}

/// Returns numbers that differ from layer to layer and within each.
fn spread(at: usize) -> f32 {
    let remainder = u16::try_from(at * 31 % 1009).expect("a remainder is small");
    (f32::from(remainder) - 504.0) / 8192.0
}

/// Returns what the model computes for a request.
fn answer(model: &Model<Mlx>, request: u8) -> Result<Vec<f32>> {
    model.forward(&Mlx::full(&[1, WIDTH], f32::from(request) / 8.0, Dtype::Float32)?)?.to_vec()
}

fn main() -> Result<()> {
    let requests: u8 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(20);
    let before = mlx::active_memory()?;
    let model: Model<Mlx> = Model::new(|layer, shape, _| {
        let count: usize = shape.iter().product();
        let elements: Vec<f32> = (layer..).map(spread).take(count).collect();
        Mlx::from_slice(&elements, shape)
    })?;
    let alone: Vec<_> = (0..requests).map(|request| answer(&model, request)).collect::<Result<_>>()?;
    let shared = params::share(&model)?;
    let of_model = mlx::active_memory()? - before;

    mlx::reset_peak_memory()?;
    thread::scope(|threads| {
        let workers = [(); THREADS as usize].map(|()| {
            threads.spawn(|| {
                let model = shared.open(&Model::zeros()?)?;
                (0..requests).map(|request| answer(&model, request)).collect::<Result<Vec<_>>>()
            })
        });
        for worker in workers {
            assert!(worker.join().expect("no thread panics").unwrap() == alone);
        }
    });
    let most = mlx::peak_memory()? - before;

    drop(model);
    drop(shared);
    println!("model: {of_model}");
    println!("{THREADS} threads: {most}");
    println!("afterwards: {}", mlx::active_memory()? - before);
    Ok(())
}
