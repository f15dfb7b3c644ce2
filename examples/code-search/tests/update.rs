//! Checks that an update embeds only what is new, and that damaged stores are replaced.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use code_search::rank::Ranking;
use code_search::session::{Location, Session};
use code_search::shard::Shard;
use code_search::store::{Sqlite, Store};
use code_search::update::{Tree, Update};
use code_search::walk::Why;
use grad_examples::embedder::{Embed, Matrix, Vector};
use tempfile::TempDir;

#[path = "support/letters.rs"]
mod letters;
use letters::{Rows, letters};

/// Embeds a text as the normalized counts of its letters, and records the texts.
#[derive(Default, Clone)]
struct Letters {
    asked: Rc<RefCell<Vec<String>>>,
    /// How often vectors were read for queries.
    loaded: Rc<Cell<usize>>,
}

impl Embed for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>> {
        // The first line is the path, which has the same letters in all of them.
        self.asked.borrow_mut().extend(texts.iter().map(|&text| text.to_owned()));
        progress(texts.len());
        Ok(texts.iter().map(|text| letters(text)).collect())
    }

    fn matrix(&self, vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>> {
        self.loaded.set(self.loaded.get() + 1);
        Ok(Box::new(Rows { vectors, length }))
    }
}

/// A tree of two files, modified a minute ago, and a folder for its index.
struct Fixture {
    dir: TempDir,
    embedder: Letters,
}

/// The outcome of a run of the program.
struct Run {
    session: Session,
    update: Update,
    warnings: Vec<String>,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { dir: TempDir::new().unwrap(), embedder: Letters::default() };
        fs::create_dir(fixture.root()).unwrap();
        fixture.write("a1", "aaaa aaaa\n");
        fixture.write("b2", "bbbb bbbb\n");
        fixture
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("indexes")
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::write(&path, contents).unwrap();
        touch(&path, 60);
    }

    fn tree(&self) -> Tree {
        Tree { given: self.root(), root: self.root(), name: "tree".into() }
    }

    /// Does what one run of the program does: opens the store and updates it.
    fn try_run(&self, tree: Tree, shard: Shard) -> Result<Run> {
        let mut warnings = Vec::new();
        let (session, mut updates) = Session::open(
            Location::Folder(self.store()),
            vec![tree],
            shard,
            Box::new(self.embedder.clone()),
            &mut |_| {},
            &mut |warning| warnings.push(warning.to_owned()),
        )?;
        Ok(Run { session, update: updates.remove(0), warnings })
    }

    fn run(&self) -> Run {
        self.try_run(self.tree(), Shard::ALL).unwrap()
    }

    /// Runs without a warning.
    fn run_well(&self) -> Run {
        let run = self.run();
        assert_eq!(run.warnings, [""; 0]);
        run
    }

    /// Returns the texts that were embedded since the last call.
    fn asked(&self) -> Vec<String> {
        self.embedder.asked.take()
    }
}

impl Run {
    fn found(&mut self, query: &str) -> Vec<String> {
        let hits = self.session.search(query, 10, Ranking::Vectors, &mut |_| {}).unwrap();
        hits.into_iter().map(|hit| hit.passage.path).collect()
    }

    fn best(&mut self, query: &str) -> String {
        self.found(query).swap_remove(0)
    }

    fn counts(&mut self) -> (usize, usize) {
        let counts = self.session.counts().unwrap();
        (counts.files, counts.passages)
    }
}

fn touch(path: &Path, seconds_ago: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
}

#[test]
fn an_unchanged_tree_is_not_embedded_again() {
    let fixture = Fixture::new();
    let first = fixture.run_well();
    assert_eq!((first.update.embedded, first.update.changed, first.update.unchanged), (2, 2, 0));
    assert_eq!(fixture.asked(), ["a1\naaaa aaaa", "b2\nbbbb bbbb"]);

    let mut second = fixture.run_well();
    assert_eq!((second.update.embedded, second.update.changed, second.update.unchanged), (0, 0, 2));
    assert!(fixture.asked().is_empty());
    assert_eq!((second.best("b"), second.counts()), ("b2".into(), (2, 2)));
}

