//! all-MiniLM-L6-v2, generic over the backend: a BERT encoder, mean pooling and normalization to unit length.
//!
//! 101 of the 104 tensors in the model's file are used. The others are `embeddings.position_ids`, the numbers from 0 to 511,
//! and `pooler.dense.weight` and `pooler.dense.bias`, a head that sentence embeddings do not use.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use grad_runtime::attr::no_grad;
use grad_runtime::{Array, Dtype, Params, Result, params};
use safetensors::tensor::{Metadata, TensorInfo};

use crate::model_files::open_regular;
use crate::printable::Printable;

/// The length of an embedding.
pub const HIDDEN: usize = 384;
const HEADS: usize = 12;
const HEAD: usize = HIDDEN / HEADS;
const INTERMEDIATE: usize = 4 * HIDDEN;
const LAYERS: usize = 6;
const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
const TOKEN_TYPES: usize = 2;
const LAYER_NORM_EPS: f32 = 1e-12;

/// Added to the attention score of a padded position, so that its weight after softmax is zero.
const MASKED: f32 = -1e9;

/// Names in the model's file and shapes of the parameters before the layers.
const EMBEDDINGS: [(&str, &[usize]); 5] = [
    ("word_embeddings.weight", &[VOCABULARY, HIDDEN]),
    ("position_embeddings.weight", &[POSITIONS, HIDDEN]),
    ("token_type_embeddings.weight", &[TOKEN_TYPES, HIDDEN]),
    ("LayerNorm.weight", &[HIDDEN]),
    ("LayerNorm.bias", &[HIDDEN]),
];

/// Names and shapes of the parameters of one layer. Weights of dense layers have shape `[outputs, inputs]`.
const LAYER: [(&str, &[usize]); 16] = [
    ("attention.self.query.weight", &[HIDDEN, HIDDEN]),
    ("attention.self.query.bias", &[HIDDEN]),
    ("attention.self.key.weight", &[HIDDEN, HIDDEN]),
    ("attention.self.key.bias", &[HIDDEN]),
    ("attention.self.value.weight", &[HIDDEN, HIDDEN]),
    ("attention.self.value.bias", &[HIDDEN]),
    ("attention.output.dense.weight", &[HIDDEN, HIDDEN]),
    ("attention.output.dense.bias", &[HIDDEN]),
    ("attention.output.LayerNorm.weight", &[HIDDEN]),
    ("attention.output.LayerNorm.bias", &[HIDDEN]),
    ("intermediate.dense.weight", &[INTERMEDIATE, HIDDEN]),
    ("intermediate.dense.bias", &[INTERMEDIATE]),
    ("output.dense.weight", &[HIDDEN, INTERMEDIATE]),
    ("output.dense.bias", &[HIDDEN]),
    ("output.LayerNorm.weight", &[HIDDEN]),
    ("output.LayerNorm.bias", &[HIDDEN]),
];

/// Returns the name and shape of every parameter, in the order of [`MiniLm::parameters`].
fn specification() -> impl Iterator<Item = (String, &'static [usize])> {
    let embeddings = EMBEDDINGS.iter().map(|(name, shape)| (format!("embeddings.{name}"), *shape));
    let layers = (0..LAYERS)
        .flat_map(|layer| LAYER.iter().map(move |(name, shape)| (format!("encoder.layer.{layer}.{name}"), *shape)));
    embeddings.chain(layers)
}

/// A batch of tokenized texts, padded to one length.
#[derive(Debug, Clone)]
pub struct Batch {
    tokens: Vec<u32>,
    lengths: Vec<usize>,
    /// The number of tokens in a row.
    padded: usize,
}

impl Batch {
    /// Makes a batch of texts, each given by its token ids, including `[CLS]` and `[SEP]`. They are padded to the longest.
    ///
    /// # Errors
    ///
    /// If there are no texts, or a text has no tokens or more than 512, the number of the model's positions.
    pub fn new<T: AsRef<[u32]>>(texts: &[T]) -> anyhow::Result<Self> {
        Self::padded_to_multiple(texts, 1)
    }

