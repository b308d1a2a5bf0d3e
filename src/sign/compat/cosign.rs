//! What `cosign verify --key` expects to be signed: a "simple signing" payload per image.

use serde::Serialize;

use crate::types::PinnedImage;

/// The media type of the layer that holds the payload.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The annotation of that layer that holds the signature, in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// The bytes to sign for `image`. They begin with `{` and an envelope's begin with `DSSEv1`, so that one
/// key can sign both.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "texts alone cannot fail to be written"
)]
pub fn payload(image: &PinnedImage) -> Vec<u8> {
    let payload = SimpleSigning {
        critical: Critical {
            identity: Identity { docker_reference: image.repository.to_string() },
            image: Image { docker_manifest_digest: image.digest.to_string() },
            r#type: "cosign container image signature",
        },
        optional: None,
    };
    serde_json::to_vec(&payload).expect("a payload is JSON")
}

#[derive(Serialize)]
struct SimpleSigning {
    critical: Critical,
    optional: Option<()>,
}

#[derive(Serialize)]
struct Critical {
    identity: Identity,
    image: Image,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_the_one_cosign_writes() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let image = format!("reg.example.com:5000/a/b@{digest}").parse().unwrap();
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"reg.example.com:5000/a/b"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        assert_eq!(String::from_utf8(payload(&image)).unwrap(), expected);
    }
}
