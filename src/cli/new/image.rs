//! The images that a new service is to be made of.

use serde_json::{Value, json};

use crate::types::{ImageRef, Registry, Version};

/// One image, and the container that is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewImage {
    /// As its author wrote it.
    text: String,
    /// The last part of its name.
    name: String,
    kind: Kind,
    /// Its place among the others; the only one has the short names.
    is_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A name alone: an image for each architecture and version is named after it, as in Horizon.
    Base,
    /// With a tag: this very image, which may still have to be built.
    Tagged,
    /// With a digest: this very image, which exists.
    Pinned,
}

impl NewImage {
    /// The images of a service; each has another last part of its name, which names its container.
    pub(super) fn all(images: &[(String, ImageRef)]) -> Result<Vec<Self>, String> {
        let mut all: Vec<Self> = Vec::new();
        for (text, image) in images {
            let name = image.repository.path().rsplit('/').next().unwrap_or_default().to_owned();
            if all.iter().any(|it| it.name == name) {
                return Err(name);
            }
            let kind = match (&image.tag, &image.digest) {
                (_, Some(_)) => Kind::Pinned,
                (Some(_), None) => Kind::Tagged,
                (None, None) => Kind::Base,
            };
            all.push(Self { text: text.clone(), name, kind, is_only: images.len() == 1 });
        }
        Ok(all)
    }

    /// The name of its container: that of the service, as Horizon's examples have it, or of the image
    /// where there are several.
    pub(super) fn container(&self) -> &str {
        if self.is_only { "$SERVICE_NAME" } else { &self.name }
    }

    /// The variable that its name is kept in, if it is kept in one.
    pub(super) fn variable(&self) -> Option<(String, Value)> {
        (self.kind == Kind::Base).then(|| (self.variable_name(), json!(self.text)))
    }

    fn variable_name(&self) -> String {
        if self.is_only {
            return "DOCKER_IMAGE_BASE".to_owned();
        }
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        format!("DOCKER_IMAGE_BASE_{}", self.name.chars().map(letter).collect::<String>())
    }

    /// The image as it stands in the definition.
    pub(super) fn in_definition(&self) -> String {
        match self.kind {
            Kind::Base => format!("${{{}}}_$ARCH:$SERVICE_VERSION", self.variable_name()),
            Kind::Tagged | Kind::Pinned => self.text.clone(),
        }
    }

    /// The image as it is called on `arch`.
    pub(super) fn on(&self, arch: &str, version: &Version) -> String {
        match self.kind {
            Kind::Base => format!("{}_{arch}:{version}", self.text),
            Kind::Tagged | Kind::Pinned => self.text.clone(),
        }
    }

    /// Whether it is still to be built.
    pub(super) fn is_built_here(&self) -> bool {
        self.kind != Kind::Pinned
    }

    /// The folder of its Dockerfiles, from the project's on; empty is the project's own.
    pub(super) fn folder(&self) -> &str {
        if self.is_only { "" } else { &self.name }
    }
}

/// The registry to log in to, for the words of the read-me.
pub(super) fn registry_of(images: &[(String, ImageRef)]) -> Registry {
    let first = images.first().map(|(_, image)| image.repository.registry().clone());
    first.unwrap_or_else(Registry::docker_hub)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(texts: &[&str]) -> Result<Vec<NewImage>, String> {
        let read = |text: &&str| ((*text).to_owned(), text.parse().unwrap());
        NewImage::all(&texts.iter().map(read).collect::<Vec<_>>())
    }

    #[test]
    fn an_image_without_a_tag_is_named_by_architecture_and_version() {
        let image = &images(&["reg.example:5000/acme/hello"]).unwrap()[0];
        assert_eq!(image.container(), "$SERVICE_NAME");
        assert_eq!(image.in_definition(), "${DOCKER_IMAGE_BASE}_$ARCH:$SERVICE_VERSION");
        let on = image.on("arm", &"1.0.0".parse().unwrap());
        assert_eq!(on, "reg.example:5000/acme/hello_arm:1.0.0");
    }

    #[test]
    fn an_image_with_a_tag_or_a_digest_is_that_very_image() {
        let pinned = format!("reg.example/db@sha256:{}", "0".repeat(64));
        let all = images(&["reg.example/my-web:2", &pinned]).unwrap();
        assert_eq!(all[0].in_definition(), "reg.example/my-web:2");
        assert_eq!((all[0].container(), all[0].variable()), ("my-web", None));
        assert_eq!(all[1].in_definition(), pinned);
        assert!(all[0].is_built_here() && !all[1].is_built_here());
    }

    #[test]
    fn several_images_have_several_names() {
        let all = images(&["reg.example/a/my-web", "reg.example/b/db"]).unwrap();
        let variable = all[0].variable().unwrap();
        assert_eq!(variable.0, "DOCKER_IMAGE_BASE_MY_WEB");
        assert_eq!(all[0].in_definition(), "${DOCKER_IMAGE_BASE_MY_WEB}_$ARCH:$SERVICE_VERSION");
        assert_eq!(images(&["reg.example/a/web", "reg.example/b/web"]), Err("web".to_owned()));
    }
}
