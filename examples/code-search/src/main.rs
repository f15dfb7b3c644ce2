//! Semantic search over source trees: finds code by its meaning.
//!
//! ```text
//! cargo run --release -p code-search -- "restore the mode after a panic" .
//! ```

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use code_search::index::{self, Index, Update};
use code_search::rank::{self, Hit};
use code_search::walk::{self, Skipped};
use grad_examples::embedder::{self, Choice, Device, Embed};
use grad_examples::model_files::{ModelFiles, WEIGHTS_SHA256};
use indicatif::{ProgressBar, ProgressStyle};
use mimalloc::MiMalloc;
use serde::Serialize;

/// glibc returns freed arrays, which take megabytes, to the system each time; that costs a third of the run time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Finds the passages of source code whose meaning is closest to a query
///
/// Splits files into passages and embeds them with all-MiniLM-L6-v2, whose forward pass runs under `#[no_grad]`. Respects
/// ignore files and skips hidden files. Keeps the embeddings in an index, so later searches embed only files that have
/// changed.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The text to search for, in plain words or as code
    query: String,

    /// Trees or files to search
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,

    /// The number of passages to print
    #[arg(long, value_name = "N", default_value = "5")]
    top: NonZeroUsize,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The backend that computes the embeddings
    #[arg(long, value_enum, default_value = "auto")]
    backend: Choice,

    /// The device that MLX computes on [default: MLX's default, a GPU if there is one]
    #[arg(long, value_enum)]
    device: Option<Device>,

    /// The maximum number of passages in a batch [default: 8 on the CPU fallback, 64 on MLX]
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,

    /// The folder that contains model.safetensors and tokenizer.json [default: fetched once with pip]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,

    /// The folder for indexes [default: code-search in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_index")]
    index: Option<PathBuf>,

    /// Neither read nor write an index
    #[arg(long)]
    no_index: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has closed the pipe, as in `code-search … | head`.
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
    ensure!(!args.query.trim().is_empty(), "cannot search: the query is empty; name what to look for");
    let roots = roots(&args.paths)?;
    let model = ModelFiles::open(args.model.as_deref())?;
    let embedder = embedder::open(args.backend, args.device, &model, args.batch)?;
    drop(model);

    let folder = index_folder(args);
    let mut indexes = Vec::new();
    let mut new_passages = 0;
    for (_, root) in &roots {
        let (index, update) = open_index(root, folder.as_deref(), &*embedder)?;
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

/// Returns each path as given and its canonical form, without duplicates.
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
        eprintln!("code-search: cannot keep an index: there is no cache folder; name a folder in --index");
    }
    folder
}

fn open_index(root: &Path, folder: Option<&Path>, embedder: &dyn Embed) -> Result<(Index, Update)> {
    let file = folder.map(|folder| index::file_in(folder, root));
    let mut index = Index::new(root, WEIGHTS_SHA256);
    if let Some(file) = &file
        && let Err(error) = index.load(file)
    {
        eprintln!("code-search: rebuilding the index {}: {error:#}", file.display());
    }
    let style = ProgressStyle::with_template("embedding {bar:40} {pos}/{len} passages, {per_sec}, {eta} left")?;
    let bar = ProgressBar::no_length().with_style(style);
    let mut save = |index: &Index| {
        // A search works without an index, so a failure to write it is a warning.
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

/// Reports the first few skipped files, and the number of further ones.
fn warn(skipped: &[Skipped]) {
    const SHOWN: usize = 5;
    for file in skipped.iter().take(SHOWN) {
        eprintln!("code-search: skipped {file}");
    }
    if let more @ 1.. = skipped.len().saturating_sub(SHOWN) {
        eprintln!("code-search: skipped {more} more files");
    }
}

/// The output of `--json`.
#[derive(Serialize)]
struct Output<'a> {
    query: &'a str,
    /// The backend and its device.
    backend: &'a str,
    /// The numbers of files and passages that were searched.
    files: usize,
    passages: usize,
    /// The number of passages that were not in the index.
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
        eprintln!("code-search: cannot find any text in {} files", output.files);
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

/// Truncates a line and replaces control characters, which could change the terminal.
fn shortened(line: &str) -> String {
    let printable = |c: char| {
        if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
    };
    line.chars().take(160).map(printable).collect()
}
