//! Organizations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{exchange::api::nullable, types::OrgId};

/// The kind of organization whose patterns and services may be public to all.
pub const ORG_TYPE_IBM: &str = "IBM";

/// What `POST` and `PUT /orgs/{org}` take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OrgRequest {
    /// `IBM` or nothing.
    #[serde(default, deserialize_with = "nullable")]
    pub org_type: String,
    /// A name for people.
    pub label: String,
    /// A sentence for people.
    pub description: String,
    /// Free words.
    #[serde(default)]
    pub tags: Option<BTreeMap<String, String>>,
    /// What it may have.
    #[serde(default, deserialize_with = "nullable")]
    pub limits: OrgLimits,
    /// How often its nodes should ask.
    #[serde(default, deserialize_with = "nullable")]
    pub heartbeat_intervals: HeartbeatIntervals,
}

impl OrgRequest {
    /// An organization without limits and tags.
    pub fn new(label: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            org_type: String::new(),
            label: label.into(),
            description: description.into(),
            tags: None,
            limits: OrgLimits::default(),
            heartbeat_intervals: HeartbeatIntervals::default(),
        }
    }
}

/// What an organization may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrgLimits {
    /// The most nodes; 0 is no limit.
    pub max_nodes: i64,
}

impl OrgLimits {
    /// Whether they allow more than `held`.
    pub fn lift(&self, held: &Self) -> bool {
        held.max_nodes != 0 && (self.max_nodes == 0 || self.max_nodes > held.max_nodes)
    }
}

/// How often a node should ask for changes, in seconds; 0 leaves it to the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeartbeatIntervals {
    /// While something happens.
    pub min_interval: i64,
    /// While nothing happens.
    pub max_interval: i64,
    /// By how much to slow down each time.
    pub interval_adjustment: i64,
}

/// An organization as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Org {
    /// As it was given.
    #[serde(flatten)]
    pub value: OrgRequest,
    /// When it was last written.
    pub last_updated: Timestamp,
}

/// What `GET` and `PUT /orgs/{org}/edgepost/settings` answer: what Horizon has no word for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OrgSettings {
    /// Whether nodes get registry tokens as Horizon gives them.
    pub plain_credentials: PlainCredentials,
    /// Whose registrations entitle nodes to pull credentials.
    #[serde(default)]
    pub node_credentials: NodeCredentials,
    /// Whether documents without a signature of ours entitle nodes to pull credentials.
    #[serde(default)]
    pub unsigned_documents: UnsignedDocuments,
    /// The least number of characters of a new password; 0 is no minimum.
    #[serde(default)]
    pub min_password_length: u32,
    /// The least number of characters of a new node token; 0 is no minimum.
    #[serde(default)]
    pub min_token_length: u32,
}

/// What `PUT /orgs/{org}/edgepost/settings` takes: what is given is chosen, the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct OrgSettingsChange {
    /// Whether nodes get registry tokens as Horizon gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain_credentials: Option<PlainCredentials>,
    /// Whose registrations entitle nodes to pull credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_credentials: Option<NodeCredentials>,
    /// Whether documents without a signature of ours entitle nodes to pull credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned_documents: Option<UnsignedDocuments>,
    /// The least number of characters of a new password; 0 is no minimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_password_length: Option<u32>,
    /// The least number of characters of a new node token; 0 is no minimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_token_length: Option<u32>,
}

impl OrgSettingsChange {
    /// The settings after the change.
    pub fn apply(&self, held: &OrgSettings) -> OrgSettings {
        OrgSettings {
            plain_credentials: self.plain_credentials.unwrap_or(held.plain_credentials),
            node_credentials: self.node_credentials.unwrap_or(held.node_credentials),
            unsigned_documents: self.unsigned_documents.unwrap_or(held.unsigned_documents),
            min_password_length: self.min_password_length.unwrap_or(held.min_password_length),
            min_token_length: self.min_token_length.unwrap_or(held.min_token_length),
        }
    }
}

/// Whose registrations entitle nodes to pull credentials, beside an administrator's, the service owner's and a signed
/// node policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeCredentials {
    /// Only an administrator's, and a service owner's for that service.
    #[default]
    Admins,
    /// Those of every user of the organization.
    Members,
}

/// Whether patterns, deployment policies and services that only Horizon's API has entitle nodes to pull credentials.
/// Agents of Open Horizon run such documents; ours never do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnsignedDocuments {
    /// Unsigned documents give no node pull credentials.
    #[default]
    Ignored,
    /// They do where their author may change the service in question.
    Counted,
}

/// Whether a node that is to run a service gets its registry tokens by Horizon's path, readable by
/// whatever is between. Anax knows no other way; our agent never goes this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlainCredentials {
    /// They are given to it.
    #[default]
    Served,
    /// To nobody: tokens leave the exchange sealed, or not at all.
    Refused,
}

/// What `GET /orgs` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Orgs {
    /// By name.
    pub orgs: BTreeMap<OrgId, Org>,
    /// Always 0.
    pub last_index: i64,
}

/// What `GET /orgs/{org}/agbots` answers: there are none, since nodes decide themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgbotsNone {
    /// Always empty.
    pub agbots: BTreeMap<String, serde_json::Value>,
    /// Always 0.
    pub last_index: i64,
}
