//! The vectors of a tree's passages, kept in a file and brought up to date when files change.
//!
//! The file begins with a line that names the format and the checksum of all that follows: a line of JSON that says
//! what was indexed, and the vectors as little-endian float32. Whatever does not fit is built anew, so that a search
//! never answers from a damaged index, nor from one made by another model or of other passages.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::passages::{self, CUTTING};
use super::walk::{self, Skipped};
use crate::embedder::{Embed, Vector};
use crate::model_files::hex;

const FORMAT: &str = "code-search index 1";

/// How many passages are embedded before the index is saved: what an interrupted run loses at most.
const BETWEEN_SAVES: usize = 2048;

/// A file changed so shortly before it was read may change again without another time stamp.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);

/// The index of one tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    origin: Origin,
    files: BTreeMap<String, IndexedFile>,
}

/// What an index was made of; another origin makes another index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    root: PathBuf,
    model: String,
    cutting: String,
}

/// A file as it was when it was indexed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexedFile {
    stamp: Option<Stamp>,
    sha256: String,
    /// Its passages, in order.
    pub passages: Vec<IndexedPassage>,
}

/// Time since the epoch, in whole seconds and nanoseconds, and size in bytes: what tells without reading it that a
/// file is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    modified: (u64, u32),
    size: u64,
}

/// Lines of a file, and the vector of what they say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexedPassage {
    /// The first line; a file's first line is number 1.
    pub start: usize,
    /// The last line.
    pub end: usize,
    /// The embedding. In the index file it stands after the JSON.
    #[serde(skip)]
    pub vector: Vector,
}

/// What an update did.
#[derive(Debug, Default)]
pub struct Update {
    /// Passages that were embedded.
    pub embedded: usize,
    /// Files whose passages were kept.
    pub reused: usize,
    /// Files that were added or had changed.
    pub changed: usize,
    /// Files that are no longer there.
    pub removed: usize,
    /// Files that were left out.
    pub skipped: Vec<Skipped>,
}

/// A file that is to be embedded.
struct Pending {
    relative: String,
    file: IndexedFile,
    text: String,
}

impl Index {
    /// An empty index of the tree at `root`, for the model with the given checksum.
    #[must_use]
    pub fn new(root: &Path, model: &str) -> Self {
        let origin = Origin { root: root.to_owned(), model: model.to_owned(), cutting: CUTTING.to_owned() };
        Self { origin, files: BTreeMap::new() }
    }

