//! Where an image comes from: its registry, or a bundle that somebody carried here.

use std::io;

use tokio::io::{AsyncWriteExt as _, BufReader};

use super::{Images, PullError, PullProgress};
use crate::{
    bundle::Bundle,
    image::{Descriptor, RawManifest, VerifiedReader, VerifyError},
    registry::{client::RegistryClient, protocol::Reference},
    types::{Digest, PinnedImage},
};

/// How much is read and written at a time.
const BUFFER: usize = 256 * 1024;

/// Who has the image. Neither is believed: manifests and blobs are what their digests say.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent) enum Origin<'a> {
    Registry(&'a RegistryClient),
    Bundle(&'a Bundle),
}

impl Origin<'_> {
    pub(super) async fn manifest(
        self,
        image: &PinnedImage,
        digest: Digest,
    ) -> Result<RawManifest, PullError> {
        let raw = match self {
            Self::Registry(registry) => registry
                .manifest(&image.repository, &Reference::Digest(digest))
                .await
                .map_err(|source| PullError::registry(image, source))?,
            Self::Bundle(bundle) => bundle
                .manifest(&digest)
                .map_err(|source| PullError::bundle(image, source))?
                .ok_or_else(|| PullError::NotCarried { image: image.clone(), digest })?,
        };
        if raw.digest != digest {
            return Err(PullError::swapped(image.clone(), digest, raw.digest));
        }
        Ok(raw)
    }

    /// Brings a blob into the store of `images`, verified.
    pub(super) async fn fetch(
        self,
        images: &Images,
        image: &PinnedImage,
        blob: &Descriptor,
        progress: &PullProgress,
    ) -> Result<(), PullError> {
        let file = match self {
            Self::Registry(registry) => {
                let partial = images.partial.join(blob.digest.hex());
                registry
                    .download(&image.repository, blob, &partial, progress)
                    .await
                    .map_err(|error| PullError::download(image, error))?;
                partial
            }
            Self::Bundle(bundle) => {
                let digest = blob.digest;
                let reader =
                    bundle.blob(&digest).await.map_err(|it| PullError::bundle(image, it))?;
                let reader =
                    reader.ok_or_else(|| PullError::NotCarried { image: image.clone(), digest })?;
                let file = images.store.temporary().join(digest.hex());
                let reader = VerifiedReader::new(reader, blob);
                let copied: io::Result<()> = async {
                    let mut written = tokio::fs::File::create(&file).await?;
                    let mut reader = BufReader::with_capacity(BUFFER, reader);
                    tokio::io::copy_buf(&mut reader, &mut written).await?;
                    written.flush().await
                }
                .await;
                copied.map_err(|error| match VerifyError::inside(&error) {
                    Some(wrong) => {
                        PullError::Swapped { image: image.clone(), what: wrong.to_string() }
                    }
                    None => PullError::Copy { image: image.clone(), source: error },
                })?;
                file
            }
        };
        images
            .store
            .adopt(&blob.digest, file)
            .await
            .map_err(|source| PullError::Store { image: image.clone(), source: Box::new(source) })
    }
}
