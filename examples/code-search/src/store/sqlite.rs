//! The index in a file: SQLite, with FTS5 for words and vectors as blobs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use grad_examples::embedder::{Embed, Matrix, Vector};
use rusqlite::types::Value;
use rusqlite::{Connection, Error, ErrorCode, Row, Transaction, TransactionBehavior, params, params_from_iter};

use super::{
    Counts, Digest, FileState, NewFile, NewPassage, Origin, PassageId, Stamp, Store, StoreError, StoredPassage,
    TreeId, words,
};
/// Identifies this program's files, as SQLite's `application_id`.
const APPLICATION: i32 = 0x6373_6561;
/// The version of the tables. A file with another version is replaced.
const VERSION: i32 = 2;

/// How long a process waits for another one's transaction.
const BUSY: Duration = Duration::from_secs(60);

const TABLES: &str = "
    CREATE TABLE trees (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        model TEXT NOT NULL,
        splitting TEXT NOT NULL
    );
    CREATE TABLE files (
        id INTEGER PRIMARY KEY,
        tree INTEGER NOT NULL REFERENCES trees ON DELETE CASCADE,
        path TEXT NOT NULL,
        modified INTEGER,
        size INTEGER,
        contents BLOB NOT NULL,
        UNIQUE (tree, path)
    );
    CREATE TABLE passages (
        id INTEGER PRIMARY KEY,
        file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
        first_line INTEGER NOT NULL,
        last_line INTEGER NOT NULL,
        item TEXT NOT NULL,
        text TEXT NOT NULL,
        embedded BLOB NOT NULL,
        -- Of the passage and where it is: SQLite itself does not notice a changed bit.
        checksum INTEGER NOT NULL
    );
    -- Apart from the passages, since each search reads all vectors of a tree.
    CREATE TABLE vectors (
        passage INTEGER PRIMARY KEY REFERENCES passages ON DELETE CASCADE,
        tree INTEGER NOT NULL,
        vector BLOB NOT NULL,
        checksum INTEGER NOT NULL
    );
    CREATE INDEX vectors_by_tree ON vectors (tree);
    CREATE INDEX passages_by_file ON passages (file);
    CREATE INDEX passages_by_text ON passages (embedded);
    CREATE VIRTUAL TABLE passage_words USING fts5 (
        path, item, text, content = '', contentless_delete = 1, tokenize = 'porter unicode61'
    );
    CREATE TRIGGER passages_deleted AFTER DELETE ON passages BEGIN
        DELETE FROM passage_words WHERE rowid = old.id;
    END;
";

/// A store in a SQLite database.
pub struct Sqlite {
    connection: Connection,
    /// Of the last query, unless this connection has changed the passages since.
    loaded: Option<Loaded>,
}

/// The vectors of some trees, which are read and verified once for many queries.
struct Loaded {
    trees: Vec<TreeId>,
    /// SQLite's `data_version` before they were read. It changes when another connection commits.
    version: i64,
    ids: Vec<PassageId>,
    length: usize,
    /// A row for each passage of `ids`; `None` if there are none.
    matrix: Option<Box<dyn Matrix>>,
}

