//! What is shipped: an image, and a file for each place it can be.

use std::fmt;

use async_trait::async_trait;

use crate::types::{ImageRef, Platform, Repository};

pub mod archive;
mod blob_reader;
mod choice;
pub mod compression;
pub mod config;
mod copy;
pub mod engine;
pub mod error;
mod hashing;
mod json;
pub mod layout;
pub mod manifest;
pub mod media_type;
mod ordinary;
mod parts;
pub mod place;
pub mod platforms;
pub mod remembered;
pub mod select;
pub mod synthetic;
mod target;
pub mod verified;

pub use blob_reader::BlobReader;
pub use compression::{Compression, Packing};
pub use config::{ImageConfig, LayerMismatch};
pub use copy::{Copied, CopyWatch, copy};
pub use error::ImageError;
pub use manifest::{Descriptor, ImageManifest, Index, Manifest, ManifestError, RawManifest};
pub use parts::Parts;
pub(crate) use parts::check_layers;
pub use place::{LocalPlace, ParsePlaceError, Place};
pub use platforms::Platforms;
pub use remembered::Remembered;
pub use target::ImageTarget;
pub use verified::{VerifiedReader, VerifyError};

/// Which image of several is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The only one, whatever its name.
    Only,
    /// The one that a file or folder has under this name.
    Name(&'a str),
    /// The one with the digest of this reference; without a digest, the one that an engine would know by this
    /// reference, or the only one, if it has no name.
    Image(&'a ImageRef),
    /// As [`Wanted::Image`], or the only one, even under another name.
    ImageOrOnly(&'a ImageRef),
}

impl<'a> Wanted<'a> {
    /// The reference that is asked for, if it is one.
    pub fn image(self) -> Option<&'a ImageRef> {
        match self {
            Self::Image(image) | Self::ImageOrOnly(image) => Some(image),
            Self::Only | Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("(the only one)"),
            Self::Name(name) => f.write_str(name),
            Self::Image(image) | Self::ImageOrOnly(image) => image.fmt(f),
        }
    }
}

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

    /// What the list that names the root says about its platform; none where there is no list, or it says nothing.
    fn listed_platform(&self) -> Option<&Platform> {
        None
    }

    /// The name that the image has in its source, where it was taken as the only one though another name was asked for
    /// ([`Wanted::ImageOrOnly`]).
    fn other_name(&self) -> Option<&str> {
        None
    }

    /// The source in words, for people: `the OCI layout build/image`.
    fn describe(&self) -> String;
}
