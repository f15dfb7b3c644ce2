//! Measures a training step of an encoder of MiniLM's size beside Python MLX and torch, and what a frozen encoder costs.
//!
//! `cargo bench -p training --bench step` trains on the CPU fallback and on MLX's default device, and fetches Python MLX with pip once.
//! torch is measured if `python3` imports it, or the Python that `GRAD_TORCH_PYTHON` names. All ratios are from one run, in which the
//! cases alternate and the order changes each turn; a ratio is the median over the turns. Peak memory is that of a process of its own
//! for each case. `-- frozen` measures the frozen encoder alone, and counts instructions with valgrind.

#[allow(dead_code, reason = "another benchmark uses the rest")]
#[path = "../../../tests/benches/callgrind.rs"]
mod callgrind;
#[path = "../../benches/support/python.rs"]
mod python;
#[path = "../../../tests/benches/python_mlx.rs"]
mod python_mlx;

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use grad_examples::memory::memory;
use grad_runtime::mlx::{self, Device};
use grad_runtime::optim::{AdamW, AdamWOptions};
use grad_runtime::params::{self, CompiledFunction};
use grad_runtime::{Array, Dtype, Params, cpu, no_grad, random, safetensors};
use mimalloc::MiMalloc;
use serde_json::json;
use tempfile::TempDir;
use training::model::Linear;

use self::python::Python;

/// As in the programs.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Batches: texts × tokens.
const SHAPES: [&str; 2] = ["8x64", "32x128"];
const CLASSES: usize = 8;
const LAYER_NORM_EPS: f32 = 1e-12;
const LR: f64 = 1e-4;
/// The number of steps before those that are timed.
const WARM_UP: usize = 3;
/// The losses of two cases may differ by this part after [`WARM_UP`] steps: TF32 has 10 bits of mantissa.
const TOLERANCE: f32 = 0.01;

/// The sizes of an encoder.
#[derive(Clone, Copy)]
struct Sizes {
    vocabulary: usize,
    positions: usize,
    hidden: usize,
    heads: usize,
    layers: usize,
}

const MINILM: Sizes = Sizes { vocabulary: 30_522, positions: 512, hidden: 384, heads: 12, layers: 6 };
/// An encoder whose operations take so little that what a scope costs beside them can be seen.
const SMALL: Sizes = Sizes { vocabulary: 100, positions: 16, hidden: 32, heads: 2, layers: 2 };

#[derive(Debug, Clone, Params)]
struct Embedding<A: Array> {
    weight: A,
}

#[derive(Debug, Clone, Params)]
struct LayerNorm<A: Array> {
    weight: A,
    bias: A,
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

#[derive(Debug, Clone, Params)]
struct Encoder<A: Array> {
    words: Embedding<A>,
    positions: Embedding<A>,
    norm: LayerNorm<A>,
    layers: Vec<Layer<A>>,
    #[params(skip)]
    heads: usize,
}

/// The encoder and a linear head on the mean of its outputs.
#[derive(Debug, Clone, Params)]
struct Model<A: Array> {
    encoder: Encoder<A>,
    head: Linear<A>,
}

/// Draws parameters one after the other.
struct Initial<A> {
    key: A,
}

impl<A: Array> Initial<A> {
    fn next_key(&mut self) -> Result<A> {
        let [key, next] = random::split_into(&self.key)?;
        self.key = next;
        Ok(key)
    }

    fn linear(&mut self, inputs: usize, outputs: usize) -> Result<Linear<A>> {
        Ok(Linear::new(inputs, outputs, &self.next_key()?)?)
    }

    fn embedding(&mut self, rows: usize, hidden: usize) -> Result<Embedding<A>> {
        let weight = random::uniform(-0.05, 0.05, &[rows, hidden], Dtype::Float32, &self.next_key()?)?;
        Ok(Embedding { weight })
    }
}

impl<A: Array> LayerNorm<A> {
    fn new(hidden: usize) -> Result<Self> {
        Ok(Self { weight: A::ones(&[hidden], Dtype::Float32)?, bias: A::zeros(&[hidden], Dtype::Float32)? })
    }

