//! The index on a server: PostgreSQL, with its full-text search for words and pgvector for vectors.
//!
//! Many processes can write one tree at once. Each method is one transaction whose result does not depend on how often it is
//! run, so it is run again when the connection is lost.

mod connection;
mod schema;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, anyhow, ensure};
use grad_examples::embedder::{Embed, Vector};
use pgvector::Vector as PgVector;
use postgres::{Row, Transaction};

use self::connection::Connection;
use super::{
    Counts, Digest, FileState, NewFile, NewPassage, Origin, PassageId, Stamp, Store, StoreError, StoredPassage,
    TreeId, words,
};

/// Of the lock of a tree's name, apart from other locks.
const TREE_LOCK: i32 = 0x7472_6565;

/// The candidates that a search of HNSW keeps: more find the nearest more surely.
const MIN_CANDIDATES: usize = 100;
/// The most that pgvector allows.
const MAX_CANDIDATES: usize = 1000;

/// The best passages of some trees for some words.
///
/// PostgreSQL's `ts_rank` does not know how rare a word is, so each word is ranked by itself and weighted as in BM25. Passages that
/// match no more than words such as `the` are not looked at, unless the query has no other words.
const MATCHING: &str = "
    WITH words AS MATERIALIZED (
        SELECT word, plainto_tsquery('words_stemmed', word) AS query,
            numnode(plainto_tsquery('pg_catalog.english', word)) = 0 AS is_stop_word
        FROM unnest($2::text[]) AS word
    ), terms AS MATERIALIZED (
        SELECT DISTINCT query FROM words
        WHERE numnode(query) > 0 AND (NOT is_stop_word OR (SELECT bool_and(is_stop_word) FROM words))
    ), hits AS MATERIALIZED (
        SELECT id, query, ts_rank('{0.25, 0.5, 1.0, 1.0}', passages.words, query, 1) AS rank
        FROM passages JOIN terms ON passages.words @@ query
        WHERE tree = ANY($1)
            AND passages.words @@ (SELECT string_agg(query::text, ' | ')::tsquery FROM terms)
    ), frequencies AS (
        SELECT query, count(*) AS frequency FROM hits GROUP BY query
    ), total AS (
        SELECT count(*) AS passages FROM passages WHERE tree = ANY($1)
    )
    SELECT id FROM hits JOIN frequencies USING (query), total
    GROUP BY id
    ORDER BY sum(rank * ln(1 + (passages - frequency + 0.5) / (frequency + 0.5))) DESC, id
    LIMIT $3";

/// A store in a PostgreSQL database.
pub struct Postgres {
    connection: Connection,
}

impl Postgres {
    /// Opens the store at a URL such as `postgresql://user@host/database`. Creates pgvector's extension and the tables, in the
    /// schema `code_search`, if they are missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] if the server cannot be reached or has no pgvector, and [`StoreError::Damaged`] if the tables were
    /// made by another version of this program.
    pub fn open(url: &str) -> Result<Self> {
        Ok(Self { connection: Connection::open(url)? })
    }
}

