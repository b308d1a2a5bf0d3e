//! What decides about nodes: the answer from which is told which services fit which nodes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    document::{NodeFacts, NodePolicy, UserInputValue},
    exchange::api::{NodeType, nullable},
    types::{Arch, JsonProblem, NodeId},
};

/// The most nodes that one page has.
pub const MOST_PROFILES: u32 = 1000;

/// What decides about one node, as it told it.
///
/// Policy and values stand as they were told, so that one node that says something odd does not
/// hide the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeProfile {
    /// Its name.
    pub id: NodeId,
    /// Its architecture; empty if it never told.
    #[serde(default, deserialize_with = "nullable")]
    pub arch: String,
    /// What kind of node it is.
    #[serde(default, deserialize_with = "nullable")]
    pub node_type: NodeType,
    /// `org/pattern`; empty for a node that goes by policies.
    #[serde(default, deserialize_with = "nullable")]
    pub pattern: String,
    /// Where it is on a cluster.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_namespace: String,
    /// Whether it may look at that namespace alone.
    #[serde(default, deserialize_with = "nullable")]
    pub is_namespace_scoped: bool,
    /// Its values of services' variables.
    #[serde(default, deserialize_with = "nullable")]
    pub user_input: Vec<Value>,
    /// Its own policy, with the properties that it has measured; null if it never told one.
    #[serde(default)]
    pub policy: Value,
}

/// What `GET /orgs/{org}/edgepost/nodes` answers: the nodes that the caller may see, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeProfiles {
    /// A page of them.
    pub nodes: Vec<NodeProfile>,
    /// What to ask for as `after` to get the next page; nothing on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NodeId>,
}

/// Why what a node told cannot decide about it.
#[derive(Debug, thiserror::Error)]
pub enum NodeProfileError {
    /// It never told its architecture, or told something that is none.
    #[error("its architecture is not known")]
    NoArch,
    /// Its policy is not one.
    #[error("its policy cannot be read")]
    Policy(#[source] JsonProblem),
    /// Its values are not ones.
    #[error("its values for variables cannot be read")]
    UserInput(#[source] JsonProblem),
}

impl NodeProfile {
    /// Its own policy; an empty one if it never told any.
    ///
    /// # Errors
    /// [`NodeProfileError::Policy`]
    pub fn policy(&self) -> Result<NodePolicy, NodeProfileError> {
        match &self.policy {
            Value::Null => Ok(NodePolicy::default()),
            told => NodePolicy::deserialize(told).map_err(|it| NodeProfileError::Policy(it.into())),
        }
    }

    /// What is known of it. What it has measured stands in its policy.
    ///
    /// # Errors
    /// [`NodeProfileError::NoArch`] and [`NodeProfileError::UserInput`]
    pub fn facts(&self) -> Result<NodeFacts, NodeProfileError> {
        let arch = self.arch.parse::<Arch>().map_err(|_| NodeProfileError::NoArch)?;
        let values = self.user_input.iter().map(UserInputValue::deserialize);
        let user_input = values.collect::<Result<_, _>>();
        let user_input =
            user_input.map_err(|it: serde_json::Error| NodeProfileError::UserInput(it.into()))?;
        let facts = match self.node_type {
            NodeType::Device => NodeFacts::device(arch),
            NodeType::Cluster => NodeFacts {
                cluster_namespace: Some(self.cluster_namespace.clone()).filter(|it| !it.is_empty()),
                namespace_scoped: Some(self.is_namespace_scoped),
                ..NodeFacts::cluster(arch)
            },
        };
        Ok(NodeFacts { user_input, ..facts })
    }
}
