//! The tables of the store, in a schema of their own.

use anyhow::{Result, ensure};
use postgres::{Client, GenericClient};

use crate::store::StoreError;

/// The version of the tables.
const VERSION: i32 = 1;

/// The advisory lock of processes that change the tables.
const LOCK: i64 = 0x636f_6465_7365_6172;

/// The length of the model's vectors. Indexes for others are added when the first is stored.
const DIMENSIONS: usize = 384;

/// The longest vector that HNSW indexes; longer ones are compared one by one.
const MAX_INDEXED: usize = 2000;

/// `words_stemmed` stems as SQLite's tokenizer `porter` does, and keeps words such as `for` and `while`.
const TABLES: &str = "
    CREATE TEXT SEARCH DICTIONARY code_search.porter (TEMPLATE = pg_catalog.snowball, LANGUAGE = porter);
    CREATE TEXT SEARCH CONFIGURATION code_search.words_stemmed (COPY = pg_catalog.simple);
    ALTER TEXT SEARCH CONFIGURATION code_search.words_stemmed
        ALTER MAPPING FOR asciiword, word, numword WITH code_search.porter;
    CREATE TABLE code_search.version (version integer NOT NULL);
    CREATE TABLE code_search.trees (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text COLLATE \"C\" NOT NULL UNIQUE,
        model text NOT NULL,
        splitting text NOT NULL,
        -- The length of the vectors, once there are any.
        dimensions integer
    );
    CREATE TABLE code_search.files (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tree bigint NOT NULL REFERENCES code_search.trees ON DELETE CASCADE,
        path text COLLATE \"C\" NOT NULL,
        modified bigint,
        size bigint,
        contents bytea NOT NULL,
        UNIQUE (tree, path)
    );
    CREATE TABLE code_search.passages (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        file bigint NOT NULL REFERENCES code_search.files ON DELETE CASCADE,
        -- The tree of the file, for the indexes.
        tree bigint NOT NULL,
        first_line bigint NOT NULL,
        last_line bigint NOT NULL,
        item text NOT NULL,
        text text NOT NULL,
        embedded bytea NOT NULL,
        embedding vector NOT NULL,
        words tsvector NOT NULL
    );
    CREATE INDEX passages_by_file ON code_search.passages (file);
    CREATE INDEX passages_by_text ON code_search.passages (tree, embedded);
    CREATE INDEX passages_by_words ON code_search.passages USING gin (words);
";

/// The abilities of a server.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Whether pgvector goes on with a search of HNSW whose results do not pass the filter.
    pub iterates: bool,
}

/// Creates the extension and the tables if they are missing, and makes their names known to the connection.
pub fn prepare(client: &mut Client) -> Result<Server> {
    let encoding = client.query_one("SELECT current_setting('server_encoding')", &[])?.get::<_, String>(0);
    ensure!(
        encoding == "UTF8",
        StoreError::Unusable(format!(
            "the encoding of the database is {encoding}: create one with `ENCODING 'UTF8'`"
        ))
    );
    if !exists(client)? {
        let mut transaction = client.transaction()?;
        // Many processes may start at once.
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
        if !exists(&mut transaction)? {
            create(&mut transaction)?;
        }
        transaction.commit()?;
    }
    let versions = client.query("SELECT version FROM code_search.version", &[])?;
    let versions = versions.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>();
    ensure!(
        versions == [VERSION],
        StoreError::Damaged(
            "it was made by another version of this program: use another database, or delete the index with \
             `DROP SCHEMA code_search CASCADE` and index again"
                .into()
        )
    );
    let extension = client.query_opt(
        "SELECT nspname::text, extversion FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
         WHERE extname = 'vector'",
        &[],
    )?;
    let Some(extension) = extension else {
        return Err(StoreError::Damaged("its extension `vector` has been dropped".into()).into());
    };
    client.query_one(
        "SELECT set_config('search_path', format('code_search, %I', $1::text), false),
            -- A process that stops in a transaction, for example with its machine, must not block the others.
            set_config('idle_in_transaction_session_timeout', '60s', false),
            set_config('client_min_messages', 'warning', false)",
        &[&extension.get::<_, String>(0)],
    )?;
    Ok(Server { iterates: is_at_least_0_8(extension.get(1)) })
}

/// Returns whether there are tables. Asks the catalog, since `to_regclass` may not see what another process has just created.
fn exists(client: &mut impl GenericClient) -> Result<bool> {
    let row = client.query_one(
        "SELECT EXISTS (
            SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE nspname = 'code_search' AND relname = 'version'
        )",
        &[],
    )?;
    Ok(row.get(0))
}

fn create(client: &mut impl GenericClient) -> Result<()> {
    let row = client.query_one(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector'),
            EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector'),
            EXISTS (SELECT FROM pg_namespace WHERE nspname = 'code_search')",
        &[],
    )?;
    let [is_installed, is_available, has_schema] = [0, 1, 2].map(|column| row.get::<_, bool>(column));
    ensure!(
        is_installed || is_available,
        StoreError::Unusable("the server has no extension `vector`: install pgvector on it".into())
    );
    if !is_installed {
        client.batch_execute("CREATE EXTENSION vector")?;
    }
    if !has_schema {
        client.batch_execute("CREATE SCHEMA code_search")?;
    }
    let schema = client
        .query_one("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'", &[])?
        .get::<_, String>(0);
    // `regnamespace` quotes the name where it must be.
    client.batch_execute(&format!("SET LOCAL search_path = code_search, {schema}"))?;
    client.batch_execute(TABLES)?;
    create_vector_index(client, DIMENSIONS)?;
    client.execute("INSERT INTO code_search.version VALUES ($1)", &[&VERSION])?;
    Ok(())
}

/// Adds the index of vectors of a length, if it is missing. Call this before a transaction locks rows: building an index waits
/// for those who write.
pub fn add_vector_index(client: &mut impl GenericClient, dimensions: usize) -> Result<()> {
    if dimensions > MAX_INDEXED {
        return Ok(());
    }
    let name = format!("code_search.{}", vector_index(dimensions));
    let row = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&name])?;
    if row.get(0) {
        return Ok(());
    }
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
    create_vector_index(client, dimensions)
}

fn create_vector_index(client: &mut impl GenericClient, dimensions: usize) -> Result<()> {
    // Unit vectors: their inner product is their cosine.
    client.batch_execute(&format!(
        "CREATE INDEX IF NOT EXISTS {} ON code_search.passages
         USING hnsw ((embedding::vector({dimensions})) vector_ip_ops) WHERE vector_dims(embedding) = {dimensions}",
        vector_index(dimensions)
    ))?;
    Ok(())
}

fn vector_index(dimensions: usize) -> String {
    format!("passages_by_vector_{dimensions}")
}

fn is_at_least_0_8(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(0), Some(8))
}

#[cfg(test)]
mod tests {
    use super::is_at_least_0_8;

    #[test]
    fn versions_of_pgvector_are_compared_by_their_numbers() {
        for version in ["0.8.0", "0.8.5", "0.10.0", "1.0.0", "1.0"] {
            assert!(is_at_least_0_8(version), "{version}");
        }
        for version in ["0.7.4", "0.5.1", "0", ""] {
            assert!(!is_at_least_0_8(version), "{version}");
        }
    }
}
