//! Keeps what the exchange knows: one SQL implementation, today on SQLite.
//!
//! A method of [`Store`] is one transaction. One that writes for a caller takes a [`Permit`], which is decided on
//! the row inside of the transaction. What a method writes goes through a [`Write`], which
//! records a change row in the same transaction and tells the waiting once it is committed. The
//! methods of `Write` are the parts from which bigger transactions are made.

mod agreements;
mod api_keys;
mod batches;
mod catalogs;
mod changes;
mod claims;
mod counts;
mod credentials;
mod disk;
mod documents;
mod error;
mod heartbeats;
mod keys;
mod logins;
mod node_parts;
mod node_policies;
mod node_profiles;
mod nodes;
mod orgs;
mod owned_documents;
mod patterns;
mod permit;
mod policies;
mod posted;
mod quota;
mod references;
mod registrations;
mod rekey;
mod reports;
mod secret_file;
mod services;
mod shared;
mod snapshot;
mod space;
mod stamp_clock;
mod stamp_key;
mod trust;
mod users;
mod vault;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use batches::RowKey;
pub(crate) use changes::Change;
pub use changes::{Audience, Since};
pub use claims::NameClaims;
pub use counts::Counts;
pub use credentials::StoredCredential;
pub use disk::Condition;
use disk::{Disk, Purpose};
pub use documents::{NewDocument, Projection, Publishing, WriteOutcome};
pub use error::StoreError;
use heartbeats::Heartbeats;
use jiff::Timestamp;
pub use keys::KeyHolder;
pub use logins::{Logins, NodeLogin};
pub use node_parts::NodePart;
pub use node_profiles::{LONGEST_PAGE, ProfilesOf};
pub use nodes::{NodeBatch, NodeCount, NodeRecord, NodesOf};
pub use permit::{AccountProof, AccountState, CallerAccount, Permit};
pub use posted::{HorizonName, Ownership, Posted, PostedBatch, Shelf};
use quota::Measured;
pub use quota::{Quota, Usage};
pub use registrations::{Author, Registration};
pub use secret_file::SecretFileError;
pub(crate) use snapshot::{Account, AccountRole, RegisteredNode, Snapshot, UnsignedDocument};
use sqlx::{
    Connection as _, Sqlite, SqliteConnection, Transaction,
    migrate::MigrateError,
    pool::{Pool, PoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
pub use stamp_key::stamp_key;
use tokio::sync::watch;
pub use trust::TrustPut;
pub use users::{Put, UserRecord};
use vault::Vault;

use crate::data_parts::DataPart;

/// The name of the database in the data folder.
const FILE: &str = "exchange.db";

/// The parts of an exchange in the data folder `folder`.
pub fn parts(folder: &Path) -> [(DataPart, PathBuf); 3] {
    [
        (DataPart::Database, folder.join(FILE)),
        (DataPart::TimestampKey, folder.join(stamp_key::FILE)),
        (DataPart::VaultKey, folder.join(vault::FILE)),
    ]
}

/// The database behind the store.
pub(crate) type Db = Sqlite;

/// Readers beside the one writer: with more, memory grows faster than speed on small machines.
const READERS: u32 = 2;
/// The page cache of each connection, in KiB (negative is SQLite's way to say KiB).
const CACHE: &str = "-2048";
/// The longest that the write-ahead log stays once it was brought into the database, in bytes.
const JOURNAL: &str = "4194304";
/// Rows that a connection reads before they are taken: a row may have 1 MiB.
const BUFFERED_ROWS: usize = 4;
/// How long a connection waits for a lock, and a request for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps what the exchange knows. Clones share the database.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Pool<Db>,
    readers: Pool<Db>,
    newest: watch::Sender<i64>,
    heartbeats: Heartbeats,
    vault: Arc<Vault>,
    disk: Arc<Disk>,
}

/// Brings the tables up to date. Those of a newer version are left alone.
async fn migrate(writer: &Pool<Db>) -> Result<(), StoreError> {
    let migrator = sqlx::migrate!("schemas/sql");
    let known = migrator.iter().map(|it| it.version).max().unwrap_or_default();
    match migrator.run(writer).await {
        Err(MigrateError::VersionMissing(found)) if found > known => {
            let newest = "SELECT MAX(version) FROM _sqlx_migrations";
            let found = sqlx::query_scalar(newest).fetch_one(writer).await?;
            Err(StoreError::Newer { found, known })
        }
        outcome => outcome.map_err(StoreError::from),
    }
}

impl Store {
    /// Opens the database in the file at `path`; makes it, or brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let vault = Arc::new(Vault::open(folder)?);
        let disk = Arc::new(Disk::open(folder));
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .pragma("journal_size_limit", JOURNAL)
            .pragma("cache_size", CACHE)
            .row_buffer_size(BUFFERED_ROWS);
        space::prepare(path, &options).await?;
        let writer = pool(1, &disk).connect_with(options.clone()).await?;
        migrate(&writer).await?;
        let readers = pool(READERS, &disk);
        let readers = readers.connect_with(options.pragma("query_only", "ON")).await?;
        let store = Self {
            writer,
            readers,
            newest: watch::Sender::new(0),
            heartbeats: Heartbeats::default(),
            vault,
            disk,
        };
        store.newest.send_replace(store.newest_change().await?);
        Ok(store)
    }

    /// Tells the id of the newest committed change, whenever it changes.
    pub fn watch(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// Finishes what is under way and closes the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Where to read from, outside of any transaction.
    pub(crate) fn read(&self) -> &Pool<Db> {
        &self.readers
    }

    /// Whether the database can be written.
    pub fn condition(&self) -> Condition {
        self.disk.condition()
    }

    /// Begins a transaction that may read and write what nobody else changes meanwhile. What writes for a caller
    /// begins with [`Store::write_if`].
    ///
    /// # Errors
    /// Beside those of the database: if the disk is full, or has only just space again.
    async fn write(&self, now: Timestamp) -> Result<Write, StoreError> {
        self.begin(Purpose::Change, now).await
    }

    /// The same for what goes through on a full disk, too, by the reserve: deletions, and what keeps nodes served
    /// without growing.
    async fn write_essential(&self, now: Timestamp) -> Result<Write, StoreError> {
        self.begin(Purpose::Essential, now).await
    }

    async fn begin(&self, purpose: Purpose, now: Timestamp) -> Result<Write, StoreError> {
        self.disk.admit(purpose)?;
        let (vault, disk) = (Arc::clone(&self.vault), Arc::clone(&self.disk));
        match self.writer.begin_with("BEGIN IMMEDIATE").await {
            Ok(tx) => {
                let (newest, measured) = (self.newest.clone(), Vec::new());
                Ok(Write { tx, now, newest, recorded: None, vault, disk, measured })
            }
            Err(error) => {
                let error = StoreError::from(error);
                if error.is_storage_failure() {
                    disk.note_failure(Some(&error));
                }
                Err(error)
            }
        }
    }
}

/// A pool of up to `connections`. One that a failed transaction was left open in is closed, and a new one takes
/// its place: SQLite rolls back by itself what finds no space, sqlx counts on, and what is committed by such a
/// connection afterwards would only release a savepoint.
fn pool(connections: u32, disk: &Arc<Disk>) -> PoolOptions<Db> {
    let disk = Arc::clone(disk);
    PoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(move |connection: &mut SqliteConnection, _| {
            let disk = Arc::clone(&disk);
            Box::pin(async move {
                // The rollback of a transaction that was dropped is queued before this.
                connection.ping().await?;
                let is_clean = !connection.is_in_transaction();
                if !is_clean {
                    disk.note_failure(None);
                }
                Ok(is_clean)
            })
        })
}

/// A transaction under way. Dropping it undoes it.
#[derive(Debug)]
pub struct Write {
    tx: Transaction<'static, Db>,
    now: Timestamp,
    newest: watch::Sender<i64>,
    recorded: Option<i64>,
    vault: Arc<Vault>,
    disk: Arc<Disk>,
    /// What the limits are checked against at the commit.
    measured: Vec<Measured>,
}

impl Write {
    /// Keeps what was written, and tells those who wait for changes. It goes through even if the
    /// caller does not wait for it: nobody would be told of what is committed all the same.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.check_limits().await?;
        let Self { tx, newest, recorded, disk, .. } = self;
        let committed = tokio::spawn(async move {
            if let Err(error) = tx.commit().await {
                let error = StoreError::from(error);
                disk.note_failure(Some(&error));
                return Err(error);
            }
            disk.note_commit();
            if let Some(id) = recorded {
                newest.send_if_modified(|newest| {
                    let newer = id > *newest;
                    *newest = id.max(*newest);
                    newer
                });
            }
            Ok(())
        });
        committed.await.unwrap_or(Err(StoreError::Database(sqlx::Error::WorkerCrashed)))
    }

    /// The moment at which all of it happens, as the database keeps times.
    pub(crate) fn now(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// The connection, for a statement within the transaction.
    pub(crate) fn sql(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    /// Raises a counter and gives its new value.
    pub(crate) async fn next(&mut self, counter: &str) -> Result<i64, StoreError> {
        let sql = "UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value";
        Ok(sqlx::query_scalar(sql).bind(counter).fetch_one(self.sql()).await?)
    }
}

/// A number that is never negative, as the database keeps it. Signed documents hold none that does
/// not fit.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same, back from the database.
pub(crate) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// A time as the database keeps it, as the wire tells it.
pub(crate) fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The value of one row of a list; `None`, with a log line, for a row that cannot be read. One unreadable row, such as
/// one that a newer version has written, does not fail the whole list.
pub(crate) fn readable<T>(table: &'static str, row: Result<T, StoreError>) -> Option<T> {
    let unreadable = |error: &StoreError| {
        let error: &dyn std::error::Error = error;
        tracing::error!(event = "row.unreadable", table, error, "a row is left out of a list");
    };
    row.inspect_err(unreadable).ok()
}

/// A row that does not hold what it should.
pub(crate) fn bad(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Database(sqlx::Error::Decode(Box::new(error)))
}

#[cfg(test)]
mod tests;