#[test]
fn only_changed_passages_are_embedded_again() {
    let fixture = Fixture::new();
    let item = |letter: &str| format!("fn {letter}() {{\n{}}}\n\n", format!("    {letter}();\n").repeat(100));
    fixture.write("c.rs", ["x", "y", "z"].map(item).concat());
    let whole = fixture.run_well();
    fixture.asked();
    fixture.write("c.rs", ["x", "q", "z"].map(item).concat());
    let mut run = fixture.run_well();
    assert_eq!((run.update.changed, run.update.unchanged), (1, 2));
    assert!(run.update.embedded > 0 && run.update.embedded < whole.update.embedded / 2, "{:?}", run.update);
    assert!(fixture.asked().iter().all(|text| text.contains('q')));
    assert_eq!(run.best("q"), "c.rs");
}

#[test]
fn a_file_whose_time_alone_has_changed_is_not_embedded_again() {
    let fixture = Fixture::new();
    let _ = fixture.run_well();
    touch(&fixture.root().join("a1"), 30);
    for unchanged in [2, 2] {
        let run = fixture.run_well();
        assert_eq!((run.update.embedded, run.update.changed, run.update.unchanged), (0, 0, unchanged));
    }
}

#[test]
fn a_change_within_the_resolution_of_time_stamps_is_found() {
    let fixture = Fixture::new();
    let path = fixture.root().join("a1");
    let now = SystemTime::now();
    let write = |contents: &str| {
        fs::write(&path, contents).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(now).unwrap();
    };
    write("dddd");
    let _ = fixture.run_well();
    write("eeee");
    assert_eq!(fixture.run_well().best("e"), "a1");
}

#[test]
fn a_file_that_is_gone_or_no_longer_text_is_not_found() {
    let fixture = Fixture::new();
    fixture.write("c3", "cccc");
    let _ = fixture.run_well();
    fs::remove_file(fixture.root().join("b2")).unwrap();
    fixture.write("c3", [0; 4]);
    let mut run = fixture.run_well();
    assert_eq!((run.update.embedded, run.update.removed), (0, 2));
    assert_eq!(run.found("b"), ["a1"]);
    assert_eq!(fixture.run_well().update.removed, 0);
}

#[test]
fn vectors_are_read_again_only_after_a_change() {
    let fixture = Fixture::new();
    let mut run = fixture.run_well();
    assert_eq!((run.best("a"), run.best("b"), fixture.embedder.loaded.get()), ("a1".into(), "b2".into(), 1));

    // By this session.
    let update =
        |run: &mut Run| run.session.update(Shard::ALL, &mut |_| {}, &mut |warning| panic!("{warning}")).unwrap();
    update(&mut run);
    assert_eq!((run.best("b"), fixture.embedder.loaded.get()), ("b2".into(), 1));
    fixture.write("c3", "cccc");
    update(&mut run);
    assert_eq!((run.best("c"), run.best("b"), fixture.embedder.loaded.get()), ("c3".into(), "b2".into(), 2));
    fs::remove_file(fixture.root().join("c3")).unwrap();
    update(&mut run);
    assert_eq!((run.found("c").len(), run.best("b"), fixture.embedder.loaded.get()), (2, "b2".into(), 3));

    // By another process.
    fixture.write("d4", "dddd");
    drop(fixture.run_well());
    assert_eq!((run.best("d"), run.best("a"), fixture.embedder.loaded.get()), ("d4".into(), "a1".into(), 4));
}

#[test]
fn shards_are_indexed_apart_and_found_together() {
    let fixture = Fixture::new();
    for at in 0..20 {
        fixture.write(&format!("file{at}"), format!("text {at}"));
    }
    let mut changed = 0;
    for shard in ["1/3", "2/3", "3/3"] {
        let run = fixture.try_run(fixture.tree(), shard.parse().unwrap()).unwrap();
        assert!(run.update.changed > 0 && run.update.removed == 0, "{shard}");
        changed += run.update.changed;
    }
    assert_eq!((changed, fixture.run_well().counts()), (22, (22, 22)));
    fs::remove_file(fixture.root().join("a1")).unwrap();
    let removed = ["1/3", "2/3", "3/3"]
        .map(|shard| fixture.try_run(fixture.tree(), shard.parse().unwrap()).unwrap().update.removed);
    assert_eq!(removed.iter().sum::<usize>(), 1);
}

