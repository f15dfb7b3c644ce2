//! Stores of the index: the passages of trees, with their text, their embeddings and an index of their words.
//!
//! | store | for | words | vectors |
//! |---|---|---|---|
//! | [`Sqlite`] | one machine | FTS5, ranked by BM25 | exact: one matrix-vector product |
#![cfg_attr(
    feature = "postgres",
    doc = "| [`Postgres`] | many machines | its full-text search | pgvector's HNSW index |"
)]
//!
//! All writes are transactions: a process that is killed loses what it has not written, and nothing else. Several processes can
//! write at once.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use grad_examples::embedder::{Embed, Vector};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

#[cfg(feature = "postgres")]
pub use self::postgres::Postgres;
pub use self::sqlite::Sqlite;

/// The assumed resolution of time stamps: a file modified more recently than this may change again without a new one.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);

/// A SHA-256.
pub type Digest = [u8; 32];

/// Returns the SHA-256 of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// The inputs of a tree's index. Passages that were made from other inputs are deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The name of the tree, by default its canonical path.
    pub tree: String,
    /// The checksum of the model.
    pub model: String,
    /// How texts are split into passages.
    pub splitting: String,
}

/// A tree in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeId(pub(crate) i64);

/// A passage in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PassageId(pub(crate) i64);

/// Modification time since the epoch, in nanoseconds, and size in bytes. A file with the same stamp is taken to be unchanged
/// without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since the epoch.
    pub modified: i64,
    /// Bytes.
    pub size: i64,
}

impl Stamp {
    /// Returns the stamp of a file, or `None` if the file may still change without a new time stamp.
    #[must_use]
    pub fn new(modified: Option<SystemTime>, size: u64) -> Option<Self> {
        let modified = modified?;
        let settled = SystemTime::now().duration_since(modified).is_ok_and(|age| age > CLOCK_GRAIN);
        let since_epoch = modified.duration_since(UNIX_EPOCH).ok()?;
        let stamp = Self { modified: since_epoch.as_nanos().try_into().ok()?, size: size.try_into().ok()? };
        settled.then_some(stamp)
    }
}

/// A file as it was when it was indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Its stamp, if it had settled.
    pub stamp: Option<Stamp>,
    /// The checksum of its contents.
    pub contents: Digest,
}

/// A file to store, in place of what the store has of it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFile {
    /// Relative to the root, with `/` between its parts; empty if the root itself is the file.
    pub path: String,
    /// Its state when it was read.
    pub state: FileState,
    /// Its passages, in order.
    pub passages: Vec<NewPassage>,
}

/// A passage to store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPassage {
    /// The first line, counted from 1.
    pub start: u32,
    /// The last line.
    pub end: u32,
    /// The headers of the enclosing items.
    pub item: String,
    /// The text.
    pub text: String,
    /// The checksum of what was embedded.
    pub embedded: Digest,
    /// The embedding, a unit vector.
    pub vector: Vector,
}

/// A passage of a store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPassage {
    /// Its tree.
    pub tree: TreeId,
    /// Its file, relative to the root.
    pub path: String,
    /// The first line, counted from 1.
    pub start: usize,
    /// The last line.
    pub end: usize,
    /// The headers of the enclosing items.
    pub item: String,
    /// The text.
    pub text: String,
    /// The embedding.
    pub vector: Vector,
}

/// The numbers of files and passages of trees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files.
    pub files: usize,
    /// Passages.
    pub passages: usize,
}

/// A store that cannot be used as it is.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Its contents are damaged, or of another version: delete it and index again.
    #[error("{0}")]
    Damaged(String),
    /// It cannot be read or written, for example because the disk is full.
    #[error("{0}")]
    Unusable(String),
}

/// Keeps the index of trees.
///
/// Each method that writes does so in one transaction.
pub trait Store {
    /// Returns the tree of an origin, which is added if the store does not have it. If the passages of the tree were made with
    /// another model or splitting, they are deleted.
    fn tree(&mut self, origin: &Origin) -> Result<TreeId>;