    fn forward(&self, x: &A) -> grad_runtime::Result<A> {
        x.layer_norm(&self.weight, &self.bias, LAYER_NORM_EPS)
    }
}

impl<A: Array> Layer<A> {
    fn new(initial: &mut Initial<A>, hidden: usize) -> Result<Self> {
        Ok(Self {
            query_key_value: initial.linear(hidden, 3 * hidden)?,
            attention_output: initial.linear(hidden, hidden)?,
            attention_norm: LayerNorm::new(hidden)?,
            intermediate: initial.linear(hidden, 4 * hidden)?,
            output: initial.linear(4 * hidden, hidden)?,
            output_norm: LayerNorm::new(hidden)?,
        })
    }

    fn forward(&self, x: &A, heads: usize) -> grad_runtime::Result<A> {
        let attended = self.attention_output.forward(&self.attend(x, heads)?)?;
        let x = self.attention_norm.forward(&attended.add(x)?)?;
        let output = self.output.forward(&self.intermediate.forward(&x)?.gelu()?)?;
        self.output_norm.forward(&output.add(&x)?)
    }

    fn attend(&self, x: &A, heads: usize) -> grad_runtime::Result<A> {
        let shape = x.shape();
        let (texts, tokens, hidden) = (shape[0], shape[1], shape[2]);
        let head = hidden / heads;
        #[expect(clippy::cast_precision_loss, reason = "a head is small")]
        let scale = 1.0 / (head as f32).sqrt();
        let split = self
            .query_key_value
            .forward(x)?
            .reshape(&[texts, tokens, 3, heads, head])?
            .transpose(&[2, 0, 3, 1, 4])?
            .split(3, 0)?;
        let [query, key, value] = [0, 1, 2].map(|part: usize| split[part].squeeze(0));
        let scores = query?.multiply(scale)?.matmul(&key?.swapaxes(-2, -1)?)?;
        scores.softmax(-1)?.matmul(&value?)?.transpose(&[0, 2, 1, 3])?.reshape(&[texts, tokens, hidden])
    }
}

impl<A: Array> Encoder<A> {
    /// Returns the features of each text, shape `[texts, hidden]`.
    fn forward(&self, tokens: &A) -> grad_runtime::Result<A> {
        let positions = self.positions.weight.narrow(0, 0, tokens.shape()[1])?;
        let mut x = self.norm.forward(&self.words.weight.take(tokens, 0)?.add(positions)?)?;
        for layer in &self.layers {
            x = layer.forward(&x, self.heads)?;
        }
        x.mean(&[1], false)
    }
}

impl<A: Array> Model<A> {
    fn new(sizes: Sizes) -> Result<Self> {
        let Sizes { vocabulary, positions, hidden, heads, layers } = sizes;
        let mut initial = Initial { key: random::key(1)? };
        let encoder = Encoder {
            words: initial.embedding(vocabulary, hidden)?,
            positions: initial.embedding(positions, hidden)?,
            norm: LayerNorm::new(hidden)?,
            layers: (0..layers).map(|_| Layer::new(&mut initial, hidden)).collect::<Result<_>>()?,
            heads,
        };
        let model = Self { encoder, head: initial.linear(hidden, CLASSES)? };
        params::eval(&model)?;
        Ok(model)
    }
}

/// Texts of the same length, with their classes.
#[derive(Debug, Clone, Params)]
struct Batch<A: Array> {
    /// Shape `[texts, tokens]`.
    #[params(buffer)]
    tokens: A,
    /// Shape `[texts]`.
    #[params(buffer)]
    labels: A,
}

/// The numbers of texts and of tokens of a batch.
#[derive(Debug, Clone, Copy)]
struct Shape {
    texts: usize,
    tokens: usize,
}

impl Shape {
    fn tokens(self, vocabulary: usize) -> Vec<u32> {
        let token = |at: usize| u32::try_from(at * 37 % vocabulary).expect("a small number");
        (0..self.texts * self.tokens).map(token).collect()
    }

    fn labels(self) -> Vec<i64> {
        (0..self.texts).map(|text| i64::try_from(text % CLASSES).expect("a small number")).collect()
    }

