//! `edgepost image copy`: an image from one place to another.

use std::{io::Write as _, path::PathBuf, time::Instant};

use clap::Args;
use serde::Serialize;

use super::place::{self, Opened, nameless, open, target, unusable};
use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
        progress::Teller,
        stop_signal,
        transfer::{PackingArgs, PushArgs, TransferArgs},
    },
    image::{self, ImageSource as _, LocalPlace, Manifest, Place, Platforms, select},
    registry::client::{RegistryClient, RegistryError, push_image},
    types::{Digest, ImageRef, Platform, Tag},
};

/// Copy an image from one place to another, byte for byte
///
/// Into a registry:         edgepost image copy oci:build/image registry.example:5000/team/hello:1.0.0
/// Out of one, to carry:    edgepost image copy registry.example:5000/team/hello:1.0.0 oci:/media/stick/hello
/// From one to another:     edgepost image copy registry.example/team/hello:1.0.0 backup.example/team/hello:1.0.0
///
/// A place is oci:FOLDER[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], docker:IMAGE (the
/// engine of this machine), or REGISTRY/REPOSITORY[:TAG|@DIGEST]. An image for several platforms is copied
/// whole, unless --platform chooses.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct CopyArgs {
    /// Where the image is
    #[arg(value_name = "SRC")]
    from: String,
    /// Where it is to be
    #[arg(value_name = "DST")]
    to: String,
    /// Copy the image for this platform alone, of an image for several: linux/arm64, arm64; repeatable where the
    /// destination is a folder or file
    #[arg(long, value_name = "PLATFORM", env = "EDGEPOST_PLATFORM", value_delimiter = ',')]
    platform: Vec<Platform>,
    /// Copy every platform, whatever EDGEPOST_PLATFORM says
    #[arg(long)]
    all: bool,
    /// Write the digest of what was copied into this file
    #[arg(long, value_name = "FILE", env = "EDGEPOST_DIGEST_FILE")]
    digest_file: Option<PathBuf>,
    #[command(flatten)]
    packing: PackingArgs,
    #[command(flatten)]
    push: PushArgs,
    #[command(flatten)]
    transfer: TransferArgs,
}

/// What was copied.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Copied {
    source: String,
    destination: String,
    /// The image by its digest, where it is now.
    image: String,
    digest: Digest,
    media_type: String,
    blobs: Counts,
    /// Layers that only their maker may serve, and that were left out.
    foreign: usize,
    /// Manifests of an index that were left out, because other platforms were asked for.
    left_out: Vec<Digest>,
    /// The bytes of the blobs that were copied.
    bytes: u64,
    seconds: f64,
}

/// What became of an image's blobs.
#[derive(Debug, Default, Serialize)]
struct Counts {
    /// They came from the source.
    copied: usize,
    /// They were there.
    existed: usize,
    /// Another repository of the same registry had them.
    mounted: usize,
}

impl CopyArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let (from, to) = (place::read(&self.from, context)?, place::read(&self.to, context)?);
        if is_same(&from, &to) {
            return Err(CliError::new(code::USAGE, "source and destination are the same place")
                .at(&from)
                .help("name another destination"));
        }
        let begun = Instant::now();
        let teller = self.transfer.progress.teller("copy", context.output);
        let copied = tokio::select! {
            copied = self.copy(&from, &to, context, &teller) => copied?,
            () = stop_signal() => return Err(stopped(&to)),
        };
        drop(teller);
        let seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let copied = Copied { seconds, ..copied };
        if copied.foreign > 0 {
            context.output.note(format!(
                "note: {} layers were left out, since only their maker may serve them",
                copied.foreign
            ));
        }
        if let Some(file) = &self.digest_file {
            write_digest(file, &copied.digest)?;
        }
        context.output.result(&copied, || copied.image.clone());
        Ok(())
    }

    async fn copy(
        &self,
        from: &Place,
        to: &Place,
        context: &Context,
        teller: &Teller,
    ) -> Result<Copied, CliError> {
        // Each end keeps to the rate by itself: what comes from one registry goes to the other.
        let client = RegistryClient::new(self.transfer.config(context));
        let source = open(from, &client, &self.packing.packing(context)).await?;
        let platforms = self.platforms();
        let mut copied = match to {
            Place::Registry(Some(image)) => {
                let source = choose(from, source, &platforms).await?;
                tell_root(&source, context);
                let copied = self.push(from, &source, image, context, teller).await?;
                note_new_digest(&source, &copied, context);
                copied
            }
            Place::Registry(None) => return Err(nameless(to)),
            Place::Local(local) => {
                tell_root(&source, context);
                keep(from, &client, &source, local, &platforms, context, teller).await?
            }
        };
        copied.destination = to.to_string();
        Ok(copied)
    }

    fn platforms(&self) -> Platforms {
        if self.all || self.platform.is_empty() {
            return Platforms::All;
        }
        Platforms::Only(self.platform.clone())
    }

    async fn push(
        &self,
        from: &Place,
        source: &Opened,
        image: &ImageRef,
        context: &Context,
        teller: &Teller,
    ) -> Result<Copied, CliError> {
        let client = RegistryClient::new(self.transfer.config(context));
        let (repository, tag) = (&image.repository, tag(image)?);
        let pushed =
            push_image(&client, source, repository, Some(&tag), &self.push.options(), teller).await;
        let pushed = pushed.map_err(|error| match error {
            RegistryError::Source(error) => unusable(from, error),
            error => error.into(),
        })?;
        Ok(Copied {
            source: from.to_string(),
            destination: String::new(),
            image: format!("{repository}@{}", pushed.digest()),
            digest: pushed.digest(),
            media_type: pushed.root.media_type,
            blobs: Counts {
                copied: pushed.uploaded,
                existed: pushed.existed,
                mounted: pushed.mounted,
            },
            foreign: pushed.foreign,
            left_out: Vec::new(),
            bytes: pushed.bytes,
            seconds: 0.0,
        })
    }
}