    /// Makes a batch of texts that are padded to the longest, and further to a multiple of `step` tokens. A compiled function is
    /// traced for each shape, of which there are fewer this way.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// If `step` is 0.
    pub fn padded_to_multiple<T: AsRef<[u32]>>(texts: &[T], step: usize) -> anyhow::Result<Self> {
        let lengths = texts.iter().map(|tokens| tokens.as_ref().len()).collect::<Vec<_>>();
        let longest = lengths.iter().copied().max().context("cannot make a batch: there are no texts")?;
        ensure!(!lengths.contains(&0), "cannot make a batch: a text has no tokens; each has [CLS] and [SEP]");
        ensure!(
            longest <= POSITIONS,
            "cannot make a batch: a text has {longest} tokens; the model has {POSITIONS} positions"
        );
        let padded = longest.next_multiple_of(step).min(POSITIONS);
        let mut tokens = vec![0; texts.len() * padded];
        for (row, text) in tokens.chunks_exact_mut(padded).zip(texts) {
            row[..text.as_ref().len()].copy_from_slice(text.as_ref());
        }
        Ok(Self { tokens, lengths, padded })
    }

    /// Returns the number of texts.
    #[must_use]
    pub fn size(&self) -> usize {
        self.lengths.len()
    }

    /// Returns the arrays that the model computes with.
    ///
    /// # Errors
    ///
    /// If the backend is not available.
    pub fn inputs<A: Array>(&self) -> Result<Inputs<A>> {
        Ok(Inputs {
            tokens: A::from_slice(&self.tokens, &[self.size(), self.padded])?,
            attention_bias: self.attention_bias()?,
            pooling: self.pooling()?,
        })
    }

    /// Returns an array with a row for each text: `real` of the text's length at its tokens, `padding` elsewhere.
    fn rows<A: Array>(&self, shape: &[usize], real: impl Fn(f32) -> f32, padding: f32) -> Result<A> {
        let mut rows = vec![padding; self.tokens.len()];
        for (row, &length) in rows.chunks_exact_mut(self.padded).zip(&self.lengths) {
            #[expect(clippy::cast_precision_loss, reason = "a length is at most 512")]
            row[..length].fill(real(length as f32));
        }
        A::from_slice(&rows, shape)
    }

    /// Returns the bias of the attention scores, shape `[texts, 1, 1, tokens]`, or `None` if no text is padded.
    fn attention_bias<A: Array>(&self) -> Result<Option<A>> {
        if self.lengths.iter().all(|&length| length == self.padded) {
            return Ok(None);
        }
        self.rows(&[self.size(), 1, 1, self.padded], |_| 0.0, MASKED).map(Some)
    }

    /// Returns the weight of each token in its text's mean, shape `[texts, 1, tokens]`.
    fn pooling<A: Array>(&self) -> Result<A> {
        self.rows(&[self.size(), 1, self.padded], |length| 1.0 / length, 0.0)
    }
}

/// A batch as arrays, which a compiled function takes as its argument.
#[derive(Debug, Clone, Params)]
pub struct Inputs<A: Array> {
    /// `[texts, tokens]`, uint32.
    tokens: A,
    /// Added to the attention scores: `[texts, 1, 1, tokens]`, float32, or `None` if no text is padded.
    attention_bias: Option<A>,
    /// The weight of each token in its text's mean: `[texts, 1, tokens]`, float32.
    pooling: A,
}

impl<A: Array> Inputs<A> {
    /// Returns the number of texts and of tokens in each.
    fn size(&self) -> [usize; 2] {
        self.tokens.shape().try_into().expect("tokens have two axes")
    }
}

/// The model, with its parameters on the backend of `A`.
#[derive(Debug, Clone)]
pub struct MiniLm<A: Array> {
    parameters: Vec<A>,
    encoder: Encoder<A>,
}

