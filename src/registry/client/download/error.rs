//! Why a blob did not arrive.

use std::{io, path::PathBuf};

use super::RegistryError;
use crate::types::Digest;

/// Why a blob did not arrive. What came of it is kept, except for content that is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// Its origin did not give it.
    #[error("failed to fetch {digest}")]
    Origin {
        /// The blob.
        digest: Digest,
        /// What the origin said.
        source: Box<RegistryError>,
    },
    /// Its description names a length that no layer has.
    #[error("{digest} is said to have {size} bytes, and no more than {longest} are fetched")]
    TooLong {
        /// The blob.
        digest: Digest,
        /// What the manifest says, in bytes.
        size: u64,
        /// The longest that is fetched, in bytes.
        longest: u64,
    },
    /// The stream broke off, again and again.
    #[error("{digest} broke off after {received} of {size} bytes")]
    BrokenOff {
        /// The blob.
        digest: Digest,
        /// How much of it is here, in bytes.
        received: u64,
        /// How much there is, in bytes.
        size: u64,
        /// Why it broke off.
        source: Box<RegistryError>,
    },
    /// The origin gave something else, twice.
    #[error("expected {expected}, received {received}")]
    WrongContent {
        /// What was asked for.
        expected: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// The disk has no room for it.
    #[error("no room on the disk for {}", path.display())]
    DiskFull {
        /// The partial file; what is in it stays.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The disk failed.
    #[error("failed to keep {}", path.display())]
    Disk {
        /// The partial file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DownloadError {
    pub(super) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::Disk { path, source },
        }
    }
}
