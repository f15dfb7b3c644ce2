//! Measures MiniLM's forward pass on MLX beside Python MLX and, on a GPU, beside PyTorch.
//!
//! `cargo bench -p grad-examples --bench minilm_mlx` runs on MLX's default device and fetches Python MLX with pip once. PyTorch and
//! transformers are those of `python3`, if it imports them. All times of a table are from one run, in which the cases alternate and the
//! order changes each turn. A ratio is the median over the turns, of our default and of Python MLX's fastest variant; below 1,
//! grad-runtime is faster. Peak memory is measured in a separate process for each.

use std::env;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use grad_examples::memory::memory;
use grad_examples::minilm::{Batch, HIDDEN, Inputs, MiniLm};
use grad_examples::model_files::find;
use grad_runtime::mlx::{self, Device};
use grad_runtime::{Dtype, no_grad, params};
use serde_json::json;

#[path = "support/python.rs"]
mod python;
#[path = "../../tests/benches/python_mlx.rs"]
mod python_mlx;

use self::python::Python;

type Model = MiniLm<mlx::Array>;

/// The longest text of each batch, in tokens.
const TOKENS: usize = 128;
const TURNS: usize = 30;
/// The approximate time of a case in each turn.
const TURN_MILLISECONDS: f64 = 100.0;

fn main() -> Result<()> {
    let on_gpu = mlx::default_device()? == Device::Gpu;
    let sizes: &[usize] = if on_gpu { &[1, 32, 256] } else { &[1, 32] };
    let asked = env::args().nth(1).and_then(|argument| argument.strip_prefix("peaks=")?.parse().ok());
    if let Some(size) = asked {
        return print_peaks(size);
    }
    let model = Model::load(&find()?)?;
    let mut engines = vec![Engine::mlx()?];
    engines.extend(if on_gpu { Engine::torch()? } else { None });
    println!("on {}, texts of up to {TOKENS} tokens", mlx::default_device()?);
    for engine in &mut engines {
        println!("{}", engine.python.ask::<String>(&json!({}))?);
    }
    for &size in sizes {
        speed(&model, on_gpu, &mut engines, size)?;
    }
    drop(engines);
    println!(
        "\n{:<8}{:>14}{:>12}{:>8}{:>18}{:>12}{:>8}",
        "peak MB", "Python arrays", "ours", "ratio", "Python process", "ours", "ratio"
    );
    sizes.iter().try_for_each(|&size| peaks(size))
}

/// Makes `count` texts, each a little shorter than the one before, so the batch is padded like a real one.
fn texts(count: usize) -> Vec<Vec<u32>> {
    let token =
        |text: usize, at: usize| u32::try_from(1000 + (text * 37 + at * 13) % 25_000).expect("a small number");
    let length = |text: usize| TOKENS - text * TOKENS / (2 * count);
    (0..count).map(|text| (0..length(text)).map(|at| token(text, at)).collect()).collect()
}

/// A way to compute that is ours.
struct Ours<'a> {
    name: &'static str,
    forward: Box<Forward<'a>>,
}

type Forward<'a> = dyn Fn(&Batch) -> grad_runtime::Result<mlx::Array> + 'a;

impl<'a> Ours<'a> {
    fn new(name: &'static str, forward: impl Fn(&Batch) -> grad_runtime::Result<mlx::Array> + 'a) -> Self {
        Self { name, forward: Box::new(forward) }
    }

    /// Returns the ways to compute; the last is what `code-search` uses.
    fn all(model: &'a Model, on_gpu: bool) -> Result<Vec<Self>> {
        let (dtype, default) = if on_gpu {
            (Dtype::Float16, "float16, compiled, in a scope")
        } else {
            (Dtype::Float32, "float32, compiled, in a scope")
        };
        let encoder = model.astype(dtype)?.into_encoder();
        let compiled = params::compile(move |inputs: &Inputs<mlx::Array>| encoder.embed(inputs));
        Ok(vec![
            Self::new("float32", |batch| model.forward(batch)),
            Self::new("float32, in a scope", |batch| model.embed(batch)),
            Self::new(default, move |batch| no_grad! { compiled.call(&batch.inputs()?) }),
        ])
    }

