//! What the exchange says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What `GET /orgs/{org}/status` answers: the same numbers, under another name for the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgStatus {
    /// The version of the database's tables.
    #[serde(rename = "SchemaVersion")]
    pub schema_version: i64,
    /// The numbers.
    #[serde(flatten)]
    pub status: AdminStatus,
}

/// What `GET /admin/orgstatus` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesOfOrgs {
    /// `Exchange server operating normally`, or what keeps it from that.
    pub msg: String,
    /// How many nodes each organization has.
    pub nodes: BTreeMap<String, i64>,
}

/// What `GET /admin/status` answers. Numbers are of what the caller may see; -1 is hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminStatus {
    /// `Exchange server operating normally`, or what keeps it from that.
    pub msg: String,
    /// The version of the database's tables; only for hub administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_schema_version: Option<i64>,
    /// Organizations.
    pub number_of_organizations: i64,
    /// Users.
    pub number_of_users: i64,
    /// Nodes.
    pub number_of_nodes: i64,
    /// Nodes that have a public key.
    pub number_of_registered_nodes: i64,
    /// Nodes that have none.
    pub number_of_unregistered_nodes: i64,
    /// Agreements of nodes.
    pub number_of_node_agreements: i64,
    /// Messages to nodes.
    pub number_of_node_msgs: i64,
    /// Agreement bots.
    pub number_of_agbots: i64,
    /// Agreements of agreement bots.
    pub number_of_agbot_agreements: i64,
    /// Messages to agreement bots.
    pub number_of_agbot_msgs: i64,
}
