//! What a node says about itself: policy, status, errors, agreements.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::api::{
    Property,
    bounds::{policy_problem, too_many, too_many_inside},
    nullable,
};

/// What `PUT /orgs/{org}/nodes/{node}/policy` takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodePolicyRequest {
    /// A name for people.
    #[serde(deserialize_with = "nullable")]
    pub label: String,
    /// A sentence for people.
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    /// What the node is.
    #[serde(deserialize_with = "nullable")]
    pub properties: Vec<Property>,
    /// What it demands of services.
    #[serde(deserialize_with = "nullable")]
    pub constraints: Vec<String>,
    /// More of both, for deployment alone.
    #[serde(deserialize_with = "nullable")]
    pub deployment: PolicyTerms,
    /// More of both, for management alone.
    #[serde(deserialize_with = "nullable")]
    pub management: PolicyTerms,
    /// The version of the policy's format.
    #[serde(deserialize_with = "nullable")]
    pub node_policy_version: String,
}

impl NodePolicyRequest {
    /// What is wrong with it by itself, if anything is.
    pub fn problem(&self) -> Option<String> {
        let Self { properties, constraints, deployment, management, .. } = self;
        policy_problem(properties, constraints)
            .or_else(|| policy_problem(&deployment.properties, &deployment.constraints))
            .or_else(|| policy_problem(&management.properties, &management.constraints))
    }
}

/// Properties and constraints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyTerms {
    /// What the node is.
    #[serde(deserialize_with = "nullable")]
    pub properties: Vec<Property>,
    /// What it demands.
    #[serde(deserialize_with = "nullable")]
    pub constraints: Vec<String>,
}

/// What `PUT /orgs/{org}/nodes/{node}/status` takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeStatusRequest {
    /// Which hosts it reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connectivity: Option<BTreeMap<String, bool>>,
    /// What it runs.
    pub services: Vec<RunningService>,
}

/// A service that a node runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningService {
    /// The agreement it runs under.
    pub agreement_id: String,
    /// Its name.
    pub service_url: String,
    /// The organization it belongs to.
    pub orgid: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub arch: String,
    /// Its containers.
    #[serde(default, deserialize_with = "nullable")]
    pub container_status: Vec<ContainerStatus>,
    /// What its operator says, on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_status: Option<Value>,
    /// Whether it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_state: Option<String>,
}

/// A container of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its name.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// Its image.
    #[serde(default, deserialize_with = "nullable")]
    pub image: String,
    /// When it was made, in seconds since 1970.
    #[serde(default, deserialize_with = "nullable")]
    pub created: i64,
    /// What the engine calls its state.
    #[serde(default, deserialize_with = "nullable")]
    pub state: String,
}

impl NodeStatusRequest {
    /// What is wrong with it by itself, if anything is.
    pub fn problem(&self) -> Option<String> {
        let containers = self.services.iter().map(|it| it.container_status.len()).sum();
        too_many_inside("services", self.services.len())
            .or_else(|| too_many_inside("containerStatus of services", containers))
            .or_else(|| {
                let hosts = self.connectivity.as_ref().map_or(0, BTreeMap::len);
                too_many("connectivity", hosts)
            })
    }

    /// `|org/url_version_arch|…|`, by which Horizon searches; `|` if nothing runs.
    pub fn running_services(&self) -> String {
        self.services.iter().fold("|".to_owned(), |text, it| {
            text + &format!("{}/{}_{}_{}|", it.orgid, it.service_url, it.version, it.arch)
        })
    }
}

/// A node's status as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// As the node said it.
    #[serde(flatten)]
    pub value: NodeStatusRequest,
    /// What runs, in one text.
    pub running_services: String,
    /// When the node said it.
    pub last_updated: Timestamp,
}

/// What `PUT /orgs/{org}/nodes/{node}/errors` takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeErrorsRequest {
    /// What went wrong, in the agent's own words.
    pub errors: Vec<Value>,
}

impl NodeErrorsRequest {
    /// What is wrong with it by itself, if anything is.
    pub fn problem(&self) -> Option<String> {
        too_many_inside("errors", self.errors.len())
    }
}

/// What `PUT /orgs/{org}/nodes/{node}/agreements/{id}` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AgreementRequest {
    /// The services it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<AgreedService>>,
    /// The service at the top of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement_service: Option<AgreementService>,
    /// How far it has come.
    pub state: String,
}

/// A service that an agreement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedService {
    /// The organization it belongs to.
    pub orgid: String,
    /// Its name.
    pub url: String,
}

/// The service at the top of an agreement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgreementService {
    /// The organization it belongs to.
    pub orgid: String,
    /// The pattern it comes from.
    pub pattern: String,
    /// Its name.
    pub url: String,
}

/// An agreement as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agreement {
    /// The services it is about.
    pub services: Vec<AgreedService>,
    /// The service at the top of it.
    pub agr_service: AgreementService,
    /// How far it has come.
    pub state: String,
    /// When it was last written.
    pub last_updated: Timestamp,
}

/// What `GET /orgs/{org}/nodes/{node}/agreements` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agreements {
    /// By id.
    pub agreements: BTreeMap<String, Agreement>,
    /// Always 0.
    pub last_index: i64,
}
