//! `edgepost image copy`: an image from one place to another.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use serde::Serialize;

use super::place::ImagePlace;
use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
        progress::Teller,
        stop_signal,
        transfer::TransferArgs,
    },
    image::{
        self, ImageError, ImageSource, Packing, Platforms, Wanted, archive, engine,
        layout::{OciLayout, OciLayoutWriter},
    },
    publish::BlobCounts,
    registry::client::{
        PushOptions, Pushed, RegistryClient, RegistryError, RegistryImage, push_image,
    },
    types::{Digest, ImageRef, Tag},
};

/// Copy an image from one place to another, byte for byte
///
/// Into a registry:         edgepost image copy oci:build/image registry.example:5000/team/hello:1.0.0
/// Out of one, to carry:    edgepost image copy registry.example:5000/team/hello:1.0.0 oci:/media/stick/hello
/// From one to another:     edgepost image copy registry.example/team/hello:1.0.0 backup.example/team/hello:1.0.0
///
/// A place is oci:FOLDER[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE, docker:IMAGE (the engine of
/// this machine), or REGISTRY/REPOSITORY[:TAG|@DIGEST]. An image for several platforms is copied whole.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct CopyArgs {
    /// Where the image is
    #[arg(value_name = "SRC")]
    from: ImagePlace,
    /// Where it is to be
    #[arg(value_name = "DST")]
    to: ImagePlace,
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
    blobs: BlobCounts,
    /// Layers that only their maker may serve, and that were left out.
    foreign: usize,
    /// The bytes of blobs that were sent.
    bytes: u64,
    seconds: f64,
}

impl CopyArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        if self.from == self.to {
            return Err(CliError::new(code::USAGE, "source and destination are the same place")
                .at(&self.from)
                .help("name another destination"));
        }
        let begun = Instant::now();
        let teller = self.transfer.progress.teller("copy", context.output);
        let copied = tokio::select! {
            copied = self.copy(context, &teller) => copied?,
            () = stop_signal() => return Err(stopped()),
        };
        drop(teller);
        let seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let copied = Copied { seconds, ..copied };
        context.output.result(&copied, || copied.image.clone());
        Ok(())
    }

    async fn copy(&self, context: &Context, teller: &Teller) -> Result<Copied, CliError> {
        let source = self.source(context).await?;
        match &self.to {
            ImagePlace::Registry(image) => {
                let client = RegistryClient::new(self.transfer.config(context));
                let (repository, tag) = (&image.repository, tag(image)?);
                let (source, options) = (source.as_ref(), PushOptions::default());
                let pushed = push_image(&client, source, repository, Some(&tag), &options, teller);
                let pushed = pushed.await.map_err(|error| match error {
                    RegistryError::Source(error) => unusable(&self.from, error),
                    error => error.into(),
                })?;
                Ok(self.copied(&pushed, format!("{repository}@{}", pushed.digest())))
            }
            ImagePlace::Layout(folder, name) => {
                check_layout(folder)?;
                let failed = |error| unusable(&self.to, error);
                let writer = OciLayoutWriter::create(folder).await.map_err(failed)?;
                let (name, writer) = (name.as_deref(), Box::new(writer));
                let copied = image::copy(source.as_ref(), writer, name, &Platforms::All, &())
                    .await
                    .map_err(failed)?;
                let digest = copied.root.digest;
                Ok(Copied {
                    source: self.from.to_string(),
                    destination: self.to.to_string(),
                    image: format!("oci:{}:{digest}", folder.display()),
                    digest,
                    media_type: copied.root.media_type,
                    blobs: BlobCounts {
                        uploaded: copied.copied,
                        existed: copied.existed,
                        mounted: 0,
                    },
                    foreign: copied.foreign,
                    bytes: copied.bytes,
                    seconds: 0.0,
                })
            }
            ImagePlace::LayoutArchive(..)
            | ImagePlace::DockerArchive(_)
            | ImagePlace::Engine(_) => {
                Err(CliError::new(code::USAGE, "images are not written there")
                    .at(&self.to)
                    .help("copy it to oci:FOLDER or to a registry"))
            }
        }
    }

    /// The source, opened.
    async fn source(&self, context: &Context) -> Result<Box<dyn ImageSource>, CliError> {
        let failed = |error| unusable(&self.from, error);
        let packing = Packing::default();
        Ok(match &self.from {
            ImagePlace::Layout(folder, name) => {
                Box::new(OciLayout::open(folder, name.as_deref()).await.map_err(failed)?)
            }
            ImagePlace::LayoutArchive(file, None) | ImagePlace::DockerArchive(file) => {
                Box::new(archive::open(file, Wanted::Only, &packing).await.map_err(failed)?)
            }
            ImagePlace::LayoutArchive(file, Some(name)) => {
                let wanted = Wanted::Name(name);
                Box::new(archive::open(file, wanted, &packing).await.map_err(failed)?)
            }
            ImagePlace::Engine(image) => {
                let engine = context.environment.engine()?.ok_or_else(|| {
                    CliError::new(code::ENGINE, "there is no container engine on this machine")
                        .at(&self.from)
                        .help("start Docker or Podman, or say where it is by DOCKER_HOST")
                })?;
                Box::new(engine::export(&engine, image, &packing).await.map_err(failed)?)
            }
            ImagePlace::Registry(image) => {
                let client = RegistryClient::new(self.transfer.config(context));
                Box::new(RegistryImage::new(client, image))
            }
        })
    }

    fn copied(&self, pushed: &Pushed, image: String) -> Copied {
        Copied {
            source: self.from.to_string(),
            destination: self.to.to_string(),
            image,
            digest: pushed.digest(),
            media_type: pushed.root.media_type.clone(),
            blobs: BlobCounts {
                uploaded: pushed.uploaded,
                existed: pushed.existed,
                mounted: pushed.mounted,
            },
            foreign: pushed.foreign,
            bytes: pushed.bytes,
            seconds: 0.0,
        }
    }
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

/// Refuses to put an image among files that are none of a layout's.
fn check_layout(folder: &Path) -> Result<(), CliError> {
    let failed = |error| file_error(folder, &error);
    if !folder.exists() || folder.join("oci-layout").is_file() || folder.join("blobs").is_dir() {
        return Ok(());
    }
    if std::fs::read_dir(folder).map_err(failed)?.next().is_none() {
        return Ok(());
    }
    Err(CliError::new(code::EXISTS, "the folder is not empty, and no OCI layout")
        .at(PathBuf::from(folder).display())
        .help("name an empty folder, or one that does not exist"))
}

/// What it means that a place cannot be read or written.
fn unusable(place: &ImagePlace, error: ImageError) -> CliError {
    let error = match error {
        ImageError::Source { origin, source } => match source.downcast::<RegistryError>() {
            Ok(error) => return (*error).into(),
            Err(source) => ImageError::Source { origin, source },
        },
        error => error,
    };
    let (code, help) = match error {
        ImageError::NoSuchImage { .. } => {
            (code::IMAGE_NOT_FOUND, "the text says what there is; name one by oci:FOLDER:NAME")
        }
        ImageError::WrongContent { .. } => {
            (code::CONTENT, "the copy there is damaged; make it anew")
        }
        ImageError::Engine { .. } => (code::ENGINE, "is the engine running, and may you use it?"),
        _ => (code::SOURCE, "the text says what is wrong with the image"),
    };
    CliError::new(code, "the image could not be copied").at(place).because(&error).help(help)
}

/// What Ctrl-C in the middle means.
fn stopped() -> CliError {
    CliError::new(code::CANCELLED, "stopped before the image was whole")
        .help("the same command goes on where it stopped")
}
