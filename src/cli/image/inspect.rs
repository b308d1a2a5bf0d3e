//! `edgepost image inspect`: what an image is, wherever it is.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::place::{self, Opened, open, unusable};
use crate::{
    cli::{
        Context, code, documents::Sheet, error::CliError, output::Output, progress::amount,
        transfer::TransferArgs,
    },
    image::{
        Descriptor, ImageManifest, ImageSource, Index, Manifest, Packing, Parts, Place, Platforms,
        RawManifest, VerifiedReader, config::MAX_CONFIG, media_type, select,
    },
    registry::{
        client::{RegistryClient, RegistryError},
        protocol::Reference,
    },
    sign::compat::cosign,
    types::{Digest, ImageRef, Platform},
};

/// Show what an image is: digest, platforms, layers, labels
///
/// In a registry:                edgepost image inspect registry.example:5000/team/hello:1.0.0
/// One platform of several:      edgepost image inspect oci:build/image --platform linux/arm64
/// The manifest, byte for byte:  edgepost image inspect registry.example/team/hello:1.0.0 --raw
///
/// A place is oci:FOLDER[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], docker:IMAGE (the
/// engine of this machine), or REGISTRY/REPOSITORY[:TAG|@DIGEST]. The values of environment variables are
/// shown by --json alone.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct InspectArgs {
    /// Where the image is
    #[arg(value_name = "PLACE")]
    place: String,
    /// The image for this platform, of an image for several: linux/arm64, arm64
    #[arg(long, value_name = "PLATFORM", env = "EDGEPOST_PLATFORM")]
    platform: Option<Platform>,
    /// Print the manifest or index and nothing else, byte for byte
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    transfer: TransferArgs,
}

/// What an image is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    source: String,
    digest: Digest,
    media_type: String,
    /// What it runs on, where it is known.
    platforms: Vec<SeenPlatform>,
    /// The image, unless it is one for several platforms and none was asked for.
    #[serde(flatten)]
    image: Option<SeenImage>,
    /// What was said about it in its registry: signatures, lists of parts.
    referrers: Vec<SeenReferrer>,
}

/// An image of several.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenPlatform {
    platform: Platform,
    digest: Digest,
    /// The bytes of its configuration and layers.
    size: u64,
}

/// One image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenImage {
    artifact_type: Option<String>,
    size: u64,
    layers: Vec<SeenLayer>,
    /// The configuration's own words.
    created: Value,
    labels: Value,
    env: Value,
    entrypoint: Value,
    cmd: Value,
    user: Value,
}

/// A layer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenLayer {
    digest: Digest,
    media_type: String,
    size: u64,
}

/// Something that was said about an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenReferrer {
    digest: Digest,
    kind: String,
}

impl InspectArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let place = place::read(&self.place, context)?;
        let client = RegistryClient::new(self.transfer.config(context));
        let source = open(&place, &client, &Packing::default()).await?;
        let source = match &self.platform {
            Some(platform) => {
                let wanted = Platforms::Only(vec![platform.clone()]);
                let parts = Parts::of(&source, &wanted).await;
                source.taking(parts.map_err(|error| unusable(&place, error))?.root)
            }
            None => source,
        };
        self.tell(&place, &source, &client, context).await
    }

    async fn tell(
        &self,
        place: &Place,
        source: &Opened,
        client: &RegistryClient,
        context: &Context,
    ) -> Result<(), CliError> {
        let root = &source.root;
        if self.raw {
            Output::raw(&root.bytes);
            return Ok(());
        }
        let (platforms, image) = match parse(place, root)? {
            Manifest::Index(index) => (of_index(place, source, &index).await?, None),
            Manifest::Image(manifest) => {
                let config = config(place, source, &manifest).await?;
                let image = SeenImage::new(&manifest, &config);
                let platform = serde_json::from_value::<Platform>(config).ok();
                let platforms = platform.into_iter().map(|platform| SeenPlatform {
                    platform,
                    digest: root.digest,
                    size: image.size,
                });
                (platforms.collect(), Some(image))
            }
        };
        let referrers = match place {
            Place::Registry(Some(image)) => referrers(client, image, &root.digest).await?,
            _ => Vec::new(),
        };
        let seen = Seen {
            source: place.to_string(),
            digest: root.digest,
            media_type: root.media_type.clone(),
            platforms,
            image,
            referrers,
        };
        context.output.result(&seen, || seen.describe());
        Ok(())
    }
}

fn parse(place: &Place, raw: &RawManifest) -> Result<Manifest, CliError> {
    raw.parse().map_err(|error| {
        CliError::new(code::SOURCE, "the manifest cannot be read").at(place).because(&error)
    })
}

