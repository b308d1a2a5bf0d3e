//! Manifests and indexes: the exact bytes, and what they say.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    image::{json, media_type},
    types::{Digest, JsonProblem, Platform},
};

/// The longest manifest that is read, in bytes: what the OCI distribution-spec asks a registry to take.
pub const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

/// The longest blob that is moved, in bytes: a length that somebody else names decides how much
/// memory remembers its parts, which is 8 MiB for this one.
pub const LONGEST: u64 = 1 << 38;

/// Why some bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON, or a field is missing or wrong.
    #[error("the manifest {digest} cannot be read")]
    Malformed {
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        source: JsonProblem,
    },
    /// Its media type is none that we know; schema 1 is one of these.
    #[error("the manifest {digest} has the unknown media type `{media_type}`")]
    UnknownMediaType {
        /// The manifest.
        digest: Digest,
        /// The type it was served as.
        media_type: String,
    },
    /// It can be read in two ways (CVE-2021-41190), so neither is taken.
    #[error("the manifest {digest} was served as `{media_type}`, but {contradiction}")]
    Ambiguous {
        /// The manifest.
        digest: Digest,
        /// The type it was served as.
        media_type: String,
        /// What does not go with that.
        contradiction: &'static str,
    },
    /// It is longer than [`MAX_MANIFEST`].
    #[error("the manifest {digest} has {length} bytes, more than {MAX_MANIFEST}")]
    TooLarge {
        /// The manifest.
        digest: Digest,
        /// Its length in bytes.
        length: u64,
    },
}

/// A reference to content: its type, digest and length (OCI image-spec, "Content Descriptors").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The length of the content in bytes.
    pub size: u64,
    /// In an index: what the manifest runs on.
    #[serde(default, deserialize_with = "json::platform", skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Where a foreign layer can be had besides the registry. Never followed.
    #[serde(default, deserialize_with = "json::list", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free notes.
    #[serde(
        default,
        deserialize_with = "json::null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// The kind of artifact, if the content is one.
    #[serde(default, deserialize_with = "json::string", skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// The descriptor of content with nothing to say beyond type, digest and length.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            artifact_type: None,
        }
    }

    /// The descriptor of `content`.
    pub fn of(media_type: impl Into<String>, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// Whether a registry may lack this layer, because its maker allows only himself to serve it.
    pub fn is_foreign_layer(&self) -> bool {
        media_type::is_foreign_layer(&self.media_type)
    }
}

/// What a manifest says. To send it on, send [`RawManifest::bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few live at a time, and none for long")]
pub enum Manifest {
    /// One image, or an artifact.
    Image(ImageManifest),
    /// Several manifests, one a platform.
    Index(Index),
}

