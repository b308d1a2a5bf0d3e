//! An OCI layout in a tar: what Docker writes since version 25, and `oci-archive` files.

use std::collections::HashMap;

use super::{Contents, Place, Reading, compress, compress::PlainLayer};
use crate::{
    image::{
        Descriptor, ImageConfig, ImageError, ImageManifest, Index, Manifest, RawManifest, Wanted,
        config::MAX_CONFIG, layout, manifest::MAX_MANIFEST, media_type, parts::MAX_BYTES, select,
    },
    types::Digest,
};

pub(super) async fn read(reading: &Reading, wanted: Wanted<'_>) -> Result<Contents, ImageError> {
    layout::check_version(&reading.origin, &reading.small("oci-layout", MAX_MANIFEST)?)?;
    let index = layout::read_index(&reading.origin, reading.small("index.json", MAX_MANIFEST)?)?;
    let chosen = layout::choose(&reading.origin, &index, wanted)?;

    let mut contents = Parts::default();
    let root = manifest(reading, chosen)?;
    let root = match layout::parse(&reading.origin, &root)? {
        Manifest::Image(image) => take_image(reading, root, image, &mut contents).await?,
        Manifest::Index(index) => take_index(reading, root, index, &mut contents).await?,
    };
    Ok(Contents { root, manifests: contents.manifests, blobs: contents.blobs })
}

#[derive(Default)]
struct Parts {
    manifests: HashMap<Digest, RawManifest>,
    /// How long all manifests that were read are, in bytes.
    bytes: u64,
    blobs: HashMap<Digest, Place>,
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
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
async fn take_index(
    reading: &Reading,
    raw: RawManifest,
    index: Index,
    parts: &mut Parts,
) -> Result<RawManifest, ImageError> {
    let mut kept = Vec::new();
    let mut taken: HashMap<Digest, Option<Descriptor>> = HashMap::new();
    for child in &index.manifests {
        let own = match taken.get(&child.digest) {
            Some(own) => own.clone(),
            None => take_child(reading, child, parts).await?,
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
        _ => encode(reading, &Manifest::Index(Index { manifests: images, ..kept })),
    }
}

/// An image of an index, as it is now; none if it is not here, or not whole.
async fn take_child(
    reading: &Reading,
    child: &Descriptor,
    parts: &mut Parts,
) -> Result<Option<Descriptor>, ImageError> {
    if reading.tar.find(&blob_name(&child.digest)).is_none() {
        return Ok(None);
    }
    let raw = manifest(reading, child)?;
    parts.bytes += raw.size();
    if parts.bytes > MAX_BYTES {
        return Err(reading.malformed(format!("its manifests have more than {MAX_BYTES} bytes")));
    }
    let Manifest::Image(image) = layout::parse(&reading.origin, &raw)? else {
        return Err(reading.malformed("it has an index within an index"));
    };
    let whole = image.blobs().all(|blob| {
        blob.is_foreign_layer() || reading.tar.find(&blob_name(&blob.digest)).is_some()
    });
    if !whole {
        return Ok(None);
    }
    let raw = take_image(reading, raw, image, parts).await?;
    let own = raw.descriptor();
    parts.manifests.insert(raw.digest, raw);
    Ok(Some(own))
}

/// An image as it is, unless its layers are not compressed.
async fn take_image(
    reading: &Reading,
    raw: RawManifest,
    image: ImageManifest,
    parts: &mut Parts,
) -> Result<RawManifest, ImageError> {
    parts.blobs.insert(image.config.digest, blob(reading, &image.config)?);
    let plain = image.layers.iter().any(|layer| media_type::is_plain_layer(&layer.media_type));
    if !plain {
        for layer in image.layers.iter().filter(|layer| !layer.is_foreign_layer()) {
            parts.blobs.insert(layer.digest, blob(reading, layer)?);
        }
        return Ok(raw);
    }

    let config = reading.small(&blob_name(&image.config.digest), MAX_CONFIG)?;
    let config = ImageConfig::from_json(&config)
        .map_err(|error| reading.malformed(format!("configuration: {error}")))?;
    if config.rootfs.diff_ids.len() != image.layers.len() {
        return Err(reading.malformed("its configuration names another number of layers"));
    }
    let mut layers = Vec::new();
    for (layer, diff_id) in image.layers.iter().zip(config.rootfs.diff_ids) {
        layers.push(PlainLayer { slice: reading.slice(&blob_name(&layer.digest))?, diff_id });
    }
    let dockers =
        image.config.media_type == media_type::DOCKER_CONFIG && reading.compression.is_dockers();
    let layers = compress::layers(reading, &layers, dockers, &mut parts.blobs).await?;
    if dockers || image.config.media_type != media_type::DOCKER_CONFIG {
        return encode(reading, &Manifest::Image(ImageManifest { layers, ..image }));
    }
    // Docker's own manifest cannot name these layers.
    let config = Descriptor { media_type: media_type::OCI_CONFIG.to_owned(), ..image.config };
    let media_type = Some(media_type::OCI_MANIFEST.to_owned());
    encode(reading, &Manifest::Image(ImageManifest { media_type, config, layers, ..image }))
}

fn blob(reading: &Reading, descriptor: &Descriptor) -> Result<Place, ImageError> {
    reading.slice(&blob_name(&descriptor.digest)).map(Place::Slice)
}

fn encode(reading: &Reading, manifest: &Manifest) -> Result<RawManifest, ImageError> {
    RawManifest::encode(manifest).map_err(|error| reading.malformed(error.to_string()))
}
