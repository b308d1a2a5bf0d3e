//! Brings an image into its registry: blobs, manifests, signature, a tag that protects it, and a look
//! at it with the credentials that nodes will have.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::json;

use crate::{
    image::{BlobReader, Descriptor, ImageManifest, Manifest, RawManifest, media_type},
    publish::{
        Order, Registries, error::PublishError, find::FoundImage, report::ShippedReport,
        waiting::Waiting,
    },
    registry::{
        client::{Progress, PushOptions, RegistryClient, RegistryError, push_image},
        protocol::Reference,
    },
    sign::{SigningKey, compat::cosign},
    types::{PinnedImage, Repository, Tag},
};

/// How many blobs are asked for at once.
const AT_ONCE: usize = 4;

/// How the tag begins that protects a digest; half of the digest follows.
pub(super) const PROTECTING: &str = "edgepost-";

/// Ships one image. What is in the registry already is not sent again.
pub(super) async fn ship(
    found: &FoundImage,
    order: &Order,
    keys: &[SigningKey],
    registries: &Registries,
    progress: &dyn Progress,
) -> Result<ShippedReport, PublishError> {
    let pinned = found.pinned();
    let failed = |source| PublishError::of_registry(&found.image, source);
    let (client, repository) = (&registries.push, &found.image.repository);
    let pushed = if found.outside {
        let options = PushOptions { foreign: order.foreign };
        let source = found.source.as_ref();
        let push = || push_image(client, source, repository, None, &options, progress);
        Some(Waiting(order.wait).run("push", push).await.map_err(failed)?)
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
    check_pullable(found, order.wait, &registries.pull).await?;
    Ok(ShippedReport::new(found, pushed.as_ref()))
}

/// Names the manifest twice: by the tag of the definition, which may move, and by one made of the
/// digest, which stays and keeps clean-ups of untagged manifests away.
async fn protect(found: &FoundImage, client: &RegistryClient) -> Result<(), RegistryError> {
    let repository = &found.image.repository;
    let given = found.image.tag.clone().filter(|_| found.image.digest.is_none());
    for tag in protecting_tag(found).into_iter().chain(given.filter(|_| found.outside)) {
        let reference = Reference::Tag(tag);
        let standing = client.known_manifest(repository, &reference).await?;
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
    wait: Duration,
    registries: &Registries,
) -> Result<(), PublishError> {
    let before = found.split_last().map_or(&[][..], |(_, before)| before);
    for image in before {
        await_manifest(&image.pinned(), wait, &registries.pull).await?;
    }
    Ok(())
}

/// What nodes will do: ask for the manifest by its digest, then for each blob. Of those the first byte is
/// fetched, as it may be kept at another host, which has to be trusted too.
async fn check_pullable(
    found: &FoundImage,
    wait: Duration,
    client: &RegistryClient,
) -> Result<(), PublishError> {
    let image = found.pinned();
    await_manifest(&image, wait, client).await?;
    let blobs = found.manifest.blobs().filter(|blob| !blob.is_foreign_layer());
    let tried = blobs.map(|blob| {
        let try_it = || client.try_blob(&image.repository, blob);
        Waiting(wait).run("check of the blobs", try_it).boxed()
    });
    let tried: Vec<_> = tried.collect();
    let mut tried = stream::iter(tried).buffer_unordered(AT_ONCE);
    while let Some(outcome) = tried.next().await {
        outcome.map_err(|source| not_pullable(&image, source))?;
    }
    Ok(())
}

/// Asks for the manifest until the registry shows it.
async fn await_manifest(
    image: &PinnedImage,
    wait: Duration,
    client: &RegistryClient,
) -> Result<(), PublishError> {
    let reference = Reference::Digest(image.digest);
    let ask = || client.manifest(&image.repository, &reference);
    let shown = Waiting(wait).run("check of the manifest", ask).await;
    shown.map(drop).map_err(|source| not_pullable(image, source))
}

fn not_pullable(image: &PinnedImage, source: RegistryError) -> PublishError {
    // That the registry says that there is none, adds nothing.
    let source = Some(source).filter(|it| !matches!(it, RegistryError::NotFound { .. }));
    PublishError::NotPullable { image: Box::new(image.clone()), source: source.map(Box::new) }
}
