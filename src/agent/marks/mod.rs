//! What the node has accepted, on disk: its marks, the trust behind them, the newest catalog and
//! the documents it needs.
//!
//! SQLite with a write-ahead log and `synchronous=FULL`: with less, a power cut could take back a
//! committed mark, and with it the refusal of what is older. One commit is one transaction.

mod rows;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    agent::{
        folder::{self, FolderError},
        marks::rows::{envelope, put_document, put_mark, put_trust, read_mark},
    },
    sign::Envelope,
    trust::Marks,
    types::DocumentKey,
};

/// The tables, made when the file is.
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

/// 2026-11-01, before which this version of the agent did not exist: it cannot be earlier, whatever the clock of a
/// machine says that has lost its battery. Renewed with each release.
const MADE: Timestamp = Timestamp::constant(1_793_491_200, 0);

/// The version of [`SCHEMA`]; a file of a newer agent is not touched.
const SCHEMA_VERSION: i64 = 1;

/// The node's marks and what belongs to them, in one file.
#[derive(Debug)]
pub(super) struct MarksFile {
    path: PathBuf,
    connection: SqliteConnection,
}

/// Why the marks could not be read or kept. Nothing may be accepted then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarksError {
    /// The database failed.
    #[error("failed to use the marks in {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// What is in it makes no sense.
    #[error("the marks in {} are damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer agent has written it.
    #[error("the marks in {} have version {found}; this agent knows {SCHEMA_VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

/// What the node had accepted when it last committed.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Its marks; those of a node that has accepted nothing if there are none.
    pub(super) marks: Marks,
    /// Every version of the trust it has walked, from the first.
    pub(super) trust: Vec<Envelope>,
    /// The exact bytes of the newest catalog.
    pub(super) catalog: Option<Vec<u8>>,
    /// The newest envelopes of the documents it needs.
    pub(super) documents: BTreeMap<DocumentKey, Envelope>,
}

impl MarksFile {
    /// The marks at `path`; an empty file is made if there is none.
    pub(super) async fn open(path: &Path) -> Result<Self, MarksError> {
        let failed = |source| MarksError::Database { path: path.to_owned(), source };
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // 256 KiB: the agent reads it once and writes little, and memory is dear on a node.
            .pragma("cache_size", "-256")
            .statement_cache_capacity(0)
            .connect()
            .await
            .map_err(failed)?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if found > SCHEMA_VERSION {
            return Err(MarksError::Newer { path: path.to_owned(), found });
        }
        sqlx::raw_sql(SCHEMA).execute(&mut connection).await.map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Removes the marks at `path`: whatever the node had accepted, it has not any more.
    pub(super) fn remove(path: &Path) -> Result<(), FolderError> {
        for suffix in ["-wal", "-shm", ""] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            folder::remove(Path::new(&name))?;
        }
        Ok(())
    }

    fn damaged(&self, what: impl Into<String>) -> MarksError {
        MarksError::Damaged { path: self.path.clone(), what: what.into() }
    }

    /// Everything in the file.
    pub(super) async fn load(&mut self) -> Result<Kept, MarksError> {
        let path = self.path.clone();
        let failed = |source| MarksError::Database { path: path.clone(), source };
        let mut kept = Kept::default();
        let counters = sqlx::query("SELECT marks, catalog FROM counters WHERE id = 1")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?;
        if let Some(row) = counters {
            let marks: String = row.try_get("marks").map_err(failed)?;
            kept.marks = serde_json::from_str(&marks).map_err(|e| self.damaged(e.to_string()))?;
            kept.catalog = Some(row.try_get("catalog").map_err(failed)?);
        }
        kept.marks = kept.marks.no_earlier_than(MADE);
        let rows = sqlx::query("SELECT document, epoch, seq, sha256, listed FROM marks")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        for row in rows {
            let (key, mark) = read_mark(&row).map_err(|what| self.damaged(what))?;
            kept.marks.documents.insert(key, mark);
        }
        let rows = sqlx::query("SELECT envelope FROM trust ORDER BY version")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        for row in rows {
            let bytes: Vec<u8> = row.try_get("envelope").map_err(failed)?;
            kept.trust.push(envelope(&bytes).map_err(|what| self.damaged(what))?);
        }
        let rows = sqlx::query("SELECT document, envelope FROM documents")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        for row in rows {
            let key: String = row.try_get("document").map_err(failed)?;
            let key = key.parse().map_err(|_| self.damaged(format!("document {key}")))?;
            let bytes: Vec<u8> = row.try_get("envelope").map_err(failed)?;
            kept.documents.insert(key, envelope(&bytes).map_err(|what| self.damaged(what))?);
        }
        Ok(kept)
    }

