//! Makes a data set of source code: which class, such as a crate, does a passage come from?
//!
//! The passages of one file are all for training or all for validation, so what is measured is not whether a file is
//! recognized. The choice of files and passages depends on the seed alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use grad_examples::printable::Printable;
use grad_examples::tokenize::Tokenizer;
use ignore::WalkBuilder;
use serde::Deserialize;

use crate::rng::Rng;

/// Crates on which this program depends, so their sources are on every machine that has built it.
pub const CRATES: [&str; 8] =
    ["candle-core", "clap_builder", "indicatif", "plotters", "rayon", "serde_json", "syn", "tokenizers"];

/// The number of lines of a passage.
const LINES: usize = 12;
/// The minimum number of letters and digits of a passage: with fewer, it is mostly braces.
const MIN_LETTERS: usize = 120;
/// The maximum number of passages of one file, so a class does not consist of its largest file.
const PER_FILE: usize = 6;
/// The maximum size of a file in bytes. Larger files are assumed to be generated.
const MAX_FILE_SIZE: u64 = 1 << 20;
/// Extensions of the names of files that are read.
const EXTENSIONS: [&str; 24] = [
    "c", "cc", "cpp", "cs", "go", "h", "hpp", "html", "java", "js", "kt", "lua", "md", "php", "pl", "py", "rb",
    "rs", "sh", "sql", "swift", "toml", "ts", "yml",
];

/// A class of the data set, and the folder or file of its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name, printable as it is.
    pub name: String,
    /// The folder or file.
    pub path: PathBuf,
}

/// Returns the sources of [`CRATES`], which Cargo finds. Their versions are those of `Cargo.lock`.
///
/// # Errors
///
/// If Cargo fails, or does not know one of the crates.
pub fn crates() -> Result<Vec<Source>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        manifest_path: PathBuf,
    }

    const ADVICE: &str = "name folders of source code to use these instead";
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .with_context(|| format!("cannot run cargo to find the sources of dependencies; {ADVICE}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("cannot find the sources of dependencies with `cargo metadata`; {ADVICE}:\n{}", stderr.trim_end());
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cannot read the output of `cargo metadata`")?;
    let source = |name: &&str| {
        let package = metadata.packages.iter().find(|package| package.name == *name);
        let folder = package.and_then(|package| package.manifest_path.parent());
        let folder = folder.with_context(|| format!("cannot find the sources of crate {name}; {ADVICE}"))?;
        Ok(Source { name: (*name).to_owned(), path: folder.join("src") })
    };
    CRATES.iter().map(source).collect()
}

/// Returns a class for each path, or, if there is one path alone, for each of its folders.
///
/// # Errors
///
/// If a path does not exist, or there are fewer than two classes.
pub fn folders(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let paths = match paths {
        [folder] => sub_folders(folder)?,
        paths => paths.to_vec(),
    };
    let found = paths.len();
    ensure!(
        found >= 2,
        "cannot make classes: there are {found} folders; name two or more, or one that contains them"
    );
    let mut names = BTreeSet::new();
    let source = |path: PathBuf| {
        let shown = path.display().to_string();
        let full = fs::canonicalize(&path).with_context(|| format!("cannot read {}", Printable(&shown)))?;
        let name = Printable(&full.file_name().unwrap_or(OsStr::new("/")).to_string_lossy()).to_string();
        // Two folders `src` are told apart by their paths.
        let name = if names.insert(name.clone()) { name } else { Printable(&shown).to_string() };
        Ok(Source { name, path: full })
    };
    paths.into_iter().map(source).collect()
}

fn sub_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
                folders.push(entry.path());
            }
        }
        folders.sort();
        Ok(folders)
    };
    read().with_context(|| format!("cannot read the folder {}", Printable(&folder.display().to_string())))
}

/// A tokenized passage of code and the index of its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Token ids, including `[CLS]` and `[SEP]`.
    pub tokens: Vec<u32>,
    /// The index of the class.
    pub class: usize,
}

/// The passages of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// Passages to learn from.
    pub training: Vec<Example>,
    /// Passages of other files, to measure what was learned.
    pub validation: Vec<Example>,
}