/// One image: a configuration and layers (OCI image-spec, "Image Manifest").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The media type, if it is repeated inside; Docker always does.
    #[serde(default, deserialize_with = "json::string", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The kind of artifact, if it is no image.
    #[serde(default, deserialize_with = "json::string", skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// How to run it.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "json::list")]
    pub layers: Vec<Descriptor>,
    /// What this manifest is about: a signature's image, for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free notes.
    #[serde(
        default,
        deserialize_with = "json::null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    /// An image of `config` and `layers`, of the family (Docker or OCI) that the configuration is of.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        let docker = config.media_type == media_type::DOCKER_CONFIG;
        let own_type = if docker { media_type::DOCKER_MANIFEST } else { media_type::OCI_MANIFEST };
        Self {
            schema_version: 2,
            media_type: Some(own_type.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Whether it is a container image: its configuration is one, and so are all its layers. An artifact may borrow the
    /// type of the configuration.
    pub fn is_container_image(&self) -> bool {
        self.artifact_type.is_none()
            && media_type::is_config(&self.config.media_type)
            && self.layers.iter().all(|layer| media_type::is_layer(&layer.media_type))
    }

    /// Everything the registry must have before it takes this manifest: configuration, then layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// Several manifests, one a platform (OCI image-spec, "Image Index").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The media type, if it is repeated inside.
    #[serde(default, deserialize_with = "json::string", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The kind of artifact, if it is no image.
    #[serde(default, deserialize_with = "json::string", skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(default, deserialize_with = "json::list")]
    pub manifests: Vec<Descriptor>,
    /// What this index is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free notes.
    #[serde(
        default,
        deserialize_with = "json::null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// An OCI index of `manifests`.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// A manifest or index as it came: what is hashed, signed, stored and sent, never re-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// What it was served as.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Bytes,
    /// The digest of `bytes`.
    pub digest: Digest,
}

/// The fields by which the two kinds are told apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: u32,
    #[serde(default, deserialize_with = "json::string")]
    media_type: Option<String>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

impl RawManifest {
    /// Keeps `bytes` as they are; they are read only by [`RawManifest::parse`].
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type: media_type.into(), digest: Digest::of(&bytes), bytes }
    }

    /// Writes `manifest` down.
    pub fn encode(manifest: &Manifest) -> Result<Self, serde_json::Error> {
        let (own_type, usual, bytes) = match manifest {
            Manifest::Image(image) => {
                (&image.media_type, media_type::OCI_MANIFEST, serde_json::to_vec(image)?)
            }
            Manifest::Index(index) => {
                (&index.media_type, media_type::OCI_INDEX, serde_json::to_vec(index)?)
            }
        };
        Ok(Self::new(own_type.as_deref().unwrap_or(usual), bytes))
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// A descriptor that names it, without a platform.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest, self.size())
    }

    /// What it says; refused if it could be read in two ways.
    pub fn parse(&self) -> Result<Manifest, ManifestError> {
        let digest = self.digest;
        let malformed = |error: serde_json::Error| {
            let source = error.into();
            ManifestError::Malformed { digest, source }
        };
        let ambiguous = |contradiction| ManifestError::Ambiguous {
            digest,
            media_type: self.media_type.clone(),
            contradiction,
        };
        if self.size() > MAX_MANIFEST {
            return Err(ManifestError::TooLarge { digest, length: self.size() });
        }
        if !media_type::MANIFESTS.contains(&self.media_type.as_str()) {
            let media_type = self.media_type.clone();
            return Err(ManifestError::UnknownMediaType { digest, media_type });
        }
        let outline: Outline = serde_json::from_slice(&self.bytes).map_err(malformed)?;
        if outline.schema_version != 2 {
            return Err(ambiguous("its schemaVersion is not 2"));
        }
        if outline.media_type.is_some_and(|inside| inside != self.media_type) {
            return Err(ambiguous("it names another mediaType inside"));
        }
        let index = media_type::is_index(&self.media_type);
        if index && (outline.config.is_some() || outline.layers.is_some()) {
            return Err(ambiguous("it has the config or layers of an image"));
        }
        if !index && outline.manifests.is_some() {
            return Err(ambiguous("it has the manifests of an index"));
        }
        if index {
            serde_json::from_slice(&self.bytes).map(Manifest::Index).map_err(malformed)
        } else {
            serde_json::from_slice(&self.bytes).map(Manifest::Image).map_err(malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageManifest {
        ImageManifest::new(
            Descriptor::of(media_type::OCI_CONFIG, b"{}"),
            vec![Descriptor::of(media_type::OCI_LAYER_GZIP, b"layer")],
        )
    }

    #[test]
    fn a_manifest_says_what_was_written() {
        let raw = RawManifest::encode(&Manifest::Image(image())).unwrap();
        assert_eq!(raw.media_type, media_type::OCI_MANIFEST);
        assert_eq!(raw.digest, Digest::of(&raw.bytes));
        assert_eq!(raw.parse().unwrap(), Manifest::Image(image()));
        let index = Index::new(vec![raw.descriptor()]);
        let raw = RawManifest::encode(&Manifest::Index(index.clone())).unwrap();
        assert_eq!(raw.parse().unwrap(), Manifest::Index(index));
    }

    #[test]
    fn dockers_media_types_stay_in_one_family() {
        let config = Descriptor::of(media_type::DOCKER_CONFIG, b"{}");
        let raw =
            RawManifest::encode(&Manifest::Image(ImageManifest::new(config, vec![]))).unwrap();
        assert_eq!(raw.media_type, media_type::DOCKER_MANIFEST);
        raw.parse().unwrap();
    }

    #[test]
    fn what_is_both_image_and_index_is_refused() {
        let mut both = serde_json::to_value(image()).unwrap();
        both["manifests"] = serde_json::json!([]);
        let raw = RawManifest::new(media_type::OCI_MANIFEST, both.to_string());
        assert!(matches!(raw.parse(), Err(ManifestError::Ambiguous { .. })));
        let raw = RawManifest::encode(&Manifest::Image(image())).unwrap();
        let relabelled = RawManifest::new(media_type::OCI_INDEX, raw.bytes);
        assert!(matches!(relabelled.parse(), Err(ManifestError::Ambiguous { .. })));
    }

    #[test]
    fn null_and_an_empty_object_mean_nothing_where_go_writes_them() {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let config = serde_json::to_value(&config).unwrap();
        let image = |layers: serde_json::Value| {
            let mut config = config.clone();
            config["urls"] = serde_json::Value::Null;
            config["annotations"] = serde_json::Value::Null;
            config["platform"] = serde_json::json!({});
            let image = serde_json::json!({
                "schemaVersion": 2, "mediaType": "", "config": config, "layers": layers,
                "annotations": null, "subject": null, "artifactType": "",
            });
            RawManifest::new(media_type::OCI_MANIFEST, image.to_string()).parse()
        };
        for none in [serde_json::Value::Null, serde_json::json!({}), serde_json::json!([])] {
            let Ok(Manifest::Image(read)) = image(none.clone()) else { panic!("{none}") };
            assert_eq!((read.layers.len(), read.config.platform), (0, None));
            assert!(read.annotations.is_empty() && read.artifact_type.is_none());
        }
        assert!(matches!(image(serde_json::json!({"a": 1})), Err(ManifestError::Malformed { .. })));
        for none in ["null", "{}"] {
            let json = format!(r#"{{"schemaVersion":2,"manifests":{none},"annotations":{{}}}}"#);
            let raw = RawManifest::new(media_type::OCI_INDEX, json);
            let Ok(Manifest::Index(index)) = raw.parse() else { panic!("{none}") };
            assert!(index.manifests.is_empty());
        }
    }

    #[test]
    fn a_platform_without_a_system_or_an_architecture_is_none() {
        let read = |platform: &str| {
            let digest = Digest::of(b"");
            let json = format!(
                r#"{{"mediaType":"a/b","digest":"{digest}","size":0,"platform":{platform}}}"#
            );
            serde_json::from_str::<Descriptor>(&json).unwrap().platform
        };
        for none in ["null", "{}", r#"{"architecture":"","os":""}"#, r#"{"os":"linux"}"#] {
            assert_eq!(read(none), None, "{none}");
        }
        let full = r#"{"architecture":"arm64","os":"linux","variant":"","os.version":"","os.features":null}"#;
        assert_eq!(read(full), Some("linux/arm64".parse().unwrap()));
    }

    #[test]
    fn schema_1_and_garbage_are_refused() {
        let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        let raw = RawManifest::new(schema1, "{}");
        assert!(matches!(raw.parse(), Err(ManifestError::UnknownMediaType { .. })));
        let raw = RawManifest::new(media_type::OCI_MANIFEST, "{");
        assert!(matches!(raw.parse(), Err(ManifestError::Malformed { .. })));
    }
}