impl Sqlite {
    /// Opens the store in a folder, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if the file is damaged or not a store, and [`StoreError::Unusable`] if it cannot be opened.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = Self::file_in(folder);
        fs::create_dir_all(folder)
            .map_err(|error| StoreError::Unusable(format!("cannot create its folder: {error}")))?;
        for path in Self::files_in(folder) {
            // SQLite would wait for the other end of a pipe.
            match fs::metadata(&path) {
                Ok(found) if !found.is_file() => {
                    return Err(StoreError::Unusable("it is not a regular file".into()).into());
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::Unusable(error.to_string()).into());
                }
                _ => {}
            }
        }
        let connection = Connection::open(file).map_err(classified)?;
        Self::new(connection, true).map_err(explained)
    }

    /// Opens a store that is not kept.
    ///
    /// # Errors
    ///
    /// If SQLite has no memory.
    pub fn in_memory() -> Result<Self> {
        Self::new(Connection::open_in_memory()?, false)
    }

    /// Returns the file of the store in a folder.
    #[must_use]
    pub fn file_in(folder: &Path) -> PathBuf {
        folder.join("index.sqlite")
    }

    /// Deletes the store in a folder.
    ///
    /// # Errors
    ///
    /// If a file cannot be deleted.
    pub fn delete(folder: &Path) -> io::Result<()> {
        for path in Self::files_in(folder) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the database and the files that SQLite keeps beside it.
    fn files_in(folder: &Path) -> [PathBuf; 4] {
        let file = Self::file_in(folder);
        ["", "-wal", "-shm", "-journal"].map(|suffix| {
            let mut path = file.clone().into_os_string();
            path.push(suffix);
            path.into()
        })
    }

    fn new(mut connection: Connection, in_file: bool) -> Result<Self> {
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        if in_file {
            // Readers and a writer do not block each other. A crash of the system may lose the last transactions, not more.
            use_log(&connection)?;
            connection.pragma_update(None, "synchronous", "normal")?;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let [application, version] = ["application_id", "user_version"]
            .map(|name| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0)));
        match (application?, version?) {
            (APPLICATION, VERSION) => {}
            (0, 0) if is_empty(&transaction)? => {
                transaction.execute_batch(TABLES)?;
                transaction.pragma_update(None, "application_id", APPLICATION)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            (APPLICATION, _) => {
                return Err(StoreError::Damaged("it was made by another version of this program".into()).into());
            }
            _ => return Err(StoreError::Damaged("it is not an index of this program".into()).into()),
        }
        transaction.commit()?;
        Ok(Self { connection, loaded: None })
    }

    /// Returns the vectors of some trees, from the last query if they have not changed since.
    fn vectors_of(&mut self, trees: &[TreeId], length: usize, embedder: &dyn Embed) -> Result<&Loaded> {
        let version =
            self.connection.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(classified)?;
        let is_current = |loaded: &Loaded| loaded.version == version && loaded.trees == trees;
        let loaded = match self.loaded.take().filter(is_current) {
            Some(loaded) => loaded,
            None => self.load(trees, version, length, embedder)?,
        };
        ensure!(loaded.length == length, StoreError::Damaged(WRONG_LENGTH.into()));
        Ok(self.loaded.insert(loaded))
    }

    /// Reads the vectors of some trees, in the order of `trees` and then of the passages.
    fn load(&self, trees: &[TreeId], version: i64, length: usize, embedder: &dyn Embed) -> Result<Loaded> {
        // Others may write between two statements of different transactions.
        let transaction = self.connection.unchecked_transaction().map_err(classified)?;
        let mut count = 0;
        for tree in trees {
            let sql = "SELECT count(*) FROM vectors WHERE tree = ?1";
            let rows = transaction.query_row(sql, [tree.0], |row| row.get::<_, i64>(0)).map_err(classified)?;
            count += usize::try_from(rows)?;
        }
        let mut ids = Vec::with_capacity(count);
        let mut elements = Vec::with_capacity(count.saturating_mul(length));
        let mut statement = transaction
            .prepare_cached("SELECT passage, vector, checksum FROM vectors WHERE tree = ?1 ORDER BY passage")
            .map_err(classified)?;
        for tree in trees {
            let mut rows = statement.query([tree.0]).map_err(classified)?;
            while let Some(row) = rows.next().map_err(classified)? {
                let Ok(bytes) = row.get_ref(1).map_err(classified)?.as_blob() else {
                    return Err(StoreError::Damaged(DAMAGED.into()).into());
                };
                let id = PassageId(row.get(0).map_err(classified)?);
                let vector = verified(id, *tree, bytes, row.get(2).map_err(classified)?)?;
                ensure!(vector.len() == length, StoreError::Damaged(WRONG_LENGTH.into()));
                ids.push(id);
                elements.extend(vector.iter().copied().map(f32::from_le_bytes));
            }
        }
        let matrix = if ids.is_empty() { None } else { Some(embedder.matrix(elements, length)?) };
        Ok(Loaded { trees: trees.to_vec(), version, ids, length, matrix })
    }

    /// Runs `work` in a transaction that writes.
    fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let written = (|| {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })();
        written.map_err(explained)
    }

    /// Returns the rows of a query.
    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let rows =
            || self.connection.prepare_cached(sql)?.query_map(values, read)?.collect::<rusqlite::Result<Vec<_>>>();
        rows().map_err(classified)
    }
}

