//! A place where an image can be or be put, as people write it.

use std::{fmt, path::PathBuf};

use crate::{
    image::{
        ImageError, ImageSource, Packing, Wanted, archive, engine, engine::EngineEndpoint,
        layout::OciLayout,
    },
    types::ImageRef,
};

/// A place where an image can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this machine, or at an engine.
    Local(LocalPlace),
    /// In a registry; without a name, under the one by which it is asked for.
    Registry(Option<ImageRef>),
}

/// A place that needs no registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalPlace {
    /// An OCI layout folder, and the name of the image in it.
    Layout(PathBuf, Option<String>),
    /// An OCI layout in a tar, and the name of the image in it.
    OciArchive(PathBuf, Option<String>),
    /// A file as `docker save` writes it, and the name of the image in it.
    DockerArchive(PathBuf, Option<String>),
    /// A container engine, by the address of its API, and the image's name there.
    Engine(EngineEndpoint, Option<ImageRef>),
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place of an image: expected oci:FOLDER[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], docker:[SOCKET] or docker:IMAGE for the engine, registry:, or an image in a registry"
)]
pub struct ParsePlaceError(String);

impl Place {
    /// Reads a place; `engine` is the one that `docker:` means without an address.
    pub fn parse(text: &str, engine: &EngineEndpoint) -> Result<Self, ParsePlaceError> {
        let refuse = || ParsePlaceError(text.to_owned());
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let local = match kind {
            "oci" => named(rest).map(|(folder, name)| LocalPlace::Layout(folder, name)),
            "oci-archive" => named(rest).map(|(file, name)| LocalPlace::OciArchive(file, name)),
            "docker-archive" => {
                named(rest).map(|(file, name)| LocalPlace::DockerArchive(file, name))
            }
            "docker" if text.contains(':') => in_engine(rest, engine),
            "registry" if text == "registry:" => return Ok(Self::Registry(None)),
            // A word alone is rather a file than an image of Docker Hub.
            _ if !text.contains('/') => return Err(refuse()),
            _ => {
                return text.parse().map(|image| Self::Registry(Some(image))).map_err(|_| refuse());
            }
        };
        local.map(Self::Local).ok_or_else(refuse)
    }
}

/// A path and what follows its first colon.
fn named(rest: &str) -> Option<(PathBuf, Option<String>)> {
    let (path, name) = match rest.split_once(':') {
        Some((path, name)) => (path, Some(name)),
        None => (rest, None),
    };
    let fits = !path.is_empty() && name != Some("");
    fits.then(|| (path.into(), name.map(str::to_owned)))
}

/// What follows `docker:`: nothing, the address of an engine, or an image's name.
fn in_engine(rest: &str, engine: &EngineEndpoint) -> Option<LocalPlace> {
    if rest.is_empty() {
        return Some(LocalPlace::Engine(engine.clone(), None));
    }
    if rest.starts_with('/') || rest.contains("://") {
        return rest.parse().ok().map(|endpoint| LocalPlace::Engine(endpoint, None));
    }
    rest.parse().ok().map(|image| LocalPlace::Engine(engine.clone(), Some(image)))
}

impl LocalPlace {
    /// The image that lies here: the one that the place names, or else the one that is `asked` for.
    pub async fn open(
        &self,
        asked: Wanted<'_>,
        packing: &Packing,
    ) -> Result<Box<dyn ImageSource>, ImageError> {
        let wanted = self.name().map_or(asked, Wanted::Name);
        Ok(match self {
            Self::Layout(folder, _) => Box::new(OciLayout::open_wanted(folder, wanted)?),
            Self::OciArchive(file, _) | Self::DockerArchive(file, _) => {
                Box::new(archive::open(file, wanted, packing).await?)
            }
            Self::Engine(endpoint, image) => {
                let Some(image) = image.as_ref().or(asked.image()) else {
                    return Err(ImageError::malformed(
                        self.to_string(),
                        "an engine has many images, and none is named",
                    ));
                };
                Box::new(engine::open(endpoint, image, packing).await?)
            }
        })
    }

