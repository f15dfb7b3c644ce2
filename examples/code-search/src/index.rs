//! An index of the embeddings of a tree's passages, kept in a file and updated when files change.
//!
//! The file begins with a line that contains the format and a checksum of the rest: a line of JSON that lists the indexed
//! files, and the vectors as little-endian float32. An index that is damaged, or was made with another model or other
//! passages, is not used but rebuilt.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::passages::{self, CUTTING};
use crate::walk::{self, Skipped};
use grad_examples::embedder::{Embed, Vector};
use grad_examples::model_files::hex;

const FORMAT: &str = "code-search index 1";

/// The number of passages that are embedded between saves, which an interrupted run may lose.
const BETWEEN_SAVES: usize = 2048;

/// The assumed resolution of time stamps: a file modified more recently than this may change again without a new one.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);

/// The index of one tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    origin: Origin,
    files: BTreeMap<String, IndexedFile>,
}

/// The inputs of an index. An index with another origin is not used.
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

/// Modification time since the epoch, in whole seconds and nanoseconds, and size in bytes. A file with the same stamp is
/// taken to be unchanged without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    modified: (u64, u32),
    size: u64,
}

/// A range of lines of a file, and the embedding of their text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexedPassage {
    /// The first line, counted from 1.
    pub start: usize,
    /// The last line.
    pub end: usize,
    /// The embedding. In the index file it is stored after the JSON.
    #[serde(skip)]
    pub vector: Vector,
}

/// Statistics of an update.
#[derive(Debug, Default)]
pub struct Update {
    /// Passages that were embedded.
    pub embedded: usize,
    /// Files whose passages were kept.
    pub reused: usize,
    /// Files that were added or had changed.
    pub changed: usize,
    /// Files that no longer exist.
    pub removed: usize,
    /// Files that were skipped.
    pub skipped: Vec<Skipped>,
}

/// A file whose passages have to be embedded.
struct Pending {
    relative: String,
    file: IndexedFile,
    text: String,
}

impl Index {
    /// Makes an empty index of the tree at `root`, for the model with the given checksum.
    #[must_use]
    pub fn new(root: &Path, model: &str) -> Self {
        let origin = Origin { root: root.to_owned(), model: model.to_owned(), cutting: CUTTING.to_owned() };
        Self { origin, files: BTreeMap::new() }
    }

    /// Returns the indexed files by their paths relative to the root.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, IndexedFile> {
        &self.files
    }

    /// Returns the number of passages.
    #[must_use]
    pub fn passages(&self) -> usize {
        self.files.values().map(|file| file.passages.len()).sum()
    }

    /// Loads the index from a file that [`save`](Self::save) wrote. If the file does not exist, the index is unchanged.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or is an index of another tree, of another model, or with other passages.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        let contents = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            contents => contents?,
        };
        let (head, body) = split_line(&contents).context("it has no header")?;
        let Some(checksum) = head.strip_prefix(FORMAT.as_bytes()) else {
            bail!("it is not an index of this version");
        };
        ensure!(checksum.trim_ascii() == checksum_of(body).as_bytes(), "it is damaged or truncated");
        let (manifest, vectors) = split_line(body).context("it has no manifest")?;
        let (origin, mut files): (Origin, BTreeMap<String, IndexedFile>) = serde_json::from_slice(manifest)?;
        ensure!(origin == self.origin, "it was made with another model, or from other passages");
        fill(&mut files, vectors)?;
        self.files = files;
        Ok(())
    }

    /// Writes the index to a file atomically.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut body = serde_json::to_vec(&(&self.origin, &self.files))?;
        body.push(b'\n');
        for passage in self.files.values().flat_map(|file| &file.passages) {
            body.extend(passage.vector.iter().flat_map(|element| element.to_le_bytes()));
        }
        let folder = path.parent().context("cannot save the index: its path has no folder")?;
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{FORMAT} {}", checksum_of(&body))?;
        file.write_all(&body)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// Updates the index to match its tree. Embeds only the passages of files whose contents are not in the index. Calls
    /// `saved` with the index every few thousand passages, and at the end if anything has changed, and calls `progress`
    /// with the number of embedded passages and their total.
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
                    passage.vector = vectors.next().context("cannot index a passage: it has no embedding")?;
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

    /// Returns the files of the tree: those whose vectors are in the index, and those that have to be embedded.
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

/// Returns the file of the index of the tree at `root`, in the folder `folder`.
#[must_use]
pub fn file_in(folder: &Path, root: &Path) -> PathBuf {
    let key = checksum_of(root.as_os_str().as_encoded_bytes());
    folder.join(&key[..32]).with_extension("index")
}

/// Returns the stamp of a file, or `None` if the file may still change without a new time stamp.
fn stamp(modified: Option<SystemTime>, size: u64) -> Option<Stamp> {
    let modified = modified?;
    let settled = SystemTime::now().duration_since(modified).is_ok_and(|age| age > CLOCK_GRAIN);
    let since_epoch = modified.duration_since(UNIX_EPOCH).ok()?;
    settled.then_some(Stamp { modified: (since_epoch.as_secs(), since_epoch.subsec_nanos()), size })
}

/// Assigns the vectors to the passages. All have the same length.
fn fill(files: &mut BTreeMap<String, IndexedFile>, vectors: &[u8]) -> Result<()> {
    let passages = files.values_mut().flat_map(|file| &mut file.passages).collect::<Vec<_>>();
    let (elements, rest) = vectors.as_chunks::<4>();
    let length = elements.len().checked_div(passages.len()).unwrap_or(0);
    let fits = rest.is_empty() && length * passages.len() == elements.len() && (length > 0 || passages.is_empty());
    ensure!(fits, "its vectors do not match its passages");
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
