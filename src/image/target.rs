//! Where an image can be put.

use std::{fmt, path::PathBuf};

use async_trait::async_trait;

use crate::image::{BlobReader, Descriptor, ImageError, RawManifest};

/// A place that takes one image: blobs and manifests in any order, then the name of the whole.
///
/// Nothing is visible there before [`ImageTarget::finish`].
#[async_trait]
pub trait ImageTarget: fmt::Debug + Send + Sync {
    /// Whether the content is there already, so that it need not be fetched.
    async fn has(&self, descriptor: &Descriptor) -> bool;

    /// Takes a blob; refused unless it is what `descriptor` names.
    async fn put_blob(
        &mut self,
        descriptor: &Descriptor,
        reader: BlobReader,
    ) -> Result<(), ImageError>;

    /// Where a download of this content may lie until it is whole; a later run finds it there.
    fn partial(&self, descriptor: &Descriptor) -> PathBuf;

    /// Takes a file that was verified to be what `descriptor` names. The file is gone afterwards.
    async fn adopt(&mut self, descriptor: &Descriptor, file: PathBuf) -> Result<(), ImageError>;

    /// Takes a manifest or index, byte for byte.
    async fn put_manifest(&mut self, raw: &RawManifest) -> Result<(), ImageError>;

    /// Makes the image `root` visible, called `name`. Everything it needs has been put.
    async fn finish(
        self: Box<Self>,
        root: &RawManifest,
        name: Option<&str>,
    ) -> Result<(), ImageError>;

    /// The target in words, for people: `the OCI layout build/image`.
    fn describe(&self) -> String;
}
