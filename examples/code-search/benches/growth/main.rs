//! Measures how time and memory of an index grow with the number of passages.
//!
//! `cargo bench -p code-search --bench growth` generates trees of source files, and measures each step of each in a process of its
//! own. The model is replaced by a stand-in that is as cheap as reading the text, since the model takes the same time for each
//! passage; `-- --real 1000` embeds with the model. Sizes can be named: `-- 1000 10000`.

mod sources;
mod stand_in;

use std::env;
use std::fs;
use std::hint::black_box;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use code_search::rank::Ranking;
use code_search::session::{Location, Session};
use code_search::shard::Shard;
use code_search::store::{Sqlite, Store};
use code_search::update::Tree;
use grad_examples::embedder::{self, Backend, BackendArgs, Embed};
use grad_examples::memory::memory;
use grad_examples::minilm::HIDDEN;
use grad_examples::model_files::ModelFiles;
use grad_runtime::{Array, no_grad};
use mimalloc::MiMalloc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use self::sources::{Random, Sources};
use self::stand_in::StandIn;

/// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The number of times that a step is repeated which leaves the index as it is; the median counts.
const REPEATS: usize = 3;
const QUERIES: usize = 15;
const TURNS: usize = 31;
/// The number of passages that a search takes from each ranking.
const DEPTH: usize = 50;

