//! Images onto this node: each manifest and blob by its digest into the content store, from which
//! the engine is handed what it lacks.

mod origin;
mod progress;

use std::{collections::BTreeSet, fmt::Display, io, path::PathBuf};

use futures_util::{
    FutureExt as _, TryStreamExt as _, future::BoxFuture, stream::FuturesUnordered,
};

pub(super) use origin::Origin;
pub(super) use progress::PullProgress;

use crate::{
    bundle::BundleError,
    image::{
        Descriptor, ImageConfig, ImageManifest, LayerMismatch, Manifest, ManifestError,
        RawManifest, config::MAX_CONFIG, media_type, select,
    },
    registry::{
        client::{DownloadError, RegistryError, download::room_needed},
        protocol::{Reference, RepositoryName},
        server::storage::{Folder, StorageError},
    },
    types::{Digest, PinnedImage, Platform},
};

/// What is never used of the disk: the engine and the system need some to stay alive.
const FLOOR: u64 = 64 << 20;

/// The content store, and where downloads lie until they are whole.
#[derive(Debug, Clone)]
pub(super) struct Images {
    store: Folder,
    partial: PathBuf,
}

/// Why an image is not here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The registry did not give it.
    #[error("failed to pull {image}")]
    Registry {
        /// The image.
        image: PinnedImage,
        /// What the registry said.
        source: Box<RegistryError>,
    },
    /// A blob of it did not arrive.
    #[error("failed to pull {image}")]
    Download {
        /// The image.
        image: PinnedImage,
        /// Why.
        source: Box<DownloadError>,
    },
    /// The registry delivered content that differs from the signed digest.
    #[error("{image}: the registry delivered something else: {what}")]
    Swapped {
        /// The image.
        image: PinnedImage,
        /// What is signed, directly or through a manifest, and what came.
        what: String,
    },
    /// A manifest of it cannot be read.
    #[error("{image} has a manifest that cannot be used")]
    Manifest {
        /// The image.
        image: PinnedImage,
        /// What is wrong with it.
        source: Box<ManifestError>,
    },
    /// Its manifest and its configuration contradict each other: an engine would run it without its files, if at all.
    #[error("{image} is damaged: {mismatch}")]
    Layers {
        /// The image.
        image: PinnedImage,
        /// How they differ.
        mismatch: Box<LayerMismatch>,
    },
    /// Its configuration cannot be read.
    #[error("{image} has a configuration that cannot be used: {why}")]
    Config {
        /// The image.
        image: PinnedImage,
        /// What is wrong with it.
        why: String,
    },
    /// It is an index without an image for this node.
    #[error("{image} has no image for {platform}")]
    NoPlatform {
        /// The image.
        image: PinnedImage,
        /// The node's platform.
        platform: String,
    },
    /// The bundle has nothing of it, or not all.
    #[error("{image}: the bundle has no {digest}, nor has this node")]
    NotCarried {
        /// The image.
        image: PinnedImage,
        /// What is missing of it.
        digest: Digest,
    },
    /// The bundle cannot be read.
    #[error("failed to take {image} from the bundle")]
    Bundle {
        /// The image.
        image: PinnedImage,
        /// Why.
        source: Box<BundleError>,
    },
    /// What the bundle has could not be copied.
    #[error("failed to copy a part of {image} from the bundle")]
    Copy {
        /// The image.
        image: PinnedImage,
        /// Why.
        source: io::Error,
    },
    /// It would not leave the disk enough room.
    #[error("{image} needs {needed} bytes, and the disk has {free} free; {FLOOR} are never used")]
    DiskFull {
        /// The image.
        image: PinnedImage,
        /// What is still to be downloaded, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// The content store failed.
    #[error("failed to keep {image}")]
    Store {
        /// The image.
        image: PinnedImage,
        /// Why.
        source: Box<StorageError>,
    },
}