    /// Keeps trust that was walked before anything else is accepted: at registration.
    pub(super) async fn keep_trust(&mut self, trust: &[Envelope]) -> Result<(), MarksError> {
        let path = self.path.clone();
        let failed = |source| MarksError::Database { path: path.clone(), source };
        let mut transaction = self.connection.begin().await.map_err(failed)?;
        put_trust(&mut transaction, trust).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Replaces what was kept by `new`, in one transaction. `before` is what [`Self::load`] or the
    /// last commit left, so that only what has changed is written.
    pub(super) async fn commit(&mut self, before: &Kept, new: &Kept) -> Result<(), MarksError> {
        let path = self.path.clone();
        let failed = |source| MarksError::Database { path: path.clone(), source };
        let mut counters = new.marks.clone();
        let documents = std::mem::take(&mut counters.documents);
        let counters =
            serde_json::to_string(&counters).map_err(|error| self.damaged(error.to_string()))?;
        let mut transaction = self.connection.begin().await.map_err(failed)?;
        sqlx::query(
            "INSERT INTO counters (id, marks, catalog) VALUES (1, $1, $2)
             ON CONFLICT (id) DO UPDATE SET marks = excluded.marks, catalog = excluded.catalog",
        )
        .bind(counters)
        .bind(new.catalog.as_deref().unwrap_or_default())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        for (key, mark) in &documents {
            if before.marks.documents.get(key) != Some(mark) {
                put_mark(&mut transaction, key, mark).await.map_err(failed)?;
            }
        }
        for key in before.marks.documents.keys().filter(|key| !documents.contains_key(key)) {
            sqlx::query("DELETE FROM marks WHERE document = $1")
                .bind(key.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        put_trust(&mut transaction, &new.trust[before.trust.len().min(new.trust.len())..])
            .await
            .map_err(failed)?;
        for (key, envelope) in &new.documents {
            if before.documents.get(key).map(Envelope::digest) != Some(envelope.digest()) {
                put_document(&mut transaction, key, envelope).await.map_err(failed)?;
            }
        }
        for key in before.documents.keys().filter(|key| !new.documents.contains_key(key)) {
            sqlx::query("DELETE FROM documents WHERE document = $1")
                .bind(key.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::testing::Publisher;

    /// What a node keeps that has accepted everything of `publisher`.
    fn everything(publisher: &mut Publisher, before: &Kept) -> Kept {
        let stamp = publisher.stamp();
        let stamp = publisher.trust.open_stamp(&stamp, Publisher::now()).unwrap();
        let bytes = publisher.catalog.to_bytes();
        let (marks, _) =
            before.marks.admit(&publisher.trust, &stamp, &bytes, Publisher::now()).unwrap();
        let documents = publisher.envelopes.clone();
        Kept { marks, trust: vec![publisher.first.clone()], catalog: Some(bytes), documents }
    }

    fn assert_same(a: &Kept, b: &Kept) {
        assert_eq!(a.marks, b.marks);
        assert_eq!(a.catalog, b.catalog);
        let digests =
            |kept: &Kept| kept.documents.values().map(Envelope::digest).collect::<Vec<_>>();
        assert_eq!(digests(a), digests(b));
        assert_eq!(a.trust.len(), b.trust.len());
    }

    #[tokio::test]
    async fn what_was_committed_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks.db");
        let mut publisher = Publisher::new();
        publisher.service("web", "1.0.0", &json!({}));
        let nothing = Kept::default();
        let first = everything(&mut publisher, &nothing);
        let mut file = MarksFile::open(&path).await.unwrap();
        file.commit(&nothing, &first).await.unwrap();
        drop(file);

        let mut file = MarksFile::open(&path).await.unwrap();
        assert_same(&file.load().await.unwrap(), &first);

        publisher.service("db", "1.0.0", &json!({}));
        let mut second = everything(&mut publisher, &first);
        second.documents.retain(|key, _| key.id().starts_with("db"));
        file.commit(&first, &second).await.unwrap();
        drop(file);
        let mut file = MarksFile::open(&path).await.unwrap();
        assert_same(&file.load().await.unwrap(), &second);
    }

    #[tokio::test]
    async fn an_older_catalog_is_refused_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks.db");
        let mut publisher = Publisher::new();
        publisher.service("web", "1.0.0", &json!({}));
        let old_stamp = publisher.stamp();
        let old_catalog = publisher.catalog.to_bytes();
        publisher.service("web", "2.0.0", &json!({}));
        let new = everything(&mut publisher, &Kept::default());
        let mut file = MarksFile::open(&path).await.unwrap();
        file.commit(&Kept::default(), &new).await.unwrap();
        drop(file);

        let kept = MarksFile::open(&path).await.unwrap().load().await.unwrap();
        let stamp = publisher.trust.open_stamp(&old_stamp, Publisher::now()).unwrap();
        let refusal =
            kept.marks.admit(&publisher.trust, &stamp, &old_catalog, Publisher::now()).unwrap_err();
        assert_eq!(refusal.attack(), "rollback");
    }

    #[tokio::test]
    async fn it_is_never_earlier_than_this_agent() {
        assert_eq!(MADE.to_string(), "2026-11-01T00:00:00Z");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks.db");
        let kept = MarksFile::open(&path).await.unwrap().load().await.unwrap();
        assert_eq!(kept.marks.freshness(Timestamp::UNIX_EPOCH), MADE.into());
        let mut before = Kept::default();
        before.marks.clock_floor = Timestamp::UNIX_EPOCH;
        let mut file = MarksFile::open(&path).await.unwrap();
        file.commit(&Kept::default(), &before).await.unwrap();
        assert_eq!(file.load().await.unwrap().marks.clock_floor, MADE, "of an older agent");
    }

    #[tokio::test]
    async fn marks_of_a_newer_agent_are_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks.db");
        let mut file = MarksFile::open(&path).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut file.connection).await.unwrap();
        drop(file);
        assert!(matches!(MarksFile::open(&path).await, Err(MarksError::Newer { found: 99, .. })));
    }
}
