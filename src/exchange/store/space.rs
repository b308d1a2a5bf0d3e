//! Space that the database gives back: free pages go to the file system, a few at a time.

use std::{path::Path, sync::Arc};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions},
};

use super::{Store, StoreError, disk::Condition};
use crate::{disk_space::DiskSpace, private_file};

/// Free pages that stay for what is written next: 1 MiB.
const SPARE: i64 = 256;
/// Moves up to 256 pages (1 MiB) in one transaction, for which every other writer waits: some milliseconds.
const STEP: &str = "PRAGMA incremental_vacuum(256)";
/// Transactions of one turn.
const STEPS: usize = 4;
/// The longest database that is rewritten at a start: that takes some ten seconds.
const LARGEST_CONVERTED: u64 = 1 << 30;
/// SQLite's number for a database that gives free pages back when it is asked to.
const INCREMENTAL: i64 = 2;

/// Makes the database at `path`, or prepares one that is there: it is its owner's alone, and gives free
/// pages back.
pub(super) async fn prepare(path: &Path, options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let failed = |error| StoreError::Database(sqlx::Error::Io(error));
    private_file::secure_database(path).map_err(failed)?;
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length == 0 {
        let options = options.clone().auto_vacuum(SqliteAutoVacuum::Incremental);
        return Ok(options.connect().await?.close().await?);
    }
    let mut connection = options.connect().await?;
    let mode: i64 = sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&mut connection).await?;
    if mode != INCREMENTAL {
        convert(path, length, &mut connection).await;
    }
    Ok(connection.close().await?)
}

/// Rewrites a database of an earlier version, which grows only. Not having been able to is no reason not to
/// start: it is tried again at the next start.
async fn convert(path: &Path, length: u64, connection: &mut SqliteConnection) {
    let (path, free) = (path.display(), free_beside(path));
    // The whole database goes through the write-ahead log.
    if length > LARGEST_CONVERTED || free < length.saturating_mul(2) {
        tracing::warn!(
            event = "database.conversion_postponed",
            %path,
            length,
            free,
            "the database keeps its free pages: it is too long, or the disk too full, to rewrite it"
        );
        return;
    }
    let converted = sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").execute(connection);
    match converted.await {
        Ok(_) => tracing::info!(
            event = "database.converted",
            %path,
            length,
            "the database was rewritten, and gives free pages back from now on"
        ),
        Err(error) => tracing::warn!(
            event = "database.conversion_postponed",
            %path,
            error = &error as &dyn std::error::Error,
            "the database keeps its free pages: it could not be rewritten"
        ),
    }
}

fn free_beside(path: &Path) -> u64 {
    let folder = path.parent().unwrap_or(path);
    DiskSpace::of(folder).map_or(0, |space| space.free)
}

impl Store {
    /// Gives free pages back, a bounded number of them, and looks whether a full disk has space again. It is
    /// called once a second.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        let given_back = self.give_back().await;
        let disk = Arc::clone(&self.disk);
        let restored = tokio::task::spawn_blocking(move || disk.restore_reserve()).await;
        given_back?;
        restored.map_err(|_| StoreError::Database(sqlx::Error::WorkerCrashed))
    }

    async fn give_back(&self) -> Result<(), StoreError> {
        let mut free = self.free_pages().await?;
        let before = free;
        for _ in 0..STEPS {
            if free <= SPARE {
                break;
            }
            sqlx::query(STEP).execute(&self.writer).await?;
            let left = self.free_pages().await?;
            if left >= free {
                // A database that was not converted.
                return Ok(());
            }
            free = left;
        }
        if self.condition() == Condition::DiskFull {
            // The log gives its space back as well.
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await?;
        } else if free < before {
            // The file becomes shorter when the log is brought into it.
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&self.writer).await?;
        }
        Ok(())
    }

    async fn free_pages(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("PRAGMA freelist_count").fetch_one(self.read()).await?)
    }
}
