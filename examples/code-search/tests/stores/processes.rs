//! Runs `code-search` with the real model.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use code_search::rank::{self, Ranking};
use code_search::shard::Shard;
use code_search::store::{Counts, Store, StoredPassage, TreeId};
use code_search::update::{self, Tree};
use grad_examples::embedder::{self, BackendArgs, Choice, Embed};
use grad_examples::model_files::ModelFiles;
use serde_json::Value;
use tempfile::TempDir;

use crate::place::{Place, contents};

/// The length of the model's vectors.
const LENGTH: usize = 384;

/// A folder of short files on different subjects.
fn corpus(files: usize) -> TempDir {
    const VERBS: [&str; 6] = ["parse", "send", "sort", "encrypt", "draw", "delete"];
    const NOUNS: [&str; 7] = ["message", "matrix", "password", "window", "customer", "file", "network"];
    let folder = TempDir::new().unwrap();
    for number in 0..files {
        let (verb, noun) = (VERBS[number % VERBS.len()], NOUNS[number % NOUNS.len()]);
        let path = folder.path().join(format!("{verb}/{noun}{number}.rs"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("fn {verb}_{noun}() {{}}\n")).unwrap();
    }
    folder
}

fn command(place: &Place, arguments: &[&str], root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_code-search"));
    command.args(arguments).arg(root).args(["--backend", "cpu", "--store"]).arg(place.argument());
    command
}

/// Returns the numbers of files that had changed and had not, and of passages that were embedded.
fn index(command: &mut Command) -> [usize; 3] {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = String::from_utf8(output.stdout).unwrap();
    let numbers = summary.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<usize>>();
    [numbers[0], numbers[1], numbers[3]]
}

/// Returns the tree at a path.
fn tree(store: &mut dyn Store, root: &Path) -> TreeId {
    let root = root.canonicalize().unwrap();
    let tree = Tree { given: root.clone(), name: root.to_str().unwrap().to_owned(), root };
    store.tree(&tree.origin()).unwrap()
}

/// Asserts that two trees have the same passages. Embeddings depend on the other texts of their batch by a rounding error.
fn assert_same(found: &[StoredPassage], expected: &[StoredPassage]) {
    let key = |passage: &StoredPassage| {
        (passage.path.clone(), passage.start, passage.end, passage.item.clone(), passage.text.clone())
    };
    assert_eq!(found.iter().map(key).collect::<Vec<_>>(), expected.iter().map(key).collect::<Vec<_>>());
    for (a, b) in found.iter().zip(expected) {
        let distance = a.vector.iter().zip(&b.vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(distance < 1e-4, "{}: {distance}", a.path);
    }
}

pub fn a_killed_process_loses_nothing(place: &Place) {
    // More than the passages of one transaction.
    const FILES: usize = 560;
    let folder = corpus(FILES);
    let mut killed =
        command(place, &["index"], folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut store = place.open();
    let id = tree(&mut *store, folder.path());
    let start = Instant::now();
    let mut kept = Counts::default();
    while kept.files == 0 {
        assert!(start.elapsed() < Duration::from_secs(400) && killed.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(20));
        kept = store.counts(&[id]).unwrap();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let kept = store.counts(&[id]).unwrap();
    assert!(kept.files > 0 && kept.files < FILES, "{kept:?}");
    assert_eq!(store.files(id).unwrap().len(), kept.files);

    let [changed, unchanged, embedded] = index(&mut command(place, &["index"], folder.path()));
    assert_eq!([changed, unchanged, embedded], [FILES - kept.files, kept.files, FILES - kept.files]);
    let found = contents(&mut *store, id, LENGTH);

    assert_same(&found, uninterrupted(FILES));
}

fn embedder() -> Box<dyn Embed> {
    let model = ModelFiles::open(None).unwrap();
    embedder::open(&BackendArgs { backend: Choice::Cpu, device: None }.into(), &model).unwrap()
}

/// Returns the passages of a corpus that is indexed at one go.
fn uninterrupted(files: usize) -> &'static [StoredPassage] {
    static PASSAGES: OnceLock<Vec<StoredPassage>> = OnceLock::new();
    PASSAGES.get_or_init(|| {
        let folder = corpus(files);
        let root = folder.path().canonicalize().unwrap();
        let tree = Tree { given: root.clone(), root, name: "uninterrupted".into() };
        let mut store = Place::memory().open();
        update::update(&mut *store, &tree, Shard::ALL, &*embedder(), &mut |_| {}).unwrap();
        let id = store.tree(&tree.origin()).unwrap();
        contents(&mut *store, id, LENGTH)
    })
}

pub fn eight_processes_index_what_one_does(place: &Place) {
    const FILES: usize = 80;
    let folder = corpus(FILES);
    let processes = (1..=8).map(|number| {
        let shard = format!("{number}/8");
        command(place, &["index", "--shard", &shard], folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for process in processes.collect::<Vec<_>>() {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(index(&mut command(place, &["index"], folder.path())), [0, FILES, 0]);
    let mut store = place.open();
    let id = tree(&mut *store, folder.path());
    let found = contents(&mut *store, id, LENGTH);

    let one = Place::file();
    assert_eq!(index(&mut command(&one, &["index"], folder.path())), [FILES, 0, FILES]);
    let mut alone = one.open();
    let id_alone = tree(&mut *alone, folder.path());
    assert_same(&found, &contents(&mut *alone, id_alone, LENGTH));

    let embedder = embedder();
    for (query, expected) in [
        ("send a message", "send/message"),
        ("encrypt a password", "encrypt/password"),
        ("sort the matrix", "sort/matrix"),
        ("drawWindow", "draw/window"),
        ("delete customers", "delete/customer"),
    ] {
        for ranking in [Ranking::Hybrid, Ranking::Vectors, Ranking::Words] {
            let stores: [(&mut dyn Store, TreeId); 2] = [(&mut *store, id), (&mut *alone, id_alone)];
            for (store, id) in stores {
                let hits = rank::best(store, &[id], query, 1, ranking, &*embedder).unwrap();
                // Files that differ in their numbers only are equally good.
                let path = &hits[0].passage.path;
                assert!(path.starts_with(expected), "{query} by {ranking:?}: {path}");
            }
        }
    }
    let output = command(place, &["drawing windows", "--json"], folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = serde_json::from_slice::<Value>(&output.stdout).unwrap();
    assert_eq!((&found["embedded"], &found["files"]), (&0.into(), &FILES.into()));
    assert!(found["results"][0]["path"].as_str().unwrap().contains("draw/window"), "{found}");
}
