//! Measures MiniLM's forward pass on the CPU fallback beside torch, onnxruntime and candle, each on two threads.
//!
//! `cargo bench -p grad-examples --features compare --bench minilm_peers` fetches torch and onnxruntime with pip once (800 MB);
//! `GRAD_PEERS_PYTHON` names a Python that imports torch, transformers, onnx and onnxruntime instead. The engines embed the same
//! passages, cut from this repository's sources, in the same batches. All numbers are from one run, in which the engines take
//! turns and the order changes each round; the ratios are medians over the rounds, and below 1, grad-runtime is faster.

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use grad_examples::minilm::{Batch, MiniLm};
use grad_examples::model_files::{ModelFiles, find};
use grad_examples::tokenize::Tokenizer;
use grad_runtime::cpu::Array as Cpu;
use mimalloc::MiMalloc;
use serde::de::DeserializeOwned;
use serde_json::json;

/// As in the programs: glibc returns freed arrays, which take megabytes, to the system each time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[path = "support/python.rs"]
mod python;

use self::python::Python;

/// The number of rounds, unless an argument such as `rounds=3` gives another.
const ROUNDS: usize = 7;
const PASSAGES: usize = 256;
const BATCH: usize = 32;
/// The most tokens of a passage, the others are dropped.
const TOKENS: usize = 128;
/// The most bytes of a passage, as in code-search.
const BYTES: usize = 900;
/// How many texts of different lengths are embedded by themselves, and how often the longest.
const TEXTS: usize = 24;
const THREADS: &str = "2";

/// The folder in Cargo's target of the Python packages, which `minilm_peers.py` installs.
const PACKAGES: &str = "minilm-peers-torch-2.15.0-onnxruntime-1.32.0";
const PYTHON: &str = include_str!("minilm_peers.py");

fn main() -> Result<()> {
    if env::var("RAYON_NUM_THREADS").as_deref() != Ok(THREADS) {
        // Rayon reads the variable when its pool starts, and a variable is set safely only for another process.
        let mut again = Command::new(env::current_exe()?);
        let status = again.args(env::args().skip(1)).env("RAYON_NUM_THREADS", THREADS).status()?;
        ensure!(status.success(), "the benchmark failed: {status}");
        return Ok(());
    }
    let folder = find()?;
    let texts = passages(&Tokenizer::from_json(&ModelFiles::open(Some(&folder))?.tokenizer)?)?;
    let mut python = start_python(&folder)?;
    let () = python.ask(&json!({ "texts": texts, "batch": BATCH }))?;
    let [torch, onnxruntime, version]: [String; 3] = python.ask(&json!({}))?;
    let mut engines: [Box<dyn Engine>; 2] =
        [Box::new(grad_runtime(&folder, &texts)?), Box::new(candle(&folder, &texts)?)];
    let names = [
        format!("grad-runtime {}", env!("CARGO_PKG_VERSION")),
        format!("candle {}", candle_version()?),
        torch,
        onnxruntime,
    ];
    let tokens: usize = texts.iter().map(Vec::len).sum();
    println!("{PASSAGES} passages of {} tokens on average, {THREADS} threads each; {version}", tokens / PASSAGES);

    let some = lengths(&texts);
    let longest = vec![texts.iter().position(|text| text.len() == TOKENS).context("no passage is long")?; TEXTS];
    let mut found = vec![Found::default(); names.len()];
    // The first round warms up.
    let rounds = env::args().find_map(|argument| argument.strip_prefix("rounds=")?.parse().ok()).unwrap_or(ROUNDS);
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.rotate_left(round % names.len());
        for at in order {
            let mut python_engine;
            let engine: &mut dyn Engine = match at {
                0 | 1 => &mut *engines[at],
                _ => {
                    python_engine = InPython { python: &mut python, name: ["torch", "onnxruntime"][at - 2] };
                    &mut python_engine
                }
            };
            let [seconds, processor] = engine.batches()?;
            let some = median(engine.texts(&some)?);
            let longest = median(engine.texts(&longest)?);
            if round > 0 {
                found[at].seconds.push(seconds);
                found[at].cores.push(processor / seconds);
                found[at].some.push(some);
                found[at].longest.push(longest);
            } else {
                found[at].embeddings = engine.embeddings()?;
            }
        }
    }
    print(&names, &found);
    Ok(())
}

/// What was measured of an engine: in each round, and its embeddings.
#[derive(Clone, Default)]
struct Found {
    seconds: Vec<f64>,
    cores: Vec<f64>,
    some: Vec<f64>,
    longest: Vec<f64>,
    embeddings: Vec<Vec<f32>>,
}

