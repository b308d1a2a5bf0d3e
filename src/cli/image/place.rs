//! Where an image is, in the words of the command line.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::types::{ImageRef, image_ref::ParseImageError};

/// A place where an image is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ImagePlace {
    /// An OCI layout folder, and the name of the image in it.
    Layout(PathBuf, Option<String>),
    /// An OCI layout in a tar file, and the name of the image in it.
    LayoutArchive(PathBuf, Option<String>),
    /// A file made by `docker save`.
    DockerArchive(PathBuf),
    /// The container engine of this machine.
    Engine(ImageRef),
    /// A registry.
    Registry(ImageRef),
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParsePlaceError {
    /// It has the form of none.
    #[error(
        "`{0}` is no place of an image: expected oci:FOLDER[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE, docker:IMAGE or REGISTRY/REPOSITORY[:TAG|@DIGEST]"
    )]
    Unknown(String),
    /// It names an image that cannot be.
    #[error("`{text}` names no image")]
    Image {
        /// The whole text.
        text: String,
        /// What is wrong with its name.
        source: ParseImageError,
    },
}

impl FromStr for ImagePlace {
    type Err = ParsePlaceError;

    fn from_str(text: &str) -> Result<Self, ParsePlaceError> {
        let unknown = || ParsePlaceError::Unknown(text.to_owned());
        let image = |name: &str| {
            name.parse::<ImageRef>()
                .map_err(|source| ParsePlaceError::Image { text: text.to_owned(), source })
        };
        let named = |rest: &str| match rest.split_once(':') {
            Some((path, name)) if !name.is_empty() => (path.into(), Some(name.to_owned())),
            Some((path, _)) => (path.into(), None),
            None => (rest.into(), None),
        };
        let (kind, rest) = text.split_once(':').unwrap_or(("", text));
        match kind {
            "oci" | "oci-archive" if rest.is_empty() || rest.starts_with(':') => Err(unknown()),
            "oci" => {
                let (folder, name) = named(rest);
                Ok(Self::Layout(folder, name))
            }
            "oci-archive" => {
                let (file, name) = named(rest);
                Ok(Self::LayoutArchive(file, name))
            }
            "docker-archive" if !rest.is_empty() => Ok(Self::DockerArchive(rest.into())),
            "docker" if !rest.is_empty() => image(rest).map(Self::Engine),
            // A word alone may be anything; what lives in Docker Hub is written as docker.io/….
            _ if text.contains('/') && !text.starts_with(['/', '.', '~']) => {
                image(text).map(Self::Registry)
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for ImagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, path, name) = match self {
            Self::Layout(folder, name) => ("oci", folder, name.as_deref()),
            Self::LayoutArchive(file, name) => ("oci-archive", file, name.as_deref()),
            Self::DockerArchive(file) => ("docker-archive", file, None),
            Self::Engine(image) => return write!(f, "docker:{image}"),
            Self::Registry(image) => return write!(f, "{image}"),
        };
        write!(f, "{kind}:{}", path.display())?;
        name.iter().try_for_each(|name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_prints_what_it_reads() {
        for text in [
            "oci:build/image",
            "oci:build/image:1.0",
            "oci:image:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "oci-archive:image.tar:name",
            "docker-archive:/tmp/image.tar",
            "registry.example:5000/a/b:1",
            "127.0.0.1:5000/hello@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert_eq!(text.parse::<ImagePlace>().unwrap().to_string(), text);
        }
        let local: ImagePlace = "docker:hello:1".parse().unwrap();
        assert_eq!(local, ImagePlace::Engine("hello:1".parse().unwrap()));
    }

    #[test]
    fn what_may_be_anything_is_no_place() {
        for text in ["", "hello", "hello:1", "oci:", "oci::name", "docker:", "./image", "/image"] {
            let error = text.parse::<ImagePlace>().unwrap_err();
            assert!(matches!(error, ParsePlaceError::Unknown(_)), "{text}: {error}");
        }
        let error = "registry.example/UPPER".parse::<ImagePlace>().unwrap_err();
        assert!(matches!(error, ParsePlaceError::Image { .. }), "{error}");
    }
}