impl Store for Postgres {
    fn tree(&mut self, origin: &Origin) -> Result<TreeId> {
        let Origin { tree, model, splitting } = origin;
        let tree = &storable(tree);
        self.connection.run(|transaction, _| {
            let find = "SELECT id FROM trees WHERE name = $1 AND model = $2 AND splitting = $3";
            if let Some(row) = transaction.query_opt(find, &[tree, model, splitting])? {
                return Ok(TreeId(row.get(0)));
            }
            // The first of several processes replaces the tree, the others find it replaced.
            transaction.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&TREE_LOCK, tree])?;
            transaction.execute(
                "DELETE FROM trees WHERE name = $1 AND (model <> $2 OR splitting <> $3)",
                &[tree, model, splitting],
            )?;
            transaction.execute(
                "INSERT INTO trees (name, model, splitting) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
                &[tree, model, splitting],
            )?;
            Ok(TreeId(transaction.query_one(find, &[tree, model, splitting])?.get(0)))
        })
    }

    fn files(&mut self, tree: TreeId) -> Result<BTreeMap<String, FileState>> {
        let rows = self.connection.run(|transaction, _| {
            Ok(transaction.query("SELECT path, modified, size, contents FROM files WHERE tree = $1", &[&tree.0])?)
        })?;
        let files = rows.iter().map(|row| {
            let stamp = row.try_get::<_, Option<i64>>(1)?.zip(row.try_get(2)?);
            let stamp = stamp.map(|(modified, size)| Stamp { modified, size });
            Ok((row.try_get(0)?, FileState { stamp, contents: checksum(row, 3)? }))
        });
        files.collect()
    }

    fn vectors(&mut self, tree: TreeId, texts: &[Digest]) -> Result<HashMap<Digest, Vector>> {
        let texts = texts.iter().collect::<BTreeSet<_>>().into_iter().map(|text| &text[..]).collect::<Vec<_>>();
        self.connection.run(|transaction, _| {
            let rows = transaction.query(
                "SELECT DISTINCT ON (embedded) embedded, embedding, dimensions
                 FROM passages JOIN trees ON trees.id = tree WHERE tree = $1 AND embedded = ANY($2)",
                &[&tree.0, &texts],
            )?;
            rows.iter().map(|row| Ok((checksum(row, 0)?, vector(row, 1, 2)?))).collect()
        })
    }

    fn put(&mut self, tree: TreeId, files: &[NewFile]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        // All processes lock rows in the order of their paths, so none waits for one that waits for it.
        let files = files.iter().map(|file| (storable(&file.path), file)).collect::<BTreeMap<_, _>>();
        let dimensions = dimensions(files.values().flat_map(|file| &file.passages))?;
        self.connection.run(|transaction, _| {
            if let Some(dimensions) = dimensions {
                schema::add_vector_index(transaction, dimensions)?;
            }
            lock_tree(transaction, tree, dimensions)?;
            let ids = put_files(transaction, tree, &files)?;
            transaction
                .execute("DELETE FROM passages WHERE file = ANY($1)", &[&ids.values().collect::<Vec<_>>()])?;
            let passages = files.iter().flat_map(|(path, file)| {
                let id = ids.get(path).copied();
                file.passages.iter().map(move |passage| (id, path.as_str(), passage))
            });
            put_passages(transaction, tree, passages)
        })
    }

    fn touch(&mut self, tree: TreeId, files: &[(String, Option<Stamp>)]) -> Result<()> {
        let files = files.iter().map(|(path, stamp)| (storable(path), stamp)).collect::<BTreeMap<_, _>>();
        let paths = files.keys().collect::<Vec<_>>();
        let modified = files.values().map(|stamp| stamp.map(|stamp| stamp.modified)).collect::<Vec<_>>();
        let sizes = files.values().map(|stamp| stamp.map(|stamp| stamp.size)).collect::<Vec<_>>();
        self.connection.run(|transaction, _| {
            lock_files(transaction, tree, &paths)?;
            transaction.execute(
                "UPDATE files SET modified = new.modified, size = new.size
                 FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS new (path, modified, size)
                 WHERE tree = $1 AND files.path = new.path",
                &[&tree.0, &paths, &modified, &sizes],
            )?;
            Ok(())
        })
    }

    fn remove(&mut self, tree: TreeId, paths: &[String]) -> Result<()> {
        let paths = paths.iter().map(|path| storable(path)).collect::<Vec<_>>();
        let paths = paths.iter().collect::<Vec<_>>();
        self.connection.run(|transaction, _| {
            lock_files(transaction, tree, &paths)?;
            transaction.execute("DELETE FROM files WHERE tree = $1 AND path = ANY($2)", &[&tree.0, &paths])?;
            Ok(())
        })
    }

    fn nearest(&mut self, trees: &[TreeId], query: &[f32], limit: usize, _: &dyn Embed) -> Result<Vec<PassageId>> {
        let (trees, dimensions) = (ids(trees), query.len());
        ensure!(dimensions > 0, "cannot search for a vector without elements");
        let vector = PgVector::from(query.to_vec());
        let rows = i64::try_from(limit)?;
        self.connection.run(|transaction, server| {
            let others = transaction.query_one(
                "SELECT EXISTS (SELECT FROM trees WHERE id = ANY($1) AND dimensions <> $2)",
                &[&trees, &i32::try_from(dimensions)?],
            )?;
            ensure!(!others.get::<_, bool>(0), StoreError::Damaged(WRONG_LENGTH.into()));
            let candidates = limit.saturating_mul(2).clamp(MIN_CANDIDATES, MAX_CANDIDATES);
            transaction.batch_execute(&format!("SET LOCAL hnsw.ef_search = {candidates}"))?;
            if server.iterates {
                transaction.batch_execute("SET LOCAL hnsw.iterative_scan = strict_order")?;
            }
            let mut search = |distance: &str| -> Result<Vec<PassageId>> {
                let sql = format!(
                    "SELECT id FROM (
                        SELECT id, {distance} AS distance FROM passages
                        WHERE tree = ANY($1) AND vector_dims(embedding) = {dimensions}
                        ORDER BY {distance} LIMIT $3
                    ) AS near ORDER BY distance, id"
                );
                let found = transaction.query(&sql, &[&trees, &vector, &rows])?;
                Ok(found.iter().map(|row| PassageId(row.get(0))).collect())
            };
            let distance = format!("(embedding::vector({dimensions})) <#> $2");
            let found = search(&distance)?;
            if found.len() == limit {
                return Ok(found);
            }
            // HNSW gives up where few of its passages are in these trees. The sum cannot be answered by an index.
            search(&format!("({distance}) + 0"))
        })
    }

    fn matching(&mut self, trees: &[TreeId], query: &str, limit: usize) -> Result<Vec<PassageId>> {
        let words = words(query).into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let (trees, limit) = (ids(trees), i64::try_from(limit).unwrap_or(i64::MAX));
        self.connection.run(|transaction, _| {
            let rows = transaction.query(MATCHING, &[&trees, &words, &limit])?;
            Ok(rows.iter().map(|row| PassageId(row.get(0))).collect())
        })
    }

    fn passages(&mut self, ids: &[PassageId]) -> Result<Vec<(PassageId, StoredPassage)>> {
        let ids = ids.iter().map(|id| id.0).collect::<Vec<_>>();
        self.connection.run(|transaction, _| {
            let rows = transaction.query(
                "SELECT passages.id, passages.tree, path, first_line, last_line, item, text, embedding, dimensions
                 FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (id, place)
                 JOIN passages ON passages.id = wanted.id
                 JOIN files ON files.id = file JOIN trees ON trees.id = passages.tree
                 ORDER BY place",
                &[&ids],
            )?;
            rows.iter().map(stored).collect()
        })
    }

    fn counts(&mut self, trees: &[TreeId]) -> Result<Counts> {
        let trees = ids(trees);
        self.connection.run(|transaction, _| {
            let row = transaction.query_one(
                "SELECT (SELECT count(*) FROM files WHERE tree = ANY($1)),
                    (SELECT count(*) FROM passages WHERE tree = ANY($1))",
                &[&trees],
            )?;
            Ok(Counts { files: row.get::<_, i64>(0).try_into()?, passages: row.get::<_, i64>(1).try_into()? })
        })
    }
}