    /// The name of the image in a folder or file.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Layout(_, name) | Self::OciArchive(_, name) | Self::DockerArchive(_, name) => {
                name.as_deref()
            }
            Self::Engine(..) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(place) => place.fmt(f),
            Self::Registry(None) => f.write_str("registry:"),
            Self::Registry(Some(image)) => image.fmt(f),
        }
    }
}

impl fmt::Display for LocalPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(folder, _) => write!(f, "oci:{}", folder.display()),
            Self::OciArchive(file, _) => write!(f, "oci-archive:{}", file.display()),
            Self::DockerArchive(file, _) => write!(f, "docker-archive:{}", file.display()),
            Self::Engine(_, Some(image)) => write!(f, "docker:{image}"),
            Self::Engine(endpoint, None) => write!(f, "docker:{endpoint}"),
        }?;
        self.name().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> EngineEndpoint {
        "unix:///var/run/docker.sock".parse().unwrap()
    }

    fn read(text: &str) -> Place {
        Place::parse(text, &engine()).unwrap()
    }

    #[test]
    fn folders_and_files_have_a_name_behind_the_first_colon() {
        let layout = |path: &str, name: Option<&str>| {
            Place::Local(LocalPlace::Layout(path.into(), name.map(str::to_owned)))
        };
        assert_eq!(read("oci:a/b"), layout("a/b", None));
        assert_eq!(read("oci:a/b:1.0"), layout("a/b", Some("1.0")));
        assert_eq!(read("oci:a:h.io/x:1"), layout("a", Some("h.io/x:1")));
        let file = LocalPlace::OciArchive("x.tar".into(), None);
        assert_eq!(read("oci-archive:x.tar"), Place::Local(file));
        let file = LocalPlace::DockerArchive("/x.tar".into(), Some("hello:1".to_owned()));
        assert_eq!(read("docker-archive:/x.tar:hello:1"), Place::Local(file));
    }

    #[test]
    fn docker_alone_is_the_usual_engine_and_more_is_an_address_or_an_image() {
        let at = |endpoint: &str, image: Option<&str>| {
            let image = image.map(|image| image.parse().unwrap());
            Place::Local(LocalPlace::Engine(endpoint.parse().unwrap(), image))
        };
        let usual = "unix:///var/run/docker.sock";
        assert_eq!(read("docker:"), at(usual, None));
        assert_eq!(read("docker:/x.sock"), at("unix:///x.sock", None));
        assert_eq!(read("docker:unix:///x.sock"), at("unix:///x.sock", None));
        assert_eq!(read("docker:tcp://127.0.0.1:1"), at("tcp://127.0.0.1:1", None));
        assert_eq!(read("docker:hello:1"), at(usual, Some("hello:1")));
        assert_eq!(read("docker:h.io/hello"), at(usual, Some("h.io/hello")));
    }

    #[test]
    fn what_has_no_kind_is_in_a_registry() {
        assert_eq!(read("registry:"), Place::Registry(None));
        for text in ["h.io/a/b:1", "127.0.0.1:5000/a", "registry:5000/a"] {
            assert_eq!(read(text), Place::Registry(Some(text.parse().unwrap())), "{text}");
        }
    }

    #[test]
    fn a_place_prints_what_it_reads_and_nonsense_is_refused() {
        for text in
            ["oci:a/b:1.0", "oci-archive:x.tar", "docker-archive:x.tar:hello:1", "registry:"]
        {
            assert_eq!(read(text).to_string(), text);
        }
        for text in [
            "",
            "oci:",
            "oci:a:",
            "docker-archive:",
            "docker:ftp://x",
            "docker:A B",
            "A/B c",
            "hello",
            "./x",
        ] {
            assert!(Place::parse(text, &engine()).is_err(), "{text}");
        }
    }
}
