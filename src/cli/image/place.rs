//! Where an image is, in the words of the command line.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
    },
    image::{
        BlobReader, Descriptor, ImageError, ImageSource, ImageTarget, LocalPlace, Packing, Place,
        RawManifest, Wanted,
        archive::{ArchiveTarget, Form},
        engine::{EngineEndpoint, EngineTarget},
        layout::OciLayoutWriter,
    },
    registry::client::{DownloadError, RegistryClient, RegistryError, RegistryImage},
    types::{Digest, Platform, Repository},
};

/// Reads a place.
pub(super) fn read(text: &str, context: &Context) -> Result<Place, CliError> {
    let refused = |why: String| {
        CliError::new(code::USAGE, "that is no place of an image").at(text).why(why).help(
            "write oci:FOLDER, oci-archive:FILE, docker-archive:FILE, docker:IMAGE or REGISTRY/REPOSITORY:TAG",
        )
    };
    let engine = context.environment.engine()?;
    let usual = || EngineEndpoint::Unix(PathBuf::from("/var/run/docker.sock"));
    let place = Place::parse(text, &engine.unwrap_or_else(usual))
        .map_err(|error| refused(error.to_string()))?;
    match &place {
        Place::Registry(None) => Err(refused("it names no image".to_owned())),
        Place::Local(LocalPlace::Engine(_, None)) => {
            Err(refused("an engine has many images, and none is named".to_owned()))
        }
        _ => Ok(place),
    }
}

/// An image that is looked at whole, whose root was asked for once.
#[derive(Debug)]
pub(super) struct Opened {
    source: Box<dyn ImageSource>,
    /// What is taken of it: its manifest or index, or the manifest for one platform.
    pub(super) root: RawManifest,
}

impl Opened {
    /// The same image, of which only what `root` names is taken.
    pub(super) fn taking(self, root: RawManifest) -> Self {
        Self { root, ..self }
    }
}

#[async_trait]
impl ImageSource for Opened {
    async fn root(&self) -> Result<RawManifest, ImageError> {
        Ok(self.root.clone())
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, ImageError> {
        self.source.manifest(descriptor).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ImageError> {
        self.source.blob(descriptor).await
    }

    fn repository(&self) -> Option<&Repository> {
        self.source.repository()
    }

    fn listed_platform(&self) -> Option<&Platform> {
        self.source.listed_platform()
    }

    fn other_name(&self) -> Option<&str> {
        self.source.other_name()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}

/// Opens a place as a source.
pub(super) async fn open(
    place: &Place,
    client: &RegistryClient,
    packing: &Packing,
) -> Result<Opened, CliError> {
    let failed = |error| unusable(place, error);
    let source: Box<dyn ImageSource> = match place {
        Place::Local(local) => local.open(Wanted::Only, packing).await.map_err(failed)?,
        Place::Registry(Some(image)) => Box::new(RegistryImage::new(client.clone(), image)),
        Place::Registry(None) => return Err(nameless(place)),
    };
    let root = source.root().await.map_err(failed)?;
    Ok(Opened { source, root })
}

/// Opens a place of this machine as a target.
pub(super) async fn target(
    place: &LocalPlace,
    context: &Context,
) -> Result<Box<dyn ImageTarget>, CliError> {
    match place {
        LocalPlace::Layout(folder, _) => {
            check_layout(folder)?;
            let writer = OciLayoutWriter::create(folder).await;
            Ok(Box::new(writer.map_err(|error| unusable(place, error))?))
        }
        LocalPlace::OciArchive(file, _) => archive(place, file, Form::Oci).await,
        LocalPlace::DockerArchive(file, _) => archive(place, file, Form::Docker).await,
        LocalPlace::Engine(engine, image) => {
            let Some(image) = image else {
                return Err(CliError::new(code::USAGE, "the image needs a name in the engine")
                    .at(place)
                    .help("write docker:IMAGE"));
            };
            let folder = context.environment.transfers_folder().unwrap_or_else(std::env::temp_dir);
            // The same image for the same engine is gathered in the same place.
            let name = Digest::of(format!("{engine} {image}").as_bytes()).hex();
            let file = folder.join(format!("engine-{}.tar", &name[..16]));
            let target = EngineTarget::create(engine, image, file).await;
            Ok(Box::new(target.map_err(|error| unusable(place, error))?))
        }
    }
}

async fn archive(
    place: &LocalPlace,
    file: &Path,
    form: Form,
) -> Result<Box<dyn ImageTarget>, CliError> {
    let target = ArchiveTarget::create(file, form).await;
    Ok(Box::new(target.map_err(|error| unusable(place, error))?))
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
        .at(folder.display())
        .help("name an empty folder, or one that does not exist"))
}

/// A place in a registry that names no image.
pub(super) fn nameless(place: &Place) -> CliError {
    CliError::new(code::USAGE, "the registry alone is no image")
        .at(place)
        .help("write REGISTRY/REPOSITORY:TAG")
}

/// What it means that a place cannot be read or written.
pub(super) fn unusable(place: &impl fmt::Display, error: ImageError) -> CliError {
    let error =
        match error {
            ImageError::Source { origin, source } => {
                match source.downcast::<RegistryError>().map(|it| CliError::from(*it)).or_else(
                    |source| source.downcast::<DownloadError>().map(|it| CliError::from(*it)),
                ) {
                    Ok(error) => return error,
                    Err(source) => ImageError::Source { origin, source },
                }
            }
            error => error,
        };
    let (code, help) = match error {
        ImageError::NoSuchImage { .. } => {
            (code::IMAGE_NOT_FOUND, "name one that there is: oci:FOLDER:NAME, docker:IMAGE")
        }
        ImageError::SeveralImages { .. } => {
            (code::IMAGE_NOT_FOUND, "name the one that is meant behind the path: oci:FOLDER:NAME")
        }
        ImageError::Layers { .. } => {
            (code::CONTENT, "build or save the image again; nodes could not run it")
        }
        ImageError::NoSuchPlatform { .. } => {
            (code::IMAGE_NOT_FOUND, "ask for a platform that there is")
        }
        ImageError::WrongContent { .. } => {
            (code::CONTENT, "the copy there is damaged; make it anew")
        }
        ImageError::TooLong { .. } => {
            (code::CONTENT, "the image's manifest is damaged, or made to harm")
        }
        ImageError::Engine { .. } | ImageError::EngineAway { .. } => {
            (code::ENGINE, "is the engine running, and may you use it?")
        }
        ImageError::Unfit { .. } => (code::USAGE, "choose another destination"),
        _ => (code::SOURCE, "the text says what is wrong with the image"),
    };
    CliError::new(code, "the image cannot be used there").at(place).because(&error).help(help)
}
