//! A text classifier: a linear head on an encoder, which a scope can freeze.

use anyhow::Result;
use grad_examples::minilm::{Batch, HIDDEN, MiniLm};
use grad_runtime::attr::no_grad;
use grad_runtime::{Array, Dtype, Params, random};

/// Makes features of tokenized texts.
pub trait Encoder<A: Array>: Params<A> + Clone {
    /// Returns the features of each text, shape `[texts, features]`, in the grad mode of the caller.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    fn forward(&self, texts: &[&[u32]]) -> Result<A>;
}

/// all-MiniLM-L6-v2 with parameters that can be trained.
#[derive(Debug, Clone, Params)]
pub struct TrainableMiniLm<A: Array> {
    parameters: Vec<A>,
    /// Makes models of parameters. Its own are zeros without memory, since those that were read would otherwise stay in
    /// memory beside the trained ones.
    #[params(skip)]
    template: MiniLm<A>,
}

impl<A: Array> TrainableMiniLm<A> {
    /// Takes the parameters of a model.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn new(model: &MiniLm<A>) -> Result<Self> {
        let parameters = model.parameters().to_vec();
        let zero = A::zeros(&[], Dtype::Float32)?;
        let zeros = parameters.iter().map(|parameter| zero.broadcast_to(&parameter.shape()));
        let template = model.with_parameters(&zeros.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Self { parameters, template })
    }
}

impl<A: Array> Encoder<A> for TrainableMiniLm<A> {
    fn forward(&self, texts: &[&[u32]]) -> Result<A> {
        Ok(self.template.with_parameters(&self.parameters)?.forward(&Batch::new(texts)?)?)
    }
}

/// A linear layer, as `torch.nn.Linear`.
#[derive(Debug, Clone, Params)]
pub struct Linear<A: Array> {
    /// Shape `[outputs, inputs]`.
    pub weight: A,
    /// Shape `[outputs]`.
    pub bias: A,
}

impl<A: Array> Linear<A> {
    /// Draws weights as `PyTorch` does.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn new(inputs: usize, outputs: usize, key: &A) -> grad_runtime::Result<Self> {
        #[expect(clippy::cast_precision_loss, reason = "layers are small")]
        let bound = 1.0 / (inputs as f64).sqrt();
        let [weight, bias] = random::split_into(key)?;
        Ok(Self {
            weight: random::uniform(-bound, bound, &[outputs, inputs], Dtype::Float32, &weight)?,
            bias: random::uniform(-bound, bound, &[outputs], Dtype::Float32, &bias)?,
        })
    }

    /// Returns `x W^T + b`.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn forward(&self, x: &A) -> grad_runtime::Result<A> {
        x.matmul(&self.weight.swapaxes(0, 1)?)?.add(&self.bias)
    }
}

/// A linear head on an encoder.
#[derive(Debug, Clone, Params)]
pub struct Classifier<A: Array, E> {
    /// The encoder.
    pub encoder: E,
    /// The head, which maps features to the logits of the classes.
    pub head: Linear<A>,
}

impl<A: Array, E: Encoder<A>> Classifier<A, E> {
    /// Puts a new head on an encoder.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn new(encoder: E, features: usize, classes: usize, seed: u64) -> Result<Self> {
        Ok(Self { encoder, head: Linear::new(features, classes, &random::key(seed)?)? })
    }

    /// Returns the logits of each text, shape `[texts, classes]`. Gradient reaches the head and the encoder.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn forward(&self, texts: &[&[u32]]) -> Result<A> {
        Ok(self.head.forward(&self.encoder.forward(texts)?)?)
    }

    /// Returns the same logits. Gradient reaches the head alone.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn forward_frozen(&self, texts: &[&[u32]]) -> Result<A> {
        Ok(self.head.forward(&self.features(texts)?)?)
    }

    /// Runs the encoder as a constant: nothing is recorded, so nothing is kept for a backward pass, and none runs. Returns the
    /// features of each text, shape `[texts, features]`.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    #[no_grad]
    pub fn features(&self, texts: &[&[u32]]) -> Result<A> {
        self.encoder.forward(texts)
    }
}

impl<A: Array> Classifier<A, TrainableMiniLm<A>> {
    /// Puts a new head on all-MiniLM-L6-v2.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn on_minilm(model: &MiniLm<A>, classes: usize, seed: u64) -> Result<Self> {
        Self::new(TrainableMiniLm::new(model)?, HIDDEN, classes, seed)
    }
}
