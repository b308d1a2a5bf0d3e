//! Nodes, as Horizon's exchange has them too.

use std::collections::BTreeMap;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{
        Dated, Node, NodeApproval, NodePolicyRequest, NodeRequest, NodeStatusRequest, Nodes,
    },
    types::NodeId,
};

impl ExchangeClient {
    /// The nodes that the caller may see, by `org/id`.
    pub async fn nodes(&self) -> Result<BTreeMap<String, Node>, ExchangeError> {
        match self.transport.find(Call::get(&self.in_org(&["nodes"]))).await? {
            Some(answer) => Ok(answer.json::<Nodes>()?.nodes),
            None => Ok(BTreeMap::new()),
        }
    }

    /// A node, if there is one of this name.
    pub async fn find_node(&self, id: &NodeId) -> Result<Option<Node>, ExchangeError> {
        let path = self.in_org(&["nodes", id.as_str()]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => Ok(answer.json::<Nodes>()?.nodes.into_values().next()),
            None => Ok(None),
        }
    }

    /// Makes a node, or replaces what is said about it. Token, pattern and public key go together:
    /// all or none. It is no sign of life of the node.
    pub async fn put_node(&self, id: &NodeId, node: &NodeRequest) -> Result<(), ExchangeError> {
        let path = self.in_org(&["nodes", id.as_str()]);
        let call = Call::put(&path).query("noheartbeat", &true).json(node)?;
        self.transport.send(call).await.map(drop)
    }

    /// Changes the one attribute that `node` gives.
    pub async fn change_node(&self, id: &NodeId, node: &NodeRequest) -> Result<(), ExchangeError> {
        let path = self.in_org(&["nodes", id.as_str()]);
        self.transport.send(Call::patch(&path).json(node)?).await.map(drop)
    }

    /// Removes a node; `false` if there is none.
    pub async fn remove_node(&self, id: &NodeId) -> Result<bool, ExchangeError> {
        let path = self.in_org(&["nodes", id.as_str()]);
        Ok(self.transport.find(Call::delete(&path)).await?.is_some())
    }

    /// Who stands for the registration of a node, and so for its pull credentials.
    ///
    /// # Errors
    /// As of every request; [`ExchangeError::NotFound`] from an exchange of Open Horizon, too.
    pub async fn node_approval(&self, id: &NodeId) -> Result<NodeApproval, ExchangeError> {
        self.transport.send(Call::get(&self.approval(id))).await?.json()
    }

    /// Approves a node with the pattern, the policy and the public key that it has now.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`] unless the caller administers the organization.
    pub async fn approve_node(&self, id: &NodeId) -> Result<NodeApproval, ExchangeError> {
        self.transport.send(Call::put(&self.approval(id))).await?.json()
    }

    /// Ends the approval of a node.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`] unless the caller administers the organization.
    pub async fn unapprove_node(&self, id: &NodeId) -> Result<(), ExchangeError> {
        self.transport.send(Call::delete(&self.approval(id))).await.map(drop)
    }

    fn approval<'a>(&'a self, id: &'a NodeId) -> Vec<&'a str> {
        self.in_org(&["edgepost", "nodes", id.as_str(), "approval"])
    }

    /// Stores the node's own policy, by which the exchange tells what it is assigned.
    pub async fn put_node_policy(
        &self,
        id: &NodeId,
        policy: &NodePolicyRequest,
    ) -> Result<(), ExchangeError> {
        let path = self.in_org(&["nodes", id.as_str(), "policy"]);
        let call = Call::put(&path).query("noheartbeat", &true).json(policy)?;
        self.transport.send(call).await.map(drop)
    }

    /// The node's own policy, if it has one.
    pub async fn node_policy(
        &self,
        id: &NodeId,
    ) -> Result<Option<Dated<NodePolicyRequest>>, ExchangeError> {
        let path = self.in_org(&["nodes", id.as_str(), "policy"]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => answer.json().map(Some),
            None => Ok(None),
        }
    }

    /// Stores what runs on the node, in Horizon's form.
    pub async fn put_node_status(
        &self,
        id: &NodeId,
        status: &NodeStatusRequest,
    ) -> Result<(), ExchangeError> {
        let path = self.in_org(&["nodes", id.as_str(), "status"]);
        self.transport.send(Call::put(&path).json(status)?).await.map(drop)
    }

    /// Tells that the node is alive.
    pub async fn heartbeat(&self, id: &NodeId) -> Result<(), ExchangeError> {
        let path = self.in_org(&["nodes", id.as_str(), "heartbeat"]);
        self.transport.send(Call::post(&path).repeatable()).await.map(drop)
    }
}
