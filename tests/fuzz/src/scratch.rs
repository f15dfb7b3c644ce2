//! A folder for the files of one process, in memory where the system has such a place.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

/// Returns the path of a file that each run of a target writes anew.
pub fn file(name: &str) -> PathBuf {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        folder.expect("a temporary folder can be made")
    });
    FOLDER.path().join(name)
}