    fn batch<A: Array>(self, sizes: Sizes) -> Result<Batch<A>> {
        Ok(Batch {
            tokens: A::from_slice(&self.tokens(sizes.vocabulary), &[self.texts, self.tokens])?,
            labels: A::from_slice(&self.labels(), &[self.texts])?,
        })
    }
}

impl std::str::FromStr for Shape {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (texts, tokens) = text.split_once('x').context("expected a batch such as 32x128")?;
        Ok(Self { texts: texts.parse()?, tokens: tokens.parse()? })
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.texts, self.tokens)
    }
}

/// A training that goes on step by step.
trait Training {
    /// Returns the loss before the step.
    fn step(&mut self) -> Result<f32>;

    /// Returns milliseconds and loss of each of some steps.
    fn steps(&mut self, count: usize) -> Result<Vec<(f64, f32)>> {
        (0..count)
            .map(|_| {
                let start = Instant::now();
                let loss = self.step()?;
                Ok((start.elapsed().as_secs_f64() * 1e3, loss))
            })
            .collect()
    }

    /// Returns the peak memory of the process in bytes.
    fn peak(&mut self) -> Result<f64> {
        process_peak()
    }
}

fn loss<A: Array>(model: &Model<A>, batch: &Batch<A>) -> grad_runtime::Result<A> {
    model.head.forward(&model.encoder.forward(&batch.tokens)?)?.cross_entropy(&batch.labels)?.mean_all()
}

fn optimizer<A: Array>(model: &Model<A>) -> Result<AdamW<A>> {
    Ok(AdamW::new(model, AdamWOptions { lr: LR, ..AdamWOptions::default() })?)
}

struct Eager<A: Array> {
    model: Model<A>,
    optimizer: AdamW<A>,
    batch: Batch<A>,
}

impl<A: Array> Eager<A> {
    fn new(shape: Shape) -> Result<Self> {
        let model = Model::new(MINILM)?;
        Ok(Self { optimizer: optimizer(&model)?, model, batch: shape.batch(MINILM)? })
    }
}

impl<A: Array> Training for Eager<A> {
    fn step(&mut self) -> Result<f32> {
        let (loss, gradients) = params::value_and_grad(|model| loss(model, &self.batch), &self.model)?;
        self.optimizer.step(&mut self.model, &gradients)?;
        drop(gradients);
        params::eval(&(loss.clone(), (self.model.clone(), self.optimizer.clone())))?;
        Ok(loss.item()?)
    }
}

type Mlx = mlx::Array;
type State = (Model<Mlx>, AdamW<Mlx>);

struct Compiled {
    step: CompiledFunction<(State, Batch<Mlx>), (Mlx, State)>,
    state: State,
    batch: Batch<Mlx>,
}

impl Compiled {
    fn new(shape: Shape) -> Result<Self> {
        let step = params::compile(|((model, optimizer), batch): &(State, Batch<Mlx>)| {
            let (mut model, mut optimizer) = (model.clone(), optimizer.clone());
            let (loss, gradients) = params::value_and_grad(|model| loss(model, batch), &model)?;
            optimizer.step(&mut model, &gradients)?;
            Ok((loss, (model, optimizer)))
        });
        let model = Model::new(MINILM)?;
        Ok(Self { step, state: (model.clone(), optimizer(&model)?), batch: shape.batch(MINILM)? })
    }
}

impl Training for Compiled {
    fn step(&mut self) -> Result<f32> {
        let (loss, state) = self.step.call(&(self.state.clone(), self.batch.clone()))?;
        self.state = state;
        params::eval(&(loss.clone(), self.state.clone()))?;
        Ok(loss.item()?)
    }
}

impl Training for Python {
    fn step(&mut self) -> Result<f32> {
        Ok(self.steps(1)?[0].1)
    }

    fn steps(&mut self, count: usize) -> Result<Vec<(f64, f32)>> {
        self.ask(&json!({ "steps": count }))
    }

    fn peak(&mut self) -> Result<f64> {
        Ok(self.ask::<(Option<f64>, f64)>(&json!({ "peaks": true }))?.1)
    }
}

/// What trains. `Ours` is grad-runtime on MLX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Python,
    PythonCompiled,
    Ours,
    OursCompiled,
    Torch,
    TorchCompiled,
    Fallback,
}

