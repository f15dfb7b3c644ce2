//! The trees, the store and the embedder of one run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use grad_examples::embedder::Embed;
use grad_examples::model_files::hex;
use grad_examples::printable::Printable;

use crate::rank::{self, Hit, Ranking};
use crate::shard::Shard;
use crate::store::{self, Counts, Sqlite, Store, StoreError, TreeId, digest};
use crate::update::{self, Progress, Tree, Update};

/// Where the index is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In memory, for this run.
    Memory,
    /// In SQLite, in a folder.
    Folder(PathBuf),
    /// In PostgreSQL, at a URL.
    Url(String),
}

impl From<PathBuf> for Location {
    /// Returns a URL if the path is one of PostgreSQL, else a folder.
    fn from(store: PathBuf) -> Self {
        match store.to_str() {
            Some(url) if url.starts_with("postgresql://") || url.starts_with("postgres://") => {
                Self::Url(url.to_owned())
            }
            _ => Self::Folder(store),
        }
    }
}

/// Receives warnings of a session, each on one line.
pub type Warn<'a> = &'a mut dyn FnMut(&str);

/// The trees, the store and the embedder of one run.
pub struct Session {
    embedder: Box<dyn Embed>,
    store: Box<dyn Store>,
    location: Location,
    /// Whether a damaged store was replaced.
    rebuilt: bool,
    trees: Vec<Tree>,
    ids: Vec<TreeId>,
}

impl Session {
    /// Opens the store and updates the index of each tree in it. A damaged SQLite store is replaced, and one that cannot be used
    /// is not used in this run; `warn` is told.
    ///
    /// # Errors
    ///
    /// If a tree cannot be walked, passages cannot be embedded, or PostgreSQL fails.
    pub fn open(
        location: Location,
        trees: Vec<Tree>,
        shard: Shard,
        embedder: Box<dyn Embed>,
        progress: &mut dyn FnMut(Progress),
        warn: Warn<'_>,
    ) -> Result<(Self, Vec<Update>)> {
        let (mut location, mut rebuilt) = (location, false);
        if let Location::Folder(folder) = &location {
            for tree in &trees {
                delete_old_index(folder, &tree.root, warn);
            }
        }
        let store = match open_store(&location) {
            Err(error) => recovered(error, &mut location, &mut rebuilt, warn)?,
            Ok(store) => store,
        };
        let mut session = Self { embedder, store, location, rebuilt, trees, ids: Vec::new() };
        let updates = session.update(shard, progress, warn)?;
        Ok((session, updates))
    }

    /// Updates the index of each tree.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn update(
        &mut self,
        shard: Shard,
        progress: &mut dyn FnMut(Progress),
        warn: Warn<'_>,
    ) -> Result<Vec<Update>> {
        loop {
            match self.try_update(shard, progress) {
                Err(error) => self.recover(error, warn)?,
                updates => return updates,
            }
        }
    }

    fn try_update(&mut self, shard: Shard, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Update>> {
        let (store, embedder) = (&mut *self.store, &*self.embedder);
        let updates = self.trees.iter().map(|tree| update::update(store, tree, shard, embedder, progress));
        let updates = updates.collect::<Result<_>>()?;
        self.ids = self.trees.iter().map(|tree| store.tree(&tree.origin())).collect::<Result<_>>()?;
        Ok(updates)
    }

    /// Returns the `top` best passages for a query.
    ///
    /// # Errors
    ///
    /// If the query cannot be embedded, or the store fails.
    pub fn search(&mut self, query: &str, top: usize, ranking: Ranking, warn: Warn<'_>) -> Result<Vec<Hit>> {
        loop {
            match rank::best(&mut *self.store, &self.ids, query, top, ranking, &*self.embedder) {
                Err(error) => self.recover(error, warn)?,
                hits => return hits,
            }
            self.update(Shard::ALL, &mut |_| {}, warn)?;
        }
    }

    /// Replaces a store that failed, if it can be replaced. A damaged file is replaced by a new one, and that by memory, so this
    /// ends.
    fn recover(&mut self, error: anyhow::Error, warn: Warn<'_>) -> Result<()> {
        if !is_recoverable(&error, &self.location) {
            return Err(error);
        }
        // Closes the files before they are deleted.
        self.store = Box::new(Sqlite::in_memory()?);
        self.store = recovered(error, &mut self.location, &mut self.rebuilt, warn)?;
        Ok(())
    }

    /// Counts the files and passages that are searched.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn counts(&mut self) -> Result<Counts> {
        self.store.counts(&self.ids)
    }

    /// Returns the tree of a hit.
    ///
    /// # Panics
    ///
    /// If the hit is of another session.
    #[must_use]
    pub fn tree_of(&self, hit: &Hit) -> &Tree {
        let at = self.ids.iter().position(|id| *id == hit.passage.tree);
        &self.trees[at.expect("a hit is in one of the trees")]
    }

    /// Returns the trees.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// Returns where the index is kept.
    #[must_use]
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// Returns the backend of the embedder and its device.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.embedder.name()
    }
}

fn open_store(location: &Location) -> Result<Box<dyn Store>> {
    match location {
        Location::Memory => Ok(Box::new(Sqlite::in_memory()?)),
        Location::Folder(folder) => Ok(Box::new(Sqlite::open(folder)?)),
        Location::Url(url) => store::open_url(url),
    }
}

/// Returns whether another store can take the place of one that failed with an error.
fn is_recoverable(error: &anyhow::Error, location: &Location) -> bool {
    matches!(location, Location::Folder(_)) && error.is::<StoreError>()
}

/// Returns a store in place of one that failed: a new one if its file is damaged, and one in memory if it cannot be used.
fn recovered(
    error: anyhow::Error,
    location: &mut Location,
    rebuilt: &mut bool,
    warn: Warn<'_>,
) -> Result<Box<dyn Store>> {
    let (Location::Folder(folder), Some(problem)) = (&*location, error.downcast_ref::<StoreError>()) else {
        return Err(error);
    };
    let file = Sqlite::file_in(folder);
    let file = Printable(file.display());
    let why = Printable(problem);
    let unusable = match problem {
        StoreError::Unusable(_) => format!("cannot use the index {file}: {why}"),
        StoreError::Damaged(_) if *rebuilt => format!("cannot use the rebuilt index {file}: {why}"),
        StoreError::Damaged(_) => {
            *rebuilt = true;
            warn(&format!("rebuilding the index {file}: {why}"));
            let rebuilt = Sqlite::delete(folder).map_err(anyhow::Error::from).and_then(|()| Sqlite::open(folder));
            match rebuilt {
                Ok(store) => return Ok(Box::new(store)),
                Err(error) => format!("cannot replace the index {file}: {}", Printable(format!("{error:#}"))),
            }
        }
    };
    warn(&format!("{unusable}; this run goes on without it"));
    *location = Location::Memory;
    open_store(location)
}

/// Deletes the index of a tree that an earlier version of this program wrote.
fn delete_old_index(folder: &Path, root: &Path, warn: Warn<'_>) {
    let key = hex(&digest(root.as_os_str().as_encoded_bytes()));
    let file = folder.join(&key[..32]).with_extension("index");
    if file.is_file() {
        let shown = Printable(file.display());
        match fs::remove_file(&file) {
            Ok(()) => warn(&format!("replacing the index {shown} of an earlier version")),
            Err(error) => warn(&format!("cannot delete the index {shown} of an earlier version: {error}")),
        }
    }
}
