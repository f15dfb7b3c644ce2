//! Measures MiniLM's forward pass on the CPU fallback: compared with candle-transformers' `BertModel`, and with every weight
//! tracked, inside a scope and outside.
//!
//! `cargo bench -p grad-examples --features compare --bench minilm`. All ratios are from one run, in which the cases alternate
//! and the order changes each round. Peak memory is measured in a separate process for each case.

use std::collections::BTreeMap;
use std::env;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use grad_examples::memory::memory;
use grad_examples::minilm::{Batch, MiniLm};
use grad_examples::model_files::find;
use grad_runtime::cpu::Array as Cpu;
use grad_runtime::no_grad;

type Model = MiniLm<Cpu>;

const ROUNDS: usize = 9;

fn main() -> Result<()> {
    if let Some(case) = env::args().nth(1).and_then(|name| Case::ALL.into_iter().find(|case| case.name() == name)) {
        return peak_of(case);
    }
    beside_candle()?;
    tracked()
}

/// Makes `count` texts of `tokens` tokens each.
fn texts(count: usize, tokens: usize) -> Vec<Vec<u32>> {
    let token = |text: usize, at: usize| u32::try_from(1000 + text * 37 + at * 13).expect("a small number");
    (0..count).map(|text| (0..tokens).map(|at| token(text, at)).collect()).collect()
}

/// Drops a result that is computed only to be timed.
fn forget<T>(result: T) {
    black_box(result);
}

fn beside_candle() -> Result<()> {
    let dir = find()?;
    let ours = Model::load(&dir)?;
    let config: Config = serde_json::from_slice(&std::fs::read(dir.join("config.json"))?)?;
    let weights = std::fs::read(dir.join("model.safetensors"))?;
    let candle =
        BertModel::load(VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?, &config)?;

    println!("{:<16}{:>12}{:>12}{:>8}", "texts × tokens", "candle ms", "ours ms", "ratio");
    for (count, tokens) in [(1, 16), (1, 32), (1, 128), (8, 128), (32, 128), (8, 256)] {
        let texts = texts(count, tokens);
        let batch = Batch::new(&texts)?;
        let ids = Tensor::from_vec(texts.concat(), (count, tokens), &Device::Cpu)?;
        let types = ids.zeros_like()?;
        // Small cases are repeated to take a measurable time.
        let repeats = u32::try_from(512 / (count * tokens))?.max(1);
        let mut pair = [
            Timed::new(|| candle.forward(&ids, &types, None).map(forget).map_err(Into::into)),
            Timed::new(|| ours.embed(&batch).map(forget).map_err(Into::into)),
        ];
        in_turn(&mut pair, repeats)?;
        let [candle, ours] = pair.map(|timed| timed.milliseconds);
        let ratio = median(ours.iter().zip(&candle).map(|(ours, candle)| ours / candle));
        let (candle, ours) = (median(candle), median(ours));
        println!("{:<16}{candle:>12.1}{ours:>12.1}{ratio:>8.2}", format!("{count} × {tokens}"));
    }
    Ok(())
}

struct Timed<'a> {
    run: Box<dyn FnMut() -> Result<()> + 'a>,
    milliseconds: Vec<f64>,
}

impl<'a> Timed<'a> {
    fn new(run: impl FnMut() -> Result<()> + 'a) -> Self {
        Self { run: Box::new(run), milliseconds: Vec::new() }
    }
}

/// Times each case in each round, after a warm-up round. Every other round runs backwards.
fn in_turn(cases: &mut [Timed], repeats: u32) -> Result<()> {
    for round in 0..=ROUNDS {
        let mut order: Vec<&mut Timed> = cases.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for case in order {
            let start = Instant::now();
            for _ in 0..repeats {
                (case.run)()?;
            }
            if round > 0 {
                case.milliseconds.push(start.elapsed().as_secs_f64() * 1e3 / f64::from(repeats));
            }
        }
    }
    Ok(())
}

/// Whether the weights are tracked, and whether the forward pass is in a scope.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Case {
    Plain,
    TrackedInAScope,
    Recorded,
}

impl Case {
    const ALL: [Self; 3] = [Self::Plain, Self::TrackedInAScope, Self::Recorded];

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::TrackedInAScope => "tracked, in a scope",
            Self::Recorded => "tracked, recorded",
        }
    }

    /// Calls `use_model` with a model whose weights are plain or tracked, as the case requires. The model is made from `plain`
    /// in each case, since making a model fuses weights, which takes memory.
    fn with_model(self, plain: &Model, use_model: impl FnOnce(&Model) -> Result<()>) -> Result<()> {
        if self == Self::Plain {
            return use_model(&plain.with_parameters(plain.parameters())?);
        }
        let mut outcome = Ok(());
        Cpu::value_and_grad(
            |weights| {
                outcome = plain.with_parameters(weights).and_then(|model| use_model(&model));
                Cpu::scalar(0.0_f32)
            },
            plain.parameters(),
        )?;
        outcome
    }

    fn forward(self, model: &Model, batch: &Batch) -> Result<()> {
        let embeddings = if self == Self::TrackedInAScope {
            no_grad! { model.forward(batch)? }
        } else {
            model.forward(batch)?
        };
        drop(black_box(embeddings));
        Ok(())
    }
}

/// 32 texts of 128 tokens.
fn large_batch() -> Result<Batch> {
    Batch::new(&texts(32, 128))
}

fn tracked() -> Result<()> {
    let model = Model::load(&find()?)?;
    let batch = large_batch()?;
    let mut milliseconds: BTreeMap<Case, Vec<f64>> = BTreeMap::new();
    for round in 0..=ROUNDS {
        let mut order = Case::ALL;
        order.rotate_left(round % Case::ALL.len());
        for case in order {
            case.with_model(&model, |model| {
                let start = Instant::now();
                case.forward(model, &batch)?;
                if round > 0 {
                    milliseconds.entry(case).or_default().push(start.elapsed().as_secs_f64() * 1e3);
                }
                Ok(())
            })?;
        }
    }
    println!("\n{:<22}{:>10}{:>8}{:>14}{:>8}", "32 × 128, weights", "ms", "ratio", "peak MB", "ratio");
    let plain = milliseconds[&Case::Plain].clone();
    let plain_peak = peak_in_a_process(Case::Plain)?;
    for case in Case::ALL {
        let times = &milliseconds[&case];
        let ratio = median(times.iter().zip(&plain).map(|(time, plain)| time / plain));
        let peak = peak_in_a_process(case)?;
        let (time, name) = (median(times.iter().copied()), case.name());
        println!("{name:<22}{time:>10.0}{ratio:>8.2}{peak:>14.0}{:>8.2}", peak / plain_peak);
    }
    Ok(())
}

fn peak_in_a_process(case: Case) -> Result<f64> {
    let output = Command::new(env::current_exe()?).arg(case.name()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Prints the peak memory, in MB, of a process that runs three forward passes.
fn peak_of(case: Case) -> Result<()> {
    let model = Model::load(&find()?)?;
    let batch = large_batch()?;
    case.with_model(&model, |model| (0..3).try_for_each(|_| case.forward(model, &batch)))?;
    let memory = memory().context("cannot read the peak memory: it is read from /proc, which needs Linux")?;
    #[expect(clippy::cast_precision_loss, reason = "it is shown with a few digits")]
    let megabytes = memory.peak as f64 / 1e6;
    println!("{megabytes}");
    Ok(())
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
