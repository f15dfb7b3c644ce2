//! Updates the index of a tree: embeds the passages that the store does not have, and deletes those that are gone.

use std::collections::BTreeMap;
use std::mem;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use grad_examples::embedder::{Embed, Finish, Vector};
use grad_examples::model_files::WEIGHTS_SHA256;
use grad_examples::printable::Printable;
use rayon::prelude::*;

use crate::passages::{self, SPLITTING};
use crate::shard::Shard;
use crate::store::{FileState, NewFile, NewPassage, Origin, Stamp, Store, TreeId, digest};
use crate::walk::{self, Found, Skipped};

/// The number of files that are read and split at a time, on all cores.
const FILES_AT_ONCE: usize = 64;

/// A tree to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The path as the user gave it.
    pub given: PathBuf,
    /// The canonical path.
    pub root: PathBuf,
    /// The name in the store.
    pub name: String,
}

impl Tree {
    /// Returns the origin of an index of this tree that the program makes now.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin { tree: self.name.clone(), model: WEIGHTS_SHA256.to_owned(), splitting: SPLITTING.to_owned() }
    }
}

/// Statistics of an update.
#[derive(Debug, Default)]
pub struct Update {
    /// Passages that were embedded.
    pub embedded: usize,
    /// Files that had not changed.
    pub unchanged: usize,
    /// Files that were added or had changed.
    pub changed: usize,
    /// Files that no longer exist.
    pub removed: usize,
    /// Files that were skipped.
    pub skipped: Vec<Skipped>,
}

impl Update {
    /// Returns whether the store was changed.
    #[must_use]
    pub const fn has_changed(&self) -> bool {
        self.changed + self.removed > 0
    }
}

/// The state of an update, for a progress bar.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Files that are done, of those that may have changed.
    pub done: usize,
    /// Files that may have changed.
    pub total: usize,
    /// Passages that were embedded.
    pub embedded: usize,
}

/// Updates the index of a tree in a store. Embeds only passages whose text the store does not have for this tree. Files of
/// other shards are left as they are.
///
/// # Errors
///
/// If the tree cannot be walked, or the store or `embedder` fail. What was stored before stays, and the next update goes on
/// from there.
pub fn update(
    store: &mut dyn Store,
    tree: &Tree,
    shard: Shard,
    embedder: &dyn Embed,
    progress: &mut dyn FnMut(Progress),
) -> Result<Update> {
    let mut update = Update::default();
    let id = store.tree(&tree.origin())?;
    let mut stored = store.files(id)?;
    stored.retain(|path, _| shard.contains(path));

    let mut candidates = Vec::new();
    for file in walk::files(&tree.root, &mut update.skipped)? {
        let stamp = Stamp::new(file.modified, file.size);
        if !shard.contains(&file.relative) {
            continue;
        }
        if stamp.is_some() && stored.get(&file.relative).is_some_and(|known| known.stamp == stamp) {
            stored.remove(&file.relative);
            update.unchanged += 1;
        } else {
            candidates.push((file, stamp));
        }
    }

    // While a device embeds the passages of one batch, the next files are read and split, and an interrupted run may lose both batches.
    let total = candidates.len();
    let mut done = 0;
    let mut batch = Batch::default();
    let mut running: Option<Running> = None;
    while !candidates.is_empty() {
        let rest = candidates.split_off(candidates.len().min(FILES_AT_ONCE));
        let files = mem::replace(&mut candidates, rest);
        let read =
            files.into_par_iter().map(|(file, stamp)| read(file, stamp, &stored)).collect::<Result<Vec<_>>>()?;
        for (path, read) in read {
            done += 1;
            match read {
                Read::Skipped(skipped) => update.skipped.push(skipped),
                Read::Unchanged(stamp) => {
                    stored.remove(&path);
                    batch.touched.push((path, stamp));
                    update.unchanged += 1;
                }
                Read::Changed(file) => {
                    stored.remove(&path);
                    batch.files.push(file);
                    update.changed += 1;
                }
            }
            if batch.passages() >= embedder.texts_at_once() || done == total {
                let next = mem::take(&mut batch).start(store, id, embedder, done)?;
                if let Some(before) = running.replace(next) {
                    before.store(store, id, total, &mut update, progress)?;
                }
            }
        }
    }
    if let Some(last) = running {
        last.store(store, id, total, &mut update, progress)?;
    }

    // The files that are left are gone, or are not text any more.
    let gone = stored.into_keys().collect::<Vec<_>>();
    if !gone.is_empty() {
        store.remove(id, &gone)?;
    }
    update.removed = gone.len();
    Ok(update)
}

