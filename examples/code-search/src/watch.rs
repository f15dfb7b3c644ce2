//! Waits for changes of files.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};
use grad_examples::printable::Printable;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// A change is reported when no other has followed it for this long, so that a checkout of many files is one change.
const QUIET: Duration = Duration::from_millis(300);

/// Watches trees.
pub struct Watch {
    changes: Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches all files below `roots`, except those in `ignored`.
    ///
    /// # Errors
    ///
    /// If the system cannot watch a tree, for example because it watches too many folders already.
    pub fn new<'a>(roots: impl IntoIterator<Item = &'a Path>, ignored: Option<PathBuf>) -> Result<Self> {
        let (sender, changes) = mpsc::channel();
        let is_ignored = move |path: &PathBuf| ignored.as_ref().is_some_and(|ignored| path.starts_with(ignored));
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading a file is not a change. An error may stand for lost events, so everything is checked again.
            let is_no_change = event.is_ok_and(|event| {
                matches!(event.kind, EventKind::Access(_))
                    || !event.paths.is_empty() && event.paths.iter().all(&is_ignored)
            });
            if !is_no_change {
                // The receiver is dropped with the `Watch`.
                let _ = sender.send(());
            }
        })
        .context("cannot watch for changes")?;
        for root in roots {
            watcher
                .watch(root, RecursiveMode::Recursive)
                .with_context(|| format!("cannot watch {} for changes", Printable(root.display())))?;
        }
        Ok(Self { changes, _watcher: watcher })
    }

    /// Waits for a change and the end of those that follow it. Returns false when there will be no more.
    #[must_use]
    pub fn wait(&self) -> bool {
        if self.changes.recv().is_err() {
            return false;
        }
        loop {
            match self.changes.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}
