//! Deployment policies: services with conditions on nodes.

use serde_json::Value;

use crate::{
    cli::{
        Context,
        check::{self, Reach},
        code,
        documents::{Noun, Publication, Sheet, service, text_of, unfold, without_org},
        error::CliError,
    },
    document::{DeploymentPolicy, Problem, Problems, Source},
    publish::{DocumentPlan, Existing, PublishError, Published, Publisher},
    types::{DocumentKey, PolicyId},
};

/// A deployment policy by its name.
pub(super) struct NamedPolicy(PolicyId);

impl NamedPolicy {
    /// The policy that a list calls so.
    pub(super) fn named(name: &str) -> Result<Self, CliError> {
        without_org(name).parse().map(Self).map_err(|error| {
            CliError::new(code::USAGE, format!("`{name}` cannot name a policy")).because(&error)
        })
    }
}

impl Noun for NamedPolicy {
    type Written = DeploymentPolicy;
    type Signed = DeploymentPolicy;

    const WORD: &'static str = "policy";
    const LISTED_BY: &'static str = "edgepost policy list";
    const HEADINGS: &'static [&'static str] = &["POLICY", "SERVICE", "LABEL"];

    fn name(&self) -> &str {
        self.0.as_str()
    }

    fn key(&self) -> DocumentKey {
        DocumentKey::policy(&self.0)
    }

    fn read(source: &Source) -> Result<(DeploymentPolicy, Vec<Problem>), Problems> {
        DeploymentPolicy::from_source(source)
    }

    fn cells(name: &str, row: &Value) -> Vec<String> {
        vec![name.to_owned(), text_of(row, "/service/name"), text_of(row, "/label")]
    }

    fn summary(&self, said: &DeploymentPolicy, sheet: &mut Sheet) {
        sheet.line("label", &said.label);
        sheet.line("description", &said.description);
        let chosen = &said.service;
        sheet
            .line("service", format!("{} for {}", service(&chosen.org, &chosen.name), chosen.arch));
        sheet.versions(&chosen.service_versions);
        sheet.line("namespace", &chosen.cluster_namespace);
        sheet.terms("", &said.properties, &said.constraints);
        sheet.gifts(&said.user_input, &said.secret_binding);
    }

    /// Overrides as objects, and no signature over their text.
    fn comparable(mut policy: Value) -> Value {
        for version in policy["service"]["serviceVersions"].as_array_mut().into_iter().flatten() {
            unfold(version, "deployment_overrides", "deployment_overrides_signature");
        }
        policy
    }

    fn to_horizon(written: &DeploymentPolicy) -> Value {
        written.to_horizon()
    }
}

impl Publication for NamedPolicy {
    async fn publish(
        &self,
        publisher: &Publisher,
        policy: &DeploymentPolicy,
    ) -> Result<Published, PublishError> {
        publisher.publish_document(&self.0, policy, Existing::Overwrite).await
    }

    async fn plan(
        &self,
        publisher: &Publisher,
        policy: &DeploymentPolicy,
    ) -> Result<DocumentPlan, PublishError> {
        publisher.plan_document(&self.0, policy).await
    }

    async fn reach(
        &self,
        policy: &DeploymentPolicy,
        context: &Context,
    ) -> Result<Option<Reach>, CliError> {
        check::reach(policy, context).await
    }
}
