//! What an image is made of: everything that a copy of it has to bring.

use std::collections::{HashMap, HashSet};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};

use crate::{
    image::{
        Descriptor, ImageConfig, ImageError, ImageManifest, ImageSource, Index, Manifest,
        Platforms, RawManifest,
        manifest::{LONGEST, MAX_MANIFEST},
        media_type,
        platforms::Taken,
        select::{self, MAX_DEPTH},
    },
    types::{Digest, Platform},
};

/// The most manifests an image may have below its root.
const MAX_MANIFESTS: usize = 1000;
/// How many configurations are read at a time.
const AT_A_TIME: usize = 8;

/// The most bytes that all manifests of an image have together: what they say is held in memory.
pub(in crate::image) const MAX_BYTES: u64 = 2 * MAX_MANIFEST;
/// The most configurations and layers of an image, all its platforms together.
pub(in crate::image) const MAX_BLOBS: usize = 10_000;

/// The parts of an image, or of some of its platforms.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The manifest or index by whose digest the copy is named.
    pub root: RawManifest,
    /// The manifests; each one stands behind those that it names, so the root is the last.
    pub manifests: Vec<RawManifest>,
    /// Configurations and layers, each once, the smallest first.
    pub blobs: Vec<Descriptor>,
    /// The layers that only their maker may serve, each once.
    pub foreign: Vec<Descriptor>,
    /// The manifests that the root names and that are not wanted: the index is not whole.
    pub left_out: Vec<Descriptor>,
}

impl Parts {
    /// Reads every manifest of `source` that `platforms` asks for, and refuses an image that is not whole by its own
    /// words.
    pub async fn of(source: &dyn ImageSource, platforms: &Platforms) -> Result<Self, ImageError> {
        let mut gathering = Gathering::new(source);
        let mut root = source.root().await?;
        let mut left_out = Vec::new();
        let mut listed = source.listed_platform().cloned();
        // The image of one platform may lie in an index that lies in an index.
        for _ in 0..=MAX_DEPTH {
            match gathering.parse(&root)? {
                Manifest::Image(image) => {
                    gathering.check_platform(&image, platforms, listed.as_ref()).await?;
                    break;
                }
                Manifest::Index(_) if *platforms == Platforms::All => break,
                Manifest::Index(index) => {
                    let index = gathering.flatten(index).await?;
                    match gathering.taken(&index, platforms)? {
                        Taken::Whole => break,
                        Taken::One(child) => {
                            root = source.manifest(child).await?;
                            listed.clone_from(&child.platform);
                        }
                        Taken::Sparse(taken) => {
                            left_out = without(&index, &taken);
                            break;
                        }
                    }
                }
            }
        }
        gathering.seen.extend(left_out.iter().map(|it| it.digest));
        gathering.gather(root.clone(), true, 0).await?;
        gathering.check_layers().await?;

        let Gathering { manifests, blobs, foreign, .. } = gathering;
        let mut blobs: Vec<_> = blobs.into_values().collect();
        blobs.sort_by_key(|blob| (blob.size, blob.digest));
        let mut foreign: Vec<_> = foreign.into_values().collect();
        foreign.sort_by_key(|blob| (blob.size, blob.digest));
        Ok(Self { root, manifests, blobs, foreign, left_out })
    }
}

fn without(index: &Index, taken: &[&Descriptor]) -> Vec<Descriptor> {
    index.manifests.iter().filter(|it| !taken.contains(it)).cloned().collect()
}

struct Gathering<'a> {
    source: &'a dyn ImageSource,
    manifests: Vec<RawManifest>,
    seen: HashSet<Digest>,
    blobs: HashMap<Digest, Descriptor>,
    foreign: HashMap<Digest, Descriptor>,
    /// The container images among the manifests.
    images: Vec<ImageManifest>,
    /// How long all manifests are, in bytes.
    bytes: u64,
}

impl<'a> Gathering<'a> {
    fn new(source: &'a dyn ImageSource) -> Self {
        Self {
            source,
            manifests: Vec::new(),
            seen: HashSet::new(),
            blobs: HashMap::new(),
            foreign: HashMap::new(),
            images: Vec::new(),
            bytes: 0,
        }
    }

    fn parse(&self, raw: &RawManifest) -> Result<Manifest, ImageError> {
        raw.parse()
            .map_err(|source| ImageError::Manifest { origin: self.source.describe(), source })
    }