impl Store for Sqlite {
    fn tree(&mut self, origin: &Origin) -> Result<TreeId> {
        let Origin { tree, model, splitting } = origin;
        let mut deleted = 0;
        let id = self.write(|transaction| {
            deleted = transaction.execute(
                "DELETE FROM trees WHERE name = ?1 AND (model <> ?2 OR splitting <> ?3)",
                [tree, model, splitting],
            )?;
            transaction.execute(
                "INSERT INTO trees (name, model, splitting) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING",
                [tree, model, splitting],
            )?;
            Ok(TreeId(transaction.query_row("SELECT id FROM trees WHERE name = ?1", [tree], |row| row.get(0))?))
        })?;
        if deleted > 0 {
            self.loaded = None;
        }
        Ok(id)
    }

    fn files(&mut self, tree: TreeId) -> Result<BTreeMap<String, FileState>> {
        let files =
            self.rows("SELECT path, modified, size, contents FROM files WHERE tree = ?1", [tree.0], |row| {
                let stamp = row.get::<_, Option<i64>>(1)?.zip(row.get(2)?);
                let stamp = stamp.map(|(modified, size)| Stamp { modified, size });
                Ok((row.get(0)?, FileState { stamp, contents: row.get(3)? }))
            })?;
        Ok(files.into_iter().collect())
    }

    fn vectors(&mut self, tree: TreeId, texts: &[Digest]) -> Result<HashMap<Digest, Vector>> {
        let mut vectors = HashMap::new();
        for text in texts {
            let found = self.rows(
                "SELECT vector, vectors.checksum, passage, tree FROM passages JOIN vectors ON passage = passages.id
                 WHERE embedded = ?1 AND tree = ?2 LIMIT 1",
                params![text, tree.0],
                read_vector,
            )?;
            for vector in found {
                vectors.insert(*text, vector.verified()?);
            }
        }
        Ok(vectors)
    }

    fn put(&mut self, tree: TreeId, files: &[NewFile]) -> Result<()> {
        self.loaded = None;
        self.write(|transaction| {
            for file in files {
                put(transaction, tree, file)?;
            }
            Ok(())
        })
    }

    fn touch(&mut self, tree: TreeId, files: &[(String, Option<Stamp>)]) -> Result<()> {
        self.write(|transaction| {
            let mut update = transaction
                .prepare_cached("UPDATE files SET modified = ?3, size = ?4 WHERE tree = ?1 AND path = ?2")?;
            for (path, stamp) in files {
                update.execute(params![
                    tree.0,
                    path,
                    stamp.map(|stamp| stamp.modified),
                    stamp.map(|stamp| stamp.size)
                ])?;
            }
            Ok(())
        })
    }

    fn remove(&mut self, tree: TreeId, paths: &[String]) -> Result<()> {
        self.loaded = None;
        self.write(|transaction| {
            let mut delete = transaction.prepare_cached("DELETE FROM files WHERE tree = ?1 AND path = ?2")?;
            for path in paths {
                delete.execute(params![tree.0, path])?;
            }
            Ok(())
        })
    }

    fn nearest(
        &mut self,
        trees: &[TreeId],
        query: &[f32],
        limit: usize,
        embedder: &dyn Embed,
    ) -> Result<Vec<PassageId>> {
        let Loaded { ids, matrix, .. } = self.vectors_of(trees, query.len(), embedder)?;
        let Some(matrix) = matrix else { return Ok(Vec::new()) };
        Ok(largest(&matrix.cosines(query)?, limit).into_iter().map(|at| ids[at]).collect())
    }

    fn matching(&mut self, trees: &[TreeId], query: &str, limit: usize) -> Result<Vec<PassageId>> {
        let mut words = words(query);
        words.sort();
        words.dedup();
        if words.is_empty() || trees.is_empty() {
            return Ok(Vec::new());
        }
        // The index knows the tree of each passage that has one of the words: rows would be read from all of the file.
        let any = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" OR ");
        let sql = format!(
            "SELECT rowid FROM passage_words
             WHERE passage_words MATCH ? AND EXISTS (
                 SELECT 1 FROM vectors INDEXED BY vectors_by_tree WHERE passage = passage_words.rowid AND tree IN ({})
             )
             ORDER BY bm25(passage_words), rowid LIMIT ?",
            placeholders(trees.len())
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values: Vec<Value> = vec![any.into()];
        values.extend(trees.iter().map(|tree| Value::from(tree.0)));
        values.push(limit.into());
        self.rows(&sql, params_from_iter(values), |row| row.get(0).map(PassageId))
    }

