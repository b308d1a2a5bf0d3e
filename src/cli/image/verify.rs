//! `edgepost image verify`: whether an image in a registry is signed as `cosign` expects it.

use std::collections::HashMap;

use bytes::Bytes;
use clap::Args;
use serde_json::json;

use super::place::{self, Opened, open, unusable};
use crate::{
    cli::{Context, code, error::CliError, key::DEFAULT_KEY, transfer::TransferArgs},
    image::{Descriptor, ImageSource as _, Manifest, Packing, Place, VerifiedReader},
    registry::{
        client::{RegistryClient, RegistryError},
        protocol::Reference,
    },
    sign::{VerifyingKey, compat::cosign},
    types::{Digest, PinnedImage},
};

/// The largest payload that is read, in bytes; what is signed of an image has some 300.
const LARGEST_PAYLOAD: u64 = 64 * 1024;
/// The most payloads that are fetched; each signer has the same one.
const MOST_PAYLOADS: usize = 16;

/// Check the signatures that lie beside an image, in the form of cosign
///
/// Publishing writes one for each key that signs, so that `cosign verify --key` accepts the image. Nodes rely on
/// none of them: what they run is signed with the service.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: edgepost image verify registry.example/team/hello:1.0.0 --key ann --key build"
)]
pub(in crate::cli) struct ImageVerifyArgs {
    /// The image, in a registry
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Who must have signed it: the name of a key, or a file with a public one (Ed25519, PEM); repeatable, and all
    /// must have
    #[arg(short, long = "key", value_name = "KEY", env = "EDGEPOST_KEY", default_value = DEFAULT_KEY)]
    key: Vec<String>,
    #[command(flatten)]
    transfer: TransferArgs,
}

/// A signature as it lies beside an image.
struct Beside {
    payload: Bytes,
    signature: String,
}

impl ImageVerifyArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let place = place::read(&self.image, context)?;
        let Place::Registry(Some(image)) = &place else {
            return Err(CliError::new(code::USAGE, "signatures lie in registries alone")
                .at(&self.image)
                .help("write REGISTRY/REPOSITORY:TAG"));
        };
        let folder = context.keys();
        let keys: Vec<VerifyingKey> =
            self.key.iter().map(|name| folder.public(name)).collect::<Result<_, _>>()?;
        let client = RegistryClient::new(self.transfer.config(context));
        let opened = open(&place, &client, &Packing::default()).await?;
        let repository = image.repository.clone();
        let pinned = PinnedImage { repository, digest: opened.root.digest };
        let beside = signatures(&pinned, &opened, &client).await?;
        for (name, key) in self.key.iter().zip(&keys) {
            check(name, key, &pinned, &beside)?;
        }
        let ids: Vec<_> = keys.iter().map(VerifyingKey::key_id).collect();
        context.output.result(&json!({"ok": true, "image": pinned, "signedBy": ids}), || {
            let who = ids.iter().map(|id| format!("\n  {id}"));
            format!("{pinned} is signed by{}", who.collect::<String>())
        });
        Ok(())
    }
}

/// What lies beside the image. Nothing of it is verified yet.
async fn signatures(
    image: &PinnedImage,
    opened: &Opened,
    client: &RegistryClient,
) -> Result<Vec<Beside>, CliError> {
    let unsigned = || {
        CliError::new(code::REFUSED, "nobody has signed the image")
            .at(image)
            .help("`edgepost publish` signs what it publishes; cosign can, too")
    };
    let tag = cosign::tag(&image.digest).ok_or_else(unsigned)?;
    let raw = match client.manifest(&image.repository, &Reference::Tag(tag)).await {
        Ok(raw) => raw,
        Err(RegistryError::NotFound { .. }) => return Err(unsigned()),
        Err(error) => return Err(error.into()),
    };
    let Ok(Manifest::Image(manifest)) = raw.parse() else { return Err(unsigned()) };
    let mut payloads: HashMap<Digest, Bytes> = HashMap::new();
    let mut beside = Vec::new();
    for layer in manifest.layers.iter().filter(|it| it.media_type == cosign::MEDIA_TYPE) {
        let Some(signature) = layer.annotations.get(cosign::SIGNATURE_ANNOTATION) else { continue };
        let known = payloads.get(&layer.digest).cloned();
        let payload = match known {
            Some(payload) => payload,
            None if payloads.len() < MOST_PAYLOADS => fetch(image, layer, opened).await?,
            None => break,
        };
        payloads.insert(layer.digest, payload.clone());
        beside.push(Beside { payload, signature: signature.clone() });
    }
    Ok(beside)
}

async fn fetch(
    image: &PinnedImage,
    layer: &Descriptor,
    opened: &Opened,
) -> Result<Bytes, CliError> {
    let reader = opened.blob(layer).await.map_err(|error| unusable(image, error))?;
    let payload = VerifiedReader::new(reader, layer).into_bytes(LARGEST_PAYLOAD).await;
    payload.map(Bytes::from).map_err(|error| {
        CliError::new(code::CONTENT, "a signature beside the image cannot be read")
            .at(image)
            .because(&error)
    })
}

/// Whether one of the signatures is `key`'s over the image.
fn check(
    name: &str,
    key: &VerifyingKey,
    image: &PinnedImage,
    beside: &[Beside],
) -> Result<(), CliError> {
    let mut flaw = cosign::CosignFlaw::Signature;
    for Beside { payload, signature } in beside {
        match cosign::verify(payload, signature, &image.digest, key) {
            Ok(()) => return Ok(()),
            // The key did sign something: that says more than that others signed as well.
            Err(cosign::CosignFlaw::Signature) => (),
            Err(other) => flaw = other,
        }
    }
    Err(CliError::new(code::REFUSED, format!("key `{name}` has not signed the image"))
        .at(image)
        .why(format!("{} signatures lie beside it, and none is by {}", beside.len(), key.key_id()))
        .because(&flaw))
}
