//! The index of code search, damaged.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use code_search::rank::{Hit, Ranking};
use code_search::session::{Location, Session};
use code_search::shard::Shard;
use code_search::store::{Counts, Sqlite, StoredPassage};
use code_search::update::Tree;
use grad_examples::embedder::{Embed, Matrix, Vector};
use rusqlite::Connection;
use support::random::Random;

use crate::letters::{Rows, letters};
use crate::scratch;

/// The files of the tree, by name.
const FILES: [(&str, &str); 5] = [
    ("a.rs", "/// Restores the mode.\nfn restore(mode: Mode) {\n    thread.set(mode);\n}\n"),
    ("c.md", "# Scopes\n\nA scope ends when its guard is dropped.\n\n## Threads\n\nA new thread starts Enabled.\n"),
    ("d.txt", "zebra zebra zebra\n"),
    ("e.py", "class Tape:\n    def record(self, node):\n        self.nodes.append(node)\n"),
    ("empty.txt", ""),
];

const QUERIES: [&str; 3] = ["zebra", "restore the mode of a thread", "fn"];

const RANKINGS: [Ranking; 3] = [Ranking::Hybrid, Ranking::Vectors, Ranking::Words];

/// Statements that change rows in ways that this program does not. `?1` is a random value.
const CHANGES: [&str; 24] = [
    "UPDATE trees SET name = ?1",
    "UPDATE trees SET model = ?1",
    "UPDATE trees SET id = id + 7",
    "DELETE FROM trees",
    "UPDATE files SET path = ?1 WHERE id = (SELECT max(id) FROM files)",
    "UPDATE files SET path = ?1 || path",
    "UPDATE files SET modified = ?1",
    "UPDATE files SET size = ?1",
    "UPDATE files SET contents = ?1",
    "UPDATE files SET tree = ?1",
    "UPDATE files SET id = id + 1000",
    "DELETE FROM files WHERE id = (SELECT max(id) FROM files)",
    "UPDATE passages SET first_line = ?1",
    "UPDATE passages SET last_line = ?1",
    "UPDATE passages SET item = ?1",
    "UPDATE passages SET text = ?1",
    "UPDATE passages SET embedded = ?1",
    "UPDATE passages SET checksum = ?1",
    "UPDATE vectors SET vector = ?1",
    "UPDATE vectors SET vector = ?1 WHERE passage = (SELECT max(passage) FROM vectors)",
    "UPDATE vectors SET checksum = ?1",
    "UPDATE passages SET file = (SELECT max(id) FROM files)",
    "UPDATE vectors SET tree = ?1",
    "DELETE FROM passage_words WHERE rowid = 1",
];

/// Statements that change the tables.
const TABLE_CHANGES: [&str; 8] = [
    "DROP TABLE vectors",
    "DROP TABLE passage_words",
    "DROP TABLE files",
    "DROP INDEX vectors_by_tree",
    "DROP TRIGGER passages_deleted",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = 7",
    "ALTER TABLE passages DROP COLUMN checksum",
];

/// Opens an index, updates it and searches in it. The first byte chooses what it is: other bytes of the file, parts of it that the
/// others overwrite, or rows that they change.
///
/// # Panics
///
/// If anything panics, if the index is neither used nor replaced, or if a search returns what is not in the tree.
pub fn index_file(bytes: &[u8]) {
    let random = Random::from_choices(bytes);
    let place = &*PLACE;
    let file = Sqlite::file_in(&place.folder);
    let beside = |suffix: &str| {
        let mut path = file.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    let _ = fs::create_dir(&place.folder);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(beside(suffix));
    }
    match random.below(8) {
        0 => fs::write(&file, random.rest()).expect("the folder can be written"),
        1 => {
            fs::write(&file, &place.index).expect("the folder can be written");
            let suffix = random.of(&["-wal", "-journal", "-shm"]);
            fs::write(beside(suffix), random.rest()).expect("the folder can be written");
        }
        2..6 => fs::write(&file, overwritten(&place.index, &random)).expect("the folder can be written"),
        _ => {
            fs::write(&file, &place.index).expect("the folder can be written");
            change_rows(&file, &random);
        }
    }
    let query = random.of(&QUERIES);
    let (hits, counts) = searched(Location::Folder(place.folder.clone()), query)
        .unwrap_or_else(|error| panic!("the index is neither used nor replaced: {error:#}"));
    let (expected, expected_counts) = &place.answers[QUERIES.iter().position(|known| *known == query).unwrap_or(0)];
    for (ranking, (hits, expected)) in RANKINGS.iter().zip(hits.iter().zip(expected)) {
        for hit in hits {
            let is_of_the_tree = place.passages.iter().any(|known| is_same(&known.passage, &hit.passage));
            assert!(is_of_the_tree, "{ranking:?} returns what is not in the tree: {:?}", hit.passage);
        }
        // A deleted row is not noticed, but changes the counts.
        if *ranking == Ranking::Vectors && counts == *expected_counts {
            assert_eq!(hits.len(), expected.len());
            for (hit, expected) in hits.iter().zip(expected) {
                assert!(is_same(&hit.passage, &expected.passage), "{hit:?}, not {expected:?}");
                assert_eq!((hit.cosine, hit.vector_rank), (expected.cosine, expected.vector_rank), "{hit:?}");
            }
        }
    }
}

