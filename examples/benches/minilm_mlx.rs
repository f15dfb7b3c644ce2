//! Measures MiniLM's forward pass on MLX: compared with the same operations in Python MLX, in a scope and outside.
//!
//! `cargo bench -p grad-examples --bench minilm_mlx` runs on MLX's default device and fetches Python MLX with pip once. All
//! ratios are from one run, in which the cases alternate and the order changes each turn. A ratio is the median over the
//! turns; below 1, grad-runtime is faster. Peak memory is measured in a separate process for each.

use std::env;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use grad_examples::memory::memory;
use grad_examples::minilm::{Batch, HIDDEN, MiniLm};
use grad_examples::model_files::find;
use grad_runtime::mlx::{self, Device};
use grad_runtime::no_grad;
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
    let sizes: &[usize] = if mlx::default_device()? == Device::Gpu { &[1, 32, 256] } else { &[1, 32] };
    let asked = env::args().nth(1).and_then(|argument| argument.strip_prefix("peaks=")?.parse().ok());
    if let Some(size) = asked {
        return print_peaks(size);
    }
    let model = Model::load(&find()?)?;
    let mut python = start_python()?;
    let (device, versions) = (mlx::default_device()?, python.ask::<String>(&json!({}))?);
    println!("on {device}, texts of up to {TOKENS} tokens; {versions}");
    println!(
        "{:<8}{:>11}{:>11}{:>11}{:>14}{:>18}{:>14}",
        "texts", "Python ms", "ours ms", "scope ms", "ours / Python", "scope / without", "least cosine"
    );
    for &size in sizes {
        speed(&model, &mut python, size)?;
    }
    drop(python);
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

/// Returns the milliseconds of each of `runs` forward passes, from tokens to evaluated embeddings.
fn forward(model: &Model, batch: &Batch, in_a_scope: bool, runs: usize) -> Result<Vec<f64>> {
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            let embeddings = if in_a_scope { no_grad!(model.forward(batch)?) } else { model.forward(batch)? };
            embeddings.eval()?;
            let milliseconds = start.elapsed().as_secs_f64() * 1e3;
            drop(black_box(embeddings));
            Ok(milliseconds)
        })
        .collect()
}

fn speed(model: &Model, python: &mut Python, size: usize) -> Result<()> {
    let texts = texts(size);
    let batch = Batch::new(&texts)?;
    python.ask::<bool>(&json!({ "tokens": texts }))?;

    // Warms both up, and compares their results.
    let ours = model.embed(&batch)?.to_vec::<f32>()?;
    let theirs = python.ask::<Vec<Vec<f32>>>(&json!({ "embeddings": true }))?;
    let cosines = ours.chunks_exact(HIDDEN).zip(&theirs).map(|(ours, theirs)| dot(ours, theirs));
    let agreement = cosines.fold(1.0, f32::min);
    ensure!(
        agreement > 0.999,
        "cannot compare times: the embeddings differ from Python's, with cosine {agreement}"
    );

    let once = median(forward(model, &batch, true, 3)?);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 100")]
    let runs = (TURN_MILLISECONDS / once).clamp(1.0, 100.0) as usize;
    let mut turns: Vec<[f64; 3]> = Vec::new();
    for turn in 0..TURNS {
        // Each of the six orders equally often.
        let mut order = [0, 1, 2];
        order.rotate_left(turn % 3);
        if turn % 2 == 1 {
            order.reverse();
        }
        let mut times = [0.0; 3];
        for case in order {
            times[case] = median(match case {
                0 => python.ask(&json!({ "runs": runs }))?,
                case => forward(model, &batch, case == 2, runs)?,
            });
        }
        turns.push(times);
    }
    let time = |case: usize| median(turns.iter().map(|turn| turn[case]));
    let ratio = |of: usize, to: usize| median(turns.iter().map(|turn| turn[of] / turn[to]));
    println!(
        "{size:<8}{:>11.2}{:>11.2}{:>11.2}{:>14.3}{:>18.3}{agreement:>14.6}",
        time(0),
        time(1),
        time(2),
        ratio(2, 0),
        ratio(2, 1)
    );
    Ok(())
}

/// Peak memory of MLX's arrays and of the process, in bytes, after the model was loaded and ran three times.
type Peaks = (f64, f64);

fn peaks(size: usize) -> Result<()> {
    let mut python = start_python()?;
    python.ask::<bool>(&json!({ "tokens": texts(size) }))?;
    python.ask::<Vec<f64>>(&json!({ "runs": 3 }))?;
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
    forward(&model, &Batch::new(&texts(size))?, true, 3)?;
    let memory = memory().context("cannot read the peak memory: it is read from /proc, which needs Linux")?;
    println!("{}", json!([mlx::peak_memory()?, memory.peak]));
    Ok(())
}

/// Starts a process that runs `minilm.py`.
fn start_python() -> Result<Python> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder of Cargo's target");
    let mut command = python_mlx::python(include_str!("minilm.py"), target);
    command.arg(find()?);
    let mut python = Python::start(command)?;
    python.ask::<bool>(&json!({ "device": mlx::default_device()?.to_string() }))?;
    Ok(python)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