impl<A: Array> MiniLm<A> {
    /// Reads `model.safetensors` in `dir`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or [`from_safetensors`](Self::from_safetensors) rejects it.
    pub fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("model.safetensors");
        let shown = Printable(path.display());
        let file = open_regular(&path).with_context(|| format!("cannot read the model {shown}"))?;
        Self::from_safetensors(file).with_context(|| format!("cannot load all-MiniLM-L6-v2 from {shown}"))
    }

    /// Reads the parameters from a safetensors file.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or lacks a parameter, or one has another shape or dtype.
    pub fn from_safetensors(file: impl Read + Seek) -> anyhow::Result<Self> {
        const DAMAGED: &str = "cannot read the safetensors file: it is damaged";

        let mut file = Tensors::open(file).context(DAMAGED)?;
        let parameters = specification()
            .map(|(name, shape)| {
                let tensor = file.metadata.info(&name);
                let tensor = tensor.with_context(|| format!("cannot find tensor {name} in the file"))?.clone();
                if tensor.dtype != safetensors::Dtype::F32 || tensor.shape != shape {
                    bail!(
                        "cannot use tensor {name}: it is {:?}{:?}; expected F32{shape:?}",
                        tensor.dtype,
                        tensor.shape
                    );
                }
                Ok(A::from_slice(&file.elements(&tensor).context(DAMAGED)?, shape)?)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let model = Self::new(parameters)?;
        // A lazy backend would otherwise compute the arrays derived from parameters in each forward pass.
        params::eval(&model.encoder)?;
        Ok(model)
    }

    /// Returns the names of the parameters in the model's file, in the order of [`parameters`](Self::parameters).
    #[must_use]
    pub fn parameter_names() -> Vec<String> {
        specification().map(|(name, _)| name).collect()
    }

    /// Returns the parameters, with the values of the model's file.
    #[must_use]
    pub fn parameters(&self) -> &[A] {
        &self.parameters
    }

    /// Returns the same model with other parameters, in the order of [`parameters`](Self::parameters). With the primals of a
    /// transform, each of them receives a gradient.
    ///
    /// # Errors
    ///
    /// If the number of parameters or a shape is wrong.
    pub fn with_parameters(&self, parameters: &[A]) -> anyhow::Result<Self> {
        Self::new(parameters.to_vec())
    }

    /// Returns the model with parameters of another floating point dtype, in which it then computes. Embeddings stay float32.
    ///
    /// # Errors
    ///
    /// If the backend refuses the conversion.
    pub fn astype(&self, dtype: Dtype) -> anyhow::Result<Self> {
        let parameters = self.parameters.iter().map(|parameter| parameter.astype(dtype)).collect::<Result<_>>()?;
        let model = Self::new(parameters)?;
        params::eval(&model.encoder)?;
        Ok(model)
    }

    fn new(parameters: Vec<A>) -> anyhow::Result<Self> {
        let expected = EMBEDDINGS.len() + LAYERS * LAYER.len();
        let found = parameters.len();
        ensure!(found == expected, "cannot make the model from {found} parameters: it has {expected}");
        for (parameter, (name, shape)) in parameters.iter().zip(specification()) {
            let found = parameter.shape();
            ensure!(found == shape, "cannot use {name}: its shape is {found:?}; expected {shape:?}");
        }
        Ok(Self { encoder: Encoder::new(&parameters)?, parameters })
    }

    /// Returns the arrays that the forward pass reads, without the parameters that it reads only in derived form.
    #[must_use]
    pub fn into_encoder(self) -> Encoder<A> {
        self.encoder
    }

    /// Returns a unit vector for each text, shape `[texts, 384]`, and records nothing.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    #[no_grad]
    pub fn embed(&self, batch: &Batch) -> Result<A> {
        self.forward(batch)
    }

    /// Returns the vectors that [`embed`](Self::embed) returns, computed in the grad mode of the caller.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn forward(&self, batch: &Batch) -> Result<A> {
        self.encoder.forward(batch)
    }
}

/// The arrays that the forward pass reads, such as one matrix for the queries, keys and values of a layer.
///
/// As [`Params`] they can be shared with other threads by [`params::share`]. They are derived from the parameters, so a gradient
/// with respect to them is not that of the parameters: for training, use [`MiniLm::with_parameters`].
#[derive(Debug, Clone, Params)]
pub struct Encoder<A: Array> {
    embeddings: Embeddings<A>,
    layers: Vec<Layer<A>>,
}

impl<A: Array> Encoder<A> {
    /// Derives the arrays from the parameters of a model, which the caller has counted.
    fn new(parameters: &[A]) -> Result<Self> {
        let (embeddings, layers) = parameters.split_first_chunk().expect("the caller has counted the parameters");
        let (layers, _) = layers.as_chunks();
        Ok(Self {
            embeddings: Embeddings::new(embeddings)?,
            layers: layers.iter().map(Layer::new).collect::<Result<_>>()?,
        })
    }

    /// Returns a model of zeros, the template from which [`SharedParams::open`](params::SharedParams::open) takes the structure
    /// and the shapes. The parameters are broadcast scalars, so it needs less memory than a model.
    ///
    /// # Errors
    ///
    /// If the backend is not available.
    pub fn template() -> Result<Self> {
        let zero = A::zeros(&[], Dtype::Float32)?;
        let zeros = specification().map(|(_, shape)| zero.broadcast_to(shape)).collect::<Result<Vec<_>>>()?;
        Self::new(&zeros)
    }

