//! Places for stores, and contents for them.

use std::cell::Cell;

use anyhow::{Result, bail};
use code_search::store::{
    Digest, FileState, NewFile, NewPassage, Origin, Sqlite, Stamp, Store, StoredPassage, TreeId, digest,
};
use grad_examples::embedder::{Embed, Matrix, Vector};
use tempfile::TempDir;

#[cfg(feature = "postgres")]
use crate::server::Database;

/// A place that has no store yet.
pub enum Place {
    Memory,
    File(TempDir),
    #[cfg(feature = "postgres")]
    Postgres(Database),
}

impl Place {
    pub fn memory() -> Self {
        Self::Memory
    }

    pub fn file() -> Self {
        Self::File(TempDir::new().unwrap())
    }

    #[cfg(feature = "postgres")]
    pub fn postgres() -> Self {
        Self::Postgres(Database::new())
    }

    /// Opens the store.
    pub fn open(&self) -> Box<dyn Store> {
        match self {
            Self::Memory => Box::new(Sqlite::in_memory().unwrap()),
            Self::File(folder) => Box::new(Sqlite::open(folder.path()).unwrap()),
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => Box::new(code_search::store::Postgres::open(&database.url()).unwrap()),
        }
    }

    /// Returns the argument of `--store`.
    #[cfg(feature = "cpu")]
    pub fn argument(&self) -> String {
        match self {
            Self::Memory => unreachable!("a process has its own memory"),
            Self::File(folder) => folder.path().to_str().unwrap().to_owned(),
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.url(),
        }
    }
}

/// Embeds a text as the normalized counts of its letters.
#[derive(Default)]
pub struct Letters {
    /// The number of texts that were embedded.
    pub embedded: Cell<usize>,
    /// The number of texts after which embedding fails, unless it is 0.
    pub fails_after: Cell<usize>,
}

impl Embed for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>> {
        let embedded = self.embedded.get() + texts.len();
        if self.fails_after.get() > 0 && embedded > self.fails_after.get() {
            bail!("cannot embed any more");
        }
        self.embedded.set(embedded);
        progress(texts.len());
        Ok(texts.iter().map(|text| letters(text)).collect())
    }

    fn matrix(&self, vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>> {
        Ok(Box::new(Rows { vectors, length }))
    }
}

struct Rows {
    vectors: Vec<f32>,
    length: usize,
}

impl Matrix for Rows {
    fn cosines(&self, query: &[f32]) -> Result<Vec<f32>> {
        Ok(self.vectors.chunks(self.length).map(|vector| product(query, vector)).collect())
    }
}

pub fn letters(text: &str) -> Vector {
    let mut counts = vec![0.0_f32; 26];
    for letter in text.bytes().filter(u8::is_ascii_lowercase) {
        counts[usize::from(letter - b'a')] += 1.0;
    }
    unit(counts)
}

pub fn unit(vector: Vector) -> Vector {
    let norm = product(&vector, &vector).sqrt().max(f32::MIN_POSITIVE);
    vector.into_iter().map(|element| element / norm).collect()
}

pub fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Numbers that look random and are the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn vector(&mut self, length: usize) -> Vector {
        let mut element = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f32::from(u16::try_from(self.0 >> 48).unwrap()) / 32768.0 - 1.0
        };
        unit((0..length).map(|_| element()).collect())
    }
}

pub fn origin(tree: &str) -> Origin {
    Origin { tree: tree.into(), model: "model".into(), splitting: "splitting".into() }
}

/// Returns a file with a passage of one line for each text.
pub fn file(path: &str, texts: &[&str]) -> NewFile {
    let passages = (1..).zip(texts).map(|(line, text)| passage(line, "", text, letters(text)));
    NewFile { path: path.into(), state: state(&texts.concat()), passages: passages.collect() }
}

pub fn passage(line: u32, item: &str, text: &str, vector: Vector) -> NewPassage {
    let embedded = digest(text.as_bytes());
    NewPassage { start: line, end: line, item: item.into(), text: text.into(), embedded, vector }
}

pub fn state(contents: &str) -> FileState {
    let size = contents.len().try_into().unwrap();
    FileState {
        stamp: Some(Stamp { modified: 1_700_000_000_123_456_789, size }),
        contents: digest(contents.as_bytes()),
    }
}

/// Returns all passages of a tree whose vectors have some length, in the order of their paths and lines.
pub fn contents(store: &mut dyn Store, tree: TreeId, length: usize) -> Vec<StoredPassage> {
    let mut query = vec![0.0; length];
    query[0] = 1.0;
    let ids = store.nearest(&[tree], &query, 100_000, &Letters::default()).unwrap();
    let mut passages = store.passages(&ids).unwrap().into_iter().map(|(_, passage)| passage).collect::<Vec<_>>();
    assert_eq!(passages.len(), ids.len());
    passages.sort_by(|a, b| (&a.path, a.start, a.end).cmp(&(&b.path, b.start, b.end)));
    passages
}

/// Returns the texts that the words of a query find, best first.
pub fn matching(store: &mut dyn Store, tree: TreeId, query: &str) -> Vec<String> {
    let ids = store.matching(&[tree], query, 100).unwrap();
    store.passages(&ids).unwrap().into_iter().map(|(_, passage)| passage.text).collect()
}

/// Returns the texts nearest to one.
pub fn nearest(store: &mut dyn Store, tree: TreeId, text: &str, limit: usize) -> Vec<String> {
    let ids = store.nearest(&[tree], &letters(text), limit, &Letters::default()).unwrap();
    store.passages(&ids).unwrap().into_iter().map(|(_, passage)| passage.text).collect()
}

pub fn digest_of(text: &str) -> Digest {
    digest(text.as_bytes())
}
