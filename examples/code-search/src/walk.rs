//! Finds and reads the text files of a source tree.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result};
use grad_examples::model_files;
use grad_examples::printable::Printable;
use ignore::WalkBuilder;

/// The maximum size of a file in bytes. Larger files are assumed to be data.
pub const MAX_FILE_SIZE: u64 = 1 << 20;

/// A regular file of a tree.
#[derive(Debug, Clone)]
pub struct Found {
    /// Relative to the root, with `/` between its parts; empty if the root itself is the file.
    pub relative: String,
    /// The path to read it from.
    pub path: PathBuf,
    /// When it was last modified, if the file system records it.
    pub modified: Option<SystemTime>,
    /// Its size in bytes.
    pub size: u64,
}

/// A file that is skipped, and why.
#[derive(Debug)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub why: Why,
}

/// The reason to skip a file.
#[derive(Debug)]
pub enum Why {
    /// It contains NUL bytes.
    Binary,
    /// It is not UTF-8.
    NotUtf8,
    /// Its name is not UTF-8.
    NameNotUtf8,
    /// It is larger than [`MAX_FILE_SIZE`].
    Large(u64),
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is a folder that cannot be walked.
    Walk(ignore::Error),
    /// It is an ignore file, which is used in part or not at all.
    IgnoreFile(String),
    /// It is a folder whose ignore file is a pipe or a device.
    FolderOfPipe,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Printable(self.path.display());
        match &self.why {
            Why::Binary => write!(f, "{path}: binary"),
            Why::NotUtf8 => write!(f, "{path}: not UTF-8"),
            Why::NameNotUtf8 => write!(f, "{path}: its name is not UTF-8"),
            Why::Large(size) => write!(f, "{path}: {size} bytes, more than {MAX_FILE_SIZE}"),
            Why::Unreadable(error) => write!(f, "{path}: {error}"),
            Why::Walk(error) => Printable(error).fmt(f),
            Why::IgnoreFile(problem) => write!(f, "lines of the ignore file {path}: {}", Printable(problem)),
            Why::FolderOfPipe => write!(f, "{path}: its ignore file is not a regular file"),
        }
    }
}

/// Returns the regular files under `root`, sorted by path, without hidden files and those that ignore files exclude.
///
/// # Errors
///
/// If `root` does not exist. Files below it that cannot be walked are added to `skipped`.
pub fn files(root: &Path, skipped: &mut Vec<Skipped>) -> Result<Vec<Found>> {
    fs::metadata(root).with_context(|| format!("cannot search {}", root.display()))?;
    let mut found = Vec::new();
    for folder in root.ancestors().skip(usize::from(root.is_file())) {
        if !check_ignore_files(folder, skipped) {
            return Ok(found);
        }
    }
    let problems = Arc::new(Mutex::new(Vec::new()));
    let of_filter = Arc::clone(&problems);
    let mut walk = WalkBuilder::new(root);
    // A .gitignore applies in an exported tree as in a repository.
    walk.require_git(false).filter_entry(move |entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        !is_folder
            || check_ignore_files(entry.path(), &mut of_filter.lock().unwrap_or_else(PoisonError::into_inner))
    });
    for entry in walk.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                skipped.push(Skipped { path: root.to_owned(), why: Why::Walk(error) });
                continue;
            }
        };
        if let Some(error) = entry.error() {
            report_globs(error, entry.path(), skipped);
        }
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let size_and_time = entry.metadata().map(|metadata| (metadata.len(), metadata.modified().ok()));
        let path = entry.into_path();
        let Some(relative) = path.strip_prefix(root).ok().and_then(portable) else {
            skipped.push(Skipped { path, why: Why::NameNotUtf8 });
            continue;
        };
        match size_and_time {
            Err(error) => skipped.push(Skipped { path, why: Why::Walk(error) }),
            Ok((size, _)) if size > MAX_FILE_SIZE => skipped.push(Skipped { path, why: Why::Large(size) }),
            Ok((size, modified)) => found.push(Found { relative, path, modified, size }),
        }
    }
    skipped.append(&mut problems.lock().unwrap_or_else(PoisonError::into_inner));
    found.sort_by(|a, b| a.relative.cmp(&b.relative));
    Ok(found)
}

/// Reports the ignore files of a folder that cannot be read. Returns whether the folder can be walked: opening a pipe would wait
/// for its other end.
fn check_ignore_files(folder: &Path, skipped: &mut Vec<Skipped>) -> bool {
    for name in [".ignore", ".gitignore", ".git/info/exclude"] {
        let path = folder.join(name);
        let problem = match fs::metadata(&path) {
            Ok(found) if found.is_file() => match fs::read(&path) {
                Ok(bytes) if str::from_utf8(&bytes).is_err() => "it is not UTF-8".to_owned(),
                Ok(_) => continue,
                Err(error) => error.to_string(),
            },
            Ok(found) if found.is_dir() => "it is a folder".to_owned(),
            Ok(_) => {
                skipped.push(Skipped { path: folder.to_owned(), why: Why::FolderOfPipe });
                return false;
            }
            Err(_) => continue,
        };
        skipped.push(Skipped { path, why: Why::IgnoreFile(problem) });
    }
    true
}

/// Reports the lines of ignore files that are not valid, each as an ignore file.
fn report_globs(error: &ignore::Error, path: &Path, skipped: &mut Vec<Skipped>) {
    match error {
        ignore::Error::Partial(errors) => errors.iter().for_each(|error| report_globs(error, path, skipped)),
        ignore::Error::WithPath { path, err } => report_globs(err, path, skipped),
        error => skipped.push(Skipped { path: path.to_owned(), why: Why::IgnoreFile(error.to_string()) }),
    }
}

/// Reads the text of a file.
///
/// # Errors
///
/// If it is not text, or cannot be read.
pub fn read(path: &Path) -> Result<String, Why> {
    let mut bytes = Vec::new();
    // Reading one byte more than allowed detects a file that has grown since it was found.
    let file = model_files::open_regular(path).map_err(Why::Unreadable)?;
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(Why::Unreadable)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(Why::Large(bytes.len() as u64));
    }
    if bytes.contains(&0) {
        return Err(Why::Binary);
    }
    String::from_utf8(bytes).map_err(|_| Why::NotUtf8)
}

fn portable(relative: &Path) -> Option<String> {
    let parts = relative.iter().map(|part| part.to_str()).collect::<Option<Vec<_>>>()?;
    Some(parts.join("/"))
}