    fn passages(&mut self, ids: &[PassageId]) -> Result<Vec<(PassageId, StoredPassage)>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM vectors LEFT JOIN passages ON passages.id = passage LEFT JOIN files ON files.id = file
             WHERE passage = ?1"
        );
        let mut found = Vec::new();
        // A vector is deleted with its passage and that with its file: where one of these alone is missing, the NULLs are damage.
        for id in ids {
            for stored in self.rows(&sql, [id.0], Stored::read)? {
                found.push(stored.verified()?);
            }
        }
        Ok(found)
    }

    fn counts(&mut self, trees: &[TreeId]) -> Result<Counts> {
        let within = format!("tree IN ({})", placeholders(trees.len()));
        let count = |sql: String| -> Result<usize> {
            let counts =
                self.rows(&sql, params_from_iter(trees.iter().map(|tree| tree.0)), |row| row.get::<_, i64>(0))?;
            Ok(usize::try_from(counts[0])?)
        };
        Ok(Counts {
            files: count(format!("SELECT count(*) FROM files WHERE {within}"))?,
            passages: count(format!("SELECT count(*) FROM vectors WHERE {within}"))?,
        })
    }
}

const COLUMNS: &str =
    "vector, vectors.checksum, passage, vectors.tree, files.tree, path, first_line, last_line, item, text, embedded,
    passages.checksum";
const DAMAGED: &str = "it is damaged";
const WRONG_LENGTH: &str = "its vectors have the wrong length";

/// A vector as it is stored.
struct StoredVector {
    bytes: Vec<u8>,
    checksum: u32,
    passage: PassageId,
    tree: TreeId,
}

fn read_vector(row: &Row<'_>) -> rusqlite::Result<StoredVector> {
    let (passage, tree) = (PassageId(row.get(2)?), TreeId(row.get(3)?));
    Ok(StoredVector { bytes: row.get(0)?, checksum: row.get(1)?, passage, tree })
}

impl StoredVector {
    fn verified(self) -> Result<Vector> {
        let elements = verified(self.passage, self.tree, &self.bytes, self.checksum)?;
        Ok(elements.iter().copied().map(f32::from_le_bytes).collect())
    }
}

/// Returns the elements of a passage's vector as they are stored, unless they are damaged.
fn verified(passage: PassageId, tree: TreeId, bytes: &[u8], checksum: u32) -> Result<&[[u8; size_of::<f32>()]]> {
    ensure!(checksum == vector_checksum(passage, tree, bytes), StoreError::Damaged(DAMAGED.into()));
    let (elements, rest) = bytes.as_chunks();
    ensure!(rest.is_empty(), StoreError::Damaged(WRONG_LENGTH.into()));
    Ok(elements)
}

/// Returns the positions of the `limit` largest values, the largest first, and of equal values the first.
fn largest(values: &[f32], limit: usize) -> Vec<usize> {
    let limit = limit.min(values.len());
    if limit == 0 {
        return Vec::new();
    }
    let order = |a: &usize, b: &usize| values[*b].total_cmp(&values[*a]).then(a.cmp(b));
    // The largest so far, and others. They are sorted out whenever the others are as many, so each value costs little more than
    // its comparison with the least of the largest.
    let mut largest = (0..limit).collect::<Vec<_>>();
    let mut least = values.iter().take(limit).copied().min_by(f32::total_cmp).expect("the limit is not 0");
    for (at, value) in values.iter().enumerate().skip(limit) {
        if value.total_cmp(&least).is_gt() {
            largest.push(at);
            if largest.len() == 2 * limit {
                let (_, &mut at, _) = largest.select_nth_unstable_by(limit - 1, order);
                least = values[at];
                largest.truncate(limit);
            }
        }
    }
    largest.sort_unstable_by(order);
    largest.truncate(limit);
    largest
}

/// A row of a query for [`COLUMNS`].
struct Stored {
    vector: StoredVector,
    tree: TreeId,
    path: String,
    first_line: u32,
    last_line: u32,
    item: String,
    text: String,
    embedded: Digest,
    checksum: u32,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            vector: read_vector(row)?,
            tree: TreeId(row.get(4)?),
            path: row.get(5)?,
            first_line: row.get(6)?,
            last_line: row.get(7)?,
            item: row.get(8)?,
            text: row.get(9)?,
            embedded: row.get(10)?,
            checksum: row.get(11)?,
        })
    }

    /// Returns the passage, unless its row is damaged.
    fn verified(self) -> Result<(PassageId, StoredPassage)> {
        let Self { vector, tree, path, first_line, last_line, item, text, embedded, checksum } = self;
        let expected = passage_checksum(tree, &path, [first_line, last_line], [&item, &text], &embedded);
        ensure!(checksum == expected && vector.tree == tree, StoreError::Damaged(DAMAGED.into()));
        let id = vector.passage;
        let passage = StoredPassage {
            tree,
            path,
            start: first_line as usize,
            end: last_line as usize,
            item,
            text,
            vector: vector.verified()?,
        };
        Ok((id, passage))
    }
}

