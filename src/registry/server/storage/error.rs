//! Why the storage did not do as told.

use std::{io, path::PathBuf};

use crate::{
    registry::{protocol::RepositoryName, server::storage::UploadId},
    types::Digest,
};

/// Why the storage did not do as told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A file or folder could not be read or written.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no such upload in the repository: it never began, or it has ended.
    #[error("the upload {0} is unknown")]
    UploadUnknown(UploadId),
    /// More uploads are open than the storage keeps.
    #[error("{0} uploads are open already")]
    TooManyUploads(usize),
    /// Content is not what its digest says.
    #[error("expected {expected}, received {received}")]
    WrongContent {
        /// The digest that was announced.
        expected: Digest,
        /// The digest of what is there.
        received: Digest,
    },
    /// A manifest names content that its repository does not have.
    #[error("the repository {repository} lacks {}", list(missing))]
    Incomplete {
        /// The repository that the manifest was meant for.
        repository: RepositoryName,
        /// What it lacks.
        missing: Vec<Digest>,
    },
    /// A manifest cannot be read.
    #[error("the manifest cannot be used")]
    Manifest(#[from] crate::image::ManifestError),
    /// The process ends, and the work with it.
    #[error("the server is stopping")]
    Stopping,
}

impl StorageError {
    /// For `map_err`: `action` is a verb.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// How many digests an error names: a manifest may have tens of thousands.
const NAMED: usize = 16;

fn list(digests: &[Digest]) -> String {
    let words: Vec<_> = digests.iter().take(NAMED).map(Digest::to_string).collect();
    let words = words.join(", ");
    match digests.len().saturating_sub(NAMED) {
        0 => words,
        more => format!("{words} and {more} more"),
    }
}
