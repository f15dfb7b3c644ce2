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
    crate::minilm::{Batch, HIDDEN, Inputs, MiniLm},
    crate::tokenize::Tokenizer,
    anyhow::Context,
    grad_runtime::attr::no_grad,
    grad_runtime::params::{self, CompiledFunction},
    grad_runtime::{Array, Buffer, Dtype},
    std::cmp::Reverse,
    std::io::Cursor,
};

use crate::model_files::ModelFiles;

/// The default batch size on a CPU: larger batches exceed the processor's caches.
#[cfg(any(feature = "cpu", feature = "mlx"))]
const CPU_BATCH: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// The default batch size on a GPU, which larger batches do not use better.
#[cfg(feature = "mlx")]
const GPU_BATCH: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// The numbers of tokens to which batches are padded are multiples of this, where the model is compiled.
#[cfg(feature = "mlx")]
const COMPILED_TOKENS: usize = 16;

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

/// The dtype that the model computes in. Embeddings are float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// The dtype of the weights
    Float32,
    /// Half the memory and several times the speed on a GPU, with cosines to float32's embeddings above 0.99999
    Float16,
    /// As float16, with cosines above 0.9998
    Bfloat16,
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl From<Precision> for Dtype {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Float32 => Self::Float32,
            Precision::Float16 => Self::Float16,
            Precision::Bfloat16 => Self::BFloat16,
        }
    }
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

/// The options of a program that embeds texts.
#[derive(Debug, Clone, Copy, Args)]
pub struct EmbedderArgs {
    /// Where the model computes.
    #[command(flatten)]
    pub on: BackendArgs,

    /// The dtype that the model computes in [default: float16 on a GPU, else float32]
    #[arg(long, value_enum)]
    pub dtype: Option<Precision>,

    /// The maximum number of texts in a batch [default: 8 on a CPU, 256 on a GPU]
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroUsize>,
}

impl From<BackendArgs> for EmbedderArgs {
    /// Returns the options with the defaults of that backend.
    fn from(on: BackendArgs) -> Self {
        Self { on, dtype: None, batch: None }
    }
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl EmbedderArgs {
    /// Returns the options that were given, and the others of `default`.
    fn options(&self, default: Options) -> Options {
        let dtype = self.dtype.map_or(default.dtype, Dtype::from);
        Options { dtype, batch: self.batch.unwrap_or(default.batch), ..default }
    }
}

/// Waits for embeddings that were started, and returns them in the order of the texts. The argument is called after each batch, with
/// its number of texts.
pub type Finish<'a> = Box<dyn FnOnce(&mut dyn FnMut(usize)) -> Result<Vec<Vector>> + 'a>;

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

    /// Starts to compute an embedding for each text. A device computes them while the program goes on; without one, they are computed
    /// when they are waited for.
    ///
    /// # Errors
    ///
    /// If the tokenizer or the backend rejects a text. An error of the computation is one of waiting for it.
    fn start(&self, texts: Vec<String>) -> Result<Finish<'_>> {
        Ok(when_waited_for(self, texts))
    }

    /// Returns the number of texts that are worth one call: with more, the speed stays the same.
    fn texts_at_once(&self) -> usize {
        128
    }

    /// Keeps vectors on the backend, for comparison with any number of queries. `vectors` contains the elements of one after the
    /// other, `length` of each. All are unit vectors.
    ///
    /// # Errors
    ///
    /// If the number of elements is not a multiple of `length`, or the backend has no memory for them.
    fn matrix(&self, vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>>;
}

/// Returns what embeds the texts once it is waited for.
fn when_waited_for<E: Embed + ?Sized>(embedder: &E, texts: Vec<String>) -> Finish<'_> {
    Box::new(move |progress| embedder.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>(), progress))
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

