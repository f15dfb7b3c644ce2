//! Texts to vectors, on the backend that the user chose.

use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use clap::ValueEnum;
#[cfg(any(feature = "cpu", feature = "mlx"))]
use {
    crate::minilm::{Batch, HIDDEN, MiniLm},
    crate::tokenize::Tokenizer,
    anyhow::Context,
    grad_runtime::Array,
    std::cmp::Reverse,
    std::io::Cursor,
};

use crate::model_files::ModelFiles;

/// More texts at a time leave the processor's caches.
#[cfg(feature = "cpu")]
const CPU_BATCH: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// A GPU wants to be kept busy.
#[cfg(feature = "mlx")]
const MLX_BATCH: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// A text's embedding: a unit vector, so that the dot product of two is their cosine.
pub type Vector = Vec<f32>;

/// What computes the embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// MLX where it has a GPU, else the CPU fallback, which is the faster of the two there
    Auto,
    /// Apple's MLX
    Mlx,
    /// The CPU fallback
    Cpu,
}

/// Where MLX computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The processor
    Cpu,
    /// The graphics processor
    Gpu,
}

/// Makes vectors of texts.
pub trait Embed {
    /// The backend and where it computes, as in `mlx on gpu`.
    fn name(&self) -> &str;

    /// A vector for each text, in the order of the texts. After each batch `progress` hears how many texts it had.
    ///
    /// # Errors
    ///
    /// If the tokenizer or the backend refuses a text.
    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>>;
}

/// Puts the model on a backend; at most `batch` texts are computed at a time, or as many as are
/// quickest there.
///
/// # Errors
///
/// If that backend or device is not available, with the reason, or the model is damaged.
pub fn open(
    choice: Choice,
    device: Option<Device>,
    model: &ModelFiles,
    batch: Option<NonZeroUsize>,
) -> Result<Box<dyn Embed>> {
    let on_mlx = match (choice, device) {
        (Choice::Cpu, Some(Device::Gpu)) => {
            bail!("the CPU fallback has no GPU: ask for `--backend mlx`")
        }
        (Choice::Cpu, _) => false,
        (Choice::Mlx, _) | (Choice::Auto, Some(Device::Gpu)) => true,
        (Choice::Auto, Some(Device::Cpu)) => !cfg!(feature = "cpu"),
        (Choice::Auto, None) => !cfg!(feature = "cpu") || mlx_has_a_gpu(),
    };
    if on_mlx { open_mlx(device, model, batch) } else { open_cpu(model, batch) }
}

#[cfg(feature = "cpu")]
fn open_cpu(model: &ModelFiles, batch: Option<NonZeroUsize>) -> Result<Box<dyn Embed>> {
    Ok(Box::new(Embedder::<grad_runtime::cpu::Array>::new("cpu".into(), model, batch.unwrap_or(CPU_BATCH))?))
}

#[cfg(not(feature = "cpu"))]
fn open_cpu(_: &ModelFiles, _: Option<NonZeroUsize>) -> Result<Box<dyn Embed>> {
    bail!("this program was built without the CPU fallback: build it with `--features cpu`")
}

#[cfg(feature = "mlx")]
fn open_mlx(device: Option<Device>, model: &ModelFiles, batch: Option<NonZeroUsize>) -> Result<Box<dyn Embed>> {
    use grad_runtime::mlx;

    grad_runtime::Mlx::available().context("`--backend cpu` does without MLX")?;
    if let Some(device) = device {
        let device = match device {
            Device::Cpu => mlx::Device::Cpu,
            Device::Gpu => mlx::Device::Gpu,
        };
        if !device.is_available()? {
            bail!("MLX has no GPU here: ask for `--device cpu`, or `--backend cpu`, which is faster");
        }
        mlx::set_default_device(device)?;
    }
    let name = format!("mlx on {}", mlx::default_device()?);
    Ok(Box::new(Embedder::<mlx::Array>::new(name, model, batch.unwrap_or(MLX_BATCH))?))
}

#[cfg(not(feature = "mlx"))]
fn open_mlx(_: Option<Device>, _: &ModelFiles, _: Option<NonZeroUsize>) -> Result<Box<dyn Embed>> {
    bail!("this program was built without MLX: build it with `--features mlx`")
}

#[cfg(feature = "mlx")]
fn mlx_has_a_gpu() -> bool {
    grad_runtime::Mlx::available().is_ok() && grad_runtime::mlx::Device::Gpu.is_available().unwrap_or(false)
}

#[cfg(not(feature = "mlx"))]
const fn mlx_has_a_gpu() -> bool {
    false
}

/// The model on one backend, with its tokenizer.
#[cfg(any(feature = "cpu", feature = "mlx"))]
#[derive(Debug)]
pub struct Embedder<A> {
    name: String,
    tokenizer: Tokenizer,
    model: MiniLm<A>,
    batch: NonZeroUsize,
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Embedder<A> {
    /// Puts the model on the backend of `A`.
    ///
    /// # Errors
    ///
    /// If the model is damaged, or the backend is not available.
    pub fn new(name: String, model: &ModelFiles, batch: NonZeroUsize) -> Result<Self> {
        let tokenizer = Tokenizer::from_json(&model.tokenizer)?;
        let model = MiniLm::from_safetensors(Cursor::new(&model.weights))
            .with_context(|| format!("the model cannot be put on the backend {name}"))?;
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
        // Texts of about the same length side by side need the least padding. The longest come first, so that memory
        // runs out at once or never.
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
}
