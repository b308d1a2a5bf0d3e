//! The policy of a node that counts: the published one, if there is one, else the node's own.
//!
//! Two rows are kept of a node: what it says itself, and what counts, which is all that others see.
//! The second follows from the first and from the signed documents, here and nowhere else.
//!
//! A published policy is verified when it is published, and not again: if its key is retired later, it
//! goes on to be shown here, while the node holds it for void and goes by its own.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{NodePart as _, StoreError, Write, bad};
use crate::{
    document::NodePolicy,
    exchange::api::{NodePolicyRequest, Operation, Resource},
    sign::Envelope,
    trust::State,
    types::{DocumentKey, NodeId, OrgId},
};

/// What is read of a signed node policy. It was verified when it was published.
#[derive(Deserialize)]
struct Published {
    header: PublishedHeader,
    body: Value,
}

#[derive(Deserialize)]
struct PublishedHeader {
    state: State,
}

impl Write {
    /// Brings the policy that counts up to what is published and what the node says. It records no
    /// change.
    pub(super) async fn settle_node_policy(
        &mut self,
        org: &OrgId,
        node: &NodeId,
    ) -> Result<(), StoreError> {
        let own = self.node_row(org, node, NodePolicyRequest::SAID).await?;
        let counts = match self.published_node_policy(org, node).await? {
            Some(published) => {
                let own = own.as_deref().map(stated).transpose()?.unwrap_or_default();
                // Read as strictly as what nodes say: others read it the same way.
                let counts = published.in_place_of(&own).to_horizon();
                let counts: NodePolicyRequest = serde_json::from_value(counts)?;
                Some(serde_json::to_string(&counts)?)
            }
            None => own,
        };
        match counts {
            Some(counts) => self.put_node_row(org, node, NodePolicyRequest::PART, &counts).await,
            None => self.delete_node_row(org, node, NodePolicyRequest::PART).await.map(drop),
        }
    }

    /// Lets a published policy take effect, or its withdrawal, and tells the node.
    pub(super) async fn project_node_policy(
        &mut self,
        org: &OrgId,
        node: &NodeId,
    ) -> Result<(), StoreError> {
        self.settle_node_policy(org, node).await?;
        let (resource, operation) = (Resource::NodePolicy, Operation::CreatedOrModified);
        self.tell_of_node(org, node, resource, operation).await
    }

    /// Whether a signed policy was published for this registration of a node, and not withdrawn.
    pub(super) async fn has_signed_policy(
        &mut self,
        org: &OrgId,
        node: &NodeId,
    ) -> Result<bool, StoreError> {
        let key = DocumentKey::node_policy(node);
        let sql = "SELECT COUNT(*) FROM nodes n JOIN signed_documents d \
                   ON d.org = n.org AND d.document_key = $3 AND d.sha256 = n.policy_sha256 \
                   WHERE n.org = $1 AND n.id = $2";
        let query = sqlx::query_scalar::<_, i64>(sql);
        let query = query.bind(org.as_str()).bind(node.as_str()).bind(key.to_string());
        let is_of_this = query.fetch_one(self.sql()).await? > 0;
        Ok(is_of_this && self.is_signed_document(org, &key).await?)
    }

    /// What is published for a node, unless it was withdrawn.
    async fn published_node_policy(
        &mut self,
        org: &OrgId,
        node: &NodeId,
    ) -> Result<Option<NodePolicy>, StoreError> {
        let key = DocumentKey::node_policy(node).to_string();
        let sql = "SELECT envelope FROM signed_documents WHERE org = $1 AND document_key = $2 \
                   ORDER BY epoch DESC, seq DESC LIMIT 1";
        let query = sqlx::query_scalar::<_, Vec<u8>>(sql).bind(org.as_str()).bind(key);
        let Some(envelope) = query.fetch_optional(self.sql()).await? else {
            return Ok(None);
        };
        let envelope = Envelope::from_json(&envelope).map_err(bad)?;
        let published: Published = serde_json::from_slice(envelope.payload())?;
        match published.header.state {
            State::Active => Ok(Some(serde_json::from_value(published.body)?)),
            State::Withdrawn => Ok(None),
        }
    }
}

/// The properties that a node states of itself. Its constraints are of no interest here, and an older
/// agent may have put some that cannot be read.
fn stated(own: &str) -> Result<NodePolicy, StoreError> {
    let own: NodePolicyRequest = serde_json::from_str(own)?;
    let properties = json!({
        "properties": own.properties,
        "deployment": {"properties": own.deployment.properties},
    });
    Ok(serde_json::from_value(properties)?)
}
