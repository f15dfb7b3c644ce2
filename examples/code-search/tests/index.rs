//! Checks that an index embeds only new passages, and that damaged index files are rejected.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use code_search::index::{Index, Update};
use code_search::rank;
use code_search::walk::Why;
use grad_examples::embedder::{Embed, Vector};
use tempfile::TempDir;

/// Embeds a text as the normalized counts of its letters, and records the texts.
#[derive(Default)]
struct Letters {
    asked: RefCell<Vec<String>>,
}

impl Embed for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>> {
        self.asked.borrow_mut().extend(texts.iter().map(|&text| text.to_owned()));
        progress(texts.len());
        Ok(texts.iter().map(|text| letters(text)).collect())
    }
}

fn letters(text: &str) -> Vector {
    let mut counts = [0.0_f32; 26];
    for letter in text.bytes().filter(u8::is_ascii_lowercase) {
        counts[usize::from(letter - b'a')] += 1.0;
    }
    let norm = counts.iter().map(|count| count * count).sum::<f32>().sqrt().max(1.0);
    counts.iter().map(|count| count / norm).collect()
}

/// A tree of two files, modified a minute ago, and a folder for its index.
struct Tree {
    dir: TempDir,
    embedder: Letters,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { dir: TempDir::new().unwrap(), embedder: Letters::default() };
        fs::create_dir(tree.root()).unwrap();
        tree.write("alpha.txt", "aaaa aaaa\n");
        tree.write("beta.txt", "bbbb bbbb\n");
        tree
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn index_file(&self) -> PathBuf {
        self.dir.path().join("indexes/tree.index")
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::write(&path, contents).unwrap();
        touch(&path, 60);
    }

    /// Does what one run of the program does: loads the index and updates it. Returns the result of loading too.
    fn run(&self) -> (Index, Update, Result<()>) {
        let mut index = Index::new(&self.root(), "the model");
        let loaded = index.load(&self.index_file());
        let update =
            index.update(&self.embedder, &mut |_, _| {}, &mut |index| index.save(&self.index_file())).unwrap();
        (index, update, loaded)
    }

    /// Returns the texts that were embedded since the last call.
    fn asked(&self) -> Vec<String> {
        self.embedder.asked.take()
    }
}

fn touch(path: &Path, seconds_ago: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
}

fn best(index: Index, query: &str) -> Option<String> {
    let indexes = [index];
    rank::best(&letters(query), &indexes, 1).first().map(|hit| hit.file.to_owned())
}

#[test]
fn an_unchanged_tree_is_not_embedded_again() {
    let tree = Tree::new();
    let (first, update, loaded) = tree.run();
    loaded.unwrap();
    assert_eq!((update.embedded, update.changed, update.reused), (2, 2, 0));
    assert_eq!(tree.asked(), ["aaaa aaaa", "bbbb bbbb"]);

    let (second, update, loaded) = tree.run();
    loaded.unwrap();
    assert_eq!((update.embedded, update.changed, update.reused), (0, 0, 2));
    assert!(tree.asked().is_empty());
    assert_eq!(first, second);
    assert_eq!(best(second, "b").as_deref(), Some("beta.txt"));
}

#[test]
fn only_a_changed_file_is_embedded_again() {
    let tree = Tree::new();
    let _ = tree.run();
    tree.asked();
    tree.write("alpha.txt", "cccc\n");
    let (index, update, _) = tree.run();
    assert_eq!((update.embedded, update.changed, update.reused), (1, 1, 1));
    assert_eq!(tree.asked(), ["cccc"]);
    assert_eq!(best(index.clone(), "c").as_deref(), Some("alpha.txt"));
    assert_eq!(index.passages(), 2);
}

#[test]
fn a_file_of_the_same_contents_is_not_embedded_again() {
    let tree = Tree::new();
    let _ = tree.run();
    tree.asked();
    touch(&tree.root().join("alpha.txt"), 30);
    fs::rename(tree.root().join("beta.txt"), tree.root().join("moved.txt")).unwrap();
    let (index, update, _) = tree.run();
    assert_eq!((update.embedded, update.reused, update.removed), (0, 2, 1));
    assert_eq!(best(index, "b").as_deref(), Some("moved.txt"));
}

#[test]
fn a_change_within_the_resolution_of_time_stamps_is_found() {
    let tree = Tree::new();
    let path = tree.root().join("alpha.txt");
    let now = SystemTime::now();
    let write = |contents: &str| {
        fs::write(&path, contents).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(now).unwrap();
    };
    write("dddd");
    let _ = tree.run();
    write("eeee");
    let (index, ..) = tree.run();
    assert_eq!(best(index, "e").as_deref(), Some("alpha.txt"));
}

#[test]
fn a_deleted_file_is_not_found() {
    let tree = Tree::new();
    let _ = tree.run();
    fs::remove_file(tree.root().join("beta.txt")).unwrap();
    let (index, update, _) = tree.run();
    assert_eq!((update.embedded, update.removed), (0, 1));
    assert_eq!(index.files().keys().collect::<Vec<_>>(), ["alpha.txt"]);
    let (again, update, _) = tree.run();
    assert_eq!((again, update.removed), (index, 0));
}

