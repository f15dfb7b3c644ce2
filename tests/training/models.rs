//! The layers of the training programs, with the names of PyTorch.

use grad_runtime::{Array, Params, Result};

/// `x W^T + b`, as `torch.nn.Linear`.
#[derive(Params, Clone, Debug)]
pub struct Linear<A: Array> {
    pub weight: A,
    pub bias: A,
}

impl<A: Array> Linear<A> {
    pub fn forward(&self, x: &A) -> Result<A> {
        x.matmul(&self.weight.transpose(&[1, 0])?)?.add(&self.bias)
    }
}

/// Linear layers with tanh between them.
#[derive(Params, Clone, Debug)]
pub struct Mlp<A: Array> {
    pub layers: Vec<Linear<A>>,
}

impl<A: Array> Mlp<A> {
    /// Returns the model of `reference.py` with layers of these sizes.
    pub fn new(phase: f64, sizes: &[usize]) -> Result<Self> {
        let layer = |(index, pair): (u32, &[usize])| {
            let phase = phase + f64::from(index);
            let weight = wave::<A>(phase, &[pair[1], pair[0]])?.multiply(0.5)?;
            let bias = wave::<A>(phase + 0.5, &[pair[1]])?.multiply(0.1)?;
            Ok(Linear { weight, bias })
        };
        Ok(Self { layers: (0..).zip(sizes.windows(2)).map(layer).collect::<Result<_>>()? })
    }

    pub fn forward(&self, x: &A) -> Result<A> {
        let (last, hidden) = self.layers.split_last().expect("a model has layers");
        let hidden = hidden.iter().try_fold(x.clone(), |x, layer| layer.forward(&x)?.tanh())?;
        last.forward(&hidden)
    }

    /// Returns the mean squared error of the outputs.
    pub fn squared_error(&self, x: &A, y: &A) -> Result<A> {
        self.forward(x)?.subtract(y)?.square()?.mean_all()
    }
}

/// Returns data that look irregular, without a random generator.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the data are float32")]
pub fn wave<A: Array>(phase: f64, shape: &[usize]) -> Result<A> {
    let size = shape.iter().product();
    let elements: Vec<f32> = (0..size).map(|index: usize| (0.7 * index as f64 + phase).sin() as f32).collect();
    A::from_slice(&elements, shape)
}
