//! The media types of images (OCI image-spec, "Media Types"; Docker image manifest v2, schema 2).

use serde::Deserialize as _;

use crate::image::json;

/// An image manifest by OCI.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image index by OCI: manifests, one a platform.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image configuration by OCI.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer by OCI, not compressed.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer by OCI, compressed with gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer by OCI, compressed with zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The configuration `{}` of an artifact that is no image.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// An image manifest by Docker.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A manifest list by Docker, which is an index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An image configuration by Docker.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A layer by Docker, not compressed; only engines write it, into archives.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// A layer by Docker, compressed with gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Every manifest and index there is to accept, the usual one first.
pub const MANIFESTS: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];

/// Whether `media_type` names an index or manifest list.
pub fn is_index(media_type: &str) -> bool {
    media_type == OCI_INDEX || media_type == DOCKER_INDEX
}

/// Whether `media_type` names a layer that is not compressed.
pub fn is_plain_layer(media_type: &str) -> bool {
    media_type == OCI_LAYER || media_type == DOCKER_LAYER
}

/// Whether `media_type` names the configuration of a container image.
pub fn is_config(media_type: &str) -> bool {
    media_type == OCI_CONFIG || media_type == DOCKER_CONFIG
}

/// Whether `media_type` names a layer of a container image, however it is compressed or encrypted.
pub fn is_layer(media_type: &str) -> bool {
    ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."]
        .iter()
        .any(|prefix| media_type.starts_with(prefix))
}

/// The type of an ordinary layer with the content of a foreign one, as [`is_foreign_layer`] has it.
pub fn ordinary_layer(media_type: &str) -> String {
    media_type.replace(".nondistributable.", ".").replace(".foreign.", ".")
}

/// Whether a registry may lack a layer of this type: Windows base layers and their like, which come
/// from their maker's own server.
pub fn is_foreign_layer(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}

/// The type of a manifest or index that came without one: what it says of itself, or what it can only be
/// by OCI, which lets it say nothing.
pub fn of_manifest(json: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said {
        #[serde(default, deserialize_with = "json::string")]
        media_type: Option<String>,
        config: Option<serde::de::IgnoredAny>,
        #[serde(default, deserialize_with = "is_there")]
        manifests: bool,
    }
    /// An empty list may be written as `null`.
    fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
    }
    match serde_json::from_slice(json) {
        Ok(Said { media_type: Some(said), .. }) => said,
        Ok(Said { manifests: true, config: None, .. }) => OCI_INDEX.to_owned(),
        _ => OCI_MANIFEST.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_layer_has_an_ordinary_type() {
        for (foreign, ordinary) in [
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", DOCKER_LAYER_GZIP),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", OCI_LAYER),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", OCI_LAYER_ZSTD),
        ] {
            assert!(is_foreign_layer(foreign) && is_layer(foreign));
            assert_eq!(ordinary_layer(foreign), ordinary);
        }
    }

    #[test]
    fn a_manifest_tells_its_type_or_shows_it() {
        let docker = format!(r#"{{"mediaType":"{DOCKER_MANIFEST}","layers":[]}}"#);
        for (json, expected) in [
            (docker.as_str(), DOCKER_MANIFEST),
            (r#"{"schemaVersion":2,"manifests":[]}"#, OCI_INDEX),
            (r#"{"schemaVersion":2,"mediaType":"","manifests":null}"#, OCI_INDEX),
            (r#"{"schemaVersion":2,"layers":[]}"#, OCI_MANIFEST),
            (r#"{"schemaVersion":2,"config":{},"manifests":null}"#, OCI_MANIFEST),
            ("nonsense", OCI_MANIFEST),
        ] {
            assert_eq!(of_manifest(json.as_bytes()), expected, "{json}");
        }
    }
}
