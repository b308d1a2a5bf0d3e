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

/// What `GET` and `PUT /orgs/{org}/edgepost/settings` tell: what Horizon has no word for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OrgSettings {
    /// Whether nodes get registry tokens as Horizon gives them.
    pub plain_credentials: PlainCredentials,
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
