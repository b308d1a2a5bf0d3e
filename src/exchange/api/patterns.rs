//! Patterns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    exchange::api::{
        NodeHealth, Priority, SecretBinding, Stored, UpgradePolicy, UserInput,
        bounds::{secret_binding_problem, too_many, too_many_inside, user_input_problem},
        nullable,
        services::is_plain_version,
    },
    types::{OrgId, ServiceUrl},
};

/// What `POST` and `PUT /orgs/{org}/patterns/{pattern}` take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PatternRequest {
    /// A name for people.
    pub label: String,
    /// A sentence for people.
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
    /// Whether other organizations see it; only in organizations of type IBM.
    #[serde(default, deserialize_with = "nullable")]
    pub public: bool,
    /// What a node of this pattern runs.
    pub services: Vec<PatternService>,
    /// Values of the services' variables.
    #[serde(default, deserialize_with = "nullable")]
    pub user_input: Vec<UserInput>,
    /// The services' secrets.
    #[serde(default, deserialize_with = "nullable")]
    pub secret_binding: Vec<SecretBinding>,
    /// How Horizon's bots and nodes agree.
    #[serde(default, deserialize_with = "nullable")]
    pub agreement_protocols: Vec<AgreementProtocol>,
    /// Where it runs on a cluster.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_namespace: String,
}

/// A service of a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PatternService {
    /// Its name.
    pub service_url: ServiceUrl,
    /// The organization it belongs to.
    pub service_orgid: OrgId,
    /// The architecture; `*` is any.
    pub service_arch: String,
    /// Whether it runs without an agreement.
    #[serde(default, deserialize_with = "nullable")]
    pub agreement_less: bool,
    /// Its versions, and which is tried first.
    pub service_versions: Vec<PatternServiceVersion>,
    /// Checks of its data; kept for Horizon.
    #[serde(default, deserialize_with = "nullable")]
    pub data_verification: Map<String, Value>,
    /// How long the node may be silent.
    #[serde(default, deserialize_with = "nullable")]
    pub node_health: NodeHealth,
}

/// A version of a service of a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatternServiceVersion {
    /// The version.
    pub version: String,
    /// What replaces parts of the deployment: a JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_overrides: Option<String>,
    /// Horizon's signature of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_overrides_signature: Option<String>,
    /// How eagerly it is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// When it replaces another.
    #[serde(default, rename = "upgradePolicy", skip_serializing_if = "Option::is_none")]
    pub upgrade_policy: Option<UpgradePolicy>,
}

/// A way in which Horizon's bots and nodes agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementProtocol {
    /// Its name.
    pub name: String,
}

impl PatternRequest {
    /// Fills in what may be left out: Horizon's answers always have it.
    #[must_use]
    pub fn completed(mut self) -> Self {
        if self.agreement_protocols.is_empty() {
            self.agreement_protocols.push(AgreementProtocol { name: "Basic".to_owned() });
        }
        self
    }

    /// What is wrong with it by itself, if anything is.
    pub fn problem(&self) -> Option<String> {
        if self.services.is_empty() {
            return Some("a pattern needs a service".to_owned());
        }
        let too_long = self.too_long();
        if too_long.is_some() {
            return too_long;
        }
        self.services.iter().find_map(|service| {
            let url = &service.service_url;
            if service.service_versions.is_empty() {
                return Some(format!("service '{url}' has no serviceVersions"));
            }
            service.service_versions.iter().find_map(|it| {
                let filled = |text: &Option<String>| text.as_ref().is_some_and(|it| !it.is_empty());
                if !is_plain_version(&it.version) {
                    return Some(format!("version '{}' of '{url}' is no version", it.version));
                }
                (filled(&it.deployment_overrides) && !filled(&it.deployment_overrides_signature))
                    .then(|| format!("deployment_overrides of '{url}' need their signature"))
            })
        })
    }
}

impl PatternRequest {
    fn too_long(&self) -> Option<String> {
        let versions = |it: &PatternService| it.service_versions.len();
        too_many("services", self.services.len())
            .or_else(|| {
                self.services.iter().find_map(|it| too_many("serviceVersions", versions(it)))
            })
            .or_else(|| {
                too_many_inside("serviceVersions", self.services.iter().map(versions).sum())
            })
            .or_else(|| too_many("agreementProtocols", self.agreement_protocols.len()))
            .or_else(|| user_input_problem(&self.user_input))
            .or_else(|| secret_binding_problem(&self.secret_binding))
    }
}

/// A pattern as it is kept.
pub type Pattern = Stored<PatternRequest>;

/// What `GET /orgs/{org}/patterns` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Patterns {
    /// By `org/id`.
    pub patterns: BTreeMap<String, Pattern>,
    /// Always 0.
    pub last_index: i64,
}
