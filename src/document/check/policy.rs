//! Reads policies.

use super::{Fields, Inspector, Need, Place, parts};
use crate::{
    document::{
        choice::ArchChoice,
        kind::Kind,
        policy::{DeploymentPolicy, NodePolicy, ServicePolicy},
        problem::{Problem, Problems},
        property::{ALLOW_PRIVILEGED, Property},
        source::{Content, Source},
    },
    types::{OrgId, ServiceUrl},
};

impl DeploymentPolicy {
    /// Reads a policy, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        Kind::DeploymentPolicy.expect(source)?;
        let mut it = Inspector::of(source);
        it.object(&it.root(), Inspector::deployment_policy);
        it.finish()
    }
}

impl ServicePolicy {
    /// Reads a policy, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        Kind::Policy.expect(source)?;
        let mut it = Inspector::of(source);
        it.object(&it.root(), |it, fields| {
            it.text(fields, "label", Need::Optional);
            it.text(fields, "description", Need::Optional);
            it.properties_and_constraints(fields);
            it.of_services(fields);
            it.some_known(fields, "policy", "`properties` and `constraints`");
        });
        it.finish()
    }
}

impl NodePolicy {
    /// Reads a policy, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        Kind::Policy.expect(source)?;
        let mut it = Inspector::of(source);
        it.object(&it.root(), |it, fields| {
            it.text(fields, "label", Need::Optional);
            it.text(fields, "description", Need::Optional);
            it.text(fields, "nodePolicyVersion", Need::Optional);
            it.properties_and_constraints(fields);
            it.of_nodes(fields);
            for part in ["deployment", "management"] {
                if let Some(place) = fields.get(part) {
                    it.object(&place, |it, fields| {
                        it.properties_and_constraints(fields);
                        it.of_nodes(fields);
                    });
                }
            }
            it.some_known(fields, "policy", "`properties` and `constraints`");
        });
        it.finish()
    }
}

impl<'a> Inspector<'a> {
    fn deployment_policy(&mut self, fields: &mut Fields<'a>) {
        self.text(fields, "label", Need::Optional);
        self.text(fields, "description", Need::Optional);
        if let Some(place) = fields.get("service") {
            self.object(&place, |it, fields| {
                it.parsed::<ServiceUrl>(fields, "name", Need::Required(parts::EXAMPLE_URL));
                it.parsed::<OrgId>(fields, "org", Need::Required(parts::EXAMPLE_ORG));
                if fields.get("arch").is_none() {
                    let what = "`arch` is missing, which Horizon's exchange wants";
                    it.warn(&place, what, "add \"arch\": \"*\" for every one");
                }
                it.parsed::<ArchChoice>(fields, "arch", Need::Optional);
                it.text(fields, "clusterNamespace", Need::Optional);
                it.service_versions(fields);
                it.node_health(fields);
            });
        } else {
            let place = fields.place().clone();
            let help = "add \"service\": {\"name\": …, \"org\": …, \"serviceVersions\": […]}";
            self.error(&place, "`service` is missing", help);
        }
        self.properties_and_constraints(fields);
        self.of_services(fields);
        let is_empty =
            |it: &Place<'_>| matches!(&it.node.content, Content::List(items) if items.is_empty());
        if fields.get("constraints").is_none_or(|it| is_empty(&it)) {
            let place = fields.place().clone();
            let what = "without constraints every node that the service fits runs it";
            self.warn(&place, what, "add \"constraints\": [\"purpose == camera\"]");
        }
        self.given(fields);
        self.secret_binding(fields);
    }

    /// Properties that are made for each service, and cannot be stated.
    fn of_services(&mut self, fields: &mut Fields<'a>) {
        self.made(
            fields,
            |name| name.starts_with("openhorizon.service."),
            "it is made from the service",
        );
    }

    /// Properties that a node measures.
    fn of_nodes(&mut self, fields: &mut Fields<'a>) {
        self.made(fields, Property::is_measured, "the node measures it");
    }

    fn made(&mut self, fields: &mut Fields<'a>, is_made: impl Fn(&str) -> bool, help: &str) {
        for place in self.items(fields, "properties") {
            let value = self.value_of(&place);
            if let Some(name) = value["name"].as_str().filter(|it| is_made(it)) {
                self.warn(&place, format!("`{name}` cannot be stated"), help);
            }
            if value["name"] == ALLOW_PRIVILEGED && !value["value"].is_boolean() {
                self.warn(
                    &place,
                    "only the boolean true allows privileged services",
                    "write true without quotes",
                );
            }
        }
    }
}
