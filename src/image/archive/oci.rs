//! An OCI layout in a tar: what Docker writes since version 25, and `oci-archive` files.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use super::{Contents, Place, Reading, Slice, compress, compress::PlainLayer, docker::SavedImage};
use crate::{
    image::{
        Descriptor, ImageConfig, ImageError, ImageManifest, Index, Manifest, RawManifest,
        choice::{self, ChosenRoot, ImageCandidate},
        config::MAX_CONFIG,
        layout::{self, blob_name},
        manifest::MAX_MANIFEST,
        media_type,
        parts::MAX_BYTES,
        select::{self, MAX_DEPTH},
    },
    types::Digest,
};

/// Where a layout lists its images.
pub(super) const LIST: &str = "index.json";

/// The images that `index.json` lists; none if the archive is no layout.
pub(super) fn read_list(reading: &Reading) -> Result<Vec<ImageCandidate<Descriptor>>, ImageError> {
    if reading.tar.find(LIST).is_none() {
        return Ok(Vec::new());
    }
    if reading.tar.find("oci-layout").is_some() {
        layout::check_version(&reading.origin, &reading.small("oci-layout", MAX_MANIFEST)?)?;
    }
    let index = layout::read_index(&reading.origin, reading.small(LIST, MAX_MANIFEST)?)?;
    Ok(choice::candidates(&index))
}

/// Reads the image below `root`. `saved` is what `manifest.json` lists beside it.
pub(super) async fn read(
    reading: &Reading,
    root: ChosenRoot,
    saved: &[SavedImage],
) -> Result<Contents, ImageError> {
    let mut parts = Parts { saved, ..Parts::default() };
    let (platform, other_name) = (root.descriptor.platform.clone(), root.other_name);
    let root = root.made.map_or_else(|| manifest(reading, &root.descriptor), Ok)?;
    let root = match layout::parse(&reading.origin, &root)? {
        Manifest::Image(image) => take_image(reading, root, image, &mut parts).await?,
        Manifest::Index(index) => take_index(reading, root, index, 0, &mut parts).await?,
    };
    let Parts { manifests, blobs, .. } = parts;
    Ok(Contents { root, manifests, blobs, platform, other_name })
}

/// The configurations of the images that `root` stands for, as far as the archive has them.
pub(super) fn configs(reading: &Reading, root: &Descriptor) -> Vec<Slice> {
    let mut configs = Vec::new();
    let mut waiting = vec![(root.clone(), 0)];
    let mut read = 0;
    while let Some((descriptor, depth)) = waiting.pop() {
        let parsed = manifest(reading, &descriptor).ok().and_then(|raw| {
            read += raw.size();
            raw.parse().ok()
        });
        match parsed {
            Some(Manifest::Image(image)) => {
                configs.extend(reading.tar.find(&blob_name(&image.config.digest)));
            }
            Some(Manifest::Index(index)) if depth < MAX_DEPTH => {
                waiting.extend(index.manifests.into_iter().map(|it| (it, depth + 1)));
            }
            _ => (),
        }
        if read > MAX_BYTES {
            break;
        }
    }
    configs
}

#[derive(Default)]
struct Parts<'a> {
    /// The images that `manifest.json` lists.
    saved: &'a [SavedImage],
    manifests: HashMap<Digest, RawManifest>,
    /// How long all manifests that were read are, in bytes.
    bytes: u64,
    blobs: HashMap<Digest, Place>,
}

fn manifest(reading: &Reading, descriptor: &Descriptor) -> Result<RawManifest, ImageError> {
    let bytes = reading.small(&blob_name(&descriptor.digest), MAX_MANIFEST)?;
    let raw = RawManifest::new(&descriptor.media_type, bytes);
    if raw.digest == descriptor.digest {
        Ok(raw)
    } else {
        Err(ImageError::WrongContent { expected: descriptor.digest, received: raw.digest })
    }
}

/// An index as it is if all of it is here. An engine saves only the platforms that it has: then the
/// image of that platform, or an index of those that are here.
fn take_index<'a>(
    reading: &'a Reading,
    raw: RawManifest,
    index: Index,
    depth: usize,
    parts: &'a mut Parts<'_>,
) -> BoxFuture<'a, Result<RawManifest, ImageError>> {
    Box::pin(async move {
        if depth == MAX_DEPTH {
            return Err(reading.malformed("it has indexes within indexes, too deep"));
        }
        let mut kept = Vec::new();
        let mut taken: HashMap<Digest, Option<Descriptor>> = HashMap::new();
        for child in &index.manifests {
            let own = match taken.get(&child.digest) {
                Some(own) => own.clone(),
                None => take_child(reading, child, depth, parts).await?,
            };
            taken.insert(child.digest, own.clone());
            if let Some(Descriptor { media_type, digest, size, .. }) = own {
                kept.push(Descriptor { media_type, digest, size, ..child.clone() });
            }
        }
        if kept == index.manifests {
            return Ok(raw);
        }
        let kept = Index { manifests: kept, ..index };
        let images: Vec<Descriptor> = select::images(&kept).cloned().collect();
        let missing = || ImageError::Missing { origin: reading.origin.clone(), digest: raw.digest };
        match images.as_slice() {
            [] => Err(missing()),
            [only] => parts.manifests.remove(&only.digest).ok_or_else(missing),
            _ => reading.encode(&Manifest::Index(Index { manifests: images, ..kept })),
        }
    })
}