    /// Returns the files of a tree by their paths.
    fn files(&mut self, tree: TreeId) -> Result<BTreeMap<String, FileState>>;

    /// Returns the embeddings that the passages of a tree have, by the checksum of what was embedded, for those of `texts` that the tree has.
    fn vectors(&mut self, tree: TreeId, texts: &[Digest]) -> Result<HashMap<Digest, Vector>>;

    /// Stores files, in place of those of the same paths.
    fn put(&mut self, tree: TreeId, files: &[NewFile]) -> Result<()>;

    /// Sets the stamps of files whose contents have not changed.
    fn touch(&mut self, tree: TreeId, files: &[(String, Option<Stamp>)]) -> Result<()>;

    /// Deletes files.
    fn remove(&mut self, tree: TreeId, paths: &[String]) -> Result<()>;

    /// Returns at most `limit` passages, those nearest to `query` first. `embedder` computes the cosines, if the
    /// store does not; a store that reads the vectors for that keeps them for the next query.
    fn nearest(
        &mut self,
        trees: &[TreeId],
        query: &[f32],
        limit: usize,
        embedder: &dyn Embed,
    ) -> Result<Vec<PassageId>>;

    /// Returns at most `limit` passages that contain words of `query`, the best first.
    fn matching(&mut self, trees: &[TreeId], query: &str, limit: usize) -> Result<Vec<PassageId>>;

    /// Returns passages, in the order of `ids`, without those that have been deleted since.
    fn passages(&mut self, ids: &[PassageId]) -> Result<Vec<(PassageId, StoredPassage)>>;

    /// Counts the files and passages of trees.
    fn counts(&mut self, trees: &[TreeId]) -> Result<Counts>;
}

/// Opens the store at a URL of PostgreSQL.
///
/// # Errors
///
/// If it cannot be opened, or this program was built without the feature `postgres`.
#[cfg(feature = "postgres")]
pub fn open_url(url: &str) -> Result<Box<dyn Store>> {
    Ok(Box::new(Postgres::open(url)?))
}

/// Returns an error: this program was built without the feature `postgres`.
///
/// # Errors
///
/// Always.
#[cfg(not(feature = "postgres"))]
pub fn open_url(_: &str) -> Result<Box<dyn Store>> {
    anyhow::bail!(
        "cannot use a PostgreSQL store: this program was built without it; build it with `--features postgres`"
    )
}

/// Returns the words of a text that a store can search: runs of letters and digits, and the parts of names in camel case.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty()) {
        words.push(run.to_lowercase());
        let parts = camel_case_parts(run);
        if parts.len() > 1 {
            words.extend(parts.into_iter().map(str::to_lowercase));
        }
    }
    words
}

/// Splits a name before each upper-case letter that follows a lower-case one or is followed by one: `HTTPServer` is `HTTP`, `Server`.
fn camel_case_parts(name: &str) -> Vec<&str> {
    let chars = name.char_indices().collect::<Vec<_>>();
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..chars.len() {
        let (before, (offset, c)) = (chars[at - 1].1, chars[at]);
        let next = chars.get(at + 1).map(|next| next.1);
        let begins = c.is_uppercase()
            && (before.is_lowercase() || before.is_numeric() || next.is_some_and(char::is_lowercase));
        if begins {
            parts.push(&name[start..offset]);
            start = offset;
        }
    }
    parts.push(&name[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_include_the_parts_of_names() {
        assert_eq!(words("HTTPServer::read_all(x1)"), ["httpserver", "http", "server", "read", "all", "x1"]);
        assert_eq!(
            words("parseJSON2Value ÄpfelBaum"),
            ["parsejson2value", "parse", "json2", "value", "äpfelbaum", "äpfel", "baum"]
        );
        assert!(words(" -- \n").is_empty());
    }
}