#[test]
fn several_processes_can_update_one_store() {
    let fixture = Fixture::new();
    for at in 0..40 {
        fixture.write(&format!("file{at}"), format!("text {at}"));
    }
    let (root, store) = (fixture.root(), fixture.store());
    std::thread::scope(|scope| {
        for at in 0..4 {
            let (root, store) = (root.clone(), store.clone());
            scope.spawn(move || {
                let tree = Tree { given: root.clone(), root, name: format!("tree{}", at % 2) };
                let open = Session::open(
                    Location::Folder(store),
                    vec![tree],
                    Shard::ALL,
                    Box::new(Letters::default()),
                    &mut |_| {},
                    &mut |warning| panic!("{warning}"),
                );
                assert_eq!(open.unwrap().0.counts().unwrap().files, 42);
            });
        }
    });
}

/// Damages the file of the store, and checks that the next run replaces it and finds the same.
fn is_replaced(damage: impl FnOnce(&Path)) {
    let fixture = Fixture::new();
    assert_eq!(fixture.run_well().best("b"), "b2");
    let file = Sqlite::file_in(&fixture.store());
    damage(&file);
    fixture.asked();
    let mut run = fixture.run();
    let expected = format!("rebuilding the index {}: ", file.display());
    assert!(run.warnings.len() == 1 && run.warnings[0].starts_with(&expected), "{:?}", run.warnings);
    assert_eq!((run.update.embedded, run.best("b")), (2, "b2".into()));
    assert_eq!(fixture.run_well().update.embedded, 0);
}

fn sql(file: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.execute_batch(statement).unwrap();
}

#[test]
fn a_file_that_is_not_a_store_is_replaced() {
    is_replaced(|file| fs::write(file, "code-search index 1").unwrap());
    is_replaced(|file| {
        fs::remove_file(file).unwrap();
        sql(file, "CREATE TABLE other (x)");
    });
    is_replaced(|file| sql(file, "PRAGMA user_version = 999"));
}

#[test]
fn damaged_rows_are_neither_ranked_nor_shown() {
    for statement in [
        "UPDATE vectors SET vector = zeroblob(8)",
        "UPDATE vectors SET vector = zeroblob(7)",
        "UPDATE vectors SET vector = zeroblob(length(vector))",
        "UPDATE vectors SET vector = 'text'",
    ] {
        let fixture = Fixture::new();
        let _ = fixture.run_well();
        sql(&Sqlite::file_in(&fixture.store()), statement);
        let mut run = fixture.run_well();
        let mut warnings = Vec::new();
        let hits = run.session.search("b", 1, Ranking::Hybrid, &mut |warning| warnings.push(warning.to_owned()));
        assert_eq!(hits.unwrap()[0].passage.path, "b2");
        assert!(warnings.len() == 1 && warnings[0].starts_with("rebuilding the index"), "{warnings:?}");
    }
    for column in ["first_line = 7", "last_line = 7", "item = 'other'", "text = 'other'", "text = 3.5"] {
        let fixture = Fixture::new();
        let _ = fixture.run_well();
        sql(&Sqlite::file_in(&fixture.store()), &format!("UPDATE passages SET {column}"));
        let mut warnings = Vec::new();
        let mut run = fixture.run_well();
        let hits = run.session.search("b", 1, Ranking::Hybrid, &mut |warning| warnings.push(warning.to_owned()));
        assert_eq!(hits.unwrap()[0].passage.text, "bbbb bbbb");
        assert!(warnings.len() == 1, "{column}: {warnings:?}");
    }
}

#[test]
fn a_passage_that_refers_to_another_file_or_tree_is_damage() {
    for statement in [
        "UPDATE passages SET file = (SELECT max(id) FROM files)",
        "UPDATE files SET tree = 7",
        "UPDATE vectors SET passage = 9 - passage",
        "DELETE FROM passages WHERE id = 1",
    ] {
        let fixture = Fixture::new();
        let _ = fixture.run_well();
        // As a changed bit does, it takes no notice of keys.
        sql(&Sqlite::file_in(&fixture.store()), &format!("PRAGMA foreign_keys = off; {statement}"));
        let mut run = fixture.run();
        let mut warnings = run.warnings.clone();
        let hits = run.session.search("a", 2, Ranking::Vectors, &mut |warning| warnings.push(warning.to_owned()));
        let paths = hits.unwrap().into_iter().map(|hit| (run.session.tree_of(&hit).name.clone(), hit.passage.path));
        assert!(paths.eq([("tree".into(), "a1".into()), ("tree".into(), "b2".into())]), "{statement}");
        assert!(
            warnings.len() == 1 && warnings[0].starts_with("rebuilding the index"),
            "{statement}: {warnings:?}"
        );
    }
}

