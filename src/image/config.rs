//! What an image says about how to run it: the part of its configuration that we read.

use std::io;

use serde::Deserialize;

use crate::{
    image::{
        Descriptor, ImageError, ImageManifest, ImageSource, VerifiedReader, VerifyError,
        json::{self, PartialPlatform},
    },
    types::{Digest, JsonProblem, Platform},
};

/// The longest configuration that is read, in bytes.
pub const MAX_CONFIG: u64 = 8 * 1024 * 1024;

/// The configuration of an image (OCI image-spec, "Image Configuration"; Docker's has the same fields).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it was built for. Some build tools leave it out.
    platform: PartialPlatform,
    /// The layers, lowest first.
    pub rootfs: RootFs,
}

/// The layers of an image, not compressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// The digests of the tar files, lowest layer first.
    #[serde(default, deserialize_with = "json::list")]
    pub diff_ids: Vec<Digest>,
}

/// The layers that a manifest lists are not the ones that its configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the manifest lists {layers} layers, and its configuration {config} names {diff_ids} (diff_ids)"
)]
pub struct LayerMismatch {
    /// The configuration.
    pub config: Digest,
    /// How many layers the manifest lists.
    pub layers: usize,
    /// How many layers the configuration names.
    pub diff_ids: usize,
}

impl ImageConfig {
    /// Reads the bytes of a configuration blob.
    ///
    /// # Errors
    /// The bytes are no configuration.
    pub fn from_json(bytes: &[u8]) -> Result<Self, JsonProblem> {
        #[derive(Deserialize)]
        struct Layers {
            #[serde(default, deserialize_with = "json::null_is_default")]
            rootfs: RootFs,
        }
        let platform = serde_json::from_slice(bytes)?;
        let Layers { rootfs } = serde_json::from_slice(bytes)?;
        Ok(Self { platform, rootfs })
    }

    /// Fetches the configuration `descriptor` of the image in `source`.
    pub(crate) async fn fetch(
        source: &dyn ImageSource,
        descriptor: &Descriptor,
    ) -> Result<Self, ImageError> {
        let bytes = VerifiedReader::new(source.blob(descriptor).await?, descriptor)
            .into_bytes(MAX_CONFIG)
            .await
            .map_err(|error| read_error(error, &source.describe()))?;
        Self::from_json(&bytes).map_err(|problem| {
            let why = format!("the configuration {}: {problem}", descriptor.digest);
            ImageError::malformed(source.describe(), why)
        })
    }

    /// What the image runs on, if the configuration names a system and an architecture.
    pub fn platform(&self) -> Option<Platform> {
        self.platform.complete()
    }

    /// What the image runs on; what the configuration leaves out is taken from `listed`, the word of an index about the
    /// image.
    pub fn platform_in(&self, listed: Option<&Platform>) -> Option<Platform> {
        match (self.platform(), listed) {
            (Some(own), _) => Some(own),
            (None, Some(listed)) => Some(self.platform.clone().completed_by(listed)),
            (None, None) => None,
        }
    }

    /// Refuses `manifest`, whose configuration this is, unless both have the same number of layers. Engines do not run
    /// such an image, or run it without its files.
    pub fn check_layers(&self, manifest: &ImageManifest) -> Result<(), LayerMismatch> {
        let (layers, diff_ids) = (manifest.layers.len(), self.rootfs.diff_ids.len());
        if layers == diff_ids {
            return Ok(());
        }
        Err(LayerMismatch { config: manifest.config.digest, layers, diff_ids })
    }
}

/// What a failed read of a verified blob of `origin` means.
fn read_error(error: io::Error, origin: &str) -> ImageError {
    match VerifyError::inside(&error) {
        Some(VerifyError::WrongContent { expected, received }) => {
            return ImageError::WrongContent { expected: *expected, received: *received };
        }
        Some(other) => return ImageError::malformed(origin, other.to_string()),
        None => (),
    }
    let why = error.to_string();
    match error.into_inner() {
        // A registry's own error says more.
        Some(source) => ImageError::Source { origin: origin.to_owned(), source },
        None => ImageError::malformed(origin, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::media_type;

    #[test]
    fn what_a_configuration_leaves_out_is_the_word_of_the_index() {
        let read = |json: &str| ImageConfig::from_json(json.as_bytes()).unwrap();
        let listed: Platform = "linux/arm/v7".parse().unwrap();
        for json in ["{}", r#"{"architecture":"","os":"","rootfs":null}"#, r#"{"os":"linux"}"#] {
            assert_eq!(read(json).platform(), None, "{json}");
            assert_eq!(read(json).platform_in(Some(&listed)), Some(listed.clone()), "{json}");
            assert_eq!(read(json).platform_in(None), None);
        }
        let own = read(r#"{"architecture":"amd64","os":"linux","variant":"","rootfs":{}}"#);
        assert_eq!(own.platform_in(Some(&listed)), Some("linux/amd64".parse().unwrap()));
        let arch = read(r#"{"architecture":"arm","variant":"v6"}"#);
        assert_eq!(arch.platform_in(Some(&listed)), Some("linux/arm/v6".parse().unwrap()));
    }

    #[test]
    fn another_number_of_layers_is_refused() {
        let diff = Digest::of(b"layer");
        let config = format!(r#"{{"rootfs":{{"diff_ids":["{diff}","{diff}"]}}}}"#);
        let config = ImageConfig::from_json(config.as_bytes()).unwrap();
        let layer = Descriptor::of(media_type::OCI_LAYER, b"layer");
        let image = |count| {
            let own = Descriptor::of(media_type::OCI_CONFIG, b"");
            ImageManifest::new(own, vec![layer.clone(); count])
        };
        assert_eq!(config.check_layers(&image(2)), Ok(()));
        for count in [0, 1, 3] {
            let mismatch = config.check_layers(&image(count)).unwrap_err();
            assert_eq!((mismatch.layers, mismatch.diff_ids), (count, 2));
        }
    }
}
