//! Brings an image into its registry: blobs, manifests, signature, a tag that protects it, and a look
//! at it with the credentials that nodes will have.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    image::{BlobReader, Descriptor, ImageManifest, Manifest, RawManifest, media_type},
    publish::{Registries, error::PublishError, find::FoundImage, report::ShippedReport},
    registry::{
        client::{Foreign, Progress, PushOptions, RegistryClient, RegistryError, push_image},
        protocol::Reference,
    },
    sign::{SigningKey, compat::cosign},
    types::{PinnedImage, Repository, Tag},
};

/// A registry of several replicas, or one that scans before it shows, may need a moment.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// How the tag begins that protects a digest; half of the digest follows.
pub(super) const PROTECTING: &str = "edgepost-";

/// Ships one image. What is in the registry already is not sent again.
pub(super) async fn ship(
    found: &FoundImage,
    foreign: Foreign,
    keys: &[SigningKey],
    registries: &Registries,
    progress: &dyn Progress,
) -> Result<ShippedReport, PublishError> {
    let pinned = found.pinned();
    let failed = |source| PublishError::of_registry(&found.image, source);
    let (client, repository) = (&registries.push, &found.image.repository);
    let pushed = if found.outside {
        let options = PushOptions { foreign };
        let source = found.source.as_ref();
        let pushed = push_image(client, source, repository, None, &options, progress);
        Some(pushed.await.map_err(failed)?)
    } else {
        None
    };
    let marked = async {
        sign(&pinned, keys, client).await?;
        protect(found, client).await
    };
    match marked.await {
        Ok(()) => (),
        // Who publishes what somebody else pushed may lack the right to write beside it.
        Err(RegistryError::Denied { .. } | RegistryError::Unauthorized { .. })
            if !found.outside =>
        {
            tracing::warn!(image = %pinned, "no cosign signature and no protecting tag could be written");
        }
        Err(error) => return Err(failed(error)),
    }
    check_pullable(&pinned, &registries.pull).await?;
    Ok(ShippedReport::new(found, pushed.as_ref()))
}

/// Names the manifest twice: by the tag of the definition, which may move, and by one made of the
/// digest, which stays and keeps clean-ups of untagged manifests away.
async fn protect(found: &FoundImage, client: &RegistryClient) -> Result<(), RegistryError> {
    let repository = &found.image.repository;
    let given = found.image.tag.clone().filter(|_| found.image.digest.is_none());
    for tag in protecting_tag(found).into_iter().chain(given.filter(|_| found.outside)) {
        let reference = Reference::Tag(tag);
        let standing = client.head_manifest(repository, &reference).await?;
        if standing.is_none_or(|it| it.digest != found.root.digest) {
            client.put_manifest(repository, &reference, &found.root).await?;
        }
    }
    Ok(())
}

fn protecting_tag(found: &FoundImage) -> Option<Tag> {
    format!("{PROTECTING}{}", &found.root.digest.hex()[..32]).parse().ok()
}

/// Puts a cosign signature by each key beside the image. Signing again changes nothing, since
/// Ed25519 signatures of the same payload are the same.
async fn sign(
    image: &PinnedImage,
    keys: &[SigningKey],
    client: &RegistryClient,
) -> Result<(), RegistryError> {
    let Some(tag) = cosign::tag(&image.digest) else { return Ok(()) };
    let reference = Reference::Tag(tag);
    let payload = Bytes::from(cosign::payload(image));
    let mut layers = signatures(&image.repository, &reference, client).await?;
    let before = layers.len();
    for key in keys {
        let layer = signature_layer(&payload, key);
        if !layers.contains(&layer) {
            layers.push(layer);
        }
    }
    if layers.len() == before {
        return Ok(());
    }
    let config = Bytes::from(signature_config(&layers));
    let manifest = ImageManifest::new(Descriptor::of(media_type::OCI_CONFIG, &config), layers);
    let Ok(raw) = RawManifest::encode(&Manifest::Image(manifest)) else { return Ok(()) };
    for blob in [payload, config] {
        put_blob(&image.repository, blob, client).await?;
    }
    client.put_manifest(&image.repository, &reference, &raw).await?;
    Ok(())
}

/// The signatures that stand beside an image already.
async fn signatures(
    repository: &Repository,
    reference: &Reference,
    client: &RegistryClient,
) -> Result<Vec<Descriptor>, RegistryError> {
    match client.manifest(repository, reference).await {
        Ok(raw) => Ok(match raw.parse() {
            Ok(Manifest::Image(manifest)) => manifest.layers,
            _ => Vec::new(),
        }),
        Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn signature_layer(payload: &[u8], key: &SigningKey) -> Descriptor {
    let mut layer = Descriptor::of(cosign::MEDIA_TYPE, payload);
    let signature = BASE64_STANDARD.encode(key.sign(payload));
    layer.annotations.insert(cosign::SIGNATURE_ANNOTATION.to_owned(), signature);
    layer
}

/// The config that cosign gives a signature's manifest: nothing but the payloads' digests.
fn signature_config(layers: &[Descriptor]) -> Vec<u8> {
    let digests: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    let config = json!({
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": digests},
    });
    config.to_string().into_bytes()
}

async fn put_blob(
    repository: &Repository,
    blob: Bytes,
    client: &RegistryClient,
) -> Result<(), RegistryError> {
    let descriptor = Descriptor::of("application/octet-stream", &blob);
    let open = || std::future::ready(Ok(BlobReader::bytes(blob.clone())));
    client.push_blob(repository, &descriptor, open, None).await.map(|_| ())
}

/// Looks a last time at the images before the last one: while that was pushed, a clean-up may have
/// taken those for left over.
pub(super) async fn look_again(
    found: &[FoundImage],
    registries: &Registries,
) -> Result<(), PublishError> {
    let before = found.split_last().map_or(&[][..], |(_, before)| before);
    for image in before {
        check_pullable(&image.pinned(), &registries.pull).await?;
    }
    Ok(())
}

/// What nodes will do first: ask for the manifest by its digest.
async fn check_pullable(image: &PinnedImage, client: &RegistryClient) -> Result<(), PublishError> {
    let refuse = |source| PublishError::NotPullable { image: Box::new(image.clone()), source };
    for pause in PATIENCE {
        match client.head_manifest(&image.repository, &Reference::Digest(image.digest)).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => sleep(pause).await,
            Err(source) => return Err(refuse(Some(Box::new(source)))),
        }
    }
    Err(refuse(None))
}
