//! A whole image into a repository: blobs, then the manifests over them, the root last.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};

use super::{BlobOutcome, Place, Progress, RegistryClient, RegistryError};
use crate::{
    image::{Descriptor, ImageSource, Manifest, RawManifest},
    registry::protocol::Reference,
    types::{Digest, Repository, Tag},
};

/// How many blobs are on their way at a time.
const AT_A_TIME: usize = 4;
/// The most manifests an image may have below its root.
const MAX_MANIFESTS: usize = 1000;
/// How deep indexes may lie in indexes; nobody makes them deeper than one in another.
const MAX_DEPTH: usize = 4;

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest or index that is now in the repository.
    pub root: RawManifest,
    /// How many blobs were there already.
    pub existed: usize,
    /// How many blobs another repository of the registry had.
    pub mounted: usize,
    /// How many blobs were sent.
    pub uploaded: usize,
    /// How many layers only their maker may serve, so that they were left out.
    pub foreign: usize,
    /// The length of the sent blobs, in bytes.
    pub bytes: u64,
}

impl Pushed {
    /// The digest by which the image is to be named.
    pub fn digest(&self) -> Digest {
        self.root.digest
    }
}

/// Copies the image of `source` into `repository`, with everything below an index.
///
/// Small blobs go first, so that they are not lost with a link that breaks; the root goes last, by
/// `tag` if there is one, so that whoever sees it finds everything below.
pub async fn push_image(
    client: &RegistryClient,
    source: &dyn ImageSource,
    repository: &Repository,
    tag: Option<&Tag>,
    progress: &dyn Progress,
) -> Result<Pushed, RegistryError> {
    let place = Place::from(repository);
    let root = source.root().await?;
    let mut parts = Parts::default();
    parts.gather(source, root.clone(), 0, &place).await?;

    let mut pushed = Pushed {
        root,
        existed: 0,
        mounted: 0,
        uploaded: 0,
        foreign: parts.foreign.len(),
        bytes: 0,
    };
    let blobs = parts.blobs();
    progress.planned(&blobs);
    let outcomes: Vec<(u64, BlobOutcome)> = stream::iter(blobs)
        .map(|blob: Descriptor| async move {
            let watch = |bytes| progress.moved(&blob, bytes);
            let open = || source.blob(&blob);
            let from = source.repository();
            let outcome = client.push_blob_watched(repository, &blob, open, from, &watch).await?;
            progress.settled(&blob, outcome);
            Ok::<_, RegistryError>((blob.size, outcome))
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await?;
    for (size, outcome) in outcomes {
        match outcome {
            BlobOutcome::Existed => pushed.existed += 1,
            BlobOutcome::Mounted => pushed.mounted += 1,
            BlobOutcome::Uploaded => {
                pushed.uploaded += 1;
                pushed.bytes += size;
            }
        }
    }

    for raw in parts.manifests.iter().filter(|raw| raw.digest != pushed.root.digest) {
        client.put_manifest(repository, &Reference::Digest(raw.digest), raw).await?;
    }
    let reference = match tag {
        Some(tag) => Reference::Tag(tag.clone()),
        None => Reference::Digest(pushed.root.digest),
    };
    client.put_manifest(repository, &reference, &pushed.root).await?;
    Ok(pushed)
}

/// What an image is made of.
#[derive(Default)]
struct Parts {
    /// The manifests; each one stands behind those that it names, so the root is the last.
    manifests: Vec<RawManifest>,
    seen: HashSet<Digest>,
    blobs: HashMap<Digest, Descriptor>,
    /// The layers that only their maker may serve.
    foreign: HashSet<Digest>,
}

impl Parts {
    /// Gathers `raw` and everything below it.
    fn gather<'a>(
        &'a mut self,
        source: &'a dyn ImageSource,
        raw: RawManifest,
        depth: usize,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            let manifest = raw
                .parse()
                .map_err(|source| RegistryError::Manifest { place: place.clone(), source })?;
            match manifest {
                Manifest::Image(image) => {
                    for blob in image.blobs() {
                        if blob.is_foreign_layer() {
                            self.foreign.insert(blob.digest);
                        } else {
                            self.blobs.entry(blob.digest).or_insert_with(|| blob.clone());
                        }
                    }
                }
                Manifest::Index(index) => {
                    for child in &index.manifests {
                        if depth == MAX_DEPTH || self.seen.len() == MAX_MANIFESTS {
                            let why = "the image is too deep or has too many manifests";
                            return Err(RegistryError::protocol(place, why));
                        }
                        if self.seen.insert(child.digest) {
                            let child = source.manifest(child).await?;
                            self.gather(source, child, depth + 1, place).await?;
                        }
                    }
                }
            }
            self.manifests.push(raw);
            Ok(())
        })
    }

    /// Every blob once, the smallest first.
    fn blobs(&self) -> Vec<Descriptor> {
        let mut blobs: Vec<Descriptor> = self.blobs.values().cloned().collect();
        blobs.sort_by_key(|blob| (blob.size, blob.digest));
        blobs
    }
}