impl PullError {
    /// The name of the attack that this looks like, if it does.
    pub fn attack(&self) -> Option<&'static str> {
        matches!(self, Self::Swapped { .. }).then_some("swapped-layer")
    }

    /// Whether the registry did not accept the login.
    pub fn is_unauthorized(&self) -> bool {
        let Self::Registry { source, .. } = self else {
            return false;
        };
        matches!(**source, RegistryError::Unauthorized { .. } | RegistryError::Denied { .. })
    }

    /// Whether the registry refused, or said that there is no such image: registries also say that of an image that the
    /// caller may not see.
    pub fn is_hidden(&self) -> bool {
        match self {
            Self::Registry { source, .. } => {
                matches!(**source, RegistryError::NotFound { .. }) || self.is_unauthorized()
            }
            _ => false,
        }
    }

    /// Whether the registry does not prove to be the registry.
    pub fn is_untrusted(&self) -> bool {
        let is_tls = |it: &RegistryError| matches!(it, RegistryError::Tls { .. });
        match self {
            Self::Registry { source, .. } => is_tls(source),
            Self::Download { source, .. } => {
                matches!(&**source, DownloadError::BrokenOff { source, .. } if is_tls(source))
            }
            _ => false,
        }
    }

    /// Whether the registry could not be reached, so that later may be better.
    pub fn is_network(&self) -> bool {
        match self {
            Self::Registry { source, .. } => source.may_pass(),
            Self::Download { source, .. } => !matches!(**source, DownloadError::TooLong { .. }),
            _ => false,
        }
    }

    fn swapped(image: PinnedImage, expected: Digest, received: impl Display) -> Self {
        Self::Swapped { image, what: format!("expected {expected}, received {received}") }
    }

    fn bundle(image: &PinnedImage, source: BundleError) -> Self {
        Self::Bundle { image: image.clone(), source: Box::new(source) }
    }

    fn registry(image: &PinnedImage, source: RegistryError) -> Self {
        let image = image.clone();
        match source {
            RegistryError::WrongContent { expected, received, .. } => {
                Self::swapped(image, expected, received)
            }
            RegistryError::WrongSize { digest, received, .. } => {
                Self::swapped(image, digest, format!("{received} bytes"))
            }
            source => Self::Registry { image, source: Box::new(source) },
        }
    }

    fn download(image: &PinnedImage, error: DownloadError) -> Self {
        match error {
            DownloadError::Origin { source, .. } => Self::registry(image, *source),
            DownloadError::WrongContent { expected, received } => {
                Self::swapped(image.clone(), expected, received)
            }
            DownloadError::BrokenOff { digest, size, ref source, .. }
                if source.is_longer_than(size) =>
            {
                Self::swapped(image.clone(), digest, format!("more than {size} bytes"))
            }
            other => Self::Download { image: image.clone(), source: Box::new(other) },
        }
    }
}

/// An image that is whole in the content store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// Its repository in the store.
    pub(super) repository: RepositoryName,
    /// The manifest for this node's platform, which the engine gets.
    pub(super) manifest: Digest,
}

impl Images {
    pub(super) fn new(store: Folder, partial: PathBuf) -> Self {
        Self { store, partial }
    }

    pub(super) fn store(&self) -> &Folder {
        &self.store
    }

