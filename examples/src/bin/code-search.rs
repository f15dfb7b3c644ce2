//! Semantic search over source trees: finds code by what it does.
//!
//! ```text
//! cargo run --release -p grad-examples --bin code-search -- "restore the mode after a panic" .
//! ```

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use grad_examples::embedder::{self, Choice, Device, Embed};
use grad_examples::model_files::{ModelFiles, WEIGHTS_SHA256};
use grad_examples::search::index::{self, Index, Update};
use grad_examples::search::rank::{self, Hit};
use grad_examples::search::walk::{self, Skipped};
use indicatif::{ProgressBar, ProgressStyle};
use mimalloc::MiMalloc;
use serde::Serialize;

/// Arrays come and go by the megabyte: glibc gives each back to the system, which costs a third of the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Finds the passages of source code that are nearest in meaning to a query
///
/// Files are cut into passages and embedded with all-MiniLM-L6-v2, whose forward pass runs under `#[no_grad]`. Ignore
/// files count, hidden files do not. The vectors are kept in an index, so that the next search is quick; only files
/// that have changed are embedded again.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// What to look for, in plain words or as code
    query: String,

    /// Trees or files to search
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,

    /// How many passages to print
    #[arg(long, value_name = "N", default_value = "5")]
    top: NonZeroUsize,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// What computes the embeddings
    #[arg(long, value_enum, default_value = "auto")]
    backend: Choice,

    /// Where MLX computes [default: its own choice, a GPU if there is one]
    #[arg(long, value_enum)]
    device: Option<Device>,

    /// The most passages that are computed at a time [default: 8 on the CPU fallback, 64 on MLX]
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,

    /// The folder of model.safetensors and tokenizer.json [default: fetched once with pip]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,

    /// Where the indexes are kept [default: code-search in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_index")]
    index: Option<PathBuf>,

    /// Neither read nor write an index
    #[arg(long)]
    no_index: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough, as in `code-search … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("code-search: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| io(cause) == Some(io::ErrorKind::BrokenPipe))
}

fn run(args: &Args) -> Result<()> {
    ensure!(!args.query.trim().is_empty(), "the query is empty: say what to look for");
    let roots = roots(&args.paths)?;
    let model = ModelFiles::open(args.model.as_deref())?;
    let embedder = embedder::open(args.backend, args.device, &model, args.batch)?;
    drop(model);

    let folder = index_folder(args);
    let mut indexes = Vec::new();
    let mut new_passages = 0;
    for (_, root) in &roots {
        let (index, update) = bring_up_to_date(root, folder.as_deref(), &*embedder)?;
        new_passages += update.embedded;
        warn(&update.skipped);
        indexes.push(index);
    }
    let query = embedder.embed(&[&args.query], &mut |_| {})?.remove(0);
    let hits = rank::best(&query, &indexes, args.top.get());
    let results = hits.iter().enumerate().map(|(at, hit)| Answer::new(at + 1, hit, &roots[hit.index]));
    let output = Output {
        query: &args.query,
        backend: embedder.name(),
        files: indexes.iter().map(|index| index.files().len()).sum(),
        passages: indexes.iter().map(Index::passages).sum(),
        embedded: new_passages,
        results: results.collect(),
    };
    let stdout = io::stdout().lock();
    if args.json { print_json(stdout, &output) } else { print_text(stdout, &output) }
}

/// Each path as it was given and in full, without those given twice.
fn roots(paths: &[PathBuf]) -> Result<Vec<(&Path, PathBuf)>> {
    let mut roots = Vec::<(&Path, PathBuf)>::new();
    for path in paths {
        let full = fs::canonicalize(path).with_context(|| format!("cannot search {}", path.display()))?;
        if !roots.iter().any(|(_, root)| *root == full) {
            roots.push((path, full));
        }
    }
    Ok(roots)
}

fn index_folder(args: &Args) -> Option<PathBuf> {
    if args.no_index {
        return None;
    }
    let folder = args.index.clone().or_else(|| Some(dirs::cache_dir()?.join("code-search")));
    if folder.is_none() {
        eprintln!("code-search: there is no cache folder, so no index is kept: name one with --index");
    }
    folder
}

fn bring_up_to_date(root: &Path, folder: Option<&Path>, embedder: &dyn Embed) -> Result<(Index, Update)> {
    let file = folder.map(|folder| index::file_in(folder, root));
    let mut index = Index::new(root, WEIGHTS_SHA256);
    if let Some(file) = &file
        && let Err(error) = index.load(file)
    {
        eprintln!("code-search: the index {} is built anew: {error:#}", file.display());
    }
    let style = ProgressStyle::with_template("embedding {bar:40} {pos}/{len} passages, {per_sec}, {eta} left")?;
    let bar = ProgressBar::no_length().with_style(style);
    let mut save = |index: &Index| {
        // A search needs no index: one that cannot be written costs time only.
        if let Some(file) = &file
            && let Err(error) = index.save(file)
        {
            bar.suspend(|| eprintln!("code-search: cannot write the index {}: {error:#}", file.display()));
        }
        Ok(())
    };
    let mut progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let update = index.update(embedder, &mut progress, &mut save)?;
    bar.finish_and_clear();
    Ok((index, update))
}

/// A word about the files that were left out: the first few, and how many more there are.
fn warn(skipped: &[Skipped]) {
    const SHOWN: usize = 5;
    for file in skipped.iter().take(SHOWN) {
        eprintln!("code-search: skipped {file}");
    }
    if let more @ 1.. = skipped.len().saturating_sub(SHOWN) {
        eprintln!("code-search: skipped {more} more files");
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    query: &'a str,
    /// The backend and its device.
    backend: &'a str,
    /// Files and passages that were searched.
    files: usize,
    passages: usize,
    /// How many of the passages were not in the index.
    embedded: usize,
    results: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    rank: usize,
    score: f32,
    path: String,
    start_line: usize,
    end_line: usize,
    snippet: String,
}

impl Answer {
    fn new(rank: usize, hit: &Hit<'_>, (given, root): &(&Path, PathBuf)) -> Self {
        let within = |root: &Path| {
            if hit.file.is_empty() { root.to_owned() } else { root.join(hit.file) }
        };
        // The file may have changed or gone since it was indexed.
        let text = walk::read(&within(root)).unwrap_or_default();
        let lines = text.lines().skip(hit.start - 1).take(hit.end + 1 - hit.start);
        let path = within(given);
        Self {
            rank,
            score: hit.score,
            path: path.strip_prefix(".").unwrap_or(&path).display().to_string(),
            start_line: hit.start,
            end_line: hit.end,
            snippet: lines.collect::<Vec<_>>().join("\n"),
        }
    }
}

fn print_json(mut out: impl Write, output: &Output<'_>) -> Result<()> {
    writeln!(out, "{}", serde_json::to_string_pretty(output)?)?;
    Ok(())
}

fn print_text(mut out: impl Write, output: &Output<'_>) -> Result<()> {
    const SNIPPET_LINES: usize = 8;
    if output.results.is_empty() {
        eprintln!("code-search: there is no text to search in {} files", output.files);
    }
    for Answer { rank, score, path, start_line, end_line, snippet } in &output.results {
        writeln!(out, "{rank}. {score:.3}  {path}:{start_line}-{end_line}")?;
        for line in snippet.lines().take(SNIPPET_LINES) {
            writeln!(out, "    {}", shortened(line))?;
        }
        if snippet.lines().count() > SNIPPET_LINES {
            writeln!(out, "    …")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A line that does not fill a screen and leaves the terminal as it is.
fn shortened(line: &str) -> String {
    let harmless = |c: char| {
        if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
    };
    line.chars().take(160).map(harmless).collect()
}