impl Case {
    const ALL: [Self; 7] = [
        Self::Python,
        Self::Ours,
        Self::PythonCompiled,
        Self::OursCompiled,
        Self::Torch,
        Self::TorchCompiled,
        Self::Fallback,
    ];
    const ON_CPU: [Self; 6] =
        [Self::Python, Self::Ours, Self::PythonCompiled, Self::OursCompiled, Self::Torch, Self::Fallback];
    const ON_GPU: [Self; 6] =
        [Self::Python, Self::Ours, Self::PythonCompiled, Self::OursCompiled, Self::Torch, Self::TorchCompiled];

    const fn name(self) -> &'static str {
        match self {
            Self::Python => "Python MLX",
            Self::PythonCompiled => "Python MLX, mx.compile",
            Self::Ours => "grad-runtime on MLX",
            Self::OursCompiled => "grad-runtime on MLX, params::compile",
            Self::Torch => "torch",
            Self::TorchCompiled => "torch, torch.compile",
            Self::Fallback => "grad-runtime, CPU fallback",
        }
    }

    /// Returns the case that a ratio is to.
    const fn reference(self) -> Self {
        match self {
            Self::Python | Self::Ours => Self::Python,
            Self::PythonCompiled | Self::OursCompiled => Self::PythonCompiled,
            Self::Torch | Self::TorchCompiled | Self::Fallback => Self::Torch,
        }
    }

    /// Starts a training, or returns `None` if there is no torch.
    fn start(self, shape: Shape) -> Result<Option<Box<dyn Training>>> {
        Ok(Some(match self {
            Self::Ours => Box::new(Eager::<Mlx>::new(shape)?),
            Self::OursCompiled => Box::new(Compiled::new(shape)?),
            Self::Fallback => Box::new(Eager::<cpu::Array>::new(shape)?),
            Self::Python | Self::PythonCompiled => {
                Box::new(start_python("mlx", self == Self::PythonCompiled, shape)?)
            }
            Self::Torch | Self::TorchCompiled => {
                if !torch().args(["-c", "import torch"]).output()?.status.success() {
                    return Ok(None);
                }
                Box::new(start_python("torch", self == Self::TorchCompiled, shape)?)
            }
        }))
    }
}

/// Returns a Python that may import torch.
fn torch() -> Command {
    let mut python = Command::new("python3");
    if let Some(packages) = env::var_os("GRAD_TORCH_PYTHON") {
        python.env("PYTHONPATH", packages);
    }
    python
}

fn start_python(framework: &str, compile: bool, shape: Shape) -> Result<Python> {
    const PROGRAM: &str = include_str!("step.py");
    let mut command = if framework == "mlx" {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder of Cargo's target");
        python_mlx::python(PROGRAM, target)
    } else {
        let mut command = torch();
        command.args(["-c", PROGRAM]);
        command
    };
    command.arg(framework);
    let folder = TempDir::new()?;
    let file = folder.path().join("parameters.safetensors");
    safetensors::save(&file, &Model::<cpu::Array>::new(MINILM)?.named())?;
    let mut python = Python::start(command)?;
    let version = python.ask::<String>(&json!({
        "parameters": file,
        "device": mlx::default_device()?.to_string(),
        "compile": compile,
        "heads": MINILM.heads,
        "tokens": shape.tokens(MINILM.vocabulary).chunks(shape.tokens).collect::<Vec<_>>(),
        "labels": shape.labels(),
    }))?;
    eprintln!("{version}{}", if compile { ", compiled" } else { "" });
    Ok(python)
}

fn process_peak() -> Result<f64> {
    let memory = memory().context("cannot read the peak memory: it is read from /proc, which needs Linux")?;
    #[expect(clippy::cast_precision_loss, reason = "it is shown with a few digits")]
    Ok(memory.peak as f64)
}

/// How a head is trained on an encoder that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frozen {
    /// Whether the encoder's parameters are among those that are differentiated.
    tracked: bool,
    /// Whether the encoder runs in a scope; else its output passes `stop_gradient`.
    scope: bool,
}

impl Frozen {
    const ALL: [Self; 4] = [
        Self { tracked: false, scope: true },
        Self { tracked: false, scope: false },
        Self { tracked: true, scope: true },
        Self { tracked: true, scope: false },
    ];