#[test]
fn a_store_without_one_of_its_tables_is_replaced() {
    is_replaced(|file| sql(file, "PRAGMA foreign_keys = off; DROP TABLE files"));
    is_replaced(|file| sql(file, "ALTER TABLE files RENAME COLUMN path TO name"));
    // The next passages would get the numbers of those that were deleted, of which the vectors are left.
    is_replaced(|file| sql(file, "PRAGMA foreign_keys = off; DELETE FROM passages; DELETE FROM files"));
}

#[test]
fn vectors_of_another_length_are_not_ranked() {
    let fixture = Fixture::new();
    let _ = fixture.run_well();
    // The checksum is right, as if another program had written the vector.
    let short = [0_u8; 8];
    let connection = rusqlite::Connection::open(Sqlite::file_in(&fixture.store())).unwrap();
    for passage in 1..=2_i64 {
        let checksum = crc32fast::hash(&[&passage.to_le_bytes()[..], &1_i64.to_le_bytes(), &short].concat());
        connection
            .execute(
                "UPDATE vectors SET vector = ?1, checksum = ?2 WHERE passage = ?3",
                rusqlite::params![short, checksum, passage],
            )
            .unwrap();
    }
    drop(connection);
    let mut warnings = Vec::new();
    let hits =
        fixture.run_well().session.search("b", 1, Ranking::Vectors, &mut |text| warnings.push(text.to_owned()));
    assert_eq!(hits.unwrap()[0].passage.path, "b2");
    assert!(warnings[0].ends_with("its vectors have the wrong length"), "{warnings:?}");
}

#[test]
fn a_truncated_store_never_gives_a_wrong_answer() {
    let fixture = Fixture::new();
    let _ = fixture.run_well();
    let file = Sqlite::file_in(&fixture.store());
    let contents = fs::read(&file).unwrap();
    for length in (0..contents.len()).step_by(997) {
        fs::write(&file, &contents[..length]).unwrap();
        let mut run = fixture.run();
        assert_eq!((run.best("a"), run.best("b")), ("a1".into(), "b2".into()), "{length}");
        assert!(run.warnings.len() <= 1, "{:?}", run.warnings);
    }
}

#[test]
fn a_flipped_bit_never_gives_a_wrong_answer() {
    let fixture = Fixture::new();
    let _ = fixture.run_well();
    let file = Sqlite::file_in(&fixture.store());
    let contents = fs::read(&file).unwrap();
    for at in (0..contents.len()).step_by(331) {
        let mut damaged = contents.clone();
        damaged[at] ^= 1 << (at % 8);
        Sqlite::delete(&fixture.store()).unwrap();
        fs::write(&file, &damaged).unwrap();
        let mut run = fixture.run();
        assert_eq!((run.best("a"), run.best("b")), ("a1".into(), "b2".into()), "byte {at}");
    }
}

#[test]
fn a_store_of_another_model_is_not_used() {
    let fixture = Fixture::new();
    let mut store = Sqlite::open(&fixture.store()).unwrap();
    let mut other = fixture.tree().origin();
    other.model = "another model".into();
    let id = store.tree(&other).unwrap();
    assert_eq!(store.tree(&other).unwrap(), id);
    let run = fixture.run_well();
    assert_eq!(run.update.embedded, 2);
    let id = store.tree(&other).unwrap();
    assert!(store.files(id).unwrap().is_empty());
}

