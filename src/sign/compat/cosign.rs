//! What `cosign verify --key` expects to be signed: a "simple signing" payload per image.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    sign::VerifyingKey,
    types::{Digest, PinnedImage, Tag},
};

/// The media type of the layer that holds the payload.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The annotation of that layer that holds the signature, in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// What the payload says that it is.
const TYPE: &str = "cosign container image signature";

/// Why something is no signature over an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignFlaw {
    /// It is not a payload of this kind.
    #[error("what was signed is no statement about an image")]
    Payload,
    /// It is about something else.
    #[error("the signature is over another image, {0}")]
    OtherImage(String),
    /// It is not this key's over these bytes.
    #[error("the key did not make it over these bytes")]
    Signature,
}

/// The tag under which the signatures over an image lie, in its own repository.
pub fn tag(image: &Digest) -> Option<Tag> {
    format!("sha256-{}.sig", image.hex()).parse().ok()
}

/// Checks that `signature`, in base64, is `key`'s over `payload`, and that this is about `image`.
pub fn verify(
    payload: &[u8],
    signature: &str,
    image: &Digest,
    key: &VerifyingKey,
) -> Result<(), CosignFlaw> {
    let bytes = BASE64_STANDARD.decode(signature).ok().and_then(|it| <[u8; 64]>::try_from(it).ok());
    // Nothing is read of what nobody vouches for.
    if !bytes.is_some_and(|signature| key.verifies(payload, &signature)) {
        return Err(CosignFlaw::Signature);
    }
    let said: Signed = serde_json::from_slice(payload).map_err(|_| CosignFlaw::Payload)?;
    if said.critical.r#type != TYPE {
        return Err(CosignFlaw::Payload);
    }
    let about = said.critical.image.docker_manifest_digest;
    if about == image.to_string() { Ok(()) } else { Err(CosignFlaw::OtherImage(about)) }
}

/// What is read of a payload. Its `optional` part is anybody's.
#[derive(Deserialize)]
struct Signed {
    critical: SignedCritical,
}

#[derive(Deserialize)]
struct SignedCritical {
    image: Image,
    r#type: String,
}

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
            r#type: TYPE,
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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SigningKey;

    fn image() -> PinnedImage {
        format!("reg.example.com:5000/a/b@sha256:{}", "ab".repeat(32)).parse().unwrap()
    }

    fn signed_by(key: &SigningKey, payload: &[u8]) -> String {
        BASE64_STANDARD.encode(key.sign(payload))
    }

    #[test]
    fn a_signature_holds_for_its_key_and_its_image_alone() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let (image, payload) = (image(), payload(&image()));
        let signature = signed_by(&key, &payload);
        let public = key.verifying_key();
        assert_eq!(verify(&payload, &signature, &image.digest, &public), Ok(()));
        let by_other = verify(&payload, &signature, &image.digest, &other.verifying_key());
        assert_eq!(by_other, Err(CosignFlaw::Signature));
        let another = verify(&payload, &signature, &Digest::of(b"x"), &public);
        assert_eq!(another, Err(CosignFlaw::OtherImage(image.digest.to_string())));
        for payload in [&b"{}"[..], b"", &payload[..payload.len() - 1]] {
            let flaw = verify(payload, &signed_by(&key, payload), &image.digest, &public);
            assert_eq!(flaw, Err(CosignFlaw::Payload));
        }
    }

    #[test]
    fn no_bit_of_payload_or_signature_may_be_another() {
        let key = SigningKey::generate();
        let (image, payload) = (image(), payload(&image()));
        let signature = key.sign(&payload);
        let holds = |payload: &[u8], signature: &[u8; 64]| {
            let signature = BASE64_STANDARD.encode(signature);
            verify(payload, &signature, &image.digest, &key.verifying_key()).is_ok()
        };
        assert!(holds(&payload, &signature));
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&flipped, &signature), "bit {bit} of the payload");
        }
        for bit in 0..512 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&payload, &flipped), "bit {bit} of the signature");
        }
    }

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