fn print(names: &[String], found: &[Found]) {
    println!(
        "{:<42}{:>10}{:>7}{:>7}{:>13}{:>7}{:>15}{:>7}{:>15}",
        "engine", "batches s", "ratio", "cores", "one text ms", "ratio", "128 tokens ms", "ratio", "least cosine"
    );
    let [ours, _, torch, _] = found else { unreachable!("there are four engines") };
    let ratio = |ours: &[f64], other: &[f64]| median(ours.iter().zip(other).map(|(ours, other)| ours / other));
    for (name, each) in names.iter().zip(found) {
        let cosine = each.embeddings.iter().zip(&torch.embeddings).map(|(x, y)| cosine(x, y)).fold(1.0, f64::min);
        println!(
            "{name:<42}{:>10.2}{:>7.2}{:>7.2}{:>13.2}{:>7.2}{:>15.2}{:>7.2}{cosine:>15.7}",
            median(each.seconds.iter().copied()),
            ratio(&ours.seconds, &each.seconds),
            median(each.cores.iter().copied()),
            median(each.some.iter().copied()),
            ratio(&ours.some, &each.some),
            median(each.longest.iter().copied()),
            ratio(&ours.longest, &each.longest),
        );
    }
}

/// Returns the tokens of passages of this repository's sources: whole lines, of up to [`BYTES`].
fn passages(tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let listed = Command::new("git").arg("-C").arg(&root).args(["ls-files", "*.rs"]).output()?;
    ensure!(listed.status.success(), "cannot list the sources: {}", String::from_utf8_lossy(&listed.stderr));
    let mut passages = Vec::new();
    for file in String::from_utf8(listed.stdout)?.lines() {
        let mut passage = String::new();
        for line in fs::read_to_string(root.join(file))?.lines() {
            if passage.len() + line.len() >= BYTES {
                passages.push(std::mem::take(&mut passage));
            }
            passage.push_str(line);
            passage.push('\n');
        }
        passages.push(passage);
    }
    ensure!(passages.len() >= PASSAGES, "cannot cut {PASSAGES} passages: the sources have {}", passages.len());
    // From all of the sources.
    let step = passages.len() / PASSAGES;
    let some: Vec<String> = passages.into_iter().step_by(step).take(PASSAGES).collect();
    let mut tokens = tokenizer.tokens(&some)?;
    for text in &mut tokens {
        if text.len() > TOKENS {
            text.drain(TOKENS - 1..text.len() - 1);
        }
    }
    Ok(tokens)
}

/// Returns the indices of [`TEXTS`] texts, from the shortest to the longest.
fn lengths(texts: &[Vec<u32>]) -> Vec<usize> {
    let mut all: Vec<usize> = (0..texts.len()).collect();
    all.sort_by_key(|at| texts[*at].len());
    all.into_iter().step_by(texts.len() / TEXTS).take(TEXTS).collect()
}

/// A program that embeds the passages.
trait Engine {
    /// Embeds all batches. Returns the seconds of the clock and of the processor.
    fn batches(&mut self) -> Result<[f64; 2]>;
    /// Embeds each of these texts by itself. Returns the milliseconds of each.
    fn texts(&mut self, of: &[usize]) -> Result<Vec<f64>>;
    fn embeddings(&mut self) -> Result<Vec<Vec<f32>>>;
}

/// An engine of this process, with a function that embeds the batches it has prepared.
struct InRust<B, F> {
    batches: Vec<B>,
    single: Vec<B>,
    embed: F,
}

// They run on a thread of rayon's pool, which computes with the others and does not sleep until they have.
impl<B: Send + Sync, F: Fn(&B) -> Result<Vec<Vec<f32>>> + Sync> Engine for InRust<B, F> {
    fn batches(&mut self) -> Result<[f64; 2]> {
        let Self { batches, embed, .. } = self;
        rayon::scope(|_| {
            let (clock, processor) = (Instant::now(), processor_seconds()?);
            for batch in batches.iter() {
                black_box(embed(batch)?);
            }
            Ok([clock.elapsed().as_secs_f64(), processor_seconds()? - processor])
        })
    }

    fn texts(&mut self, of: &[usize]) -> Result<Vec<f64>> {
        let Self { single, embed, .. } = self;
        rayon::scope(|_| {
            of.iter()
                .map(|&at| {
                    let start = Instant::now();
                    black_box(embed(&single[at])?);
                    Ok(start.elapsed().as_secs_f64() * 1e3)
                })
                .collect()
        })
    }

    fn embeddings(&mut self) -> Result<Vec<Vec<f32>>> {
        let batches = self.batches.iter().map(|batch| (self.embed)(batch)).collect::<Result<Vec<_>>>()?;
        Ok(batches.concat())
    }
}

fn grad_runtime(folder: &Path, texts: &[Vec<u32>]) -> Result<impl Engine + use<>> {
    let model = MiniLm::<Cpu>::load(folder)?;
    let (batches, single) = prepare(texts, Batch::new)?;
    let embed = move |batch: &Batch| {
        let embeddings = model.embed(batch)?.to_vec::<f32>()?;
        Ok(embeddings.chunks(embeddings.len() / batch.size()).map(<[f32]>::to_vec).collect())
    };
    Ok(InRust { batches, single, embed })
}