#[test]
fn a_store_that_cannot_be_written_is_not_used() {
    let fixture = Fixture::new();
    // A folder in the place of the file, and a file in the place of the folder.
    fs::create_dir_all(Sqlite::file_in(&fixture.store())).unwrap();
    let mut run = fixture.run();
    assert!(
        run.warnings[0].ends_with("it is not a regular file; this run goes on without it"),
        "{:?}",
        run.warnings
    );
    assert_eq!(run.best("b"), "b2");
    fs::remove_dir_all(fixture.store()).unwrap();
    fs::write(fixture.store(), "").unwrap();
    let mut run = fixture.run();
    assert!(run.warnings[0].contains("cannot create its folder"), "{:?}", run.warnings);
    assert_eq!(run.best("b"), "b2");
}

#[test]
fn an_index_of_an_earlier_version_is_replaced_with_a_notice() {
    use grad_examples::model_files::hex;

    let fixture = Fixture::new();
    let key = hex(&code_search::store::digest(fixture.root().as_os_str().as_encoded_bytes()));
    let old = fixture.store().join(format!("{}.index", &key[..32]));
    fs::create_dir_all(fixture.store()).unwrap();
    fs::write(&old, "code-search index 1 …").unwrap();
    let run = fixture.run();
    assert_eq!(run.warnings, [format!("replacing the index {} of an earlier version", old.display())]);
    assert!(!old.exists());
    fixture.run_well();
}

#[test]
fn files_that_are_not_text_are_skipped_and_reported() {
    let fixture = Fixture::new();
    fixture.write("binary.bin", [b'a', 0, b'b']);
    fixture.write("latin1.txt", b"caf\xe9");
    fixture.write("huge.txt", vec![b'h'; (1 << 20) + 1]);
    fixture.write("empty.txt", "");
    fixture.write("blank.txt", "\n \n");
    fixture.write(".hidden.txt", "hidden");
    fixture.write("ignored.txt", "ignored");
    fixture.write(".gitignore", "ignored.txt\n");
    let mut run = fixture.run_well();
    assert_eq!(run.counts(), (4, 2));
    let mut skipped = run.update.skipped.iter().map(ToString::to_string).collect::<Vec<_>>();
    skipped.sort();
    let root = fixture.root();
    let expected = ["binary.bin: binary", "huge.txt: 1048577 bytes, more than 1048576", "latin1.txt: not UTF-8"]
        .map(|line| format!("{}/{line}", root.display()));
    assert_eq!(skipped, expected);
}

#[test]
fn an_ignore_file_that_is_used_in_part_is_reported() {
    let fixture = Fixture::new();
    fixture.write(".gitignore", "[z-a]\nb2\n");
    fs::create_dir(fixture.root().join("sub")).unwrap();
    fixture.write("sub/.ignore", b"\xff\n");
    fixture.write("sub/c3", "cccc");
    let mut run = fixture.run_well();
    let mut skipped = run.update.skipped.iter().map(ToString::to_string).collect::<Vec<_>>();
    skipped.sort();
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    let start = format!("lines of the ignore file {}", fixture.root().join(".gitignore").display());
    assert!(skipped[0].starts_with(&start) && skipped[0].contains("[z-a]"), "{skipped:?}");
    assert!(skipped[1].contains("sub/.ignore: it is not UTF-8"), "{skipped:?}");
    let mut found = run.found("a");
    found.sort();
    assert_eq!(found, ["a1", "sub/c3"]);
}

#[cfg(unix)]
#[test]
fn pipes_are_reported_and_never_opened() {
    let pipe = |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    let fixture = Fixture::new();
    for folder in ["one", "two"] {
        fs::create_dir(fixture.root().join(folder)).unwrap();
        fixture.write(&format!("{folder}/c3"), "cccc");
    }
    pipe(&fixture.root().join("one/.gitignore"));
    pipe(&fixture.root().join("pipe.rs"));
    fs::create_dir(fixture.store()).unwrap();
    pipe(&Sqlite::file_in(&fixture.store()));
    let mut run = fixture.run();
    assert!(run.warnings[0].contains("it is not a regular file"), "{:?}", run.warnings);
    let skipped = run.update.skipped.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        skipped,
        [format!("{}: its ignore file is not a regular file", fixture.root().join("one").display())]
    );
    assert_eq!(run.counts(), (3, 3));
}

