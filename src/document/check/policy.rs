//! Reads policies.

use super::{Fields, Inspector, Need, parts};
use crate::{
    document::{
        choice::ArchChoice,
        policy::{DeploymentPolicy, NodePolicy, ServicePolicy},
        problem::{Problem, Problems},
        source::Source,
    },
    types::{OrgId, ServiceUrl},
};

impl DeploymentPolicy {
    /// Reads a policy, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        let mut it = Inspector::of(source);
        it.object(&it.root(), Inspector::deployment_policy);
        it.finish()
    }
}

impl ServicePolicy {
    /// Reads a policy, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        let mut it = Inspector::of(source);
        it.object(&it.root(), |it, fields| {
            it.text(fields, "label", Need::Optional);
            it.text(fields, "description", Need::Optional);
            it.properties_and_constraints(fields);
        });
        it.finish()
    }
}

impl NodePolicy {
    /// Reads a policy, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        let mut it = Inspector::of(source);
        it.object(&it.root(), |it, fields| {
            it.text(fields, "label", Need::Optional);
            it.text(fields, "description", Need::Optional);
            it.text(fields, "nodePolicyVersion", Need::Optional);
            it.properties_and_constraints(fields);
            for part in ["deployment", "management"] {
                if let Some(place) = fields.get(part) {
                    it.object(&place, Inspector::properties_and_constraints);
                }
            }
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
        self.given(fields);
        self.secret_binding(fields);
    }
}
