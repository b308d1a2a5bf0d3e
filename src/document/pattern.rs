//! Patterns: a named list of services that a node takes as a whole.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    document::{
        choice::{ArchChoice, NodeHealth, SecretBinding, VersionChoice},
        lenient,
        user_input::UserInputValue,
    },
    types::{DocumentBody, OrgId, PatternId, ServiceUrl, Subject, Version},
};

/// A pattern, with Horizon's fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["services"]))]
pub struct Pattern {
    /// Its name; where there is none, that of its file serves.
    #[serde(
        default,
        deserialize_with = "lenient::empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<PatternId>,
    /// The organization it is written for.
    #[serde(
        default,
        deserialize_with = "lenient::empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub org: Option<OrgId>,
    /// What people call it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub label: String,
    /// What it is for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub description: String,
    /// Whether other organizations may take it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub public: bool,
    /// The name space of its cluster services; empty is none.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub cluster_namespace: String,
    /// The services that a node with this pattern runs.
    #[serde(default, deserialize_with = "lenient::or_default")]
    #[schemars(extend("minItems" = 1))]
    pub services: Vec<PatternService>,
    /// How nodes and agreement bots agree; an exchange puts `Basic` for nothing.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub agreement_protocols: Vec<Map<String, Value>>,
    /// Values for the variables of its services.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub user_input: Vec<UserInputValue>,
    /// Secrets for its services.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub secret_binding: Vec<SecretBinding>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// One service of a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    extend("required" = ["serviceUrl", "serviceOrgid", "serviceArch", "serviceVersions"])
)]
pub struct PatternService {
    /// Its name.
    pub service_url: ServiceUrl,
    /// The organization that publishes it.
    pub service_orgid: OrgId,
    /// The architectures of it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub service_arch: ArchChoice,
    /// Whether it runs without an agreement, as part of the node.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub agreement_less: bool,
    /// Its versions, of which one runs.
    #[serde(default, deserialize_with = "lenient::or_default")]
    #[schemars(extend("minItems" = 1))]
    pub service_versions: Vec<VersionChoice>,
    /// How an agreement bot checks that data flow; an object, unused here.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub data_verification: Map<String, Value>,
    /// When a node counts as gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_health: Option<NodeHealth>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A service that a pattern names, in the versions it offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRef {
    /// The organization that publishes it.
    pub org: OrgId,
    /// Its name there.
    pub url: ServiceUrl,
    /// The architectures of it.
    pub arch: ArchChoice,
    /// The versions that may run.
    pub versions: Vec<Version>,
}

impl Pattern {
    /// The services it names, each with the versions it offers.
    pub fn service_refs(&self) -> Vec<ServiceRef> {
        let reference = |service: &PatternService| ServiceRef {
            org: service.service_orgid.clone(),
            url: service.service_url.clone(),
            arch: service.service_arch.clone(),
            versions: service.service_versions.iter().map(|it| it.version.clone()).collect(),
        };
        self.services.iter().map(reference).collect()
    }

    /// Whether any of its deployment overrides has Horizon's signature.
    pub fn has_signed_overrides(&self) -> bool {
        let mut versions = self.services.iter().flat_map(|it| &it.service_versions);
        versions.any(|it| !it.deployment_overrides_signature.is_empty())
    }

    /// Exactly what `hzn` sends for it: no name, no organization, no field that is not Horizon's;
    /// deployment overrides as text.
    pub fn to_horizon(&self) -> Value {
        let mut sent = self.clone();
        (sent.name, sent.org) = (None, None);
        sent.unknown.clear();
        for service in &mut sent.services {
            service.unknown.clear();
            service.service_versions.iter_mut().for_each(without_unknown);
            service.node_health.iter_mut().for_each(|it| it.unknown.clear());
            for version in &mut service.service_versions {
                let overrides = match (&version.deployment_overrides, version.overrides_text()) {
                    (Value::String(text), _) => text.clone(),
                    (_, text) => text.unwrap_or_default(),
                };
                version.deployment_overrides = Value::String(overrides);
            }
        }
        sent.user_input.iter_mut().for_each(UserInputValue::remove_unknown);
        sent.secret_binding.iter_mut().for_each(|it| it.unknown.clear());
        // Every key is a text, so that this cannot fail.
        serde_json::to_value(sent).unwrap_or_default()
    }
}

pub(super) fn without_unknown(choice: &mut VersionChoice) {
    choice.unknown.clear();
    choice.priority.unknown.clear();
    choice.upgrade_policy.unknown.clear();
}

impl DocumentBody for Pattern {
    fn contradiction(&self, org: &OrgId, subject: &Subject) -> Option<String> {
        if let Some(other) = self.org.as_ref().filter(|it| *it != org) {
            return Some(format!("a pattern of {other} in its body"));
        }
        let other = self.name.clone().map(Subject::Pattern).filter(|it| it != subject)?;
        Some(format!("{other} in its body"))
    }
}
