//! What is shipped: an image, and a file for each place it can be.

use std::fmt;

use async_trait::async_trait;

use crate::types::Repository;

pub mod archive;
mod blob_reader;
pub mod config;
pub mod engine;
pub mod error;
mod hashing;
pub mod layout;
pub mod manifest;
pub mod media_type;
pub mod select;
pub mod synthetic;
pub mod verified;

pub use blob_reader::BlobReader;
pub use config::ImageConfig;
pub use error::ImageError;
pub use manifest::{Descriptor, ImageManifest, Index, Manifest, ManifestError, RawManifest};
pub use verified::{VerifiedReader, VerifyError};

/// A place that has one image, whole: its root manifest or index, the manifests below, every blob.
#[async_trait]
pub trait ImageSource: fmt::Debug + Send + Sync {
    /// The manifest or index that the image's digest names.
    async fn root(&self) -> Result<RawManifest, ImageError>;

    /// A manifest that an index of this image names; its digest has been checked.
    async fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, ImageError>;

    /// A configuration or layer. Whoever takes the bytes verifies them, once.
    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ImageError>;

    /// The repository whose registry can give these blobs to a repository beside it without a
    /// transfer; none unless the source is a registry.
    fn repository(&self) -> Option<&Repository> {
        None
    }

    /// The source in words, for people: `the OCI layout build/image`.
    fn describe(&self) -> String;
}
