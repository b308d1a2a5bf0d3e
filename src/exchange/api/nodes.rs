//! Nodes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    exchange::api::{
        HeartbeatIntervals, Hidden, UserInput, WireSecret,
        bounds::{too_many, too_many_inside, user_input_problem},
        nullable,
    },
    types::{Version, VersionRange},
};

/// What `PUT` and `PATCH /orgs/{org}/nodes/{node}` take; a `PATCH` has exactly one of them.
///
/// In a `PUT`, token, pattern and public key come together or not at all: without them it changes
/// the rest of a node that exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeRequest {
    /// By which the node shows who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<WireSecret>,
    /// A name for people; needed in a `PUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What kind of node it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_type: Option<NodeType>,
    /// `org/pattern`; empty for a node that goes by policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The services it offers to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_services: Option<Vec<RegisteredService>>,
    /// Values of the services' variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_input: Option<Vec<UserInput>>,
    /// Where it takes messages; no longer used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg_end_point: Option<String>,
    /// The versions of what it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_versions: Option<BTreeMap<String, String>>,
    /// The node's public key: a node that has one is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Its architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// How often it should ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_intervals: Option<HeartbeatIntervals>,
    /// Where it is on a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_namespace: Option<String>,
    /// Whether it may look at that namespace alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_namespace_scoped: Option<bool>,
}

impl NodeRequest {
    /// How many attributes it has.
    pub fn attributes(&self) -> usize {
        [
            self.token.is_some(),
            self.name.is_some(),
            self.node_type.is_some(),
            self.pattern.is_some(),
            self.registered_services.is_some(),
            self.user_input.is_some(),
            self.msg_end_point.is_some(),
            self.software_versions.is_some(),
            self.public_key.is_some(),
            self.arch.is_some(),
            self.heartbeat_intervals.is_some(),
            self.cluster_namespace.is_some(),
            self.is_namespace_scoped.is_some(),
        ]
        .into_iter()
        .filter(|&given| given)
        .count()
    }

    /// What is wrong with it by itself, if anything is.
    pub fn problem(&self) -> Option<String> {
        if self.token.as_ref().is_some_and(|token| token.0.is_empty()) {
            return Some("the token is empty".to_owned());
        }
        let services = self.registered_services.as_deref().unwrap_or_default();
        let properties = services.iter().map(|it| it.properties.len()).sum();
        too_many("registeredServices", services.len())
            .or_else(|| too_many_inside("properties of registeredServices", properties))
            .or_else(|| user_input_problem(self.user_input.as_deref().unwrap_or_default()))
            .or_else(|| {
                let versions = self.software_versions.as_ref().map_or(0, BTreeMap::len);
                too_many("softwareVersions", versions)
            })
            .or_else(|| services.iter().find_map(RegisteredService::problem))
    }
}

/// What kind of node it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// A machine with a container engine.
    #[default]
    Device,
    /// A Kubernetes cluster.
    Cluster,
}

/// A service that a node offers to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredService {
    /// `org/service`.
    pub url: String,
    /// How many agreements it may have.
    #[serde(default, deserialize_with = "nullable")]
    pub num_agreements: i64,
    /// Whether it is suspended.
    #[serde(default, deserialize_with = "nullable")]
    pub config_state: ConfigState,
    /// The node's terms, for Horizon's bots: a JSON text.
    #[serde(default, deserialize_with = "nullable")]
    pub policy: String,
    /// What the node says about it.
    #[serde(default, deserialize_with = "nullable")]
    pub properties: Vec<RegisteredProperty>,
    /// Its version.
    #[serde(default, deserialize_with = "nullable")]
    pub version: String,
}

/// Whether a service of a node is suspended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigState {
    /// It runs.
    #[default]
    Active,
    /// It does not, by somebody's wish.
    Suspended,
}

/// What a node says about a service it offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredProperty {
    /// Its name.
    pub name: String,
    /// Its value, always as a text.
    pub value: String,
    /// `string`, `list`, `version`, `boolean`, `int`, `wildcard`.
    pub prop_type: String,
    /// `=`, `>=`, `<=`, `in`.
    pub op: String,
}