    /// `index` with what the indexes within it list in their places.
    async fn flatten(&self, index: Index) -> Result<Index, ImageError> {
        let fetch = |descriptor: Descriptor| -> BoxFuture<'_, Result<Manifest, ImageError>> {
            Box::pin(async move { self.parse(&self.source.manifest(&descriptor).await?) })
        };
        select::flatten(index, &fetch).await
    }

    /// What of `index`, which has no index within it, is wanted.
    fn taken<'i>(&self, index: &'i Index, platforms: &Platforms) -> Result<Taken<'i>, ImageError> {
        platforms.of(index).map_err(|wanted| {
            let platforms = select::images(index).filter_map(|it| it.platform.as_ref());
            ImageError::NoSuchPlatform {
                origin: self.source.describe(),
                wanted: Box::new(wanted.clone()),
                available: platforms.map(ToString::to_string).collect(),
            }
        })
    }

    /// Gathers `raw` and everything below it. `is_image` is false for what lies beside images in an index, such as
    /// attestations.
    fn gather(
        &mut self,
        raw: RawManifest,
        is_image: bool,
        depth: usize,
    ) -> BoxFuture<'_, Result<(), ImageError>> {
        Box::pin(async move {
            self.bytes += raw.size();
            if self.bytes > MAX_BYTES {
                let why = format!("its manifests have more than {MAX_BYTES} bytes");
                return Err(ImageError::malformed(self.source.describe(), why));
            }
            match self.parse(&raw)? {
                Manifest::Image(image) => {
                    for blob in image.blobs() {
                        if blob.size > LONGEST {
                            let Descriptor { digest, size, .. } = *blob;
                            return Err(ImageError::TooLong { digest, size });
                        }
                        let kind = if blob.is_foreign_layer() {
                            &mut self.foreign
                        } else {
                            &mut self.blobs
                        };
                        kind.entry(blob.digest).or_insert_with(|| blob.clone());
                    }
                    if self.blobs.len() + self.foreign.len() > MAX_BLOBS {
                        let why = format!("it names more than {MAX_BLOBS} blobs");
                        return Err(ImageError::malformed(self.source.describe(), why));
                    }
                    if is_image && image.is_container_image() {
                        self.images.push(image);
                    }
                }
                Manifest::Index(index) => {
                    for child in &index.manifests {
                        if depth == MAX_DEPTH || self.manifests.len() == MAX_MANIFESTS {
                            let why = "the image is too deep or has too many manifests";
                            return Err(ImageError::malformed(self.source.describe(), why));
                        }
                        if self.seen.insert(child.digest) {
                            let is_image = is_image && select::is_image(child);
                            let child = self.source.manifest(child).await?;
                            self.gather(child, is_image, depth + 1).await?;
                        }
                    }
                }
            }
            self.manifests.push(raw);
            Ok(())
        })
    }

    /// Refuses images whose manifest lists another number of layers than their configuration names.
    async fn check_layers(&self) -> Result<(), ImageError> {
        let checks: Vec<BoxFuture<'_, Result<(), ImageError>>> =
            self.images.iter().map(|image| check_layers(self.source, image).boxed()).collect();
        stream::iter(checks).buffer_unordered(AT_A_TIME).try_collect().await
    }

    /// Refuses an image without an index that is of another platform; `listed` is what a list says about it. An
    /// artifact runs nowhere, so it is of any.
    async fn check_platform(
        &self,
        image: &ImageManifest,
        platforms: &Platforms,
        listed: Option<&Platform>,
    ) -> Result<(), ImageError> {
        let Platforms::Only(wanted) = platforms else { return Ok(()) };
        let is_image = media_type::is_config(&image.config.media_type);
        let Some(wanted) = wanted.first().filter(|_| is_image) else {
            return Ok(());
        };
        let config = ImageConfig::fetch(self.source, &image.config).await?;
        let platform = config.platform_in(listed);
        if platform.as_ref().is_some_and(|platform| platforms.includes(platform)) {
            return Ok(());
        }
        Err(ImageError::NoSuchPlatform {
            origin: self.source.describe(),
            wanted: Box::new(wanted.clone()),
            available: platform.iter().map(ToString::to_string).collect(),
        })
    }
}

/// Refuses `image` if its manifest lists another number of layers than its configuration names.
pub(crate) async fn check_layers(
    source: &dyn ImageSource,
    image: &ImageManifest,
) -> Result<(), ImageError> {
    let config = ImageConfig::fetch(source, &image.config).await?;
    config
        .check_layers(image)
        .map_err(|mismatch| ImageError::Layers { origin: source.describe(), mismatch })
}