    fn features<A: Array>(self, encoder: &Encoder<A>, tokens: &A) -> grad_runtime::Result<A> {
        if self.scope { no_grad!(encoder.forward(tokens)) } else { encoder.forward(tokens)?.stop_gradient() }
    }

    /// Computes the loss and the gradient of the head.
    fn step<A: Array>(self, model: &Model<A>, batch: &Batch<A>) -> Result<()> {
        let loss = |encoder: &Encoder<A>, head: &Linear<A>| {
            head.forward(&self.features(encoder, &batch.tokens)?)?.cross_entropy(&batch.labels)?.mean_all()
        };
        let (loss, gradient) = if self.tracked {
            let (loss, gradient) =
                params::value_and_grad(|model: &Model<A>| loss(&model.encoder, &model.head), model)?;
            (loss, gradient.head)
        } else {
            params::value_and_grad(|head: &Linear<A>| loss(&model.encoder, head), &model.head)?
        };
        Ok(params::eval(&(loss, gradient))?)
    }
}

/// The number of steps of the two processes whose instructions are subtracted.
const COUNTED: [usize; 2] = [2, 12];

fn frozen_table(shape: Shape, turns: usize) -> Result<()> {
    println!("\na head on a frozen encoder, {shape}: in a scope, and with stop_gradient on the encoder's output");
    println!(
        "{:<14}{:<22}{:>10}{:>18}{:>8}{:>22}{:>10}{:>8}",
        "backend",
        "encoder's parameters",
        "scope ms",
        "stop_gradient ms",
        "ratio",
        "small encoder: scope",
        "stop",
        "ratio"
    );
    frozen_rows::<cpu::Array>("cpu", shape, turns)?;
    frozen_rows::<Mlx>("mlx", shape, turns)
}

fn frozen_rows<A: Array>(backend: &str, shape: Shape, turns: usize) -> Result<()> {
    let model = Model::<A>::new(MINILM)?;
    let batch = shape.batch(MINILM)?;
    let mut times = vec![[0.0; Frozen::ALL.len()]; turns];
    for turn in 0..=turns {
        for at in alternating(turn, Frozen::ALL.len()) {
            let start = Instant::now();
            Frozen::ALL[at].step(&model, &batch)?;
            // The first turn warms up.
            if turn > 0 {
                times[turn - 1][at] = start.elapsed().as_secs_f64() * 1e3;
            }
        }
    }
    for at in [0, 2] {
        let time = |at: usize| median(times.iter().map(|turn| turn[at]));
        let ratio = median(times.iter().map(|turn| turn[at] / turn[at + 1]));
        let tracked = if Frozen::ALL[at].tracked { "differentiated" } else { "not differentiated" };
        print!("{backend:<14}{tracked:<22}{:>10.1}{:>18.1}{ratio:>8.3}", time(at), time(at + 1));
        match (instructions(backend, at)?, instructions(backend, at + 1)?) {
            (Some(scope), Some(stop)) => println!("{scope:>22.0}{stop:>10.0}{:>8.3}", scope / stop),
            _ => println!("{:>22}", "valgrind not found"),
        }
    }
    Ok(())
}

/// Returns the instructions of a step with a small encoder, in thousands.
fn instructions(backend: &str, case: usize) -> Result<Option<f64>> {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let program = env::current_exe()?;
    let [few, many] = COUNTED.map(|steps| {
        let arguments = ["counted".to_owned(), backend.to_owned(), case.to_string(), steps.to_string()];
        callgrind::instructions(&program, arguments)
    });
    let steps = COUNTED[1] - COUNTED[0];
    #[expect(clippy::cast_precision_loss, reason = "it is shown with a few digits")]
    Ok(Some((many - few) as f64 / steps as f64 / 1e3))
}

/// Runs some steps with a small encoder, whose instructions another process counts.
fn counted<A: Array>(case: Frozen, steps: usize) -> Result<()> {
    let model = Model::<A>::new(SMALL)?;
    let batch = Shape { texts: 2, tokens: SMALL.positions }.batch(SMALL)?;
    (0..steps).try_for_each(|_| case.step(&model, &batch))
}

