//! Why the rollback state could not be read or kept.

use std::path::{Path, PathBuf};

/// SQLite's code for a disk or database without room, `SQLITE_FULL`.
const FULL: &str = "13";

/// Why the marks could not be read or kept. Nothing may be accepted then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarksError {
    /// The disk has no room.
    #[error("failed to {task} the rollback state in {}: the disk is full", path.display())]
    DiskFull {
        /// What was being done: `read`, `write` or `commit`.
        task: &'static str,
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The database failed.
    #[error("failed to {task} the rollback state in {}", path.display())]
    Database {
        /// What was being done, as for a full disk.
        task: &'static str,
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A commit was reported as done, and another connection does not find what was committed.
    #[error("failed to confirm the rollback state in {}: the file does not hold what was committed", path.display())]
    NotKept {
        /// The file.
        path: PathBuf,
    },
    /// What is in it makes no sense.
    #[error("the rollback state in {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer agent has written it.
    #[error("the rollback state in {} has version {found}; this agent knows {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this agent knows.
        known: i64,
    },
}

impl MarksError {
    /// The database failed at `task`.
    pub(super) fn database(path: &Path, task: &'static str, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let code = source.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.as_deref() == Some(FULL) {
            Self::DiskFull { task, path, source }
        } else {
            Self::Database { task, path, source }
        }
    }
}
