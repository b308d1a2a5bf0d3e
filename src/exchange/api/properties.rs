//! Properties and variables, as several nouns have them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    document::constraint::Constraint,
    exchange::api::nullable,
    types::{OrgId, ServiceUrl},
};

/// The most that an answer repeats of why a constraint cannot be read, in characters.
const LONGEST_REASON: usize = 300;

/// Something a policy says: a name and a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// How to read the value, where that is not plain from it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<PropertyType>,
    /// Its value.
    pub value: Value,
}

/// How to read a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PropertyType {
    /// A text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// Texts parted by commas.
    #[serde(rename = "list of strings")]
    ListOfStrings,
    /// A version.
    Version,
}

/// Values of a service's variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserInput {
    /// The organization of the service.
    pub service_orgid: OrgId,
    /// Its name.
    pub service_url: ServiceUrl,
    /// The architecture it is for; any if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_arch: Option<String>,
    /// The versions it is for; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_version_range: Option<String>,
    /// The values.
    #[serde(default, deserialize_with = "nullable")]
    pub inputs: Vec<Input>,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// Which secrets a service gets, by Horizon's secrets manager. Kept for Horizon's agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretBinding {
    /// The organization of the service.
    pub service_orgid: OrgId,
    /// Its name.
    pub service_url: ServiceUrl,
    /// The architecture it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_arch: Option<String>,
    /// The versions it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_version_range: Option<String>,
    /// The service's names of secrets, and the manager's.
    #[serde(default, deserialize_with = "nullable")]
    pub secrets: Vec<BTreeMap<String, String>>,
    /// Whether a node may have its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_node_level_secrets: Option<bool>,
}

/// What is wrong with the first constraint that no parser of Horizon reads, if there is one.
pub(super) fn constraint_problem(constraints: &[String]) -> Option<String> {
    constraints.iter().enumerate().find_map(|(index, text)| {
        let error = Constraint::check_for_horizon(text).err()?;
        let why: String = error.to_string().chars().take(LONGEST_REASON).collect();
        Some(format!("constraints[{index}] cannot be read: {why}"))
    })
}

/// How long a node may be silent, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeHealth {
    /// Before its agreements are cancelled.
    pub missing_heartbeat_interval: i64,
    /// How often agreements are compared.
    pub check_agreement_status: i64,
}

impl Default for NodeHealth {
    fn default() -> Self {
        Self { missing_heartbeat_interval: 1800, check_agreement_status: 1800 }
    }
}

/// How eagerly a version is tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Priority {
    /// Lower is tried first.
    pub priority_value: i64,
    /// How often.
    pub retries: i64,
    /// Within how many seconds.
    pub retry_durations: i64,
    /// After how many seconds it is taken for good.
    pub verified_durations: i64,
}

/// When a new version replaces an old one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpgradePolicy {
    /// `immediate`, `never` or `agreement`.
    pub lifecycle: String,
    /// At which time of day.
    pub time: String,
}