/// The images of an index, with their sizes. What has no platform is none.
async fn of_index(
    place: &Place,
    source: &dyn ImageSource,
    index: &Index,
) -> Result<Vec<SeenPlatform>, CliError> {
    let mut seen = Vec::new();
    for child in select::images(index) {
        let Some(platform) = &child.platform else { continue };
        let raw = source.manifest(child).await.map_err(|error| unusable(place, error))?;
        let size = match parse(place, &raw)? {
            Manifest::Image(manifest) => size(&manifest),
            Manifest::Index(_) => 0,
        };
        seen.push(SeenPlatform { platform: platform.clone(), digest: child.digest, size });
    }
    Ok(seen)
}

fn size(manifest: &ImageManifest) -> u64 {
    manifest.blobs().map(|blob| blob.size).sum()
}

/// The configuration of an image; of an artifact, nothing.
async fn config(
    place: &Place,
    source: &dyn ImageSource,
    manifest: &ImageManifest,
) -> Result<Value, CliError> {
    let config = &manifest.config;
    if ![media_type::OCI_CONFIG, media_type::DOCKER_CONFIG].contains(&&*config.media_type) {
        return Ok(Value::Null);
    }
    let unreadable = || CliError::new(code::SOURCE, "the configuration cannot be read").at(place);
    let reader = source.blob(config).await.map_err(|error| unusable(place, error))?;
    let bytes = VerifiedReader::new(reader, config)
        .into_bytes(MAX_CONFIG)
        .await
        .map_err(|error| unreadable().because(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable().because(&error))
}

/// What the registry knows to have been said about an image.
async fn referrers(
    client: &RegistryClient,
    image: &ImageRef,
    digest: &Digest,
) -> Result<Vec<SeenReferrer>, CliError> {
    let mut seen = Vec::new();
    // Cosign's place for signatures is older than the list.
    if let Some(tag) = cosign::tag(digest)
        && let Some(head) = client.head_manifest(&image.repository, &Reference::Tag(tag)).await?
    {
        seen.push(SeenReferrer { digest: head.digest, kind: "cosign signature".to_owned() });
    }
    let listed = match client.referrers(&image.repository, digest, None).await {
        Ok(listed) => listed.manifests,
        Err(RegistryError::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    seen.extend(listed.into_iter().map(|it: Descriptor| SeenReferrer {
        digest: it.digest,
        kind: it.artifact_type.unwrap_or(it.media_type),
    }));
    Ok(seen)
}

impl SeenImage {
    fn new(manifest: &ImageManifest, config: &Value) -> Self {
        let said = |pointer: &str| config.pointer(pointer).cloned().unwrap_or_default();
        Self {
            artifact_type: manifest.artifact_type.clone(),
            size: size(manifest),
            layers: manifest
                .layers
                .iter()
                .map(|it| SeenLayer {
                    digest: it.digest,
                    media_type: it.media_type.clone(),
                    size: it.size,
                })
                .collect(),
            created: said("/created"),
            labels: said("/config/Labels"),
            env: said("/config/Env"),
            entrypoint: said("/config/Entrypoint"),
            cmd: said("/config/Cmd"),
            user: said("/config/User"),
        }
    }
}

impl Seen {
    fn describe(&self) -> String {
        let mut sheet = Sheet::default();
        sheet.line("image", &self.source);
        sheet.line("digest", self.digest);
        sheet.line("type", &self.media_type);
        let platforms = self.platforms.iter();
        sheet.lines(
            "platform",
            platforms.map(|it| match &self.image {
                Some(_) => it.platform.to_string(),
                None => format!("{}  {}, {}", it.platform, it.digest, amount(it.size)),
            }),
        );
        if let Some(image) = &self.image {
            image.describe(&mut sheet);
        }
        let said = self.referrers.iter();
        sheet.lines("beside it", said.map(|it| format!("{}  {}", it.digest, it.kind)));
        sheet.to_string()
    }
}

impl SeenImage {
    fn describe(&self, sheet: &mut Sheet) {
        sheet.line("artifact", self.artifact_type.as_deref().unwrap_or_default());
        sheet.line("created", self.created.as_str().unwrap_or_default());
        sheet.line("size", format!("{} ({} bytes)", amount(self.size), self.size));
        let layer =
            |it: &SeenLayer| format!("{}  {}, {}", it.digest, amount(it.size), it.media_type);
        sheet.lines("layer", self.layers.iter().map(layer));
        sheet.line("runs", words(&[&self.entrypoint, &self.cmd]));
        sheet.line("as user", self.user.as_str().unwrap_or_default());
        let names = self.env.as_array().into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<_> = names.map(|it| it.split('=').next().unwrap_or_default()).collect();
        sheet.line("sets", names.join(", "));
        let labels = self.labels.as_object().into_iter().flatten();
        sheet.lines(
            "label",
            labels.map(|(name, value)| format!("{name} = {}", value.as_str().unwrap_or_default())),
        );
    }
}

/// A command line in the form of JSON, which shows where its words end.
fn words(parts: &[&Value]) -> String {
    let words = parts.iter().filter_map(|it| it.as_array()).flatten();
    words.fold(String::new(), |mut line, word| {
        let space = if line.is_empty() { "" } else { " " };
        let _ = write!(line, "{space}{word}");
        line
    })
}