/// What became of a file that may have changed.
enum Read {
    Skipped(Skipped),
    /// It has the contents that are stored, and another stamp.
    Unchanged(Option<Stamp>),
    /// Its passages have no vectors yet.
    Changed(NewFile),
}

/// Reads a file, and splits it if its contents are not those that are stored.
fn read(file: Found, stamp: Option<Stamp>, stored: &BTreeMap<String, FileState>) -> Result<(String, Read)> {
    let read = match walk::read(&file.path) {
        Err(why) => Read::Skipped(Skipped { path: file.path, why }),
        Ok(text) => {
            let state = FileState { stamp, contents: digest(text.as_bytes()) };
            if stored.get(&file.relative).is_some_and(|known| known.contents == state.contents) {
                Read::Unchanged(stamp)
            } else {
                Read::Changed(split(file.relative.clone(), state, &text)?)
            }
        }
    };
    Ok((file.relative, read))
}

/// Returns a file with its passages, whose vectors are empty.
fn split(path: String, state: FileState, text: &str) -> Result<NewFile> {
    let passages = passages::split(&path, text).into_iter().map(|passage| {
        let embedded = digest(passages::described(&path, &passage.item, passage.text).as_bytes());
        let passages::Passage { start, end, item, text } = passage;
        Ok(NewPassage {
            start: start.try_into()?,
            end: end.try_into()?,
            item,
            text: text.into(),
            embedded,
            vector: Vector::new(),
        })
    });
    let passages = passages.collect::<Result<_>>().with_context(|| format!("cannot index {}", Printable(&path)))?;
    Ok(NewFile { path, state, passages })
}

/// Files that are stored in one transaction.
#[derive(Default)]
struct Batch {
    files: Vec<NewFile>,
    touched: Vec<(String, Option<Stamp>)>,
}

impl Batch {
    fn passages(&self) -> usize {
        self.files.iter().map(|file| file.passages.len()).sum()
    }

    /// Starts to embed the passages that are new. `done` files are done once the batch is stored.
    fn start<'a>(
        mut self,
        store: &mut dyn Store,
        tree: TreeId,
        embedder: &'a dyn Embed,
        done: usize,
    ) -> Result<Running<'a>> {
        let digests = self.files.iter().flat_map(|file| &file.passages).map(|passage| passage.embedded);
        let known = store.vectors(tree, &digests.collect::<Vec<_>>())?;
        let mut texts = Vec::new();
        for NewFile { path, passages, .. } in &mut self.files {
            for passage in passages {
                match known.get(&passage.embedded) {
                    Some(vector) => passage.vector.clone_from(vector),
                    None => texts.push(passages::described(path, &passage.item, &passage.text)),
                }
            }
        }
        Ok(Running { batch: self, finish: embedder.start(texts)?, done })
    }
}

/// A batch whose passages are being embedded.
struct Running<'a> {
    batch: Batch,
    finish: Finish<'a>,
    done: usize,
}

impl Running<'_> {
    /// Waits for the embeddings and stores the batch. `total` is the number of files that may have changed.
    fn store(
        self,
        store: &mut dyn Store,
        tree: TreeId,
        total: usize,
        update: &mut Update,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let Self { mut batch, finish, done } = self;
        let before = done - batch.files.len() - batch.touched.len();
        let vectors = finish(&mut |texts| {
            update.embedded += texts;
            progress(Progress { done: before, total, embedded: update.embedded });
        })?;
        let passages = batch.files.iter_mut().flat_map(|file| &mut file.passages);
        let pending = passages.filter(|passage| passage.vector.is_empty()).collect::<Vec<_>>();
        ensure!(
            vectors.len() == pending.len(),
            "cannot index passages: {} have {} embeddings",
            pending.len(),
            vectors.len()
        );
        for (passage, vector) in pending.into_iter().zip(vectors) {
            ensure!(
                vector.iter().all(|element| element.is_finite()),
                "cannot index a passage: its embedding is not finite; the model's weights or the device are at fault"
            );
            passage.vector = vector;
        }
        store.put(tree, &batch.files)?;
        if !batch.touched.is_empty() {
            store.touch(tree, &batch.touched)?;
        }
        progress(Progress { done, total, embedded: update.embedded });
        Ok(())
    }
}