    /// Returns a unit vector for each text, shape `[texts, 384]`, computed in the grad mode of the caller.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn forward(&self, batch: &Batch) -> Result<A> {
        self.embed(&batch.inputs()?)
    }

    /// Returns the vectors that [`forward`](Self::forward) returns. A compiled function calls this, since it depends on nothing but
    /// arrays and their shapes.
    ///
    /// # Errors
    ///
    /// If the backend refuses an operation.
    pub fn embed(&self, inputs: &Inputs<A>) -> Result<A> {
        let size = inputs.size();
        let mut hidden = self.embeddings.forward(&inputs.tokens, size)?;
        // The bias has the dtype of the scores, in which it may be an infinity.
        let attention_bias = inputs.attention_bias.as_ref().map(|bias| bias.astype(hidden.dtype())).transpose()?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, size, attention_bias.as_ref())?;
        }
        let hidden = hidden.reshape(&[size[0], size[1], HIDDEN])?.astype(Dtype::Float32)?;
        let mean = inputs.pooling.matmul(&hidden)?.squeeze(1)?;
        let norm = mean.square()?.sum(&[1], true)?.sqrt()?;
        mean.divide(norm.maximum(1e-12)?)
    }
}

/// Reads a safetensors file tensor by tensor; reading all of it at once would need the memory of a second model.
struct Tensors<R> {
    file: R,
    metadata: Metadata,
    /// The offset of the tensors in the file.
    begin: u64,
}

impl<R: Read + Seek> Tensors<R> {
    fn open(mut file: R) -> anyhow::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut header = [0; size_of::<u64>()];
        file.read_exact(&mut header)?;
        let header_length = u64::from_le_bytes(header);
        ensure!(header_length < length, "its header is truncated");
        let mut header = vec![0; usize::try_from(header_length)?];
        file.read_exact(&mut header)?;
        let metadata: Metadata = serde_json::from_slice(&header)?;
        let begin = file.stream_position()?;
        ensure!(
            begin + metadata.data_len() as u64 == length,
            "its header does not match its length of {length} bytes"
        );
        Ok(Self { file, metadata, begin })
    }

    /// Reads the elements of a float32 tensor.
    fn elements(&mut self, tensor: &TensorInfo) -> std::io::Result<Vec<f32>> {
        let (begin, end) = tensor.data_offsets;
        self.file.seek(SeekFrom::Start(self.begin + begin as u64))?;
        let mut elements = Vec::with_capacity((end - begin) / size_of::<f32>());
        let mut bytes = vec![0; 1 << 16];
        let mut rest = end - begin;
        while rest > 0 {
            let some = rest.min(bytes.len());
            self.file.read_exact(&mut bytes[..some])?;
            let (words, _) = bytes[..some].as_chunks();
            elements.extend(words.iter().copied().map(f32::from_le_bytes));
            rest -= some;
        }
        Ok(elements)
    }
}

// Hidden states have shape [texts · tokens, 384] between the layers, since products of two matrices are fastest.

#[derive(Debug, Clone, Params)]
struct Embeddings<A: Array> {
    words: A,
    /// Embeddings of positions, plus that of token type 0, which every token of a single sentence has.
    positions: A,
    norm: LayerNorm<A>,
}

impl<A: Array> Embeddings<A> {
    fn new([words, positions, token_types, weight, bias]: &[A; EMBEDDINGS.len()]) -> Result<Self> {
        Ok(Self {
            words: words.clone(),
            positions: positions.add(&token_types.slice(&[0, 0], &[1, HIDDEN])?)?,
            norm: LayerNorm::new(weight, bias),
        })
    }

    /// Returns the hidden states of `tokens`, which are `[texts, tokens]`.
    fn forward(&self, tokens: &A, [texts, length]: [usize; 2]) -> Result<A> {
        let positions = self.positions.slice(&[0, 0], &[length, HIDDEN])?;
        let hidden = self.words.take(tokens, 0)?.add(&positions)?;
        self.norm.forward(&hidden.reshape(&[texts * length, HIDDEN])?)
    }
}

#[derive(Debug, Clone, Params)]
struct Layer<A: Array> {
    query_key_value: Linear<A>,
    attention_output: Linear<A>,
    attention_norm: LayerNorm<A>,
    intermediate: Linear<A>,
    output: Linear<A>,
    output_norm: LayerNorm<A>,
}

