//! Why a bundle could not be written or read.

use std::path::PathBuf;

use crate::{
    document::matching::required::RequiredError,
    exchange::client::{ExchangeError, WalkError},
    image::ImageError,
    trust::Refusal,
    types::{DocumentKey, PinnedImage},
};

/// Why a bundle could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is no tar archive, or its file cannot be read.
    #[error(transparent)]
    Archive(#[from] ImageError),
    /// It is of a form that this program does not know.
    #[error("the bundle {} has form {found}; this program knows form {known}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Its form.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It lacks a file.
    #[error("the bundle {} has no {what}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        what: String,
    },
    /// A file in it is not what it should be.
    #[error("the bundle {} has {what} that cannot be read: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which part of it.
        what: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a bundle could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The exchange did not give what goes into it.
    #[error("the exchange does not give what goes into a bundle")]
    Exchange(#[from] ExchangeError),
    /// What it gave does not hold, so that no node would take it.
    #[error("no node would take what the exchange gives")]
    Refused(#[from] Refusal),
    /// The organization trusts nobody yet.
    #[error("the organization has no trust document")]
    NoTrust,
    /// A service that was named is not there.
    #[error("the catalog has no active {0}")]
    NoService(DocumentKey),
    /// What a service requires cannot be named.
    #[error("{service} cannot be carried whole")]
    Required {
        /// The service.
        service: DocumentKey,
        /// Why not.
        source: Box<RequiredError>,
    },
    /// An image could not be had.
    #[error("failed to fetch {image}")]
    Image {
        /// The image.
        image: Box<PinnedImage>,
        /// Why.
        source: Box<ImageError>,
    },
    /// The file could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder beside the file, in which images are gathered, could not be used.
    #[error(transparent)]
    Staging(#[from] ImageError),
}

impl From<WalkError> for ExportError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Exchange(error) => Self::Exchange(error),
            WalkError::Refused(refusal) => Self::Refused(refusal),
        }
    }
}
