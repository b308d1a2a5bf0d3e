//! What a publisher is asked to publish.

use std::{collections::BTreeMap, str::FromStr as _, time::Duration};

use crate::{
    document::{OperatorArchive, ServiceDefinition, ServicePolicy},
    image::{Packing, ParsePlaceError, Place, engine::EngineEndpoint},
    publish::PullLogin,
    registry::client::Foreign,
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
    /// How layers are packed that an engine or archive has in plain.
    pub packing: Packing,
    /// What becomes of layers that only their maker may serve.
    pub foreign: Foreign,
    /// What to do when other content stands under the same version.
    pub existing: Existing,
    /// How long each step may wait for a registry: for rights that were just given, for scans and quarantine.
    pub wait: Duration,
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

/// A text that names no place to look for images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSourceError {
    /// What stands before `=` is no image.
    #[error("`{0}` is not an image")]
    Image(String),
    /// What stands there is no place.
    #[error(transparent)]
    Place(#[from] ParsePlaceError),
}

impl Source {
    /// Reads `[IMAGE=]PLACE`; `engine` is the address that `docker:` alone means.
    pub fn parse(text: &str, engine: &EngineEndpoint) -> Result<Self, ParseSourceError> {
        let (image, place) = match text.split_once('=') {
            Some((image, place)) => {
                let refuse = |_| ParseSourceError::Image(image.to_owned());
                (Some(ImageRef::from_str(image).map_err(refuse)?), place)
            }
            None => (None, text),
        };
        Ok(Self { image, place: Place::parse(place, engine)? })
    }

    /// Whether `image` is to be looked for here.
    pub fn is_for(&self, image: &ImageRef) -> bool {
        self.image.as_ref().is_none_or(|it| it == image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::LocalPlace;

    #[test]
    fn a_source_is_a_place_for_one_image_or_for_all() {
        let engine: EngineEndpoint = "unix:///var/run/docker.sock".parse().unwrap();
        let read = |text: &str| Source::parse(text, &engine).unwrap();
        assert_eq!(read("docker:").image, None);
        let source = read("a.b/c:1=docker-archive:x.tar");
        let place = Place::Local(LocalPlace::DockerArchive("x.tar".into(), None));
        assert_eq!(source, Source { image: Some("a.b/c:1".parse().unwrap()), place });
        assert!(Source::parse("ftp:x y", &engine).is_err());
        assert!(Source::parse("A=oci:x", &engine).is_err());
    }
}