fn put(transaction: &Transaction<'_>, tree: TreeId, file: &NewFile) -> Result<()> {
    let NewFile { path, state, passages } = file;
    transaction
        .prepare_cached("DELETE FROM files WHERE tree = ?1 AND path = ?2")?
        .execute(params![tree.0, path])?;
    let stamp = state.stamp;
    transaction
        .prepare_cached("INSERT INTO files (tree, path, modified, size, contents) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            tree.0,
            path,
            stamp.map(|stamp| stamp.modified),
            stamp.map(|stamp| stamp.size),
            state.contents
        ])?;
    let id = transaction.last_insert_rowid();
    for NewPassage { start, end, item, text, embedded, vector } in passages {
        transaction
            .prepare_cached(
                "INSERT INTO passages (file, first_line, last_line, item, text, embedded, checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                id,
                start,
                end,
                item,
                text,
                embedded,
                passage_checksum(tree, path, [*start, *end], [item, text], embedded)
            ])?;
        let id = transaction.last_insert_rowid();
        let vector = vector.iter().flat_map(|element| element.to_le_bytes()).collect::<Vec<_>>();
        transaction
            .prepare_cached("INSERT INTO vectors (passage, tree, vector, checksum) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id, tree.0, vector, vector_checksum(PassageId(id), tree, &vector)])?;
        let searched = [path, item, text].map(|part| words(part).join(" "));
        transaction
            .prepare_cached("INSERT INTO passage_words (rowid, path, item, text) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id, searched[0], searched[1], searched[2]])?;
    }
    Ok(())
}

/// Returns the checksum of a passage with its place: a changed reference to another file or tree is damage too.
fn passage_checksum(tree: TreeId, path: &str, lines: [u32; 2], texts: [&String; 2], embedded: &Digest) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&tree.0.to_le_bytes());
    for line in lines {
        hasher.update(&line.to_le_bytes());
    }
    for part in [path.as_bytes(), texts[0].as_bytes(), texts[1].as_bytes(), embedded] {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Returns the checksum of a vector, the passage that it is of, and its tree.
fn vector_checksum(passage: PassageId, tree: TreeId, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for number in [passage.0, tree.0] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(bytes);
    hasher.finalize()
}

/// Switches a file to SQLite's write-ahead log, which it keeps. Where others open the file for the first time too, SQLite does not wait
/// for them, as it does for transactions: it fails at once.
fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && start.elapsed() < BUSY => {
                thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Makes an error of SQLite a [`StoreError`].
fn classified(error: Error) -> anyhow::Error {
    let message = error.to_string();
    if is_damage(&error) {
        return StoreError::Damaged(message).into();
    }
    match error {
        Error::SqliteFailure(..) => StoreError::Unusable(message).into(),
        // A fault of this program.
        error => error.into(),
    }
}

/// Returns whether an error comes from a file that this program did not write as it is.
const fn is_damage(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(error, _) | Error::SqlInputError { error, .. } => matches!(
            error.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                // A row is there twice, or refers to none.
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                // A table or a column is missing: the statements themselves are valid.
                | ErrorCode::Unknown
        ),
        // A column has a value that this program does not write, or a row that it wrote is missing.
        Error::InvalidColumnType(..)
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::QueryReturnedNoRows => true,
        _ => false,
    }
}

/// Makes an error whose cause is SQLite a [`StoreError`].
fn explained(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Error>() {
        Ok(error) => classified(error),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn the_largest_come_first_and_equal_ones_in_order() {
        let values = (0..1000_u16).map(|at| f32::from(at.wrapping_mul(40_503) % 101)).collect::<Vec<_>>();
        let mut sorted = (0..values.len()).collect::<Vec<_>>();
        sorted.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        for limit in [0, 1, 2, 50, 999, 1000, usize::MAX] {
            assert_eq!(largest(&values, limit), sorted[..limit.min(values.len())], "{limit}");
        }
        assert!(largest(&[], 5).is_empty());
        assert_eq!(largest(&[f32::NEG_INFINITY, 0.0, -0.0], 2), [1, 2]);
    }
}
