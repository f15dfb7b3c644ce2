//! Computes embeddings of texts, on a chosen backend.

use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
#[cfg(feature = "cpu")]
use grad_runtime::cpu;
#[cfg(feature = "mlx")]
use grad_runtime::mlx;
#[cfg(any(feature = "cpu", feature = "mlx"))]
use {
    crate::minilm::{Batch, HIDDEN, MiniLm},
    crate::tokenize::Tokenizer,
    anyhow::Context,
    grad_runtime::attr::no_grad,
    grad_runtime::{Array, Buffer},
    std::cmp::Reverse,
    std::io::Cursor,
};

use crate::model_files::ModelFiles;

/// The default batch size on the CPU: larger batches exceed the processor's caches.
#[cfg(feature = "cpu")]
const CPU_BATCH: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// The default batch size on MLX, large enough to use a GPU well.
#[cfg(feature = "mlx")]
const MLX_BATCH: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// The embedding of a text: a unit vector, so the dot product of two is their cosine.
pub type Vector = Vec<f32>;

/// The backend that computes the embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// MLX if it has a GPU, else the CPU fallback, which is faster than MLX on a CPU
    Auto,
    /// Apple's MLX
    Mlx,
    /// The CPU fallback
    Cpu,
}

/// The device that MLX computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The CPU
    Cpu,
    /// The GPU
    Gpu,
}

/// The options of a program that choose its backend.
#[derive(Debug, Clone, Copy, Args)]
pub struct BackendArgs {
    /// The backend that computes
    #[arg(long, value_enum, default_value = "auto")]
    pub backend: Choice,

    /// The device that MLX computes on [default: MLX's default, a GPU if there is one]
    #[arg(long, value_enum)]
    pub device: Option<Device>,
}

/// Computes embeddings of texts.
pub trait Embed {
    /// Returns the backend and its device, such as `mlx on gpu`.
    fn name(&self) -> &str;

    /// Returns an embedding for each text, in the order of the texts. Calls `progress` after each batch, with its number of
    /// texts.
    ///
    /// # Errors
    ///
    /// If the tokenizer or the backend rejects a text.
    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>>;

