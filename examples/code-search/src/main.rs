//! Search over source trees by meaning and by words.
//!
//! ```text
//! cargo run --release -p code-search -- "restore the mode after a panic" .
//! ```

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use code_search::mcp;
use code_search::output::{Output, answers, print_json, print_text, report};
use code_search::rank::Ranking;
use code_search::session::{Location, Session};
use code_search::shard::Shard;
use code_search::update::{Progress, Tree, Update};
use code_search::walk::Skipped;
use code_search::watch::Watch;
use grad_examples::embedder::{self, Embed, EmbedderArgs};
use grad_examples::exit::exit;
use grad_examples::model_files::ModelFiles;
use grad_examples::printable::Printable;
use indicatif::{ProgressBar, ProgressStyle};
use mimalloc::MiMalloc;

/// glibc returns freed arrays, which take megabytes, to the system each time; that costs a third of the run time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Finds the passages of source code that fit a query best, by meaning and by words
///
/// Splits files into passages and embeds them with all-MiniLM-L6-v2, whose forward pass runs under `#[no_grad]`. Respects
/// ignore files and skips hidden files. Keeps an index, so later searches embed only passages that have changed.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    search: SearchArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings the index up to date
    Index(IndexArgs),
    /// Serves the tools `search` and `index_status` to editors and agents: the Model Context Protocol on standard input and output
    Serve(ServeArgs),
}

#[derive(Debug, clap::Args)]
struct SearchArgs {
    /// The text to search for, in plain words or as code
    #[arg(required = true)]
    query: Option<String>,

    /// Trees or files to search
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,

    /// The number of passages to print
    #[arg(long, value_name = "N", default_value = "5")]
    top: NonZeroUsize,

    /// How passages are ranked
    #[arg(long, value_enum, default_value = "hybrid")]
    ranking: Ranking,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct IndexArgs {
    /// Trees or files to index
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,

    /// Index one part of the files, such as 2/8, and leave the others to other processes
    #[arg(long, value_name = "I/N", default_value_t = Shard::ALL)]
    shard: Shard,

    /// Stay, and update the index whenever a file changes
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// Trees or files to search
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,

    /// Update the index whenever a file changes
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    embedder: EmbedderArgs,

    /// The folder that contains model.safetensors and tokenizer.json [default: fetched once with pip]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,

    /// The index: a folder, or a URL such as `postgresql://user@host/database` [default: code-search in the user's cache folder]
    #[arg(long, visible_alias = "index", value_name = "DIR|URL", conflicts_with = "no_index")]
    store: Option<PathBuf>,

    /// The name of the tree in the index, for one that machines share [default: its path]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Neither read nor write an index
    #[arg(long)]
    no_index: bool,
}

fn main() -> ExitCode {
    exit("code-search", run(Cli::parse()))
}

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        None => search(&cli.search),
        Some(Command::Index(args)) => index(&args),
        Some(Command::Serve(args)) => serve(args),
    }
}

fn search(args: &SearchArgs) -> Result<()> {
    // It is there, except with a subcommand.
    let query = args.query.as_deref().unwrap_or_default();
    ensure!(!query.trim().is_empty(), "cannot search: the query is empty; name what to look for");
    let (mut session, updates) = open(&args.common, &args.paths, Shard::ALL)?;
    let hits = session.search(query, args.top.get(), args.ranking, &mut report)?;
    let counts = session.counts()?;
    let output = Output {
        query,
        backend: session.backend(),
        files: counts.files,
        passages: counts.passages,
        embedded: updates.iter().map(|update| update.embedded).sum(),
        results: answers(hits.iter().map(|hit| (hit, session.tree_of(hit)))),
    };
    if output.results.is_empty() {
        report(&format!("cannot find any text in {} files", output.files));
    }
    let stdout = io::stdout().lock();
    if args.json { print_json(stdout, &output) } else { print_text(stdout, &output) }
}