/// An image of an index, or an index within it, as it is now; none if it is not here, or not whole.
async fn take_child(
    reading: &Reading,
    child: &Descriptor,
    depth: usize,
    parts: &mut Parts<'_>,
) -> Result<Option<Descriptor>, ImageError> {
    if reading.tar.find(&blob_name(&child.digest)).is_none() {
        return Ok(None);
    }
    let raw = manifest(reading, child)?;
    parts.bytes += raw.size();
    if parts.bytes > MAX_BYTES {
        return Err(reading.malformed(format!("its manifests have more than {MAX_BYTES} bytes")));
    }
    let raw = match layout::parse(&reading.origin, &raw)? {
        Manifest::Image(image) if !is_whole(reading, &image) => return Ok(None),
        Manifest::Image(image) => take_image(reading, raw, image, parts).await?,
        Manifest::Index(index) => match take_index(reading, raw, index, depth + 1, parts).await {
            Err(ImageError::Missing { .. }) => return Ok(None),
            taken => taken?,
        },
    };
    let own = raw.descriptor();
    parts.manifests.insert(raw.digest, raw);
    Ok(Some(own))
}

/// Whether the archive has every blob of an image that it must have.
fn is_whole(reading: &Reading, image: &ImageManifest) -> bool {
    image
        .blobs()
        .all(|blob| blob.is_foreign_layer() || reading.tar.find(&blob_name(&blob.digest)).is_some())
}

/// An image as it is, unless its layers are not compressed, or `manifest.json` lists others.
async fn take_image(
    reading: &Reading,
    raw: RawManifest,
    image: ImageManifest,
    parts: &mut Parts<'_>,
) -> Result<RawManifest, ImageError> {
    if let Some(saved) = saved_otherwise(reading, &image, parts.saved)? {
        return saved.pack(reading, &image.config.media_type, &mut parts.blobs).await;
    }
    parts.blobs.insert(image.config.digest, blob(reading, &image.config)?);
    let is_plain = |layer: &Descriptor| media_type::is_plain_layer(&layer.media_type);
    for layer in image.layers.iter().filter(|layer| !is_plain(layer)) {
        match blob(reading, layer) {
            Ok(place) => {
                parts.blobs.insert(layer.digest, place);
            }
            // Only its maker may serve it.
            Err(_) if layer.is_foreign_layer() => (),
            Err(missing) => return Err(missing),
        }
    }
    if image.layers.iter().any(is_plain) {
        compress_plain(reading, image, parts).await
    } else {
        Ok(raw)
    }
}

/// What `manifest.json` lists for the configuration of `image`, where its layers are not the ones of the OCI manifest.
/// Some versions of Docker 25 wrote OCI manifests without layers, or with the layers in another order.
fn saved_otherwise<'a>(
    reading: &Reading,
    image: &ImageManifest,
    saved: &'a [SavedImage],
) -> Result<Option<&'a SavedImage>, ImageError> {
    let config = reading.tar.find(&blob_name(&image.config.digest));
    let Some(saved) = saved.iter().find(|it| config.is_some() && it.config(reading) == config)
    else {
        return Ok(None);
    };
    // A foreign layer is listed by the OCI manifest alone.
    if image.layers.iter().any(Descriptor::is_foreign_layer) {
        return Ok(None);
    }
    let own = image.layers.iter().map(|layer| reading.tar.find(&blob_name(&layer.digest)));
    let is_same = saved.layers(reading)?.into_iter().map(Some).eq(own);
    Ok(Some(saved).filter(|_| !is_same))
}

/// An image whose plain layers are compressed.
async fn compress_plain(
    reading: &Reading,
    image: ImageManifest,
    parts: &mut Parts<'_>,
) -> Result<RawManifest, ImageError> {
    let config = reading.small(&blob_name(&image.config.digest), MAX_CONFIG)?;
    let config = ImageConfig::from_json(&config)
        .map_err(|problem| reading.malformed(format!("the configuration: {problem}")))?;
    config
        .check_layers(&image)
        .map_err(|mismatch| ImageError::Layers { origin: reading.origin.clone(), mismatch })?;
    let mut plain = Vec::new();
    for (layer, diff_id) in image.layers.iter().zip(config.rootfs.diff_ids) {
        if media_type::is_plain_layer(&layer.media_type) {
            let slice = reading.slice(&blob_name(&layer.digest))?;
            plain.push(PlainLayer { slice, diff_id });
        }
    }
    let dockers =
        image.config.media_type == media_type::DOCKER_CONFIG && reading.compression.is_dockers();
    let compressed = compress::layers(reading, &plain, dockers, &mut parts.blobs).await?;
    let mut compressed = compressed.into_iter();
    let layers: Vec<Descriptor> = image
        .layers
        .iter()
        .map(|layer| {
            let is_plain = media_type::is_plain_layer(&layer.media_type);
            let own = if is_plain { compressed.next() } else { None };
            own.unwrap_or_else(|| layer.clone())
        })
        .collect();
    if dockers || image.config.media_type != media_type::DOCKER_CONFIG {
        return reading.encode(&Manifest::Image(ImageManifest { layers, ..image }));
    }
    // Docker's own manifest cannot name these layers.
    let config = Descriptor { media_type: media_type::OCI_CONFIG.to_owned(), ..image.config };
    let media_type = Some(media_type::OCI_MANIFEST.to_owned());
    reading.encode(&Manifest::Image(ImageManifest { media_type, config, layers, ..image }))
}

fn blob(reading: &Reading, descriptor: &Descriptor) -> Result<Place, ImageError> {
    reading.slice(&blob_name(&descriptor.digest)).map(Place::Slice)
}