/// Copies the image into a place of this machine.
async fn keep(
    from: &Place,
    client: &RegistryClient,
    source: &Opened,
    local: &LocalPlace,
    platforms: &Platforms,
    context: &Context,
    teller: &Teller,
) -> Result<Copied, CliError> {
    let target = target(local, context).await?;
    let name = local.name();
    let copied = match source.repository() {
        Some(registry) => {
            client.pull_image(source, registry, target, name, platforms, teller).await
        }
        None => image::copy(source, target, name, platforms, teller).await,
    };
    let copied = copied.map_err(|error| unusable(from, error))?;
    let digest = copied.root.digest;
    let image = match local {
        LocalPlace::Layout(folder, _) => format!("oci:{}:{digest}", folder.display()),
        LocalPlace::OciArchive(file, _) => format!("oci-archive:{}:{digest}", file.display()),
        other => format!("{other} {digest}"),
    };
    Ok(Copied {
        source: from.to_string(),
        destination: String::new(),
        image,
        digest,
        media_type: copied.root.media_type,
        blobs: Counts { copied: copied.copied, existed: copied.existed, mounted: 0 },
        foreign: copied.foreign,
        left_out: copied.left_out.iter().map(|it| it.digest).collect(),
        bytes: copied.bytes,
        seconds: 0.0,
    })
}

/// What a registry gets: the whole image, or the image for one platform. A registry keeps no index whose
/// images it lacks, and another index would have another digest.
async fn choose(from: &Place, source: Opened, platforms: &Platforms) -> Result<Opened, CliError> {
    match platforms {
        Platforms::All => Ok(source),
        Platforms::Only(wanted) if wanted.len() > 1 => {
            Err(CliError::new(code::USAGE, "a registry takes one platform of an index, or all")
                .at(from)
                .why("it keeps no index whose images it lacks")
                .help("copy the image whole, or each platform under a name of its own"))
        }
        platforms @ Platforms::Only(_) => {
            let parts = image::Parts::of(&source, platforms).await;
            let root = parts.map_err(|error| unusable(from, error))?.root;
            Ok(source.taking(root))
        }
    }
}

/// Says that an index is copied whole.
fn tell_root(source: &Opened, context: &Context) {
    if let Ok(Manifest::Index(index)) = source.root.parse() {
        let platforms = select::images(&index).filter_map(|it| it.platform.as_ref());
        let names: Vec<_> = platforms.map(ToString::to_string).collect();
        context.output.step("image", format!("an index of {}", names.join(", ")));
    }
}

/// Says that the image has a new digest, since foreign layers were pushed as ordinary ones.
fn note_new_digest(source: &Opened, copied: &Copied, context: &Context) {
    if copied.digest != source.root.digest {
        context.output.note(format!(
            "note: foreign layers were pushed as ordinary layers, so that the image has a new digest: {} instead of {}",
            copied.digest, source.root.digest
        ));
    }
}

/// Whether both are the same image of the same place.
fn is_same(from: &Place, to: &Place) -> bool {
    let folder = |place: &Place| match place {
        Place::Local(LocalPlace::Layout(path, name)) => {
            path.canonicalize().ok().map(|path| (path, name.clone()))
        }
        _ => None,
    };
    from == to || folder(from).is_some_and(|from| folder(to) == Some(from))
}

/// The tag that the image gets. A digest cannot be chosen: it is what the image's bytes are.
fn tag(image: &ImageRef) -> Result<Tag, CliError> {
    if image.digest.is_some() {
        return Err(CliError::new(code::USAGE, "a destination is not named by a digest")
            .at(image)
            .help("name a tag, or nothing: the digest is the same at both ends"));
    }
    Ok(image.tag.clone().unwrap_or_else(Tag::latest))
}

/// Writes the digest and a line end, whole or not at all.
fn write_digest(file: &std::path::Path, digest: &Digest) -> Result<(), CliError> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let written = tempfile::NamedTempFile::new_in(folder.unwrap_or(".".as_ref())).and_then(
        |mut temporary| {
            writeln!(temporary, "{digest}")?;
            temporary.persist(file).map_err(|error| error.error)
        },
    );
    written.map(|_| ()).map_err(|error| file_error(file, &error))
}

/// What Ctrl-C in the middle means.
fn stopped(to: &Place) -> CliError {
    let kept = match to {
        Place::Registry(_) => "what the registry has already is not sent again",
        Place::Local(LocalPlace::Layout(..)) => "what is there already is not fetched again",
        Place::Local(_) => "nothing was left behind",
    };
    CliError::new(code::CANCELLED, "stopped before the image was whole")
        .at(to)
        .why(kept)
        .help("the same command goes on where it stopped")
}