#[derive(Parser)]
struct Cli {
    /// Numbers of passages
    #[arg(default_values_t = [1_000, 10_000, 100_000])]
    sizes: Vec<usize>,
    /// Embed with the model
    #[arg(long)]
    real: bool,
    #[command(flatten)]
    on: BackendArgs,
    /// The step of a process that this program starts
    #[arg(long, hide = true)]
    step: Option<Step>,
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Step {
    /// Brings the index up to date
    Update,
    /// Brings it up to date and searches
    Cold,
    /// Searches in a session that has searched before
    Warm,
}

/// The result of a step that is measured as a whole.
#[derive(Serialize, Deserialize)]
struct Whole {
    seconds: f64,
    megabytes: f64,
    embedded: usize,
    passages: usize,
}

/// Median milliseconds of the parts of a search, and the peak memory of the searches.
#[derive(Serialize, Deserialize)]
struct Parts {
    search: f64,
    vectors: f64,
    product: f64,
    ratio: f64,
    words: f64,
    megabytes: f64,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match (cli.step, &cli.folder) {
        (Some(step), Some(folder)) => match embedder::backend(cli.on.backend, cli.on.device)? {
            #[cfg(feature = "cpu")]
            Backend::Cpu => measure::<grad_runtime::cpu::Array>(&cli, step, folder),
            #[cfg(feature = "mlx")]
            Backend::Mlx(_) => measure::<grad_runtime::mlx::Array>(&cli, step, folder),
        },
        _ => table(&cli),
    }
}

fn table(cli: &Cli) -> Result<()> {
    let model = if cli.real { "the model" } else { "a stand-in for the model" };
    println!("embeddings of {model}; index and search in processes of their own; peaks are of resident memory");
    println!(
        "{:>9}{:>7}{:>8}{:>9}{:>10}{:>9}{:>9}{:>13}{:>11}{:>10}{:>9}",
        "passages",
        "MB",
        "read s",
        "index s",
        "× reading",
        "peak MB",
        "on disk",
        "unchanged s",
        "1 file s",
        "cold s",
        "peak MB"
    );
    let mut searches = Vec::new();
    for &size in &cli.sizes {
        let folder = TempDir::new()?;
        let folder = folder.path();
        let mut sources = Sources::write(&folder.join("tree"), size)?;
        let run = |step| run_step::<Whole>(cli, step, folder);

        let reading = median((0..REPEATS).map(|_| read_all(&sources.files)).collect::<Result<Vec<_>>>()?);
        let index = run(Step::Update)?;
        let disk = fs::metadata(Sqlite::file_in(&folder.join("index")))?.len();
        let unchanged = repeat(|| run(Step::Update))?;
        ensure!(unchanged.embedded == 0, "an unchanged tree was embedded again");
        let cold = repeat(|| run(Step::Cold))?;
        searches.push((index.passages, run_step::<Parts>(cli, Step::Warm, folder)?));
        let changed = repeat(|| {
            sources.change_one_file()?;
            run(Step::Update)
        })?;
        ensure!((1..20).contains(&changed.embedded), "{} passages of one function", changed.embedded);
        println!(
            "{:>9}{:>7.1}{reading:>8.3}{:>9.2}{:>10.0}{:>9.0}{:>9.1}{:>13.3}{:>11.3}{:>10.3}{:>9.0}",
            index.passages,
            megabytes(sources.bytes),
            index.seconds,
            index.seconds / reading,
            index.megabytes,
            megabytes(disk.try_into()?),
            unchanged.seconds,
            changed.seconds,
            cold.seconds,
            cold.megabytes
        );
    }
    println!("\nsearches in one session: medians in ms, each from the same run as its neighbours");
    println!(
        "{:>9}{:>9}{:>14}{:>17}{:>8}{:>12}{:>9}",
        "passages", "search", "vectors' part", "product alone", "ratio", "words' part", "peak MB"
    );
    for (passages, Parts { search, vectors, product, ratio, words, megabytes }) in searches {
        println!(
            "{passages:>9}{search:>9.2}{vectors:>14.3}{product:>17.3}{ratio:>8.3}{words:>12.2}{megabytes:>9.0}"
        );
    }
    Ok(())
}

/// Returns the result with the median time.
fn repeat(mut run: impl FnMut() -> Result<Whole>) -> Result<Whole> {
    let mut results = (0..REPEATS).map(|_| run()).collect::<Result<Vec<_>>>()?;
    results.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(results.swap_remove(REPEATS / 2))
}

/// Returns the seconds that it takes to read some files.
fn read_all(files: &[PathBuf]) -> Result<f64> {
    let start = Instant::now();
    for file in files {
        black_box(fs::read(file)?);
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Runs this program for one step.
fn run_step<R: DeserializeOwned>(cli: &Cli, step: Step, folder: &Path) -> Result<R> {
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|value| value.get_name().to_owned()).expect("no value is skipped")
    };
    let mut command = Command::new(env::current_exe()?);
    command.arg("--step").arg(name(&|| step.to_possible_value())).arg("--folder").arg(folder);
    command.arg("--backend").arg(name(&|| cli.on.backend.to_possible_value()));
    if let Some(device) = cli.on.device {
        command.arg("--device").arg(name(&|| device.to_possible_value()));
    }
    if cli.real {
        command.arg("--real");
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn measure<A: Array>(cli: &Cli, step: Step, folder: &Path) -> Result<()> {
    let embedder = || -> Result<Box<dyn Embed>> {
        if cli.real {
            embedder::open(&cli.on.into(), &ModelFiles::open(None)?)
        } else {
            Ok(Box::new(StandIn::<A>(PhantomData)))
        }
    };
    // The time of loading the model is not counted.
    let (embedding, root, index) = (embedder()?, folder.join("tree"), folder.join("index"));
    let tree = Tree { given: root.clone(), root, name: "tree".into() };
    let mut warn = |warning: &str| panic!("{warning}");
    let start = Instant::now();
    let location = Location::Folder(index.clone());
    let (mut session, updates) =
        Session::open(location, vec![tree.clone()], Shard::ALL, embedding, &mut |_| {}, &mut warn)?;
    let mut random = Random::new(7);
    let mut search = |session: &mut Session| -> Result<f64> {
        let query = random.query();
        let start = Instant::now();
        let hits = session.search(&query, 5, Ranking::Hybrid, &mut |warning| panic!("{warning}"))?;
        ensure!(hits.len() == 5, "a query has {} answers", hits.len());
        Ok(milliseconds(start))
    };
    if !matches!(step, Step::Update) {
        search(&mut session)?;
    }
    if matches!(step, Step::Update | Step::Cold) {
        let (seconds, megabytes) = (start.elapsed().as_secs_f64(), peak()?);
        let passages = session.counts()?.passages;
        return print(&Whole { seconds, megabytes, embedded: updates[0].embedded, passages });
    }
    let searches = (0..QUERIES).map(|_| search(&mut session)).collect::<Result<Vec<_>>>()?;
    let megabytes = peak()?;
    drop(session);

    let embedder = embedder()?;
    let mut store = Sqlite::open(&index)?;
    let trees = [store.tree(&tree.origin())?];
    let passages = store.counts(&trees)?.passages;
    let mut random = Random::new(7);
    let queries = (0..TURNS).map(|_| random.query()).collect::<Vec<_>>();
    let elements = (0..passages * HIDDEN).map(|_| random.uniform()).collect::<Vec<_>>();
    let matrix = A::from_slice(&elements, &[passages, HIDDEN])?;
    drop(elements);
    let mut turns = Vec::new();
    for (turn, query) in queries.iter().enumerate() {
        let query = embedder.embed(&[query], &mut |_| {})?.remove(0);
        let mut vectors = || -> Result<f64> {
            let start = Instant::now();
            ensure!(store.nearest(&trees, &query, DEPTH, &*embedder)?.len() == DEPTH.min(passages), "too few");
            Ok(milliseconds(start))
        };
        let product = || -> Result<f64> {
            let start = Instant::now();
            no_grad! {
                black_box(matrix.matmul(&A::from_slice(&query, &[HIDDEN, 1])?)?.to_vec::<f32>()?);
            }
            Ok(milliseconds(start))
        };
        turns.push(if turn % 2 == 0 {
            let vectors = vectors()?;
            (vectors, product()?)
        } else {
            let product = product()?;
            (vectors()?, product)
        });
    }
    // The first turn reads the vectors.
    turns.remove(0);
    let words = queries.iter().map(|query| {
        let start = Instant::now();
        store.matching(&trees, query, DEPTH)?;
        Ok(milliseconds(start))
    });
    print(&Parts {
        search: median(searches),
        vectors: median(turns.iter().map(|(vectors, _)| *vectors)),
        product: median(turns.iter().map(|(_, product)| *product)),
        ratio: median(turns.iter().map(|(vectors, product)| vectors / product)),
        words: median(words.collect::<Result<Vec<_>>>()?),
        megabytes,
    })
}

fn print(result: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(result)?);
    Ok(())
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn peak() -> Result<f64> {
    let memory = memory().context("cannot read the peak memory: it is read from /proc, which needs Linux")?;
    Ok(megabytes(memory.peak.try_into()?))
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with a few digits")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values = values.into_iter().collect::<Vec<_>>();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