impl RegisteredService {
    fn problem(&self) -> Option<String> {
        self.properties.iter().find_map(|it| {
            let RegisteredProperty { name, value, prop_type, op } = it;
            if !matches!(op.as_str(), "=" | ">=" | "<=" | "in") {
                return Some(format!("property '{name}': op '{op}' is not known"));
            }
            let fits = match prop_type.as_str() {
                "string" | "list" | "wildcard" => true,
                "boolean" => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
                "int" => value.parse::<i64>().is_ok(),
                "version" if op == "in" => value.parse::<VersionRange>().is_ok(),
                "version" => value.parse::<Version>().is_ok(),
                other => return Some(format!("property '{name}': type '{other}' is not known")),
            };
            (!fits).then(|| format!("property '{name}': '{value}' is no {prop_type}"))
        })
    }
}

/// What a node, or its owner, says about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeDescription {
    /// A name for people.
    pub name: String,
    /// What kind of node it is.
    pub node_type: NodeType,
    /// The services it offers to run.
    #[serde(deserialize_with = "nullable")]
    pub registered_services: Vec<RegisteredService>,
    /// Values of the services' variables.
    #[serde(deserialize_with = "nullable")]
    pub user_input: Vec<UserInput>,
    /// Where it takes messages.
    pub msg_end_point: String,
    /// The versions of what it runs.
    #[serde(deserialize_with = "nullable")]
    pub software_versions: BTreeMap<String, String>,
    /// Its architecture.
    pub arch: String,
    /// How often it should ask.
    #[serde(deserialize_with = "nullable")]
    pub heartbeat_intervals: HeartbeatIntervals,
    /// Where it is on a cluster.
    #[serde(deserialize_with = "nullable")]
    pub cluster_namespace: String,
    /// Whether it may look at that namespace alone.
    pub is_namespace_scoped: bool,
}

impl NodeDescription {
    /// The same, with what `request` says.
    #[must_use]
    pub fn with(self, request: NodeRequest) -> Self {
        Self {
            name: request.name.unwrap_or(self.name),
            node_type: request.node_type.unwrap_or(self.node_type),
            registered_services: request.registered_services.unwrap_or(self.registered_services),
            user_input: request.user_input.unwrap_or(self.user_input),
            msg_end_point: request.msg_end_point.unwrap_or(self.msg_end_point),
            software_versions: request.software_versions.unwrap_or(self.software_versions),
            arch: request.arch.unwrap_or(self.arch),
            heartbeat_intervals: request.heartbeat_intervals.unwrap_or(self.heartbeat_intervals),
            cluster_namespace: request.cluster_namespace.unwrap_or(self.cluster_namespace),
            is_namespace_scoped: request.is_namespace_scoped.unwrap_or(self.is_namespace_scoped),
        }
    }
}

/// Who stands for the registration of a node: what `…/edgepost/nodes/{node}/approval` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeApproval {
    /// `org/pattern` that counts for pull credentials; nothing for a node that runs what policies say.
    pub pattern: String,
    /// `org/user`, who set the pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern_by: Option<String>,
    /// `org/user`, who set the node's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_by: Option<String>,
    /// The digest of the signed policy that was published for this registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_policy: Option<String>,
    /// Whether the node's pattern is still that one.
    pub same_pattern: bool,
    /// Whether the node's own policy is still the one that the user set, apart from what the node measures.
    pub same_policy: bool,
    /// Whether the node's public key is still the one that credentials are sealed to.
    pub same_key: bool,
}

/// A node as others see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Always stars.
    pub token: Hidden,
    /// What is said about it.
    #[serde(flatten)]
    pub description: NodeDescription,
    /// `org/user`, who made it.
    pub owner: String,
    /// `org/pattern`, or nothing.
    pub pattern: String,
    /// The node's public key, or nothing until it is registered.
    pub public_key: String,
    /// When it was last heard of.
    pub last_heartbeat: Option<Timestamp>,
    /// Always null: groups for high availability are Horizon's.
    #[serde(default, rename = "ha_group")]
    pub ha_group: Option<String>,
    /// When it was last written.
    pub last_updated: Timestamp,
}

/// What `GET /orgs/{org}/nodes` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// By `org/id`.
    pub nodes: BTreeMap<String, Node>,
    /// Always 0.
    pub last_index: i64,
}

/// What `POST /orgs/{org}/nodes/{node}/services_configstate` takes; empty texts are any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfigStateRequest {
    /// The organization of the service.
    pub org: String,
    /// The service.
    pub url: String,
    /// What it should be.
    pub config_state: ConfigState,
    /// Its version.
    #[serde(default, deserialize_with = "nullable")]
    pub version: String,
}

/// What `GET /orgs/{org}/nodes/{node}/msgs` answers: nobody sends any, since nodes decide
/// themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoMessages {
    /// Always empty.
    pub messages: Vec<Value>,
    /// Always 0.
    pub last_index: i64,
}
