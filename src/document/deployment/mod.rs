//! The containers of a service.

mod access;
pub mod canonical;
mod container;
pub mod image_text;
mod mount;
mod port;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(super) use self::container::ENTRY_PATTERN;
pub use self::{
    access::{AccessNeed, HostAccess, ParseHostAccessError, PathAccess, normalized, of_path},
    container::Container,
    mount::{Bind, Device, ParseMountError},
    port::{ContainerPort, EphemeralPort, ParsePortError, PortMapping, Protocol, PublishedPort},
};
use crate::types::{ImageRef, JsonProblem, PinnedImage};

/// The containers of a service by their names.
///
/// `I` says whether the images can change under their names: [`ImageRef`] is what an author writes;
/// [`PinnedImage`] is fixed by its digest, and the only kind that can be sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(bound(deserialize = "I: Deserialize<'de>"))]
#[schemars(rename = "Deployment", description = "The containers of a service by their names.")]
pub struct Deployment<I> {
    /// The containers; the name is also the host name that the others reach it by.
    #[schemars(
        extend("minProperties" = 1),
        extend("propertyNames" = {"pattern": "^[0-9A-Za-z_.-]+$"})
    )]
    pub services: BTreeMap<String, Container<I>>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Why the images of a deployment could not be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Nobody said which digest an image has.
    #[error("the image {image} of container `{container}` has no digest")]
    Missing {
        /// The container.
        container: String,
        /// Its image.
        image: Box<ImageRef>,
    },
}

/// Why a text is not a deployment.
#[derive(Debug, thiserror::Error)]
pub enum ParseDeploymentError {
    /// It is not one: no JSON, a field of another type, an image without a digest.
    #[error("failed to read the deployment")]
    Malformed(#[source] JsonProblem),
    /// It has no containers.
    #[error("the deployment has no containers")]
    Empty,
}

impl<I> Deployment<I> {
    /// Whether only a node that allows privileged services may run it.
    pub fn needs_privilege(&self) -> bool {
        self.services.values().any(Container::needs_privilege)
    }
}

impl Deployment<ImageRef> {
    /// The images, each once.
    pub fn images(&self) -> Vec<&ImageRef> {
        let mut images: Vec<_> = self.services.values().map(|it| &it.image).collect();
        images.sort();
        images.dedup();
        images
    }

    /// Puts the pinned image in the place of each; an image with a digest is pinned by itself.
    pub fn pin(
        &self,
        images: &BTreeMap<ImageRef, PinnedImage>,
    ) -> Result<Deployment<PinnedImage>, PinError> {
        let pinned = |(name, container): (&String, &Container<ImageRef>)| {
            let image = &container.image;
            let own = image
                .digest
                .map(|digest| PinnedImage { repository: image.repository.clone(), digest });
            match images.get(image).cloned().or(own) {
                Some(pinned) => Ok((name.clone(), container.clone().with_image(pinned))),
                None => Err(PinError::Missing {
                    container: name.clone(),
                    image: Box::new(image.clone()),
                }),
            }
        };
        let services = self.services.iter().map(pinned).collect::<Result<_, _>>()?;
        Ok(Deployment { services, unknown: self.unknown.clone() })
    }
}

impl Deployment<PinnedImage> {
    /// The text that is signed and stored: as Go's `encoding/json` writes it.
    pub fn to_canonical(&self) -> String {
        // Every key is a text and every float finite, so that this cannot fail.
        canonical::text(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Reads the text that was signed.
    pub fn from_text(text: &str) -> Result<Self, ParseDeploymentError> {
        let read: Self =
            serde_json::from_str(text).map_err(|it| ParseDeploymentError::Malformed(it.into()))?;
        if read.services.is_empty() { Err(ParseDeploymentError::Empty) } else { Ok(read) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"services":{"web":{
        "image":"registry.example.com:5000/web:1","privileged":false,"command":[],
        "environment":["A=<b>"],"ports":[{"HostPort":"80:8080/tcp","HostIP":"127.0.0.1"}],
        "devices":["/dev/a:/dev/b"],"binds":["/a:/b:ro"],"tmpfs":{"/t":""},"max_cpus":0.50,
        "max_memory_mb":64,"secrets":{"key":{"description":"d"}},"gpus":[1.0],"user":""},
        "db":{"image":"db@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}},
        "more":{"x":1E3}}"#;

    fn pinned() -> (ImageRef, PinnedImage) {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let image = "registry.example.com:5000/web:1".parse().unwrap();
        (image, format!("registry.example.com:5000/web@{digest}").parse().unwrap())
    }

    #[test]
    fn only_the_images_change_when_a_deployment_is_pinned() {
        let written: Deployment<ImageRef> = serde_json::from_str(TEXT).unwrap();
        let sealed = written.pin(&BTreeMap::from([pinned()])).unwrap().to_canonical();

        let mut expected: Value = serde_json::from_str(TEXT).unwrap();
        let (_, web) = pinned();
        expected["services"]["web"]["image"] = web.to_string().into();
        let db = format!("docker.io/db@{}", web.digest);
        expected["services"]["db"]["image"] = db.into();
        assert_eq!(sealed, canonical::text(&expected));
        assert_eq!(Deployment::from_text(&sealed).unwrap().to_canonical(), sealed);
    }

    #[test]
    fn an_image_without_a_digest_pins_nothing() {
        let written: Deployment<ImageRef> = serde_json::from_str(TEXT).unwrap();
        assert!(matches!(written.pin(&BTreeMap::new()), Err(PinError::Missing { .. })));
        assert!(matches!(
            Deployment::from_text(r#"{"services":{"a":{"image":"a.b/c:1"}}}"#),
            Err(ParseDeploymentError::Malformed(_))
        ));
        assert!(matches!(
            Deployment::from_text(r#"{"services":{}}"#),
            Err(ParseDeploymentError::Empty)
        ));
    }
}