/// Returns the order of the cases in a turn: each begins as often as any other, and every other turn runs backwards.
fn alternating(turn: usize, cases: usize) -> Vec<usize> {
    let mut order = (0..cases).collect::<Vec<_>>();
    order.rotate_left(turn / 2 % cases);
    if turn % 2 == 1 {
        order.reverse();
    }
    order
}

fn main() -> Result<()> {
    let arguments = env::args().skip(1).filter(|argument| argument != "--bench").collect::<Vec<_>>();
    let arguments = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    let on_gpu = mlx::default_device()? == Device::Gpu;
    let turns = if on_gpu { 30 } else { 7 };
    match arguments[..] {
        ["peak", case, shape] => {
            let case = Case::ALL[case.parse::<usize>()?];
            let mut training = case.start(shape.parse()?)?.context("there is no torch")?;
            training.steps(WARM_UP)?;
            println!("{}", training.peak()?);
            Ok(())
        }
        ["counted", backend, case, steps] => {
            let (case, steps) = (Frozen::ALL[case.parse::<usize>()?], steps.parse()?);
            if backend == "cpu" { counted::<cpu::Array>(case, steps) } else { counted::<Mlx>(case, steps) }
        }
        ["frozen"] => frozen_table(SHAPES[0].parse()?, turns),
        [] => {
            let cases = if on_gpu { Case::ON_GPU } else { Case::ON_CPU };
            println!("forward, backward and AdamW of an encoder of MiniLM's size, on {}", mlx::default_device()?);
            for shape in SHAPES {
                speed(&cases, shape.parse()?, turns)?;
            }
            frozen_table(SHAPES[0].parse()?, turns)
        }
        [shape] => speed(&if on_gpu { Case::ON_GPU } else { Case::ON_CPU }, shape.parse()?, turns),
        _ => bail!("cannot use these arguments: expected nothing, `frozen`, or a batch such as 32x128"),
    }
}

fn speed(cases: &[Case], shape: Shape, turns: usize) -> Result<()> {
    let mut trainings = Vec::new();
    let mut expected = None;
    for &case in cases {
        let Some(mut training) = case.start(shape)? else {
            eprintln!(
                "{} is left out: python3 does not import torch; name its folder in GRAD_TORCH_PYTHON",
                case.name()
            );
            continue;
        };
        let steps = training.steps(WARM_UP)?;
        let (time, loss) = steps[WARM_UP - 1];
        let expected = *expected.get_or_insert(loss);
        ensure!(
            (loss - expected).abs() < TOLERANCE * expected,
            "cannot compare times: the loss of {} is {loss} after {WARM_UP} steps, and {expected} in Python MLX",
            case.name()
        );
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 20")]
        let steps = (100.0 / time).clamp(1.0, 20.0) as usize;
        trainings.push((case, training, steps));
    }
    let mut times = vec![vec![0.0; trainings.len()]; turns];
    for (turn, times) in times.iter_mut().enumerate() {
        for at in alternating(turn, trainings.len()) {
            let (_, training, steps) = &mut trainings[at];
            times[at] = median(training.steps(*steps)?.into_iter().map(|(time, _)| time));
        }
    }
    let cases = trainings.iter().map(|(case, ..)| *case).collect::<Vec<_>>();
    drop(trainings);
    println!("\n{:<38}{:>10}{:>8}{:>10}   ratio to", shape.to_string(), "ms", "ratio", "peak MB");
    for (at, case) in cases.iter().enumerate() {
        let reference = cases.iter().position(|other| *other == case.reference());
        let ratio = reference.map(|reference| median(times.iter().map(|turn| turn[at] / turn[reference])));
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let time = median(times.iter().map(|turn| turn[at]));
        let peak = peak_in_a_process(*case, shape)? / 1e6;
        println!("{:<38}{time:>10.1}{ratio:>8}{peak:>10.0}   {}", case.name(), case.reference().name());
    }
    Ok(())
}

fn peak_in_a_process(case: Case, shape: Shape) -> Result<f64> {
    let number = Case::ALL.iter().position(|other| *other == case).expect("all cases are listed");
    let output =
        Command::new(env::current_exe()?).args(["peak", &number.to_string(), &shape.to_string()]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values = values.into_iter().collect::<Vec<_>>();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
