//! One connection to the rollback state, for one transaction.
//!
//! No connection is used again after its transaction: after a failed COMMIT, SQLite keeps the transaction open,
//! so that what is written next would be lost when the connection closes.
//!
//! SQLite with a rollback journal and `synchronous=EXTRA`: with less, a power cut could take back a
//! committed mark, and with it the refusal of what is older. Without a write-ahead log, which needs room for its
//! index, the file can be read while the disk is full.

use std::path::{Path, PathBuf};

use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    Kept, MarksError,
    rows::{
        delete_document, delete_mark, envelope, put_counters, put_document, put_mark, put_trust,
        read_mark,
    },
};
use crate::{private_file, types::JsonProblem};

/// The tables, made when the file is. That the version is written again each time makes it a write even where
/// nothing is missing.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS counters (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    marks TEXT NOT NULL,       -- all marks but those of documents, as JSON
    catalog BLOB NOT NULL      -- the exact bytes that the newest stamp pins
);
CREATE TABLE IF NOT EXISTS marks (
    document TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    listed BOOLEAN NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trust (
    version BIGINT PRIMARY KEY,
    envelope BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS documents (
    document TEXT PRIMARY KEY,
    envelope BLOB NOT NULL
);
PRAGMA user_version = 1;
";

/// The version of [`SCHEMA`]; a file of a newer agent is not touched.
const SCHEMA_VERSION: i64 = 1;

/// Takes the lock for writing at once: a reader does not become a writer halfway.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// A connection that is closed after one transaction.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: SqliteConnection,
    version: i64,
}

impl Database {
    /// Opens the file at `path`, which exists.
    pub(super) async fn open(path: &Path) -> Result<Self, MarksError> {
        Self::connect(path, false).await
    }

    /// Opens the file at `path`; an empty one is made if there is none.
    pub(super) async fn create(path: &Path) -> Result<Self, MarksError> {
        Self::connect(path, true).await
    }

    async fn connect(path: &Path, create: bool) -> Result<Self, MarksError> {
        let failed = |source| MarksError::database(path, "open", source);
        if create || path.exists() {
            let secured = private_file::secure_database(path);
            secured.map_err(|source| failed(sqlx::Error::Io(source)))?;
        }
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Extra)
            // 256 KiB: the agent reads it once and writes little, and memory is dear on a node.
            .pragma("cache_size", "-256")
            .statement_cache_capacity(0)
            .connect()
            .await
            .map_err(failed)?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if version > SCHEMA_VERSION {
            let (path, found, known) = (path.to_owned(), version, SCHEMA_VERSION);
            return Err(MarksError::Newer { path, found, known });
        }
        Ok(Self { path: path.to_owned(), connection, version })
    }

    /// Ends the connection; a transaction that is still open is undone.
    pub(super) async fn close(self) -> Result<(), MarksError> {
        let closed = self.connection.close().await;
        closed.map_err(|source| MarksError::database(&self.path, "close", source))
    }

    /// Everything in the file, as of one moment.
    pub(super) async fn read(&mut self) -> Result<Kept, MarksError> {
        if self.version == 0 {
            return Ok(Kept::default());
        }
        let path = self.path.clone();
        let failed = |source| MarksError::database(&path, "read", source);
        let damaged = |what: String| MarksError::Damaged { path: path.clone(), what };
        let mut view = self.connection.begin().await.map_err(failed)?;
        let mut kept = Kept::default();
        let counters = sqlx::query("SELECT marks, catalog FROM counters WHERE id = 1")
            .fetch_optional(&mut *view)
            .await
            .map_err(failed)?;
        if let Some(row) = counters {
            let marks: String = row.try_get("marks").map_err(failed)?;
            kept.marks = serde_json::from_str(&marks)
                .map_err(|e| damaged(JsonProblem::from(e).to_string()))?;
            kept.catalog = Some(row.try_get("catalog").map_err(failed)?);
        }
        let rows = sqlx::query("SELECT document, epoch, seq, sha256, listed FROM marks")
            .fetch_all(&mut *view)
            .await
            .map_err(failed)?;
        for row in rows {
            let (key, mark) = read_mark(&row).map_err(damaged)?;
            kept.marks.documents.insert(key, mark);
        }
        let rows = sqlx::query("SELECT envelope FROM trust ORDER BY version")
            .fetch_all(&mut *view)
            .await
            .map_err(failed)?;
        for row in rows {
            let bytes: Vec<u8> = row.try_get("envelope").map_err(failed)?;
            kept.trust.push(envelope(&bytes).map_err(damaged)?);
        }
        let rows = sqlx::query("SELECT document, envelope FROM documents")
            .fetch_all(&mut *view)
            .await
            .map_err(failed)?;
        for row in rows {
            let key: String = row.try_get("document").map_err(failed)?;
            let key = key.parse().map_err(|_| damaged(format!("document {key}")))?;
            let bytes: Vec<u8> = row.try_get("envelope").map_err(failed)?;
            kept.documents.insert(key, envelope(&bytes).map_err(damaged)?);
        }
        Ok(kept)
    }

    /// Makes the tables that are missing, and writes to the disk even if none is.
    pub(super) async fn touch(&mut self) -> Result<(), MarksError> {
        let (path, connection) = (self.path.as_path(), &mut self.connection);
        let failed = |task| move |source| MarksError::database(path, task, source);
        let mut transaction = connection.begin_with(BEGIN).await.map_err(failed("write"))?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await.map_err(failed("write"))?;
        transaction.commit().await.map_err(failed("commit"))
    }

    /// Replaces `before`, which the file holds, by `new`.
    pub(super) async fn write(&mut self, before: &Kept, new: &Kept) -> Result<(), MarksError> {
        let (path, connection) = (self.path.as_path(), &mut self.connection);
        let failed = |task| move |source| MarksError::database(path, task, source);
        let mut transaction = connection.begin_with(BEGIN).await.map_err(failed("write"))?;
        put(&mut transaction, before, new).await.map_err(failed("write"))?;
        transaction.commit().await.map_err(failed("commit"))
    }
}

/// Writes what `new` has that `before` has not, and removes what it lacks.
async fn put(
    connection: &mut SqliteConnection,
    before: &Kept,
    new: &Kept,
) -> Result<(), sqlx::Error> {
    if let Some(catalog) = &new.catalog {
        put_counters(connection, &new.marks, catalog).await?;
    }
    for (key, mark) in &new.marks.documents {
        if before.marks.documents.get(key) != Some(mark) {
            put_mark(connection, key, mark).await?;
        }
    }
    for key in before.marks.documents.keys() {
        if !new.marks.documents.contains_key(key) {
            delete_mark(connection, key).await?;
        }
    }
    put_trust(connection, &new.trust[before.trust.len().min(new.trust.len())..]).await?;
    for (key, envelope) in &new.documents {
        if before.documents.get(key) != Some(envelope) {
            put_document(connection, key, envelope).await?;
        }
    }
    for key in before.documents.keys() {
        if !new.documents.contains_key(key) {
            delete_document(connection, key).await?;
        }
    }
    Ok(())
}