    /// Keeps vectors on the backend, for comparison with any number of queries. `vectors` contains the elements of one after the
    /// other, `length` of each. All are unit vectors.
    ///
    /// # Errors
    ///
    /// If the number of elements is not a multiple of `length`, or the backend has no memory for them.
    fn matrix(&self, vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>>;
}

/// Unit vectors on a backend.
pub trait Matrix {
    /// Returns the cosine of the angle between `query`, a unit vector, and each vector: one matrix-vector product.
    ///
    /// # Errors
    ///
    /// If the vectors do not have the length of `query`.
    fn cosines(&self, query: &[f32]) -> Result<Vec<f32>>;
}

/// Loads the model on a backend. Batches have at most `batch` texts; the default depends on the backend.
///
/// # Errors
///
/// If that backend or device is not available, with the reason, or the model is damaged.
#[cfg_attr(not(any(feature = "cpu", feature = "mlx")), expect(unused_variables, reason = "there is no backend"))]
pub fn open(
    choice: Choice,
    device: Option<Device>,
    model: &ModelFiles,
    batch: Option<NonZeroUsize>,
) -> Result<Box<dyn Embed>> {
    match backend(choice, device)? {
        #[cfg(feature = "cpu")]
        Backend::Cpu => Ok(Box::new(Embedder::<cpu::Array>::new("cpu".into(), model, batch.unwrap_or(CPU_BATCH))?)),
        #[cfg(feature = "mlx")]
        Backend::Mlx(name) => Ok(Box::new(Embedder::<mlx::Array>::new(name, model, batch.unwrap_or(MLX_BATCH))?)),
    }
}

/// A backend that is available.
#[derive(Debug)]
pub enum Backend {
    /// The CPU fallback.
    #[cfg(feature = "cpu")]
    Cpu,
    /// MLX, with the name of the backend and its device, such as `mlx on gpu`.
    #[cfg(feature = "mlx")]
    Mlx(String),
}

/// Resolves a choice of backend and device, and sets the device that MLX computes on.
///
/// # Errors
///
/// If that backend or device is not available, with the reason.
pub fn backend(choice: Choice, device: Option<Device>) -> Result<Backend> {
    let on_mlx = match (choice, device) {
        (Choice::Cpu, Some(Device::Gpu)) => {
            bail!("cannot use device gpu: the CPU fallback has no GPU; use `--backend mlx`")
        }
        (Choice::Cpu, _) => false,
        (Choice::Mlx, _) | (Choice::Auto, Some(Device::Gpu)) => true,
        (Choice::Auto, Some(Device::Cpu)) => !cfg!(feature = "cpu"),
        (Choice::Auto, None) => !cfg!(feature = "cpu") || mlx_has_a_gpu(),
    };
    if on_mlx { mlx_backend(device) } else { cpu_backend() }
}

#[cfg(feature = "cpu")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it is an error")]
fn cpu_backend() -> Result<Backend> {
    Ok(Backend::Cpu)
}

#[cfg(not(feature = "cpu"))]
fn cpu_backend() -> Result<Backend> {
    bail!("cannot use backend cpu: this program was built without it; build it with `--features cpu`")
}

#[cfg(feature = "mlx")]
fn mlx_backend(device: Option<Device>) -> Result<Backend> {
    mlx::check_available().context("cannot use backend mlx; `--backend cpu` does not need it")?;
    if let Some(device) = device {
        let device = match device {
            Device::Cpu => mlx::Device::Cpu,
            Device::Gpu => mlx::Device::Gpu,
        };
        if !device.is_available()? {
            bail!(
                "cannot use device gpu: MLX has no GPU here; use `--device cpu`, or `--backend cpu`, which is faster"
            );
        }
        mlx::set_default_device(device)?;
    }
    Ok(Backend::Mlx(format!("mlx on {}", mlx::default_device()?)))
}

#[cfg(not(feature = "mlx"))]
fn mlx_backend(_: Option<Device>) -> Result<Backend> {
    bail!("cannot use backend mlx: this program was built without it; build it with `--features mlx`")
}

#[cfg(feature = "mlx")]
fn mlx_has_a_gpu() -> bool {
    mlx::check_available().is_ok() && mlx::Device::Gpu.is_available().unwrap_or(false)
}

#[cfg(not(feature = "mlx"))]
const fn mlx_has_a_gpu() -> bool {
    false
}

/// The model on the backend of `A`, with its tokenizer.
#[cfg(any(feature = "cpu", feature = "mlx"))]
#[derive(Debug)]
pub struct Embedder<A: Array> {
    name: String,
    tokenizer: Tokenizer,
    model: MiniLm<A>,
    batch: NonZeroUsize,
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Embedder<A> {
    /// Loads the model on the backend of `A`. Batches have at most `batch` texts.
    ///
    /// # Errors
    ///
    /// If the model is damaged, or the backend is not available.
    pub fn new(name: String, model: &ModelFiles, batch: NonZeroUsize) -> Result<Self> {
        let tokenizer = Tokenizer::from_json(&model.tokenizer)?;
        let model = MiniLm::from_safetensors(Cursor::new(&model.weights))
            .with_context(|| format!("cannot load the model on {name}"))?;
        Ok(Self { name, tokenizer, model, batch })
    }
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Embed for Embedder<A> {
    fn name(&self) -> &str {
        &self.name
    }

    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>> {
        let tokens = self.tokenizer.tokens(texts)?;
        // Batches of texts of similar length need the least padding. The longest texts come first, so a batch that does not
        // fit into memory fails at once.
        let mut order = (0..tokens.len()).collect::<Vec<_>>();
        order.sort_by_key(|&at| Reverse(tokens[at].len()));
        let mut vectors = vec![Vector::new(); tokens.len()];
        for members in order.chunks(self.batch.get()) {
            let batch = Batch::new(&members.iter().map(|&at| &tokens[at]).collect::<Vec<_>>())?;
            let embeddings = self.model.embed(&batch)?.to_vec::<f32>()?;
            for (&at, embedding) in members.iter().zip(embeddings.chunks_exact(HIDDEN)) {
                vectors[at] = embedding.to_vec();
            }
            progress(members.len());
        }
        Ok(vectors)
    }

    fn matrix(&self, vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>> {
        matrix::<A>(vectors, length)
    }
}

/// Returns the matrix of [`Embed::matrix`] on the backend of `A`.
///
/// # Errors
///
/// If the number of elements is not a multiple of `length`, or the backend has no memory for them.
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub fn matrix<A: Array>(vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>> {
    let shape = [vectors.len() / length.max(1), length];
    // The CPU fallback takes an owned buffer without copying it.
    let rows = A::from_buffer(Buffer::Float32(vectors.into()), &shape)?;
    rows.eval()?;
    Ok(Box::new(Rows(rows)))
}

/// A matrix of one vector in each row.
#[cfg(any(feature = "cpu", feature = "mlx"))]
struct Rows<A>(A);

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Matrix for Rows<A> {
    #[no_grad]
    fn cosines(&self, query: &[f32]) -> Result<Vec<f32>> {
        Ok(self.0.matmul(&A::from_slice(query, &[query.len(), 1])?)?.to_vec()?)
    }
}