    /// The digest of the manifest of `image` for `platform`, as far as the store alone can tell.
    pub(super) async fn known(
        &self,
        image: &PinnedImage,
        platform: &Platform,
    ) -> Result<Option<Digest>, PullError> {
        let Some(root) = self.kept_manifest(image, image.digest).await? else {
            return Ok(None);
        };
        let fetch = |digest| -> BoxFuture<'_, Result<RawManifest, Unresolved>> {
            Box::pin(
                async move { self.kept_manifest(image, digest).await?.ok_or(Unresolved::NotKept) },
            )
        };
        match choose(image, &root, platform, &fetch).await {
            Ok(None) => Ok(Some(root.digest)),
            Ok(Some(chosen)) => Ok(Some(chosen.digest)),
            Err(Unresolved::NotKept) => Ok(None),
            Err(Unresolved::Failed(error)) => Err(error),
        }
    }

    /// The image, if the store has all of it.
    pub(super) async fn whole(
        &self,
        image: &PinnedImage,
        platform: &Platform,
    ) -> Result<Option<Stored>, PullError> {
        let Some(digest) = self.known(image, platform).await? else {
            return Ok(None);
        };
        let Some(raw) = self.kept_manifest(image, digest).await? else {
            return Ok(None);
        };
        let Ok(Manifest::Image(manifest)) = raw.parse() else {
            return Ok(None);
        };
        let name = RepositoryName::from(&image.repository);
        let here = |blob: &Descriptor| self.store.blob_in(&name, &blob.digest) == Some(blob.size);
        if !manifest.blobs().all(here) {
            return Ok(None);
        }
        self.check_layers(image, &manifest).await?;
        Ok(Some(Stored { repository: name, manifest: digest }))
    }

    /// The manifest of `image` for `platform`, and what it is made of: from the store as far as it
    /// is there, else from its origin. Nothing of it but manifests is fetched.
    async fn resolve(
        &self,
        image: &PinnedImage,
        platform: &Platform,
        origin: Origin<'_>,
    ) -> Result<(RawManifest, ImageManifest), PullError> {
        let mut raw = self.manifest(image, image.digest, origin).await?;
        let fetch = |digest| -> BoxFuture<'_, Result<RawManifest, PullError>> {
            Box::pin(self.manifest(image, digest, origin))
        };
        if let Some(chosen) = choose(image, &raw, platform, &fetch).await? {
            raw = self.manifest(image, chosen.digest, origin).await?;
        }
        match parse(image, &raw)? {
            Manifest::Image(manifest) => Ok((raw, manifest)),
            Manifest::Index(_) => Err(no_platform(image, platform)),
        }
    }

    /// Brings an image into the store, whole.
    pub(super) async fn ensure(
        &self,
        image: &PinnedImage,
        platform: &Platform,
        origin: Origin<'_>,
        progress: &PullProgress,
    ) -> Result<Stored, PullError> {
        let stored = |source| PullError::Store { image: image.clone(), source: Box::new(source) };
        let (raw, manifest) = self.resolve(image, platform, origin).await?;
        if manifest.is_container_image() && self.is_missing(&manifest.config) {
            self.check_disk(image, &[&manifest.config])?;
            origin.fetch(self, image, &manifest.config, progress).await?;
        }
        self.check_layers(image, &manifest).await?;
        let mut seen = BTreeSet::new();
        let missing: Vec<_> = manifest
            .blobs()
            .filter(|blob| self.is_missing(blob))
            .filter(|blob| seen.insert(blob.digest))
            .collect();
        self.check_disk(image, &missing)?;
        progress.expect(&missing);
        // The client says how many come at a time.
        let fetches: FuturesUnordered<_> = missing
            .into_iter()
            .map(|blob| origin.fetch(self, image, blob, progress).boxed())
            .collect();
        fetches.try_collect::<()>().await?;
        let repository = RepositoryName::from(&image.repository);
        let blobs = manifest.blobs().map(|blob| blob.digest).collect();
        self.store.link_blobs(&repository, blobs).await.map_err(stored)?;
        self.store.put_manifest(&repository, &raw, None).await.map_err(stored)?;
        Ok(Stored { repository, manifest: raw.digest })
    }

    fn is_missing(&self, blob: &Descriptor) -> bool {
        self.store.has_blob(&blob.digest) != Some(blob.size)
    }

    /// Refuses an image whose manifest lists another number of layers than its configuration, which the store has.
    async fn check_layers(
        &self,
        image: &PinnedImage,
        manifest: &ImageManifest,
    ) -> Result<(), PullError> {
        if !manifest.is_container_image() {
            return Ok(());
        }
        let unusable = |why: String| PullError::Config { image: image.clone(), why };
        if manifest.config.size > MAX_CONFIG {
            return Err(unusable(format!("it has more than {MAX_CONFIG} bytes")));
        }
        let bytes = tokio::fs::read(self.store.blob_path(&manifest.config.digest)).await;
        let bytes = bytes.map_err(|error| unusable(error.to_string()))?;
        let config = ImageConfig::from_json(&bytes);
        config.map_err(|problem| unusable(problem.to_string()))?.check_layers(manifest).map_err(
            |mismatch| PullError::Layers { image: image.clone(), mismatch: Box::new(mismatch) },
        )
    }

    async fn kept_manifest(
        &self,
        image: &PinnedImage,
        digest: Digest,
    ) -> Result<Option<RawManifest>, PullError> {
        let name = RepositoryName::from(&image.repository);
        let kept = self.store.manifest(&name, &Reference::Digest(digest)).await;
        kept.map_err(|source| PullError::Store { image: image.clone(), source: Box::new(source) })
    }

    async fn manifest(
        &self,
        image: &PinnedImage,
        digest: Digest,
        origin: Origin<'_>,
    ) -> Result<RawManifest, PullError> {
        if let Some(raw) = self.kept_manifest(image, digest).await? {
            return Ok(raw);
        }
        let raw = origin.manifest(image, digest).await?;
        // Kept at once, so that a node that is cut off can still tell which image an index means.
        let name = RepositoryName::from(&image.repository);
        self.store.put_manifest(&name, &raw, None).await.map_err(|source| PullError::Store {
            image: image.clone(),
            source: Box::new(source),
        })?;
        Ok(raw)
    }

    /// Refuses what does not fit before its first byte is asked for; shared layers count once.
    fn check_disk(&self, image: &PinnedImage, missing: &[&Descriptor]) -> Result<(), PullError> {
        let needed: u64 = missing
            .iter()
            .map(|blob| room_needed(blob, &self.partial.join(blob.digest.hex())))
            .sum();
        let Ok(disk) = rustix::fs::statvfs(&self.partial) else {
            return Ok(());
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed > 0 && needed.saturating_add(FLOOR) > free {
            return Err(PullError::DiskFull { image: image.clone(), needed, free });
        }
        Ok(())
    }
}