    /// The files in the index, by their paths relative to the root.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, IndexedFile> {
        &self.files
    }

    /// The number of passages.
    #[must_use]
    pub fn passages(&self) -> usize {
        self.files.values().map(|file| file.passages.len()).sum()
    }

    /// Fills the index from a file that [`save`](Self::save) wrote. Without such a file it stays as it is.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or holds an index of another tree, model or way of cutting.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        let contents = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            contents => contents?,
        };
        let (head, body) = split_line(&contents).context("it has no header")?;
        let Some(checksum) = head.strip_prefix(FORMAT.as_bytes()) else {
            bail!("it is no index, or one of another version");
        };
        ensure!(checksum.trim_ascii() == checksum_of(body).as_bytes(), "it is damaged or cut off");
        let (manifest, vectors) = split_line(body).context("it has no manifest")?;
        let (origin, mut files): (Origin, BTreeMap<String, IndexedFile>) = serde_json::from_slice(manifest)?;
        ensure!(origin == self.origin, "it was made by another model, or of other passages");
        fill(&mut files, vectors)?;
        self.files = files;
        Ok(())
    }

    /// Writes the index to a file, all of it or nothing.
    ///
    /// # Errors
    ///
    /// If that cannot be done.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut body = serde_json::to_vec(&(&self.origin, &self.files))?;
        body.push(b'\n');
        for passage in self.files.values().flat_map(|file| &file.passages) {
            body.extend(passage.vector.iter().flat_map(|element| element.to_le_bytes()));
        }
        let folder = path.parent().context("an index needs a folder")?;
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{FORMAT} {}", checksum_of(&body))?;
        file.write_all(&body)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// Brings the index up to date with its tree. Only passages of files whose contents are new to the index are
    /// embedded. `saved` is called with the index every few thousand passages, and whenever something has changed at
    /// the end; `progress` with the passages done and all that are to be done.
    ///
    /// # Errors
    ///
    /// If the tree cannot be walked, or `embed` or `saved` fail.
    pub fn update(
        &mut self,
        embed: &dyn Embed,
        progress: &mut dyn FnMut(usize, usize),
        saved: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<Update> {
        let mut update = Update::default();
        let (known, pending) = self.compare(&mut update)?;
        let before = std::mem::replace(&mut self.files, known);
        update.changed = pending.len();
        let total = pending.iter().map(|file| file.file.passages.len()).sum::<usize>();

        let mut pending = pending.into_iter().peekable();
        while pending.peek().is_some() {
            let mut passages_taken = 0;
            let mut group = Vec::new();
            while let Some(file) = pending.next_if(|_| passages_taken < BETWEEN_SAVES) {
                passages_taken += file.file.passages.len();
                group.push(file);
            }
            let texts = group.iter().flat_map(|file| passages::cut(&file.text)).map(|passage| passage.text);
            let texts = texts.collect::<Vec<_>>();
            let vectors = embed.embed(&texts, &mut |done| {
                update.embedded += done;
                progress(update.embedded, total);
            })?;
            let mut vectors = vectors.into_iter();
            for Pending { relative, mut file, .. } in group {
                for passage in &mut file.passages {
                    passage.vector = vectors.next().context("a passage was not embedded")?;
                }
                self.files.insert(relative, file);
            }
            if pending.peek().is_some() {
                saved(self)?;
            }
        }
        update.removed = before.keys().filter(|name| !self.files.contains_key(*name)).count();
        if self.files != before {
            saved(self)?;
        }
        Ok(update)
    }

    /// The files of the tree: those whose vectors are known, and those that are to be embedded.
    fn compare(&self, update: &mut Update) -> Result<(BTreeMap<String, IndexedFile>, Vec<Pending>)> {
        let by_contents = self.files.values().map(|file| (&*file.sha256, file)).collect::<HashMap<_, _>>();
        let mut known = BTreeMap::new();
        let mut pending = Vec::new();
        for found in walk::files(&self.origin.root, &mut update.skipped)? {
            let stamp = stamp(found.modified, found.size);
            if let Some(file) = self.files.get(&found.relative)
                && stamp.is_some()
                && file.stamp == stamp
            {
                known.insert(found.relative, file.clone());
                update.reused += 1;
                continue;
            }
            let text = match walk::read(&found.path) {
                Ok(text) => text,
                Err(why) => {
                    update.skipped.push(Skipped { path: found.path, why });
                    continue;
                }
            };
            let sha256 = checksum_of(text.as_bytes());
            if let Some(&file) = by_contents.get(&*sha256) {
                known.insert(found.relative, IndexedFile { stamp, ..file.clone() });
                update.reused += 1;
                continue;
            }
            let passages = passages::cut(&text)
                .iter()
                .map(|passage| IndexedPassage { start: passage.start, end: passage.end, vector: Vector::new() })
                .collect();
            let file = IndexedFile { stamp, sha256, passages };
            pending.push(Pending { relative: found.relative, file, text });
        }
        Ok((known, pending))
    }
}

/// The file that keeps the index of the tree at `root`, in the folder of indexes.
#[must_use]
pub fn file_in(folder: &Path, root: &Path) -> PathBuf {
    let key = checksum_of(root.as_os_str().as_encoded_bytes());
    folder.join(&key[..32]).with_extension("index")
}

/// Nothing for a file that may still change without its time stamp changing.
fn stamp(modified: Option<SystemTime>, size: u64) -> Option<Stamp> {
    let modified = modified?;
    let settled = SystemTime::now().duration_since(modified).is_ok_and(|age| age > CLOCK_GRAIN);
    let since_epoch = modified.duration_since(UNIX_EPOCH).ok()?;
    settled.then_some(Stamp { modified: (since_epoch.as_secs(), since_epoch.subsec_nanos()), size })
}

/// Deals the vectors out to the passages: all of the same length, and none left over.
fn fill(files: &mut BTreeMap<String, IndexedFile>, vectors: &[u8]) -> Result<()> {
    let passages = files.values_mut().flat_map(|file| &mut file.passages).collect::<Vec<_>>();
    let (elements, rest) = vectors.as_chunks::<4>();
    let length = elements.len().checked_div(passages.len()).unwrap_or(0);
    let fits = rest.is_empty() && length * passages.len() == elements.len() && (length > 0 || passages.is_empty());
    ensure!(fits, "its vectors do not fit its passages");
    for (passage, elements) in passages.into_iter().zip(elements.chunks_exact(length.max(1))) {
        passage.vector = elements.iter().copied().map(f32::from_le_bytes).collect();
    }
    Ok(())
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn checksum_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
