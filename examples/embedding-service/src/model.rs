//! The model: one copy of the weights, which each worker opens on its own thread.

use std::sync::Arc;

use anyhow::Result;
use grad_examples::embedder::{self, Choice, Device};
use grad_examples::model_files::ModelFiles;
#[cfg(any(feature = "cpu", feature = "mlx"))]
use {
    anyhow::{Context, ensure},
    grad_examples::minilm::{Batch, Encoder, MiniLm},
    grad_examples::tokenize::Tokenizer,
    grad_runtime::Array,
    grad_runtime::params::{self, SharedParams},
    std::io::Cursor,
};

/// The name of the model in requests and responses.
pub const MODEL_NAME: &str = "all-MiniLM-L6-v2";

/// The length of a vector.
pub const DIMENSIONS: usize = 384;

/// The embedding of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// A unit vector, so the dot product of two is their cosine.
    pub vector: Vec<f32>,
    /// The number of tokens that were embedded, including `[CLS]` and `[SEP]`.
    pub tokens: usize,
}

/// A model that any number of workers can open.
pub trait SharedModel: Send + Sync {
    /// Returns the backend and its device, such as `mlx on gpu`.
    fn backend(&self) -> &str;

    /// Opens the model on the thread that calls it.
    ///
    /// # Errors
    ///
    /// If the backend is not available on this thread.
    fn open(&self) -> Result<Box<dyn Model>>;
}

/// A model of one thread. With MLX its arrays cannot leave the thread.
pub trait Model {
    /// Returns the embedding of each text, in the grad mode of the caller.
    ///
    /// # Errors
    ///
    /// If the tokenizer or the backend rejects a text.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>>;
}

/// Loads all-MiniLM-L6-v2 on a backend and shares its weights.
///
/// # Errors
///
/// If that backend or device is not available, with the reason, or the model is damaged.
#[cfg_attr(not(any(feature = "cpu", feature = "mlx")), expect(unused_variables, reason = "there is no backend"))]
pub fn load(choice: Choice, device: Option<Device>, files: &ModelFiles) -> Result<Arc<dyn SharedModel>> {
    match embedder::backend(choice, device)? {
        #[cfg(feature = "cpu")]
        embedder::Backend::Cpu => share::<grad_runtime::cpu::Array>("cpu".into(), files),
        #[cfg(feature = "mlx")]
        embedder::Backend::Mlx(name) => share::<grad_runtime::mlx::Array>(name, files),
    }
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
fn share<A: Array>(backend: String, files: &ModelFiles) -> Result<Arc<dyn SharedModel>> {
    let model = MiniLm::<A>::from_safetensors(Cursor::new(&files.weights))
        .with_context(|| format!("cannot load the model on {backend}"))?;
    let tokenizer = Arc::new(Tokenizer::from_json(&files.tokenizer)?);
    Ok(Arc::new(SharedMiniLm { backend, tokenizer, weights: params::share(&model.into_encoder())? }))
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
struct SharedMiniLm<A: Array> {
    backend: String,
    tokenizer: Arc<Tokenizer>,
    weights: SharedParams<A>,
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> SharedModel for SharedMiniLm<A> {
    fn backend(&self) -> &str {
        &self.backend
    }

    fn open(&self) -> Result<Box<dyn Model>> {
        let encoder = self.weights.open(&Encoder::template()?)?;
        Ok(Box::new(OpenMiniLm { tokenizer: Arc::clone(&self.tokenizer), encoder }))
    }
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
struct OpenMiniLm<A: Array> {
    tokenizer: Arc<Tokenizer>,
    encoder: Encoder<A>,
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Model for OpenMiniLm<A> {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>> {
        let tokens = self.tokenizer.tokens(texts)?;
        let embeddings = self.encoder.forward(&Batch::new(&tokens)?)?;
        ensure!(!embeddings.is_traced(), "cannot return embeddings: a transform traces them");
        let vectors = embeddings.to_vec::<f32>()?;
        let rows = vectors.chunks_exact(DIMENSIONS).zip(&tokens);
        Ok(rows.map(|(row, tokens)| Embedding { vector: row.to_vec(), tokens: tokens.len() }).collect())
    }
}