#[cfg(unix)]
#[test]
fn files_that_cannot_be_read_are_skipped_and_reported() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    let fixture = Fixture::new();
    fs::write(fixture.root().join(OsStr::from_bytes(b"name\xff.txt")), "x").unwrap();
    fixture.write("locked.txt", "secret");
    fs::set_permissions(fixture.root().join("locked.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink("nowhere", fixture.root().join("dangling.txt")).unwrap();
    let privileged = fs::read(fixture.root().join("locked.txt")).is_ok();
    let mut run = fixture.run_well();
    assert!(run.update.skipped.iter().any(|file| matches!(file.why, Why::NameNotUtf8)));
    let unreadable = run.update.skipped.iter().filter(|file| matches!(file.why, Why::Unreadable(_))).count();
    // The superuser can read every file.
    assert_eq!((unreadable, run.counts().0), if privileged { (0, 3) } else { (1, 2) });
}

#[cfg(unix)]
#[test]
fn names_that_control_a_terminal_are_reported_without_doing_so() {
    let fixture = Fixture::new();
    fixture.write("red\u{1b}[31m\nnext.bin", [0]);
    let run = fixture.run_well();
    let expected = format!(r"{}/red\u{{1b}}[31m\nnext.bin: binary", fixture.root().display());
    assert_eq!(run.update.skipped[0].to_string(), expected);
}

#[test]
fn a_missing_tree_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    let tree = Tree { given: "no/such".into(), root: "no/such/tree".into(), name: "tree".into() };
    let error = fixture.try_run(tree, Shard::ALL).err().expect("there is no such tree");
    assert_eq!(error.to_string(), "cannot search no/such/tree");
}

#[test]
fn a_single_file_is_a_tree() {
    let fixture = Fixture::new();
    let file = fixture.root().join("b2");
    let tree = Tree { given: file.clone(), root: file, name: "file".into() };
    let mut run = fixture.try_run(tree, Shard::ALL).unwrap();
    assert_eq!(fixture.asked(), ["bbbb bbbb"]);
    assert_eq!(run.found("b"), [""]);
}

/// Embeds texts as letters, until it is told to fail.
struct Failing(Rc<Cell<bool>>);

impl Embed for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn embed(&self, texts: &[&str], progress: &mut dyn FnMut(usize)) -> Result<Vec<Vector>> {
        ensure!(!self.0.get(), "cannot embed now");
        Letters::default().embed(texts, progress)
    }

    fn matrix(&self, vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>> {
        Letters::default().matrix(vectors, length)
    }
}

#[test]
fn a_search_that_fails_leaves_the_store_as_it_is() {
    let fixture = Fixture::new();
    let fails = Rc::new(Cell::new(false));
    let (mut session, _) = Session::open(
        Location::Folder(fixture.store()),
        vec![fixture.tree()],
        Shard::ALL,
        Box::new(Failing(Rc::clone(&fails))),
        &mut |_| {},
        &mut |warning| panic!("{warning}"),
    )
    .unwrap();
    let mut search = || session.search("b", 1, Ranking::Vectors, &mut |warning| panic!("{warning}"));
    fails.set(true);
    assert_eq!(search().unwrap_err().to_string(), "cannot embed now");
    fails.set(false);
    assert_eq!(search().unwrap()[0].passage.path, "b2");
    assert_eq!(session.counts().unwrap().files, 2);
}

/// Embeds every text as something that is not a number.
struct NotANumber;

impl Embed for NotANumber {
    fn name(&self) -> &'static str {
        "not a number"
    }

    fn embed(&self, texts: &[&str], _: &mut dyn FnMut(usize)) -> Result<Vec<Vector>> {
        Ok(vec![vec![f32::NAN; 26]; texts.len()])
    }

    fn matrix(&self, vectors: Vec<f32>, length: usize) -> Result<Box<dyn Matrix>> {
        Letters::default().matrix(vectors, length)
    }
}

#[test]
fn embeddings_that_are_not_finite_are_an_error() {
    let fixture = Fixture::new();
    let location = Location::Folder(fixture.store());
    let opened = Session::open(
        location,
        vec![fixture.tree()],
        Shard::ALL,
        Box::new(NotANumber),
        &mut |_| {},
        &mut |warning| panic!("{warning}"),
    );
    let error = opened.err().expect("NaN").to_string();
    assert!(error.starts_with("cannot index a passage: its embedding is not finite"), "{error}");
}