const WRONG_LENGTH: &str = "its vectors have the wrong length";

fn ids(trees: &[TreeId]) -> Vec<i64> {
    trees.iter().map(|tree| tree.0).collect()
}

/// Returns a text that PostgreSQL can store: it has no NUL. Files with one are binary and not indexed, so nothing is lost.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Returns the length of the vectors of passages, which must be one.
fn dimensions<'a>(passages: impl Iterator<Item = &'a NewPassage>) -> Result<Option<usize>> {
    let lengths = passages.map(|passage| passage.vector.len()).collect::<BTreeSet<_>>();
    ensure!(
        lengths.len() <= 1 && !lengths.contains(&0),
        StoreError::Unusable("vectors of different lengths".into())
    );
    Ok(lengths.first().copied())
}

/// Keeps a tree from being deleted by a process with another model, and sets the length of its vectors or compares it.
fn lock_tree(transaction: &mut Transaction<'_>, tree: TreeId, dimensions: Option<usize>) -> Result<()> {
    let dimensions = dimensions.map(i32::try_from).transpose()?;
    let find = "SELECT dimensions FROM trees WHERE id = $1 FOR KEY SHARE";
    let Some(mut row) = transaction.query_opt(find, &[&tree.0])? else {
        let why = "another process has begun to index this tree with another model or version of this program";
        return Err(StoreError::Unusable(why.into()).into());
    };
    if dimensions.is_some() && row.get::<_, Option<i32>>(0).is_none() {
        transaction.execute(
            "UPDATE trees SET dimensions = $2 WHERE id = $1 AND dimensions IS NULL",
            &[&tree.0, &dimensions],
        )?;
        // Another process may have been first.
        row = transaction.query_one(find, &[&tree.0])?;
    }
    let known = row.get::<_, Option<i32>>(0);
    ensure!(dimensions.is_none() || dimensions == known, StoreError::Damaged(WRONG_LENGTH.into()));
    Ok(())
}