fn candle(folder: &Path, texts: &[Vec<u32>]) -> Result<impl Engine + use<>> {
    let config: Config = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
    let weights = fs::read(folder.join("model.safetensors"))?;
    let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
    let model = BertModel::load(weights, &config)?;
    let prepare_batch = |texts: &[Vec<u32>]| -> Result<[Tensor; 4]> {
        let (count, longest) = (texts.len(), texts.iter().map(Vec::len).max().context("a batch has texts")?);
        let padded = |f: &dyn Fn(&[u32], usize) -> f32| -> Result<Tensor> {
            let elements = texts.iter().flat_map(|text| (0..longest).map(|at| f(text, at))).collect();
            Ok(Tensor::from_vec::<_, f32>(elements, (count, longest), &Device::Cpu)?)
        };
        #[expect(clippy::cast_precision_loss, reason = "a length is at most 128")]
        let pooling = padded(&|text, at| if at < text.len() { 1.0 / text.len() as f32 } else { 0.0 })?;
        let tokens: Vec<u32> =
            texts.iter().flat_map(|text| (0..longest).map(|at| text.get(at).copied().unwrap_or(0))).collect();
        let tokens = Tensor::from_vec(tokens, (count, longest), &Device::Cpu)?;
        let mask = padded(&|text, at| f32::from(u8::from(at < text.len())))?;
        Ok([tokens.clone(), tokens.zeros_like()?, mask, pooling.unsqueeze(1)?])
    };
    let (batches, single) = prepare(texts, prepare_batch)?;
    let embed = move |[tokens, types, mask, pooling]: &[Tensor; 4]| {
        let hidden = model.forward(tokens, types, Some(mask))?;
        let mean = pooling.matmul(&hidden)?.squeeze(1)?;
        let norm = mean.sqr()?.sum_keepdim(1)?.sqrt()?;
        Ok(mean.broadcast_div(&norm)?.to_vec2::<f32>()?)
    };
    Ok(InRust { batches, single, embed })
}

/// Prepares the batches of texts, and each text by itself.
fn prepare<B>(texts: &[Vec<u32>], batch: impl Fn(&[Vec<u32>]) -> Result<B>) -> Result<(Vec<B>, Vec<B>)> {
    Ok((
        texts.chunks(BATCH).map(&batch).collect::<Result<_>>()?,
        texts.chunks(1).map(&batch).collect::<Result<_>>()?,
    ))
}

struct InPython<'a> {
    python: &'a mut Python,
    name: &'static str,
}

impl InPython<'_> {
    fn run<T: DeserializeOwned>(&mut self, run: &str, of: &[usize]) -> Result<T> {
        self.python.ask(&json!({ "engine": self.name, "run": run, "of": of }))
    }
}

impl Engine for InPython<'_> {
    fn batches(&mut self) -> Result<[f64; 2]> {
        self.run("batches", &[])
    }

    fn texts(&mut self, of: &[usize]) -> Result<Vec<f64>> {
        self.run("texts", of)
    }

    fn embeddings(&mut self) -> Result<Vec<Vec<f32>>> {
        self.run("embeddings", &[])
    }
}

/// Starts the process that runs torch and onnxruntime.
fn start_python(model: &Path) -> Result<Python> {
    let mut command = if let Some(python) = env::var_os("GRAD_PEERS_PYTHON") {
        Command::new(python)
    } else {
        let packages = packages()?;
        let libraries = [packages.join("nvidia/cu13/lib"), packages.join("stand-ins")];
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &packages).env("LD_LIBRARY_PATH", env::join_paths(libraries)?);
        command
    };
    command.args(["-c", PYTHON, "serve"]).arg(model);
    Python::start(command)
}

/// Returns the folder of the Python packages, into which pip fetches them once.
fn packages() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let folder = target.join(PACKAGES);
    if !folder.is_dir() {
        // Under another name until it is whole.
        let unfinished = target.join(format!("{PACKAGES}.{}", std::process::id()));
        let status = Command::new("python3").args(["-c", PYTHON, "install"]).arg(&unfinished).status()?;
        ensure!(
            status.success(),
            "cannot fetch torch and onnxruntime: {status}; name a Python in GRAD_PEERS_PYTHON"
        );
        fs::rename(&unfinished, &folder)?;
    }
    Ok(fs::canonicalize(folder)?)
}

/// Returns the seconds for which this process has kept processors busy.
fn processor_seconds() -> Result<f64> {
    const TICKS: f64 = 100.0; // of Linux, for programs.
    let status = fs::read_to_string("/proc/self/stat")
        .context("cannot read the processor time: it is read from /proc, which needs Linux")?;
    let (_, fields) = status.rsplit_once(')').context("cannot read /proc/self/stat")?;
    // The fields utime and stime.
    Ok(fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()? / TICKS)
}

fn candle_version() -> Result<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let (_, rest) = lock.split_once("name = \"candle-core\"\nversion = \"").context("candle is not locked")?;
    Ok(rest.split_once('"').context("candle has no version")?.0)
}

fn cosine(x: &[f32], y: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
