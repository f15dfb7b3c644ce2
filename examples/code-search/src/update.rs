//! Updates the index of a tree: embeds the passages that the store does not have, and deletes those that are gone.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use grad_examples::embedder::{Embed, Vector};
use grad_examples::model_files::WEIGHTS_SHA256;
use grad_examples::printable::Printable;

use crate::passages::{self, SPLITTING};
use crate::shard::Shard;
use crate::store::{FileState, NewFile, NewPassage, Origin, Stamp, Store, TreeId, digest};
use crate::walk::{self, Skipped};

/// The number of passages that are embedded and stored at a time, which an interrupted run may lose.
const AT_ONCE: usize = 128;

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

    let total = candidates.len();
    let mut batch = Batch::default();
    for (at, (file, stamp)) in candidates.into_iter().enumerate() {
        match walk::read(&file.path) {
            Err(why) => update.skipped.push(Skipped { path: file.path, why }),
            Ok(text) => {
                let state = FileState { stamp, contents: digest(text.as_bytes()) };
                if stored.remove(&file.relative).is_some_and(|known| known.contents == state.contents) {
                    batch.touched.push((file.relative, stamp));
                    update.unchanged += 1;
                } else {
                    batch.files.push(split(file.relative, state, &text)?);
                    update.changed += 1;
                }
            }
        }
        if batch.passages() >= AT_ONCE || at + 1 == total {
            batch.store(store, id, embedder, &mut |texts| {
                update.embedded += texts;
                progress(Progress { done: at, total, embedded: update.embedded });
            })?;
            progress(Progress { done: at + 1, total, embedded: update.embedded });
        }
    }

    // The files that are left are gone, or are not text any more.
    let gone = stored.into_keys().collect::<Vec<_>>();
    if !gone.is_empty() {
        store.remove(id, &gone)?;
    }
    update.removed = gone.len();
    Ok(update)
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

    /// Embeds the passages that are new, and empties the batch into the store.
    fn store(
        &mut self,
        store: &mut dyn Store,
        tree: TreeId,
        embedder: &dyn Embed,
        progress: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let digests = self.files.iter().flat_map(|file| &file.passages).map(|passage| passage.embedded);
        let known = store.vectors(tree, &digests.collect::<Vec<_>>())?;
        let mut pending = Vec::new();
        let mut texts = Vec::new();
        for NewFile { path, passages, .. } in &mut self.files {
            for passage in passages {
                if let Some(vector) = known.get(&passage.embedded) {
                    passage.vector.clone_from(vector);
                } else {
                    texts.push(passages::described(path, &passage.item, &passage.text));
                    pending.push(passage);
                }
            }
        }
        let texts = texts.iter().map(String::as_str).collect::<Vec<_>>();
        let vectors = embedder.embed(&texts, progress)?;
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
        store.put(tree, &self.files)?;
        if !self.touched.is_empty() {
            store.touch(tree, &self.touched)?;
        }
        *self = Self::default();
        Ok(())
    }
}
