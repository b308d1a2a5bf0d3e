//! What a publisher is asked to publish.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr as _};

use crate::{
    document::{OperatorArchive, ServiceDefinition, ServicePolicy},
    image::engine::EngineEndpoint,
    publish::PullLogin,
    types::{ImageRef, Registry},
};

/// A service to publish, and how.
#[derive(Debug, Clone)]
pub struct Order {
    /// The service, read and checked.
    pub definition: ServiceDefinition,
    /// The archive that its cluster deployment names, where that is an object.
    pub operator: Option<OperatorArchive>,
    /// Properties and constraints that go with it.
    pub policy: Option<ServicePolicy>,
    /// What nodes get to pull with.
    pub logins: Vec<PullLogin>,
    /// Certificate authorities that nodes trust for one registry each, as PEM.
    pub registry_ca: BTreeMap<Registry, String>,
    /// Where images are looked for, in this order; an image that no place is said for, in its registry.
    pub sources: Vec<Source>,
    /// What to do when other content stands under the same version.
    pub existing: Existing,
}

/// What to do with other content under the same name and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it, and say so.
    Refuse,
    /// Publish over it, with a higher sequence number.
    Overwrite,
}

/// A place to look for images, for one image or for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The image it is for; `None`: any.
    pub image: Option<ImageRef>,
    /// The place.
    pub place: Place,
}

/// A place where an image can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A container engine, by the address of its API.
    Engine(EngineEndpoint),
    /// A file made by `docker save`.
    Archive(PathBuf),
    /// An OCI layout folder, and the name of the image in it where there are several.
    Layout(PathBuf, Option<String>),
    /// The registry that the definition names: the image was pushed before.
    Registry,
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no source: expected docker:, docker:SOCKET, docker-archive:FILE, oci:FOLDER[:NAME] or registry:, each with IMAGE= before it where it is for one image"
)]
pub struct ParseSourceError(String);

impl Source {
    /// Reads `[IMAGE=]PLACE`; `engine` is the address that `docker:` alone means.
    pub fn parse(text: &str, engine: &EngineEndpoint) -> Result<Self, ParseSourceError> {
        let refuse = || ParseSourceError(text.to_owned());
        let (image, place) = match text.split_once('=') {
            Some((image, place)) => (Some(ImageRef::from_str(image).map_err(|_| refuse())?), place),
            None => (None, text),
        };
        let (kind, rest) = place.split_once(':').ok_or_else(refuse)?;
        let place = match (kind, rest) {
            ("docker", "") => Place::Engine(engine.clone()),
            ("docker", address) => Place::Engine(address.parse().map_err(|_| refuse())?),
            ("docker-archive", file) if !file.is_empty() => Place::Archive(file.into()),
            ("oci", folder) if !folder.is_empty() => match folder.split_once(':') {
                Some((folder, name)) => Place::Layout(folder.into(), Some(name.to_owned())),
                None => Place::Layout(folder.into(), None),
            },
            ("registry", "") => Place::Registry,
            _ => return Err(refuse()),
        };
        Ok(Self { image, place })
    }

    /// Whether `image` is to be looked for here.
    pub fn is_for(&self, image: &ImageRef) -> bool {
        self.image.as_ref().is_none_or(|it| it == image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        let engine: EngineEndpoint = "unix:///var/run/docker.sock".parse().unwrap();
        let read = |text: &str| Source::parse(text, &engine).unwrap().place;
        assert_eq!(read("docker:"), Place::Engine(engine.clone()));
        assert_eq!(read("docker:unix:///x.sock"), Place::Engine("unix:///x.sock".parse().unwrap()));
        assert_eq!(read("oci:a/b:1.0"), Place::Layout("a/b".into(), Some("1.0".to_owned())));
        assert_eq!(read("a.b/c:1=docker-archive:x.tar"), Place::Archive("x.tar".into()));
        assert!(Source::parse("ftp:x", &engine).is_err());
        assert!(Source::parse("oci:", &engine).is_err());
    }
}