/// Locks files in the order of their paths.
fn lock_files(transaction: &mut Transaction<'_>, tree: TreeId, paths: &[&String]) -> Result<()> {
    transaction.execute(
        "SELECT FROM files WHERE tree = $1 AND path = ANY($2) ORDER BY path FOR UPDATE",
        &[&tree.0, &paths],
    )?;
    Ok(())
}

/// Adds or updates files in the order of their paths, and returns their ids.
fn put_files(
    transaction: &mut Transaction<'_>,
    tree: TreeId,
    files: &BTreeMap<String, &NewFile>,
) -> Result<HashMap<String, i64>> {
    let paths = files.keys().collect::<Vec<_>>();
    let states = || files.values().map(|file| &file.state);
    let modified = states().map(|state| state.stamp.map(|stamp| stamp.modified)).collect::<Vec<_>>();
    let sizes = states().map(|state| state.stamp.map(|stamp| stamp.size)).collect::<Vec<_>>();
    let contents = states().map(|state| &state.contents[..]).collect::<Vec<_>>();
    let rows = transaction.query(
        "INSERT INTO files (tree, path, modified, size, contents)
         SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[])
         ON CONFLICT (tree, path) DO UPDATE
         SET modified = excluded.modified, size = excluded.size, contents = excluded.contents
         RETURNING path, id",
        &[&tree.0, &paths, &modified, &sizes, &contents],
    )?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Adds passages, each with the id and the path of its file.
fn put_passages<'a>(
    transaction: &mut Transaction<'_>,
    tree: TreeId,
    passages: impl Iterator<Item = (Option<i64>, &'a str, &'a NewPassage)>,
) -> Result<()> {
    let (mut files, mut first_lines, mut last_lines) = (Vec::new(), Vec::new(), Vec::new());
    let (mut items, mut texts, mut digests, mut vectors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut searched = [const { Vec::new() }; 3];
    for (file, path, passage) in passages {
        let NewPassage { start, end, item, text, embedded, vector } = passage;
        files.push(file);
        first_lines.push(i64::from(*start));
        last_lines.push(i64::from(*end));
        items.push(storable(item));
        texts.push(storable(text));
        digests.push(&embedded[..]);
        vectors.push(PgVector::from(vector.clone()));
        for (column, part) in searched.iter_mut().zip([path, item, text]) {
            column.push(words(part).join(" "));
        }
    }
    let [paths, item_words, text_words] = searched;
    transaction.execute(
        "INSERT INTO passages (tree, file, first_line, last_line, item, text, embedded, embedding, words)
         SELECT $1, file, first_line, last_line, item, text, embedded, embedding,
            setweight(to_tsvector('words_stemmed', path_words), 'A')
                || setweight(to_tsvector('words_stemmed', item_words), 'B')
                || setweight(to_tsvector('words_stemmed', text_words), 'C')
         FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::vector[],
                $9::text[], $10::text[], $11::text[]) WITH ORDINALITY
            AS new (file, first_line, last_line, item, text, embedded, embedding,
                path_words, item_words, text_words, place)
         ORDER BY place",
        &[
            &tree.0,
            &files,
            &first_lines,
            &last_lines,
            &items,
            &texts,
            &digests,
            &vectors,
            &paths,
            &item_words,
            &text_words,
        ],
    )?;
    Ok(())
}

/// Returns the passage of a row.
fn stored(row: &Row) -> Result<(PassageId, StoredPassage)> {
    let line = |column| usize::try_from(row.get::<_, i64>(column));
    let passage = StoredPassage {
        tree: TreeId(row.get(1)),
        path: row.get(2),
        start: line(3)?,
        end: line(4)?,
        item: row.get(5),
        text: row.get(6),
        vector: vector(row, 7, 8)?,
    };
    Ok((PassageId(row.get(0)), passage))
}

/// Returns the vector in a column, whose length must be that of its tree, in another.
fn vector(row: &Row, column: usize, dimensions: usize) -> Result<Vector> {
    let vector = row.get::<_, PgVector>(column).to_vec();
    let dimensions = row.get::<_, Option<i32>>(dimensions).map(usize::try_from).transpose()?;
    ensure!(dimensions == Some(vector.len()), StoreError::Damaged(WRONG_LENGTH.into()));
    Ok(vector)
}

fn checksum(row: &Row, column: usize) -> Result<Digest> {
    let bytes = row.try_get::<_, &[u8]>(column)?;
    Digest::try_from(bytes).map_err(|_| anyhow!(StoreError::Damaged("a checksum has the wrong length".into())))
}