/// Loads the model on a backend.
///
/// # Errors
///
/// If that backend or device is not available, with the reason, or the model is damaged.
#[cfg_attr(not(any(feature = "cpu", feature = "mlx")), expect(unused_variables, reason = "there is no backend"))]
pub fn open(args: &EmbedderArgs, model: &ModelFiles) -> Result<Box<dyn Embed>> {
    match backend(args.on.backend, args.on.device)? {
        #[cfg(feature = "cpu")]
        Backend::Cpu => {
            let options = args.options(Options::default());
            Ok(Box::new(Embedder::<cpu::Array>::new("cpu".into(), model, options)?))
        }
        #[cfg(feature = "mlx")]
        Backend::Mlx(name) => {
            let options = match mlx::default_device()? {
                mlx::Device::Gpu => {
                    Options { dtype: Dtype::Float16, batch: GPU_BATCH, token_step: COMPILED_TOKENS, ahead: true }
                }
                mlx::Device::Cpu => Options { token_step: COMPILED_TOKENS, ..Options::default() },
            };
            Ok(Box::new(Embedder::<mlx::Array>::new(name, model, args.options(options))?))
        }
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

/// How an embedder computes.
#[cfg(any(feature = "cpu", feature = "mlx"))]
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The dtype that the model computes in.
    pub dtype: Dtype,
    /// The maximum number of texts in a batch.
    pub batch: NonZeroUsize,
    /// Batches are padded to a multiple of this number of tokens.
    pub token_step: usize,
    /// Whether a device computes while the program goes on.
    pub ahead: bool,
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl Default for Options {
    /// Returns float32, batches of 8, padded to the longest text and computed when they are waited for.
    fn default() -> Self {
        Self { dtype: Dtype::Float32, batch: CPU_BATCH, token_step: 1, ahead: false }
    }
}

/// The model on the backend of `A`, with its tokenizer.
#[cfg(any(feature = "cpu", feature = "mlx"))]
#[derive(Debug)]
pub struct Embedder<A: Array> {
    name: String,
    tokenizer: Tokenizer,
    forward: CompiledFunction<Inputs<A>, A>,
    options: Options,
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Embedder<A> {
    /// Loads the model on the backend of `A`.
    ///
    /// # Errors
    ///
    /// If the model is damaged, or the backend is not available.
    pub fn new(name: String, model: &ModelFiles, options: Options) -> Result<Self> {
        let tokenizer = Tokenizer::from_json(&model.tokenizer)?;
        let model = MiniLm::<A>::from_safetensors(Cursor::new(&model.weights))
            .and_then(|model| model.astype(options.dtype))
            .with_context(|| format!("cannot load the model on {name}"))?;
        let encoder = model.into_encoder();
        let forward = params::compile(move |inputs: &Inputs<A>| encoder.embed(inputs));
        Ok(Self { name, tokenizer, forward, options })
    }

    /// Starts to compute the embeddings of a batch, and records nothing.
    #[no_grad]
    fn start_batch(&self, tokens: &[&Vec<u32>]) -> Result<A> {
        let batch = Batch::padded_to_multiple(tokens, self.options.token_step)?;
        let embeddings = self.forward.call(&batch.inputs()?)?;
        params::async_eval(&embeddings)?;
        Ok(embeddings)
    }
}

/// A batch that was started: its embeddings, and the places of its texts among all.
#[cfg(any(feature = "cpu", feature = "mlx"))]
struct Started<A> {
    places: Vec<usize>,
    embeddings: A,
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Started<A> {
    /// Waits for the embeddings, and stores each in its place.
    fn finish(self, vectors: &mut [Vector], progress: &mut dyn FnMut(usize)) -> Result<()> {
        let embeddings = self.embeddings.to_vec::<f32>()?;
        for (&at, embedding) in self.places.iter().zip(embeddings.chunks_exact(HIDDEN)) {
            vectors[at] = embedding.to_vec();
        }
        progress(self.places.len());
        Ok(())
    }
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Embedder<A> {
    /// Starts one batch after the other, as the iterator is advanced.
    fn start_batches<'a>(&'a self, tokens: &'a [Vec<u32>]) -> impl Iterator<Item = Result<Started<A>>> + 'a {
        // Batches of texts of similar length need the least padding. The longest texts come first, so a batch that does not
        // fit into memory fails at once.
        let mut order = (0..tokens.len()).collect::<Vec<_>>();
        order.sort_by_key(|&at| Reverse(tokens[at].len()));
        let batch = self.options.batch.get();
        (0..order.len()).step_by(batch).map(move |first| {
            let places = order[first..order.len().min(first + batch)].to_vec();
            let embeddings = self.start_batch(&places.iter().map(|&at| &tokens[at]).collect::<Vec<_>>())?;
            Ok(Started { places, embeddings })
        })
    }
}

#[cfg(any(feature = "cpu", feature = "mlx"))]
impl<A: Array> Embed for Embedder<A> {
    fn name(&self) -> &str {
        &self.name
    }

    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>> {
        let tokens = self.tokenizer.tokens(texts)?;
        let mut vectors = vec![Vector::new(); tokens.len()];
        // While a device computes one batch, the next is prepared.
        let mut running: Option<Started<A>> = None;
        for started in self.start_batches(&tokens) {
            if let Some(before) = running.replace(started?) {
                before.finish(&mut vectors, progress)?;
            }
        }
        running.into_iter().try_for_each(|last| last.finish(&mut vectors, progress))?;
        Ok(vectors)
    }

    fn start(&self, texts: Vec<String>) -> Result<Finish<'_>> {
        if !self.options.ahead {
            return Ok(when_waited_for(self, texts));
        }
        let tokens = self.tokenizer.tokens(&texts)?;
        let batches = self.start_batches(&tokens).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(move |progress| {
            let mut vectors = vec![Vector::new(); texts.len()];
            batches.into_iter().try_for_each(|batch| batch.finish(&mut vectors, progress))?;
            Ok(vectors)
        }))
    }

    fn texts_at_once(&self) -> usize {
        // A device computes several batches while the program prepares as many texts.
        if self.options.ahead { 4 * self.options.batch.get() } else { 128 }
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