fn index(args: &IndexArgs) -> Result<()> {
    ensure!(!args.common.no_index, "cannot index with --no-index: there is nothing to keep");
    let (mut session, updates) = open(&args.common, &args.paths, args.shard)?;
    let summarize = |session: &mut Session, updates: &[Update]| -> Result<()> {
        let sum = |count: fn(&Update) -> usize| updates.iter().map(count).sum::<usize>();
        let counts = session.counts()?;
        println!(
            "{} files changed, {} unchanged, {} removed; embedded {} passages; the index has {} files and {} passages",
            sum(|update| update.changed),
            sum(|update| update.unchanged),
            sum(|update| update.removed),
            sum(|update| update.embedded),
            counts.files,
            counts.passages
        );
        Ok(())
    };
    summarize(&mut session, &updates)?;
    if args.watch {
        let watch = watch(&session)?;
        // Changes between the update and the beginning of the watch.
        let mut is_due = true;
        while is_due {
            match session.update(args.shard, &mut |_| {}, &mut report) {
                Ok(updates) if updates.iter().any(Update::has_changed) => summarize(&mut session, &updates)?,
                Ok(_) => {}
                // A tree that cannot be walked now, for example in the middle of a checkout, may be walked after the next change.
                Err(error) => report(&format!("{error:#}")),
            }
            is_due = watch.wait();
        }
    }
    Ok(())
}

fn serve(args: ServeArgs) -> Result<()> {
    mcp::serve(move |progress| {
        let embedder = open_embedder(&args.common)?;
        let trees = trees(&args.paths, args.common.name.as_deref())?;
        let location = location(&args.common);
        let (session, updates) = Session::open(location, trees, Shard::ALL, embedder, progress, &mut report)?;
        warn(&updates);
        let watch = args.watch.then(|| watch(&session)).transpose()?;
        Ok((session, watch))
    })
}

/// Opens the session of a run, with a progress bar.
fn open(common: &Common, paths: &[PathBuf], shard: Shard) -> Result<(Session, Vec<Update>)> {
    let trees = trees(paths, common.name.as_deref())?;
    let embedder = open_embedder(common)?;
    let style = ProgressStyle::with_template("indexing {bar:40} {pos}/{len} files, {msg} passages, {eta} left")?;
    let bar = ProgressBar::no_length().with_style(style);
    let mut progress = |progress: Progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(progress.embedded.to_string());
    };
    let mut warn_above = |message: &str| bar.suspend(|| report(message));
    let opened = Session::open(location(common), trees, shard, embedder, &mut progress, &mut warn_above);
    bar.finish_and_clear();
    let (session, updates) = opened?;
    warn(&updates);
    Ok((session, updates))
}

fn open_embedder(common: &Common) -> Result<Box<dyn Embed>> {
    let model = ModelFiles::open(common.model.as_deref())?;
    embedder::open(&common.embedder, &model)
}

/// Returns the trees at some paths, without duplicates.
fn trees(paths: &[PathBuf], name: Option<&str>) -> Result<Vec<Tree>> {
    let mut trees = Vec::<Tree>::new();
    for given in paths {
        let root =
            fs::canonicalize(given).with_context(|| format!("cannot search {}", Printable(given.display())))?;
        if !trees.iter().any(|tree| tree.root == root) {
            let name = name.map_or_else(|| root.to_string_lossy().into_owned(), str::to_owned);
            trees.push(Tree { given: given.clone(), root, name });
        }
    }
    ensure!(
        name.is_none() || trees.len() == 1,
        "cannot give {} trees one name: use --name with one path",
        trees.len()
    );
    Ok(trees)
}

fn location(common: &Common) -> Location {
    if common.no_index {
        return Location::Memory;
    }
    let store = common.store.clone().or_else(|| Some(dirs::cache_dir()?.join("code-search")));
    if store.is_none() {
        report("cannot keep an index: there is no cache folder; name a folder in --store");
    }
    store.map_or(Location::Memory, Location::from)
}

fn watch(session: &Session) -> Result<Watch> {
    let ignored = match session.location() {
        Location::Folder(folder) => fs::canonicalize(folder).ok(),
        Location::Memory | Location::Url(_) => None,
    };
    Watch::new(session.trees().iter().map(|tree| &*tree.root), ignored)
}

/// Reports the first few skipped files, and the number of further ones.
fn warn(updates: &[Update]) {
    const SHOWN: usize = 5;
    let skipped = updates.iter().flat_map(|update| &update.skipped).collect::<Vec<&Skipped>>();
    for file in skipped.iter().take(SHOWN) {
        report(&format!("skipped {file}"));
    }
    if let more @ 1.. = skipped.len().saturating_sub(SHOWN) {
        report(&format!("skipped {more} more files"));
    }
}
