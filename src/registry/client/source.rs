//! An image that lies in another registry, as a source.

use async_trait::async_trait;

use super::{RegistryClient, RegistryError};
use crate::{
    image::{BlobReader, Descriptor, ImageError, ImageSource, RawManifest},
    registry::protocol::Reference,
    types::{ImageRef, Repository, Tag},
};

/// One image of a repository.
#[derive(Debug)]
pub struct RegistryImage {
    client: RegistryClient,
    repository: Repository,
    reference: Reference,
}

impl RegistryImage {
    /// The image `image`; its digest wins over its tag, and without both the tag is `latest`.
    pub fn new(client: RegistryClient, image: &ImageRef) -> Self {
        let reference = match (image.digest, &image.tag) {
            (Some(digest), _) => Reference::Digest(digest),
            (None, Some(tag)) => Reference::Tag(tag.clone()),
            (None, None) => Reference::Tag(Tag::latest()),
        };
        Self { client, repository: image.repository.clone(), reference }
    }

    fn failed(&self, error: RegistryError) -> ImageError {
        match error {
            RegistryError::WrongContent { expected, received, .. } => {
                ImageError::WrongContent { expected, received }
            }
            error => ImageError::Source { origin: self.describe(), source: error.into() },
        }
    }
}

#[async_trait]
impl ImageSource for RegistryImage {
    async fn root(&self) -> Result<RawManifest, ImageError> {
        let root = self.client.manifest(&self.repository, &self.reference).await;
        root.map_err(|error| self.failed(error))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, ImageError> {
        let reference = Reference::Digest(descriptor.digest);
        let manifest = self.client.manifest(&self.repository, &reference).await;
        manifest.map_err(|error| self.failed(error))
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ImageError> {
        let stream = self.client.follow_blob(&self.repository, descriptor).await;
        Ok(BlobReader::stream(stream.map_err(|error| self.failed(error))?))
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.repository)
    }

    fn describe(&self) -> String {
        match &self.reference {
            Reference::Tag(tag) => format!("{}:{tag}", self.repository),
            Reference::Digest(digest) => format!("{}@{digest}", self.repository),
        }
    }
}