    /// Returns the milliseconds of each of `runs` forward passes, from tokens to evaluated embeddings.
    fn milliseconds(&self, batch: &Batch, runs: usize) -> Result<Vec<f64>> {
        (0..runs)
            .map(|_| {
                let start = Instant::now();
                let embeddings = (self.forward)(batch)?;
                embeddings.eval()?;
                let milliseconds = start.elapsed().as_secs_f64() * 1e3;
                drop(black_box(embeddings));
                Ok(milliseconds)
            })
            .collect()
    }
}

/// A row of the table.
enum Case<'a> {
    Ours(Ours<'a>),
    /// The index of the engine, the name of its variant, and whether it is one of the engine's own operations.
    Python(usize, String, bool),
}

impl Case<'_> {
    fn name(&self, engines: &[Engine]) -> String {
        match self {
            Self::Ours(ours) => format!("ours, {}", ours.name),
            Self::Python(engine, variant, _) => format!("{}, {variant}", engines[*engine].name),
        }
    }

    fn milliseconds(&self, engines: &mut [Engine], batch: &Batch, runs: usize) -> Result<f64> {
        Ok(median(match self {
            Self::Ours(ours) => ours.milliseconds(batch, runs)?,
            Self::Python(engine, variant, _) => {
                engines[*engine].python.ask(&json!({ "runs": runs, "variant": variant }))?
            }
        }))
    }

    /// Returns the embeddings, if it computes them.
    fn embeddings(&self, engines: &mut [Engine], batch: &Batch) -> Result<Option<Vec<f32>>> {
        Ok(match self {
            Self::Ours(ours) => Some((ours.forward)(batch)?.to_vec()?),
            Self::Python(_, variant, _) if variant == "products alone" => None,
            Self::Python(engine, variant, _) => {
                let rows: Vec<Vec<f32>> = engines[*engine].python.ask(&json!({ "embeddings": variant }))?;
                Some(rows.concat())
            }
        })
    }
}

fn speed(model: &Model, on_gpu: bool, engines: &mut [Engine], size: usize) -> Result<()> {
    let texts = texts(size);
    let batch = Batch::new(&texts)?;
    let mut cases: Vec<Case> = Ours::all(model, on_gpu)?.into_iter().map(Case::Ours).collect();
    let default = cases.len() - 1;
    for (at, engine) in engines.iter_mut().enumerate() {
        engine.python.ask::<bool>(&json!({ "tokens": texts }))?;
        let [own, others]: [Vec<String>; 2] = engine.python.ask(&json!({ "variants": true }))?;
        cases.extend(own.into_iter().map(|name| Case::Python(at, name, true)));
        cases.extend(others.into_iter().map(|name| Case::Python(at, name, false)));
    }

    // Warms all up, and compares their results.
    let reference = model.embed(&batch)?.to_vec::<f32>()?;
    let mut agreements = Vec::new();
    let mut runs = Vec::new();
    for case in &cases {
        let found = case.embeddings(engines, &batch)?;
        let cosines = found.map(|found| {
            let rows = found.chunks_exact(HIDDEN).zip(reference.chunks_exact(HIDDEN));
            rows.map(|(found, expected)| dot(found, expected)).fold(1.0, f32::min)
        });
        ensure!(
            cosines.is_none_or(|agreement| agreement > 0.999),
            "cannot compare times: the embeddings of {} differ from ours in float32, with cosine {cosines:?}",
            case.name(engines)
        );
        agreements.push(cosines);
        case.milliseconds(engines, &batch, 3)?;
        let once = case.milliseconds(engines, &batch, 3)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 100")]
        runs.push((TURN_MILLISECONDS / once).clamp(1.0, 100.0) as usize);
    }

    let mut turns: Vec<Vec<f64>> = Vec::new();
    for turn in 0..TURNS {
        let mut order: Vec<usize> = (0..cases.len()).collect();
        order.rotate_left(turn % cases.len());
        if turn % 2 == 1 {
            order.reverse();
        }
        let mut times = vec![0.0; cases.len()];
        for case in order {
            times[case] = cases[case].milliseconds(engines, &batch, runs[case])?;
        }
        turns.push(times);
    }
    let time = |case: usize| median(turns.iter().map(|turn| turn[case]));
    let ratio = |of: usize, to: usize| median(turns.iter().map(|turn| turn[of] / turn[to]));
    println!("\n{:<70}{:>10}{:>16}{:>14}", format!("{size} texts"), "ms", "ours / this", "least cosine");
    for (at, case) in cases.iter().enumerate() {
        let agreement = agreements[at].map_or_else(String::new, |agreement| format!("{agreement:.6}"));
        println!("{:<70}{:>10.3}{:>16.3}{agreement:>14}", case.name(engines), time(at), ratio(default, at));
    }
    let of_mlx = |at: &usize| matches!(&cases[*at], Case::Python(0, _, true));
    let best = (0..cases.len()).filter(of_mlx).min_by(|a, b| time(*a).total_cmp(&time(*b)));
    let best = best.context("cannot compare: Python MLX has no variant")?;
    println!("ours / Python MLX's fastest: {:.3}; in a scope / without: {:.3}", ratio(default, best), ratio(1, 0));
    Ok(())
}

