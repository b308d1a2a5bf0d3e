//! Docker's own archive format: `manifest.json`, and a tar for each layer. Since Docker 25 an archive is an OCI layout
//! as well; `manifest.json` is what `docker load` and skopeo read, and its order of layers counts.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Place, Reading, Slice, compress, compress::PlainLayer, shown};
use crate::{
    image::{
        Descriptor, ImageConfig, ImageError, ImageManifest, LayerMismatch, Manifest, RawManifest,
        choice::{CandidateName, ImageCandidate},
        config::MAX_CONFIG,
        json,
        manifest::MAX_MANIFEST,
        media_type,
    },
    types::{Digest, JsonProblem},
};

/// Where an archive lists its images in Docker's form.
pub(super) const LIST: &str = "manifest.json";

/// An image as `manifest.json` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SavedImage {
    config: String,
    #[serde(default, deserialize_with = "json::list")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "json::list")]
    layers: Vec<String>,
}

/// The images that `manifest.json` lists; none if the archive has no such file.
pub(super) fn read_list(reading: &Reading) -> Result<Vec<SavedImage>, ImageError> {
    if reading.tar.find(LIST).is_none() {
        return Ok(Vec::new());
    }
    let list: Option<Vec<SavedImage>> = serde_json::from_slice(&reading.small(LIST, MAX_MANIFEST)?)
        .map_err(|error| reading.malformed(format!("{LIST}: {}", JsonProblem::from(error))))?;
    Ok(list.unwrap_or_default())
}

impl SavedImage {
    pub(super) fn candidate<T>(&self, item: T) -> ImageCandidate<T> {
        ImageCandidate {
            names: self.names().collect(),
            digests: self.id().into_iter().collect(),
            is_beside: false,
            item,
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = CandidateName> {
        self.repo_tags.iter().cloned().map(CandidateName::Whole)
    }

    /// The digest of the configuration, by which Docker knows the image, as the name of the file has it.
    pub(super) fn id(&self) -> Option<Digest> {
        let name = self.config.rsplit('/').next()?;
        let hex = name.strip_suffix(".json").unwrap_or(name);
        format!("sha256:{hex}").parse().ok()
    }

    /// Where the archive has the configuration.
    pub(super) fn config(&self, reading: &Reading) -> Option<Slice> {
        reading.tar.find(&self.config)
    }

    /// Where the archive has the layers, lowest first.
    pub(super) fn layers(&self, reading: &Reading) -> Result<Vec<Slice>, ImageError> {
        self.layers.iter().map(|name| reading.slice(name)).collect()
    }

    /// Makes the image's manifest, with its configuration as of `config_type`, and records in `places` where its blobs
    /// are.
    pub(super) async fn pack(
        &self,
        reading: &Reading,
        config_type: &str,
        places: &mut HashMap<Digest, Place>,
    ) -> Result<RawManifest, ImageError> {
        let bytes = reading.small(&self.config, MAX_CONFIG)?;
        let parsed = ImageConfig::from_json(&bytes).map_err(|problem| {
            reading.malformed(format!("`{}`: {problem}", shown(&self.config)))
        })?;
        let slices = self.layers(reading)?;
        let (layers, diff_ids) = (slices.len(), parsed.rootfs.diff_ids.len());
        if layers != diff_ids {
            let mismatch = LayerMismatch { config: Digest::of(&bytes), layers, diff_ids };
            return Err(ImageError::Layers { origin: reading.origin.clone(), mismatch });
        }
        let layers = slices.into_iter().zip(parsed.rootfs.diff_ids);
        let layers: Vec<_> = layers.map(|(slice, diff_id)| PlainLayer { slice, diff_id }).collect();

        let dockers = config_type == media_type::DOCKER_CONFIG && reading.compression.is_dockers();
        let config_type = if dockers { media_type::DOCKER_CONFIG } else { media_type::OCI_CONFIG };
        let config = Descriptor::of(config_type, &bytes);
        places.insert(config.digest, Place::Slice(reading.slice(&self.config)?));
        let layers = compress::layers(reading, &layers, dockers, places).await?;
        reading.encode(&Manifest::Image(ImageManifest::new(config, layers)))
    }
}
