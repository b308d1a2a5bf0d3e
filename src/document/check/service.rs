//! Reads a service definition.

use super::{Fields, Inspector, Need, parts};
use crate::{
    document::{
        problem::{Problem, Problems},
        service::ServiceDefinition,
        source::{Content, Source},
    },
    types::{Arch, OrgId, ServiceUrl, Version, VersionRange},
};

impl ServiceDefinition {
    /// Reads a definition, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        let mut it = Inspector::of(source);
        it.object(&it.root(), Inspector::service);
        it.finish()
    }
}

impl<'a> Inspector<'a> {
    fn service(&mut self, fields: &mut Fields<'a>) {
        self.parsed::<OrgId>(fields, "org", Need::Optional);
        self.text(fields, "label", Need::Required("\"$SERVICE_NAME for $ARCH\""));
        self.text(fields, "description", Need::Optional);
        if let Some((place, text)) = self.text(fields, "documentation", Need::Optional)
            && url::Url::parse(text).is_err()
        {
            self.error(
                &place,
                format!("`{text}` is not a URL"),
                "write https://…, or leave it empty",
            );
        }
        self.flag(fields, "public");
        self.parsed::<ServiceUrl>(fields, "url", Need::Required(parts::EXAMPLE_URL));
        let version = Need::Required(parts::EXAMPLE_VERSION);
        if let Some((place, version)) = self.parsed::<Version>(fields, "version", version)
            && version.as_str().contains('-')
        {
            let what = format!("Horizon's exchange does not take the version {version}");
            self.warn(&place, what, "use numbers and dots alone to publish to it");
        }
        let arch = self.parsed::<Arch>(fields, "arch", Need::Required("\"$ARCH\""));
        self.sharable(fields);
        self.entries(fields, "matchHardware");
        self.required_services(fields, arch.as_ref().map(|(_, arch)| arch));
        self.asked(fields);
        self.deployments(fields);
    }

    fn sharable(&mut self, fields: &mut Fields<'a>) {
        match self.text(fields, "sharable", Need::Required("\"multiple\"")) {
            Some((_, "singleton" | "multiple")) | None => (),
            Some((place, word @ ("single" | "exclusive"))) => {
                self.warn(&place, format!("`{word}` is an old word"), "write singleton");
            }
            Some((place, word)) => {
                let what = format!("`{word}` does not say how the service is shared");
                self.error(&place, what, "use singleton or multiple");
            }
        }
    }

    fn required_services(&mut self, fields: &mut Fields<'a>, arch: Option<&Arch>) {
        for place in self.items(fields, "requiredServices") {
            self.object(&place, |it, fields| {
                it.parsed::<ServiceUrl>(fields, "url", Need::Required("\"my.other.service\""));
                it.parsed::<OrgId>(fields, "org", Need::Required(parts::EXAMPLE_ORG));
                let required = it.parsed::<Arch>(fields, "arch", Need::Required("\"$ARCH\""));
                if let (Some((place, required)), Some(arch)) = (required, arch)
                    && required != *arch
                {
                    let what = format!("a service for {arch} cannot require one for {required}");
                    it.error(&place, what, "");
                }
                let before = it.found.len();
                let old = it.parsed::<VersionRange>(fields, "version", Need::Optional);
                let range = it.parsed::<VersionRange>(fields, "versionRange", Need::Optional);
                if old.is_none() && range.is_none() && it.found.len() == before {
                    let what = "`versionRange` is missing";
                    it.error(&place, what, "add \"versionRange\": \"[1.0.0,INFINITY)\"");
                }
            });
        }
    }

    fn deployments(&mut self, fields: &mut Fields<'a>) {
        let mut has_any = false;
        for (name, signature) in [
            ("deployment", "deploymentSignature"),
            ("clusterDeployment", "clusterDeploymentSignature"),
        ] {
            let signature = self.text(fields, signature, Need::Optional);
            let place = fields.get(name).filter(
                |place| !matches!(&place.node.content, Content::Text(text) if text.is_empty()),
            );
            has_any |= place.is_some();
            match (place, signature) {
                (Some(place), None) if matches!(place.node.content, Content::Text(_)) => {
                    let what = format!("`{name}` is a text, and so must be signed already");
                    let help = format!("add \"{name}Signature\", or write an object");
                    self.error(&place, what, help);
                }
                (Some(place), Some(_)) if matches!(place.node.content, Content::Text(_)) => (),
                (Some(place), _) if name == "deployment" => self.deployment(&place),
                (Some(place), _) => {
                    self.entries_of(&place);
                }
                (None, Some((place, _))) => {
                    self.warn(&place, format!("there is no `{name}` to be signed"), "");
                }
                (None, None) => (),
            }
        }
        if !has_any {
            let place = fields.place().clone();
            let help = "add \"deployment\": {\"services\": {…}}";
            self.warn(&place, "the service has no deployment, and so runs nothing", help);
        }
    }
}
