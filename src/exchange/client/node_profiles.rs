//! What decides about nodes, asked of either kind of exchange.

use std::{collections::btree_map, vec};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{MOST_PROFILES, Node, NodeProfile, NodeProfiles},
    types::{JsonProblem, NodeId},
};

/// How many policies are asked for at a time, where each node must be asked for its own.
pub(super) const AT_ONCE: usize = 8;
/// How many nodes make a page there.
const PAGE: usize = 200;

impl ExchangeClient {
    /// What decides about a node, if there is one of this name.
    ///
    /// # Errors
    /// As of every request.
    pub async fn node_profile(&self, id: &NodeId) -> Result<Option<NodeProfile>, ExchangeError> {
        match self.find_node(id).await? {
            Some(node) => self.profile_of(id.clone(), node).await.map(Some),
            None => Ok(None),
        }
    }

    /// What decides about the nodes that the caller may see, a page at a time, by name.
    pub fn node_profiles(&self) -> NodePages {
        NodePages { client: self.clone(), next: Next::Unasked }
    }

    async fn profile_of(&self, id: NodeId, node: Node) -> Result<NodeProfile, ExchangeError> {
        let policy = self.node_policy(&id).await?;
        let told = |error: serde_json::Error| ExchangeError::Malformed {
            what: format!("node {id}"),
            reason: JsonProblem::from(error).to_string(),
        };
        let policy = policy.map(|it| serde_json::to_value(it.value)).transpose().map_err(told)?;
        let it = node.description;
        let values = it.user_input.iter().map(serde_json::to_value).collect::<Result<_, _>>();
        Ok(NodeProfile {
            arch: it.arch,
            node_type: it.node_type,
            pattern: node.pattern,
            cluster_namespace: it.cluster_namespace,
            is_namespace_scoped: it.is_namespace_scoped,
            user_input: values.map_err(told)?,
            policy: policy.unwrap_or_default(),
            id,
        })
    }
}

/// The nodes of an organization, a page at a time.
#[derive(Debug)]
pub struct NodePages {
    client: ExchangeClient,
    next: Next,
}

/// What comes next.
#[derive(Debug)]
enum Next {
    /// It is not known yet what kind of exchange it is.
    Unasked,
    /// The page after this node, of an exchange that has pages.
    After(Option<NodeId>),
    /// These nodes, each of which is asked for its policy.
    Each(btree_map::IntoIter<String, Node>),
    /// Nothing.
    End,
}

impl NodePages {
    /// The next page; nothing after the last. No page is empty.
    ///
    /// # Errors
    /// As of every request.
    pub async fn next(&mut self) -> Result<Option<Vec<NodeProfile>>, ExchangeError> {
        loop {
            match &mut self.next {
                Next::Unasked => self.next = self.begin().await?,
                Next::After(after) => {
                    let after = after.take();
                    let page = self.page(after.as_ref()).await?;
                    self.next = page.next.map_or(Next::End, |last| Next::After(Some(last)));
                    if !page.nodes.is_empty() {
                        return Ok(Some(page.nodes));
                    }
                }
                Next::Each(nodes) => {
                    let some = nodes.take(PAGE).collect::<Vec<_>>();
                    if !some.is_empty() {
                        return self.each(some.into_iter()).await.map(Some);
                    }
                    self.next = Next::End;
                }
                Next::End => return Ok(None),
            }
        }
    }

    async fn begin(&self) -> Result<Next, ExchangeError> {
        if self.client.is_edgepost().await? {
            return Ok(Next::After(None));
        }
        Ok(Next::Each(self.client.nodes().await?.into_iter()))
    }

    async fn page(&self, after: Option<&NodeId>) -> Result<NodeProfiles, ExchangeError> {
        let path = self.client.extension(&["nodes"]);
        let mut call = Call::get(&path).query("limit", &MOST_PROFILES);
        if let Some(after) = after {
            call = call.query("after", after);
        }
        let answer = self.client.transport.send(call).await?;
        let page: NodeProfiles = answer.json()?;
        // Whoever serves the pages cannot keep us turning them for ever.
        let last = page.next.as_ref();
        if last.is_some_and(|last| after.is_some_and(|after| last.as_str() <= after.as_str())) {
            return Err(answer.malformed(&"its next page is not the next"));
        }
        Ok(page)
    }

    async fn each(
        &self,
        nodes: vec::IntoIter<(String, Node)>,
    ) -> Result<Vec<NodeProfile>, ExchangeError> {
        let asked = nodes.map(|(name, node)| async move {
            let id = name.rsplit_once('/').map_or(name.as_str(), |(_, id)| id);
            let id = id.parse().map_err(|_| ExchangeError::Malformed {
                what: "nodes".to_owned(),
                reason: format!("`{name}` is no node's name"),
            })?;
            self.client.profile_of(id, node).await
        });
        stream::iter(asked).buffered(AT_ONCE).try_collect().await
    }
}
