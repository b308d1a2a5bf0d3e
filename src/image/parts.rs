//! What an image is made of: everything that a copy of it has to bring.

use std::collections::{HashMap, HashSet};

use futures_util::future::BoxFuture;

use crate::{
    image::{
        Descriptor, ImageConfig, ImageError, ImageManifest, ImageSource, Index, Manifest,
        Platforms, RawManifest, VerifiedReader,
        config::MAX_CONFIG,
        manifest::{LONGEST, MAX_MANIFEST},
        media_type,
        platforms::Taken,
        select,
    },
    types::Digest,
};

/// The most manifests an image may have below its root.
const MAX_MANIFESTS: usize = 1000;
/// How deep indexes may lie in indexes; nobody makes them deeper than one in another.
const MAX_DEPTH: usize = 4;

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
    /// Reads every manifest of `source` that `platforms` asks for.
    pub async fn of(source: &dyn ImageSource, platforms: &Platforms) -> Result<Self, ImageError> {
        let mut gathering = Gathering::new(source);
        let mut root = source.root().await?;
        let mut left_out = Vec::new();
        // The image of one platform may lie in an index that lies in an index.
        for _ in 0..=MAX_DEPTH {
            match gathering.parse(&root)? {
                Manifest::Image(image) => {
                    gathering.check_platform(&image, platforms).await?;
                    break;
                }
                Manifest::Index(index) => {
                    let taken = platforms.of(&index).map_err(|wanted| {
                        let available = select::images(&index)
                            .filter_map(|it| it.platform.as_ref())
                            .map(ToString::to_string);
                        ImageError::NoSuchPlatform {
                            origin: source.describe(),
                            wanted: Box::new(wanted.clone()),
                            available: available.collect(),
                        }
                    })?;
                    match taken {
                        Taken::Whole => break,
                        Taken::One(child) => root = source.manifest(child).await?,
                        Taken::Sparse(taken) => {
                            left_out = without(&index, &taken);
                            break;
                        }
                    }
                }
            }
        }
        gathering.seen.extend(left_out.iter().map(|it| it.digest));
        gathering.gather(root.clone(), 0).await?;

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
            bytes: 0,
        }
    }

    fn parse(&self, raw: &RawManifest) -> Result<Manifest, ImageError> {
        raw.parse()
            .map_err(|source| ImageError::Manifest { origin: self.source.describe(), source })
    }

    /// Gathers `raw` and everything below it.
    fn gather(&mut self, raw: RawManifest, depth: usize) -> BoxFuture<'_, Result<(), ImageError>> {
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
                }
                Manifest::Index(index) => {
                    for child in &index.manifests {
                        if depth == MAX_DEPTH || self.manifests.len() == MAX_MANIFESTS {
                            let why = "the image is too deep or has too many manifests";
                            return Err(ImageError::malformed(self.source.describe(), why));
                        }
                        if self.seen.insert(child.digest) {
                            let child = self.source.manifest(child).await?;
                            self.gather(child, depth + 1).await?;
                        }
                    }
                }
            }
            self.manifests.push(raw);
            Ok(())
        })
    }

    /// Refuses an image without an index that is of another platform. An artifact runs nowhere, so
    /// it is of any.
    async fn check_platform(
        &self,
        image: &ImageManifest,
        platforms: &Platforms,
    ) -> Result<(), ImageError> {
        let Platforms::Only(wanted) = platforms else { return Ok(()) };
        let types = [media_type::OCI_CONFIG, media_type::DOCKER_CONFIG];
        let Some(wanted) = wanted.first().filter(|_| types.contains(&&*image.config.media_type))
        else {
            return Ok(());
        };
        let origin = self.source.describe();
        let unreadable =
            |why: String| ImageError::malformed(&origin, format!("configuration: {why}"));
        let config = self.source.blob(&image.config).await?;
        let config = VerifiedReader::new(config, &image.config)
            .into_bytes(MAX_CONFIG)
            .await
            .map_err(|error| unreadable(error.to_string()))?;
        let platform = ImageConfig::from_json(&config)
            .map_err(|error| unreadable(error.to_string()))?
            .platform();
        if platforms.includes(&platform) {
            return Ok(());
        }
        Err(ImageError::NoSuchPlatform {
            origin: self.source.describe(),
            wanted: Box::new(wanted.clone()),
            available: vec![platform.to_string()],
        })
    }
}
