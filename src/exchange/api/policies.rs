//! Deployment policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    exchange::api::{
        NodeHealth, Priority, Property, SecretBinding, Stored, UpgradePolicy, UserInput,
        bounds::{policy_problem, secret_binding_problem, too_many, user_input_problem},
        nullable,
        services::is_plain_version,
    },
    types::{OrgId, ServiceUrl},
};

/// What `POST` and `PUT /orgs/{org}/business/policies/{policy}` take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PolicyRequest {
    /// A name for people.
    pub label: String,
    /// A sentence for people.
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
    /// What is deployed.
    pub service: PolicyService,
    /// Values of the service's variables.
    #[serde(default, deserialize_with = "nullable")]
    pub user_input: Vec<UserInput>,
    /// The service's secrets.
    #[serde(default, deserialize_with = "nullable")]
    pub secret_binding: Vec<SecretBinding>,
    /// What the policy says about itself.
    #[serde(default, deserialize_with = "nullable")]
    pub properties: Vec<Property>,
    /// What it demands of a node.
    #[serde(default, deserialize_with = "nullable")]
    pub constraints: Vec<String>,
}

/// What a deployment policy deploys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyService {
    /// The service's name.
    pub name: ServiceUrl,
    /// The organization it belongs to.
    pub org: OrgId,
    /// The architecture; `*` is any, and hzn leaves it out where it means that.
    #[serde(default = "any_arch")]
    pub arch: String,
    /// Its versions, and which is tried first.
    pub service_versions: Vec<PolicyServiceVersion>,
    /// How long a node may be silent.
    #[serde(default, deserialize_with = "nullable")]
    pub node_health: NodeHealth,
    /// Where it runs on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_namespace: Option<String>,
}

fn any_arch() -> String {
    "*".to_owned()
}

/// A version that a deployment policy deploys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyServiceVersion {
    /// The version.
    pub version: String,
    /// How eagerly it is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// When it replaces another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_policy: Option<UpgradePolicy>,
}

impl PolicyRequest {
    /// What is wrong with it by itself, if anything is.
    pub fn problem(&self) -> Option<String> {
        if self.service.service_versions.is_empty() {
            return Some("the service has no serviceVersions".to_owned());
        }
        let versions = &self.service.service_versions;
        let too_long = too_many("serviceVersions", versions.len())
            .or_else(|| policy_problem(&self.properties, &self.constraints))
            .or_else(|| user_input_problem(&self.user_input))
            .or_else(|| secret_binding_problem(&self.secret_binding));
        if too_long.is_some() {
            return too_long;
        }
        let odd = versions.iter().find(|it| !is_plain_version(&it.version))?;
        Some(format!("version '{}' is no version", odd.version))
    }
}

/// A deployment policy as it is kept.
pub type Policy = Stored<PolicyRequest>;

/// What `GET /orgs/{org}/business/policies` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policies {
    /// By `org/id`.
    #[serde(rename = "businessPolicy")]
    pub policies: BTreeMap<String, Policy>,
    /// Always 0.
    pub last_index: i64,
}
