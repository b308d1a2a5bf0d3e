//! Docker's own archive format: `manifest.json`, and a tar for each layer.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Contents, Place, Reading, compress, compress::PlainLayer};
use crate::image::{
    Descriptor, ImageConfig, ImageError, ImageManifest, Manifest, RawManifest, Wanted,
    config::MAX_CONFIG, layout::means, manifest::MAX_MANIFEST, media_type,
};

/// An image as `manifest.json` has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl SavedImage {
    fn names(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }
}

pub(super) async fn read(reading: &Reading, wanted: Wanted<'_>) -> Result<Contents, ImageError> {
    let saved: Vec<SavedImage> =
        serde_json::from_slice(&reading.small("manifest.json", MAX_MANIFEST)?)
            .map_err(|error| reading.malformed(format!("manifest.json: {error}")))?;
    let saved = choose(reading, &saved, wanted)?;

    let config = reading.small(&saved.config, MAX_CONFIG)?;
    let parsed = ImageConfig::from_json(&config)
        .map_err(|error| reading.malformed(format!("`{}`: {error}", saved.config)))?;
    if parsed.rootfs.diff_ids.len() != saved.layers.len() {
        let (named, there) = (parsed.rootfs.diff_ids.len(), saved.layers.len());
        let why = format!("its configuration names {named} layers, and it has {there}");
        return Err(reading.malformed(why));
    }
    let mut layers = Vec::new();
    for (name, diff_id) in saved.layers.iter().zip(&parsed.rootfs.diff_ids) {
        layers.push(PlainLayer { slice: reading.slice(name)?, diff_id: *diff_id });
    }

    let mut blobs = HashMap::new();
    let dockers = reading.compression.is_dockers();
    let config_type = if dockers { media_type::DOCKER_CONFIG } else { media_type::OCI_CONFIG };
    let config = Descriptor::of(config_type, &config);
    blobs.insert(config.digest, Place::Slice(reading.slice(&saved.config)?));
    let layers = compress::layers(reading, &layers, dockers, &mut blobs).await?;
    let root = RawManifest::encode(&Manifest::Image(ImageManifest::new(config, layers)))
        .map_err(|error| reading.malformed(error.to_string()))?;
    Ok(Contents { root, manifests: HashMap::new(), blobs })
}

/// The image with the name, or the only one where none is asked for or none has a name.
fn choose<'a>(
    reading: &Reading,
    saved: &'a [SavedImage],
    wanted: Wanted<'_>,
) -> Result<&'a SavedImage, ImageError> {
    let is_called = |image: &&SavedImage, is_it: &dyn Fn(&str) -> bool| {
        image.names().iter().any(|name| is_it(name))
    };
    let only = match saved {
        [only] => Some(only),
        _ => None,
    };
    let found = match wanted {
        Wanted::Only => only,
        Wanted::Name(wanted) => saved.iter().find(|image| {
            let parsed = wanted.parse().ok();
            is_called(image, &|name| {
                name == wanted || parsed.as_ref().is_some_and(|parsed| means(name, parsed))
            })
        }),
        Wanted::Image(wanted) => saved
            .iter()
            .find(|image| is_called(image, &|name| means(name, wanted)))
            .or_else(|| only.filter(|image| image.names().is_empty())),
    };
    found.ok_or_else(|| ImageError::NoSuchImage {
        origin: reading.origin.clone(),
        wanted: wanted.to_string(),
        available: saved.iter().flat_map(|image| image.names().iter().cloned()).collect(),
    })
}
