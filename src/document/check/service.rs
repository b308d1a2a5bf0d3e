//! Reads a service definition.

use super::{Fields, Inspector, Need, Place, parts};
use crate::{
    document::{
        kind::Kind,
        problem::{Problem, Problems},
        service::ServiceDefinition,
        source::{Content, Source},
    },
    types::{Arch, OrgId, ServiceUrl, Version, VersionRange},
};

impl ServiceDefinition {
    /// Reads a definition, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        Kind::Service.expect(source)?;
        let mut it = Inspector::of(source);
        it.object(&it.root(), Inspector::service);
        it.finish()
    }
}

impl<'a> Inspector<'a> {
    fn service(&mut self, fields: &mut Fields<'a>) {
        self.parsed::<OrgId>(fields, "org", Need::Optional);
        self.label(fields, "\"$SERVICE_NAME for $ARCH\"");
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
        if let Some((place, version)) = self.parsed::<Version>(fields, "version", version) {
            self.plain_version(&place, &version);
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
        let mut names = Vec::new();
        for place in self.items(fields, "requiredServices") {
            self.object(&place, |it, fields| {
                let url = Need::Required("\"my.other.service\"");
                let url = it.parsed::<ServiceUrl>(fields, "url", url);
                let org = it.parsed::<OrgId>(fields, "org", Need::Required(parts::EXAMPLE_ORG));
                if let (Some((place, url)), Some((_, org))) = (url, org) {
                    let help = "nodes run one version of it: name one range";
                    it.once(&mut names, format!("{org}/{url}"), &place, help);
                }
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
                it.range(old.as_ref());
                it.range(range.as_ref());
                if let (Some((place, old)), Some((_, range))) = (&old, &range)
                    && old != range
                {
                    let what = format!("`version` is an old name; `versionRange` counts, {range}");
                    it.warn(place, what, "leave `version` away");
                }
                if old.is_none() && range.is_none() && it.found.len() == before {
                    let what = "`versionRange` is missing";
                    it.error(&place, what, "add \"versionRange\": \"[1.0.0,INFINITY)\"");
                }
            });
        }
    }

    fn deployments(&mut self, fields: &mut Fields<'a>) {
        let mut has = Vec::new();
        for (name, signature) in [
            ("deployment", "deploymentSignature"),
            ("clusterDeployment", "clusterDeploymentSignature"),
        ] {
            let signature = self.text(fields, signature, Need::Optional);
            let place = fields.get(name).filter(
                |place| !matches!(&place.node.content, Content::Text(text) if text.is_empty()),
            );
            if place.is_some() {
                has.push(name);
            }
            match (place, signature) {
                (Some(place), None) if matches!(place.node.content, Content::Text(_)) => {
                    let what = format!("`{name}` is a text, and so must be signed already");
                    let help = format!("add \"{name}Signature\", or write an object");
                    self.error(&place, what, help);
                }
                (Some(place), Some(_)) if matches!(place.node.content, Content::Text(_)) => (),
                (Some(place), signature) => {
                    if let Some((place, _)) = signature {
                        let what =
                            format!("`{name}` is an object, and is signed when it is published");
                        self.warn(&place, what, "leave the signature away");
                    }
                    if name == "deployment" {
                        self.deployment(&place);
                    } else {
                        self.cluster_deployment(&place);
                    }
                }
                (None, Some((place, _))) => {
                    self.warn(&place, format!("there is no `{name}` to be signed"), "");
                }
                (None, None) => (),
            }
        }
        if has.is_empty() {
            let place = fields.place().clone();
            let help = "add \"deployment\": {\"services\": {…}}";
            self.warn(&place, "the service has no deployment, and so runs nothing", help);
        }
        if has == ["clusterDeployment"]
            && let Some(place) = fields.get("requiredServices")
            && !self.items_of(&place).is_empty()
        {
            let what = "a service for clusters alone cannot require others";
            self.error(&place, what, "put what it needs into its operator");
        }
    }

    /// The operator of a service for clusters, as an object.
    fn cluster_deployment(&mut self, place: &Place<'a>) {
        self.object(place, |it, fields| {
            let example = Need::Required("\"operator.tar.gz\"");
            it.text(fields, "operatorYamlArchive", example);
            if let Some(place) = fields.get("metadata") {
                let what = "`metadata` is made from the archive when the service is published";
                it.error(&place, what, "take it away");
            }
            for (_, place) in it.entries(fields, "secrets") {
                it.secret(&place);
            }
            if let Some(place) = fields.get("mmsPVC") {
                it.object(&place, |it, fields| {
                    it.whole(fields, "pvcSizeGB");
                    if it.flag(fields, "enable") != Some(true) {
                        let what = "`mmsPVC` is not enabled, and so is not published";
                        it.warn(&place, what, "add \"enable\": true, or leave it away");
                    }
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::check::tests::{assert_told, told};

    fn service(rest: &str) -> Vec<String> {
        let start = r#"{"label":"l","url":"u","version":"1","arch":"arm","sharable":"multiple","#;
        told(&format!("{start}\n{rest}}}"), ServiceDefinition::from_source)
    }

    #[test]
    fn a_cluster_deployment_is_checked_field_by_field() {
        let all = service(
            r#""clusterDeployment": {"metadata": {"namespace": "n"}, "operatorYamlArchives": "x",
  "secrets": {"a": {"description": 5}}, "mmsPVC": {"pvcSizeGB": "1"}}"#,
        );
        assert_told(
            &all,
            &[
                ("2:22 clusterDeployment.operatorYamlArchive: ", "operator.tar.gz"),
                ("2:35 clusterDeployment.metadata: ", "take it away"),
                ("?2:55 clusterDeployment.operatorYamlArchives: ", "`operatorYamlArchive`?"),
                ("3:36 clusterDeployment.secrets.a.description: ", "a text"),
                ("?3:51 clusterDeployment.mmsPVC: ", "not enabled"),
                ("3:65 clusterDeployment.mmsPVC.pvcSizeGB: ", "whole number"),
            ],
        );
        let fine =
            r#""clusterDeployment": {"operatorYamlArchive": "a", "mmsPVC": {"enable": true}}"#;
        assert_told(&service(fine), &[]);
        assert_told(&service(r#""clusterDeployment": {}"#), &[("2:22", "operatorYamlArchive")]);
        assert_told(&service(r#""clusterDeployment": "{}""#), &[("2:22", "Signature")]);
    }

    #[test]
    fn a_service_for_clusters_alone_requires_none() {
        let all = service(
            r#""requiredServices": [{"url":"r","org":"o","arch":"arm","versionRange":"1.0.0"}],
  "clusterDeployment": {"operatorYamlArchive": "a"}"#,
        );
        assert_told(&all, &[("2:21 requiredServices: ", "cannot require")]);
    }

    #[test]
    fn what_other_programs_make_of_a_container_is_told() {
        let all = service(
            r#""deployment": {"services": {"a": {"image": "r.example/a:1",
  "security_opt": ["x"], "variation_label": "v", "max_cpus": -1, "environment": ["A=1", "A=2"],
  "ports": [{"HostPort": "8510:80"}, {"HostPort": "80:80/tcp"}, {"HostPort": "80:81/udp"}]},
  "b": {"image": "r.example/b:1", "network": "host", "specific_ports": [{"HostPort": "80"}]}}}"#,
        );
        let at = "deployment.services";
        let expected = [
            (format!("?3:19 {at}.a.security_opt: "), "anax takes it"),
            (format!("?3:45 {at}.a.variation_label: "), "nodes of Edgepost ignore it"),
            (format!("3:62 {at}.a.max_cpus: "), "negative"),
            (format!("?3:89 {at}.a.environment[1]: "), "the last counts"),
            (format!("?4:26 {at}.a.ports[0].HostPort: "), "8510"),
            (format!("?5:46 {at}.b.network: "), "no ports of its own"),
            (
                format!("?5:86 {at}.b.specific_ports[0].HostPort: `80/tcp` stands here again"),
                "owner",
            ),
        ];
        let expected: Vec<_> = expected.iter().map(|(a, b)| (a.as_str(), *b)).collect();
        assert_told(&all, &expected);
    }
}
