//! Why the store did not do what it was asked.

use std::fmt::Display;

use super::{secret_file::SecretFileError, vault::VaultError};
use crate::types::{OrgId, UserId};

/// `SQLITE_FULL`.
const FULL: u32 = 13;
/// `SQLITE_BUSY`, `LOCKED`, `NOMEM`, `READONLY`, `IOERR`, `CANTOPEN` and `PROTOCOL`.
const PASSING: [u32; 7] = [5, 6, 7, 8, 10, 14, 15];

/// Why a method of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("{what} not found")]
    Missing {
        /// What was asked for, such as `service 'org/id'`.
        what: String,
    },
    /// There is one already.
    #[error("{what} already exists")]
    Exists {
        /// What was to be created, such as `service 'org/id'`.
        what: String,
    },
    /// It refers to what is not there, or does not go with what is there.
    #[error("{msg}")]
    Unfit {
        /// What does not fit.
        msg: String,
    },
    /// The account that writes is gone, or its secret was replaced since it authenticated.
    #[error("the account is gone or its secret was replaced")]
    AccountGone,
    /// More of these are not allowed.
    #[error("{msg}")]
    Limit {
        /// Which limit, and where it stands.
        msg: String,
    },
    /// The disk is full, and this is not what its reserve is for. Nothing was written.
    #[error("the disk is full")]
    DiskFull,
    /// The disk was full until a moment ago. Nothing was written.
    #[error("the database recovers from a full disk")]
    Recovering,
    /// The database did not answer as it should.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The database is of a newer version of this program.
    #[error(
        "the database is of schema {found}, and this program knows schemas up to {known}: it was written by a newer version"
    )]
    Newer {
        /// The database's schema.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The database could not be brought to this version's tables.
    #[error("the tables of the database cannot be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this version cannot read.
    #[error("a row of the database cannot be read")]
    Corrupt(#[from] serde_json::Error),
    /// The key for the tokens in the database cannot be had.
    #[error("the tokens in the database cannot be encrypted")]
    Key(#[from] SecretFileError),
    /// A token does not come out of the database, or not go in.
    #[error("a token in the database cannot be used")]
    Vault(#[from] VaultError),
}

impl StoreError {
    /// There is no `noun` of this name.
    pub(crate) fn missing(noun: &str, org: impl Display, id: impl Display) -> Self {
        Self::Missing { what: format!("{noun} '{org}/{id}'") }
    }

    /// What a failed insertion means for something that belongs to an organization.
    pub(crate) fn without_org(error: sqlx::Error, org: &OrgId) -> Self {
        Self::without(error, || format!("org '{org}'"))
    }

    /// What a failed insertion means for something that belongs to a user.
    pub(crate) fn without_user(error: sqlx::Error, org: &OrgId, user: &UserId) -> Self {
        Self::without(error, || format!("user '{org}/{user}'"))
    }

    /// A broken foreign key means that `what` is missing.
    pub(crate) fn without(error: sqlx::Error, what: impl FnOnce() -> String) -> Self {
        match error.as_database_error() {
            Some(refused) if refused.is_foreign_key_violation() => Self::Missing { what: what() },
            _ => Self::Database(error),
        }
    }

    /// Whether there is no space left for the database or a key file.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull => true,
            Self::Key(error) => error.is_disk_full(),
            other => other.sqlite_code() == Some(FULL),
        }
    }

    /// Whether what the database is stored on, or another process that has it open, made it fail: the same request
    /// may go through later.
    pub fn is_storage_failure(&self) -> bool {
        match self {
            Self::Recovering
            | Self::Database(sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed) => true,
            other => other.sqlite_code().is_some_and(|code| PASSING.contains(&code)),
        }
    }

    /// SQLite's primary result code, which is the low byte of the extended one.
    fn sqlite_code(&self) -> Option<u32> {
        let Self::Database(sqlx::Error::Database(error)) = self else {
            return None;
        };
        let extended: u32 = error.code()?.parse().ok()?;
        Some(extended & 0xff)
    }

    /// There is a `noun` of this name already.
    pub(crate) fn exists(noun: &str, org: impl Display, id: impl Display) -> Self {
        Self::Exists { what: format!("{noun} '{org}/{id}'") }
    }
}