/// Peak memory of MLX's arrays and of the process, in bytes, after the model was loaded and ran three times.
type Peaks = (f64, f64);

fn peaks(size: usize) -> Result<()> {
    let mut python = Engine::mlx()?.python;
    python.ask::<bool>(&json!({ "tokens": texts(size) }))?;
    python.ask::<Vec<f64>>(&json!({ "runs": 3, "variant": "float32" }))?;
    let theirs: Peaks = python.ask(&json!({ "peaks": true }))?;
    drop(python);
    let output = Command::new(env::current_exe()?).arg(format!("peaks={size}")).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ours: Peaks = serde_json::from_slice(&output.stdout)?;
    println!(
        "{size:<8}{:>14.0}{:>12.0}{:>8.2}{:>18.0}{:>12.0}{:>8.2}",
        theirs.0 / 1e6,
        ours.0 / 1e6,
        ours.0 / theirs.0,
        theirs.1 / 1e6,
        ours.1 / 1e6,
        ours.1 / theirs.1
    );
    Ok(())
}

fn print_peaks(size: usize) -> Result<()> {
    let model = Model::load(&find()?)?;
    Ours::new("float32", |batch| model.embed(batch)).milliseconds(&Batch::new(&texts(size))?, 3)?;
    let memory = memory().context("cannot read the peak memory: it is read from /proc, which needs Linux")?;
    println!("{}", json!([mlx::peak_memory()?, memory.peak]));
    Ok(())
}

/// A framework that runs in Python.
struct Engine {
    name: &'static str,
    python: Python,
}

impl Engine {
    fn mlx() -> Result<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder of Cargo's target");
        let mut command = python_mlx::python(include_str!("minilm.py"), target);
        command.arg(find()?);
        let mut python = Python::start(command)?;
        python.ask::<bool>(&json!({ "device": mlx::default_device()?.to_string() }))?;
        Ok(Self { name: "Python MLX", python })
    }

    /// Starts PyTorch, if `python3` has it and it sees a GPU.
    fn torch() -> Result<Option<Self>> {
        let check = "import torch, transformers, safetensors; assert torch.cuda.is_available()";
        if !Command::new("python3").args(["-c", check]).stderr(Stdio::null()).status()?.success() {
            return Ok(None);
        }
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("minilm_torch.py")]).arg(find()?);
        Ok(Some(Self { name: "torch", python: Python::start(command)? }))
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