/// How a data set is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The maximum number of passages of a class to learn from.
    pub training: usize,
    /// The maximum number of passages of a class to validate with.
    pub validation: usize,
    /// The maximum number of tokens of a passage; further ones are cut off.
    pub tokens: usize,
}

impl DataSet {
    /// Reads passages of each class.
    ///
    /// Files that are not text, too large or not readable are left out, and so is all that is not a regular file.
    ///
    /// # Errors
    ///
    /// If a class has too few files for training and validation.
    pub fn read(sources: &[Source], tokenizer: &Tokenizer, size: Size, seed: u64) -> Result<Self> {
        let mut data = Self { classes: Vec::new(), training: Vec::new(), validation: Vec::new() };
        for (class, source) in sources.iter().enumerate() {
            let mut rng = Rng::new(seed);
            let mut files = passages_by_file(source, &mut rng);
            rng.shuffle(&mut files);
            let (mut training, mut validation) = (Vec::new(), Vec::new());
            for (at, passages) in files.into_iter().enumerate() {
                // One file in three, the second, fifth and so on: two files are enough for both.
                (if at % 3 == 1 { &mut validation } else { &mut training }).extend(passages);
            }
            let name = &source.name;
            ensure!(
                !validation.is_empty(),
                "cannot use class {name}: fewer than two of its files have {LINES} lines of text; name a larger folder"
            );
            training.truncate(size.training);
            validation.truncate(size.validation);
            let examples = |texts: Vec<String>| -> Result<Vec<Example>> {
                let tokens = tokenizer.tokens(&texts)?.into_iter();
                Ok(tokens.map(|tokens| Example { tokens: cut(tokens, size.tokens), class }).collect())
            };
            data.training.extend(examples(training)?);
            data.validation.extend(examples(validation)?);
            data.classes.push(name.clone());
        }
        Ok(data)
    }

    /// Returns a number that differs between data sets, to notice that one has changed.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mix = |state: u64, value: u64| Rng::new(state ^ value).bits();
        let examples = self.training.iter().chain(&self.validation);
        examples.fold(self.training.len() as u64, |state, example| {
            let tokens = example.tokens.iter().fold(state, |state, &token| mix(state, token.into()));
            mix(tokens, example.class as u64)
        })
    }
}

/// Cuts off tokens, but for the last, `[SEP]`.
fn cut(mut tokens: Vec<u32>, length: usize) -> Vec<u32> {
    let rest = tokens.len().saturating_sub(length);
    let end = tokens.len() - 1;
    tokens.drain(end - rest.min(end)..end);
    tokens
}

/// Returns some passages of each file that has any, in the order of the files' paths.
fn passages_by_file(source: &Source, rng: &mut Rng) -> Vec<Vec<String>> {
    let mut walk = WalkBuilder::new(&source.path);
    walk.require_git(false).sort_by_file_path(Path::cmp);
    // Pipes and devices are left out: reading them could wait forever.
    let files = walk.build().flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    let files = files.filter(|entry| {
        let extension = entry.path().extension().and_then(OsStr::to_str);
        extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
    });
    let passages = files.filter_map(|entry| {
        let text = read(entry.path())?;
        let lines = text.lines().collect::<Vec<_>>();
        let passages = lines.chunks_exact(LINES).map(|lines| lines.join("\n"));
        let mut passages = passages.filter(|text| letters(text) >= MIN_LETTERS).collect::<Vec<_>>();
        rng.shuffle(&mut passages);
        passages.truncate(PER_FILE);
        (!passages.is_empty()).then_some(passages)
    });
    passages.collect()
}

fn letters(text: &str) -> usize {
    text.chars().filter(|character| character.is_alphanumeric()).count()
}

/// Reads a text file; `None` if it is none, is too large, or cannot be read.
fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let length = File::open(path).ok()?.take(MAX_FILE_SIZE + 1).read_to_string(&mut text).ok()?;
    (length as u64 <= MAX_FILE_SIZE && !text.contains('\0')).then_some(text)
}