/// Why it is not known which manifest of an image is for a platform.
enum Unresolved {
    /// The store lacks a manifest.
    NotKept,
    Failed(PullError),
}

impl From<PullError> for Unresolved {
    fn from(error: PullError) -> Self {
        Self::Failed(error)
    }
}

/// Fetches a manifest by its digest.
type FetchByDigest<'f, 'a, E> = dyn Fn(Digest) -> BoxFuture<'a, Result<RawManifest, E>> + Sync + 'f;

/// What `raw` has for `platform`, if it is an index. Indexes within it are looked into if it lists nothing itself.
async fn choose<E: From<PullError> + Send>(
    image: &PinnedImage,
    raw: &RawManifest,
    platform: &Platform,
    fetch: &FetchByDigest<'_, '_, E>,
) -> Result<Option<Descriptor>, E> {
    let Manifest::Index(index) = parse(image, raw)? else { return Ok(None) };
    let is_image = |it: &&Descriptor| !media_type::is_index(&it.media_type);
    if let Some(chosen) = select::for_platform(&index, platform).filter(is_image) {
        return Ok(Some(chosen.clone()));
    }
    let fetch = |descriptor: Descriptor| -> BoxFuture<'_, Result<Manifest, E>> {
        Box::pin(async move { Ok(parse(image, &fetch(descriptor.digest).await?)?) })
    };
    let flat = select::flatten(index, &fetch).await?;
    let chosen = select::for_platform(&flat, platform).filter(is_image).cloned();
    chosen.map(Some).ok_or_else(|| no_platform(image, platform).into())
}

fn parse(image: &PinnedImage, raw: &RawManifest) -> Result<Manifest, PullError> {
    raw.parse()
        .map_err(|source| PullError::Manifest { image: image.clone(), source: Box::new(source) })
}

fn no_platform(image: &PinnedImage, platform: &Platform) -> PullError {
    PullError::NoPlatform { image: image.clone(), platform: platform.to_string() }
}

#[cfg(test)]
mod tests;