impl<A: Array> Layer<A> {
    #[rustfmt::skip]
    fn new(
        [
            query_weight, query_bias, key_weight, key_bias, value_weight, value_bias,
            attention_weight, attention_bias, attention_norm_weight, attention_norm_bias,
            intermediate_weight, intermediate_bias, output_weight, output_bias,
            output_norm_weight, output_norm_bias,
        ]: &[A; LAYER.len()],
    ) -> Result<Self> {
        let weights = [query_weight.clone(), key_weight.clone(), value_weight.clone()];
        let biases = [query_bias.clone(), key_bias.clone(), value_bias.clone()];
        Ok(Self {
            query_key_value: Linear::new(&A::concatenate(&weights, 0)?, &A::concatenate(&biases, 0)?)?,
            attention_output: Linear::new(attention_weight, attention_bias)?,
            attention_norm: LayerNorm::new(attention_norm_weight, attention_norm_bias),
            intermediate: Linear::new(intermediate_weight, intermediate_bias)?,
            output: Linear::new(output_weight, output_bias)?,
            output_norm: LayerNorm::new(output_norm_weight, output_norm_bias),
        })
    }

    fn forward(&self, hidden: &A, size: [usize; 2], attention_bias: Option<&A>) -> Result<A> {
        let attended = self.attention_output.forward(&self.attend(hidden, size, attention_bias)?)?;
        let hidden = self.attention_norm.forward(&attended.add(hidden)?)?;
        let output = self.output.forward(&self.intermediate.forward(&hidden)?.gelu()?)?;
        self.output_norm.forward(&output.add(&hidden)?)
    }

    fn attend(&self, hidden: &A, [texts, tokens]: [usize; 2], attention_bias: Option<&A>) -> Result<A> {
        // [texts · tokens, 3 · 384] to [3, texts, heads, tokens, 32], which is then split into the three.
        let heads = self
            .query_key_value
            .forward(hidden)?
            .reshape(&[texts, tokens, 3, HEADS, HEAD])?
            .transpose(&[2, 0, 3, 1, 4])?;
        let part = |at: usize| heads.slice(&[at, 0, 0, 0, 0], &[at + 1, texts, HEADS, tokens, HEAD])?.squeeze(0);
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        #[expect(clippy::cast_precision_loss, reason = "it is 32")]
        let scale = 1.0 / (HEAD as f32).sqrt();
        let attended = query.scaled_dot_product_attention(&key, &value, scale, attention_bias)?;
        attended.transpose(&[0, 2, 1, 3])?.reshape(&[texts * tokens, HIDDEN])
    }
}

#[derive(Debug, Clone, Params)]
struct Linear<A: Array> {
    /// `[inputs, outputs]`: the parameter, transposed.
    weight: A,
    bias: A,
}

impl<A: Array> Linear<A> {
    fn new(weight: &A, bias: &A) -> Result<Self> {
        Ok(Self { weight: weight.transpose(&[1, 0])?.prepacked()?, bias: bias.clone() })
    }

    fn forward(&self, inputs: &A) -> Result<A> {
        self.bias.addmm(inputs, &self.weight, 1.0, 1.0)
    }
}

#[derive(Debug, Clone, Params)]
struct LayerNorm<A: Array> {
    weight: A,
    bias: A,
}

impl<A: Array> LayerNorm<A> {
    fn new(weight: &A, bias: &A) -> Self {
        Self { weight: weight.clone(), bias: bias.clone() }
    }

    fn forward(&self, hidden: &A) -> Result<A> {
        hidden.layer_norm(&self.weight, &self.bias, LAYER_NORM_EPS)
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, POSITIONS};

    #[test]
    fn batches_are_padded_to_a_multiple_within_the_positions() {
        let padded = |length: usize| {
            let batch = Batch::padded_to_multiple(&[vec![7; length], vec![8]], 24).unwrap();
            assert_eq!(batch.tokens[..length], vec![7; length]);
            assert_eq!(batch.tokens[length..batch.padded], vec![0; batch.padded - length]);
            assert_eq!((batch.tokens[batch.padded], batch.tokens.len()), (8, 2 * batch.padded));
            batch.padded
        };
        assert_eq!([1, 24, 25, 510].map(padded), [24, 24, 48, POSITIONS]);
    }
}