/// Returns whether two passages are the same but for the number of their tree, which a new index gives anew.
fn is_same(a: &StoredPassage, b: &StoredPassage) -> bool {
    *a == StoredPassage { tree: a.tree, ..b.clone() }
}

fn overwritten(index: &[u8], random: &Random) -> Vec<u8> {
    let mut index = index.to_vec();
    while !random.is_used_up() {
        let at = random.below(index.len());
        let length = random.within(1..64).min(index.len() - at);
        match random.below(8) {
            0..4 => index[at] ^= 1 << random.below(8),
            4 => index[at] = u8::try_from(random.below(256)).unwrap_or_default(),
            5 => index[at..at + length].fill(0),
            6 => {
                let from = random.below(index.len() - length + 1);
                index.copy_within(from..from + length, at);
            }
            _ => {
                index.truncate(at.max(1));
            }
        }
    }
    index
}

fn change_rows(file: &PathBuf, random: &Random) {
    let Ok(connection) = Connection::open(file) else { return };
    for _ in 0..random.within(1..4) {
        if random.once_in(4) {
            let _ = connection.execute_batch(random.of(&TABLE_CHANGES));
            continue;
        }
        let change = random.of(&CHANGES);
        let bytes = random.bits().to_le_bytes();
        // A change that SQLite refuses is none.
        let _ = match random.below(6) {
            0 => connection.execute(change, [i64::from_le_bytes(bytes)]),
            1 => connection.execute(change, [f64::from_le_bytes(bytes)]),
            2 => connection.execute(change, [&bytes[..random.below(9)]]),
            3 => connection.execute(change, [String::from_utf8_lossy(&bytes)]),
            4 => connection.execute(change, [rusqlite::types::Null]),
            _ => connection.execute(change, [i64::from(bytes[0]) - 4]),
        };
    }
}

/// The tree, its index and what searches in it return.
struct Place {
    tree: Tree,
    folder: PathBuf,
    index: Vec<u8>,
    /// For each query, the hits of each ranking.
    answers: Vec<(Vec<Vec<Hit>>, Counts)>,
    /// Every passage of the tree.
    passages: Vec<Hit>,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let root = scratch::file("tree");
    fs::create_dir(&root).expect("the folder can be written");
    let step = |n: u8| format!("/// Step {n}.\nfn step_{n}(x: u8) -> u8 {{\n    x * {n}\n}}\n\n");
    let long = (0..120).map(step).collect::<Vec<_>>().concat();
    for (name, text) in FILES.into_iter().chain([("long.rs", long.as_str())]) {
        fs::write(root.join(name), text).expect("the folder can be written");
        let file = File::options().write(true).open(root.join(name)).expect("it was written");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("times can be set");
    }
    let tree = Tree { given: root.clone(), root, name: "tree".into() };
    let folder = scratch::file("index");
    let open = |location| open(location, &tree).expect("a new index can be made");
    drop(open(Location::Folder(folder.clone())));
    let index = fs::read(Sqlite::file_in(&folder)).expect("it was made");
    let mut session = open(Location::Memory);
    let answers = QUERIES.map(|query| answers(&mut session, query).expect("a new index can be searched")).into();
    let all =
        session.search("mode", usize::MAX, Ranking::Vectors, &mut |_| {}).expect("a new index can be searched");
    Place { tree, folder, index, answers, passages: all }
});

fn open(location: Location, tree: &Tree) -> Result<Session> {
    let trees = vec![tree.clone()];
    Ok(Session::open(location, trees, Shard::ALL, Box::new(Letters), &mut |_| {}, &mut |_| {})?.0)
}

fn searched(location: Location, query: &str) -> Result<(Vec<Vec<Hit>>, Counts)> {
    answers(&mut open(location, &PLACE.tree)?, query)
}

fn answers(session: &mut Session, query: &str) -> Result<(Vec<Vec<Hit>>, Counts)> {
    let hits = RANKINGS.iter().map(|ranking| session.search(query, 20, *ranking, &mut |_| {}));
    let hits: Vec<Vec<Hit>> = hits.collect::<Result<_>>()?;
    for hit in hits.iter().flatten() {
        assert_eq!(session.tree_of(hit).name, "tree");
    }
    Ok((hits, session.counts()?))
}

/// Embeds a text as the normalized counts of its letters.
struct Letters;

impl Embed for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>> {
        progress(texts.len());
        Ok(texts.iter().map(|text| letters(text)).collect())
    }

    fn matrix(&self, vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>> {
        Ok(Box::new(Rows { vectors, length }))
    }
}