#[test]
fn a_truncated_index_is_reported_and_rebuilt() {
    let tree = Tree::new();
    let (whole, ..) = tree.run();
    let contents = fs::read(tree.index_file()).unwrap();
    for length in 0..contents.len() {
        fs::write(tree.index_file(), &contents[..length]).unwrap();
        let mut index = Index::new(&tree.root(), "the model");
        let error = index.load(&tree.index_file()).expect_err("truncated");
        assert!(!format!("{error:#}").contains('\n'), "{error:#}");
        assert_eq!(index.passages(), 0);
    }
    tree.asked();
    let (index, update, loaded) = tree.run();
    assert!(loaded.is_err());
    assert_eq!((update.embedded, index), (2, whole));
    assert_eq!(fs::read(tree.index_file()).unwrap(), contents);
}

#[test]
fn a_flipped_bit_anywhere_is_an_error() {
    let tree = Tree::new();
    let _ = tree.run();
    let contents = fs::read(tree.index_file()).unwrap();
    for at in 0..contents.len() {
        let mut damaged = contents.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(tree.index_file(), &damaged).unwrap();
        let mut index = Index::new(&tree.root(), "the model");
        assert!(index.load(&tree.index_file()).is_err(), "byte {at}");
        assert_eq!(index.passages(), 0);
    }
}

#[test]
fn an_index_of_another_model_or_tree_is_not_used() {
    let tree = Tree::new();
    let _ = tree.run();
    for mut other in [Index::new(&tree.root(), "another model"), Index::new(Path::new("elsewhere"), "the model")] {
        let error = other.load(&tree.index_file()).expect_err("another origin");
        assert!(error.to_string().contains("it was made"), "{error}");
        assert_eq!(other.passages(), 0);
    }
}

#[test]
fn a_folder_in_place_of_an_index_is_an_error() {
    let tree = Tree::new();
    fs::create_dir_all(tree.index_file()).unwrap();
    let mut index = Index::new(&tree.root(), "the model");
    assert!(index.load(&tree.index_file()).is_err());
}

#[test]
fn files_that_are_not_text_are_skipped_and_reported() {
    let tree = Tree::new();
    tree.write("binary.bin", [b'a', 0, b'b']);
    tree.write("latin1.txt", b"caf\xe9");
    tree.write("huge.txt", vec![b'h'; (1 << 20) + 1]);
    tree.write("empty.txt", "");
    tree.write("blank.txt", "\n \n");
    tree.write(".hidden.txt", "hidden");
    tree.write("ignored.txt", "ignored");
    tree.write(".gitignore", "ignored.txt\n");
    let (index, update, _) = tree.run();
    let names = index.files().keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(names, ["alpha.txt", "beta.txt", "blank.txt", "empty.txt"]);
    assert_eq!(index.passages(), 2);
    let mut skipped = update.skipped.iter().map(ToString::to_string).collect::<Vec<_>>();
    skipped.sort();
    let root = tree.root();
    let expected = ["binary.bin: binary", "huge.txt: 1048577 bytes, more than 1048576", "latin1.txt: not UTF-8"]
        .map(|line| format!("{}/{line}", root.display()));
    assert_eq!(skipped, expected);
}

#[cfg(unix)]
#[test]
fn files_that_cannot_be_read_are_skipped_and_reported() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    let tree = Tree::new();
    fs::write(tree.root().join(OsStr::from_bytes(b"name\xff.txt")), "x").unwrap();
    tree.write("locked.txt", "secret");
    fs::set_permissions(tree.root().join("locked.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink("nowhere", tree.root().join("dangling.txt")).unwrap();
    let privileged = fs::read(tree.root().join("locked.txt")).is_ok();
    let (index, update, _) = tree.run();
    assert!(update.skipped.iter().any(|file| matches!(file.why, Why::NameNotUtf8)));
    let unreadable = update.skipped.iter().filter(|file| matches!(file.why, Why::Unreadable(_))).count();
    // The superuser can read every file.
    assert_eq!((unreadable, index.files().len()), if privileged { (0, 3) } else { (1, 2) });
}

#[test]
fn a_missing_tree_is_an_error_that_names_it() {
    let mut index = Index::new(Path::new("no/such/tree"), "the model");
    let error =
        index.update(&Letters::default(), &mut |_, _| {}, &mut |_| Ok(())).expect_err("there is no such tree");
    assert_eq!(error.to_string(), "cannot search no/such/tree");
}

#[test]
fn a_single_file_is_a_tree() {
    let tree = Tree::new();
    let mut index = Index::new(&tree.root().join("beta.txt"), "the model");
    index.update(&tree.embedder, &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    assert_eq!(index.files().keys().collect::<Vec<_>>(), [""]);
    assert_eq!(tree.asked(), ["bbbb bbbb"]);
}

#[test]
fn of_overlapping_passages_only_the_best_is_kept() {
    let tree = Tree::new();
    tree.write("long.txt", format!("{}{}", "zz zz\n".repeat(28), "zz qq\n".repeat(28)));
    let (index, ..) = tree.run();
    let indexes = [index];
    let hits = rank::best(&letters("z"), &indexes, 10);
    let spans =
        hits.iter().filter(|hit| hit.file == "long.txt").map(|hit| (hit.start, hit.end)).collect::<Vec<_>>();
    assert_eq!(spans, [(1, 30)]);
    assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
}
