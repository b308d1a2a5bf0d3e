//! What a node says about itself: its policy, status and errors, one document each.

use std::marker::PhantomData;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::Row as _;

use super::{
    Author, Change, HorizonName, Ownership, Permit, Quota, Store, StoreError, Write,
    nodes::NodeOwnershipRow, permit::Guarded, time,
};
use crate::{
    exchange::api::{
        Dated, NodeErrorsRequest, NodePolicyRequest, NodeStatusRequest, Operation, Resource,
    },
    types::{NodeId, OrgId},
};

/// Something that a node says about itself.
pub trait NodePart: Serialize + DeserializeOwned + Send + Sync {
    /// Its word in the table and in messages.
    const PART: &'static str;
    /// What the change feed calls it.
    const RESOURCE: Resource;
    /// Whether saying it is a heartbeat.
    const BEATS: bool = false;
    /// Its word in the table as the node said it, where that is not all that counts.
    const SAID: &'static str = Self::PART;

    /// Brings what counts up to what the node says now.
    fn settle(
        _write: &mut Write,
        _org: &OrgId,
        _node: &NodeId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Whether a signed document decides about it, so that users do not write it by Horizon's API.
    fn is_signed(
        _write: &mut Write,
        _org: &OrgId,
        _node: &NodeId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async { Ok(false) }
    }

    /// Records that a user has set it, or removed it, where that decides about pull credentials.
    fn register(
        _write: &mut Write,
        _org: &OrgId,
        _node: &NodeId,
        _author: &Author,
        _set: Option<&str>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }
}

impl NodePart for NodePolicyRequest {
    const PART: &'static str = "policy";
    const RESOURCE: Resource = Resource::NodePolicy;
    const BEATS: bool = true;
    const SAID: &'static str = "own-policy";

    async fn settle(write: &mut Write, org: &OrgId, node: &NodeId) -> Result<(), StoreError> {
        write.settle_node_policy(org, node).await
    }

    async fn is_signed(write: &mut Write, org: &OrgId, node: &NodeId) -> Result<bool, StoreError> {
        write.has_signed_policy(org, node).await
    }

    async fn register(
        write: &mut Write,
        org: &OrgId,
        node: &NodeId,
        author: &Author,
        set: Option<&str>,
    ) -> Result<(), StoreError> {
        write.register_node_policy(org, node, author, set).await
    }
}

impl NodePart for NodeStatusRequest {
    const PART: &'static str = "status";
    const RESOURCE: Resource = Resource::NodeStatus;
}

impl NodePart for NodeErrorsRequest {
    const PART: &'static str = "errors";
    const RESOURCE: Resource = Resource::NodeErrors;
}

impl Store {
    /// What counts of what the node last said, if there is anything.
    pub async fn node_part<T: NodePart>(
        &self,
        org: &OrgId,
        node: &NodeId,
    ) -> Result<Option<Dated<T>>, StoreError> {
        let sql = "SELECT * FROM node_parts WHERE org = $1 AND node_id = $2 AND part = $3";
        let query = sqlx::query(sql).bind(org.as_str()).bind(node.as_str()).bind(T::PART);
        let Some(row) = query.fetch_optional(self.read()).await? else { return Ok(None) };
        let value = serde_json::from_str(row.try_get("document")?)?;
        Ok(Some(Dated { value, last_updated: time(row.try_get("last_updated")?) }))
    }

    /// Keeps what the node says, if the permit allows it; `beats` if that is a sign of life. To say the same again is no
    /// change, so that an agent that is told of its own words does not answer itself.
    pub async fn put_node_part<T: NodePart, E: From<StoreError>>(
        &self,
        org: &OrgId,
        node: &NodeId,
        (value, beats): (&T, bool),
        permit: Permit<'_, HorizonName<Ownership>, Option<Author>, E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let said = serde_json::to_string(value).map_err(StoreError::from)?;
        let (mut write, author) =
            self.write_if(&NodePartRow::<T>::new(org, node), permit, now).await?;
        let is_news = write.node_row(org, node, T::SAID).await?.as_ref() != Some(&said);
        write.put_node_row(org, node, T::SAID, &said).await?;
        if let Some(author) = &author {
            T::register(&mut write, org, node, author, Some(&said)).await?;
        }
        T::settle(&mut write, org, node).await?;
        if beats {
            write.heartbeat(org, node).await?;
        }
        if is_news {
            write.tell_of_node(org, node, T::RESOURCE, Operation::CreatedOrModified).await?;
        }
        Ok(write.commit().await?)
    }

    /// Forgets what the node said, if the permit allows it.
    pub async fn remove_node_part<T: NodePart, E: From<StoreError>>(
        &self,
        org: &OrgId,
        node: &NodeId,
        permit: Permit<'_, HorizonName<Ownership>, Option<Author>, E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, author) =
            self.delete_if(&NodePartRow::<T>::new(org, node), permit, now).await?;
        if !write.delete_node_row(org, node, T::SAID).await? {
            return Err(StoreError::missing(&format!("{} of node", T::PART), org, node).into());
        }
        if let Some(author) = &author {
            T::register(&mut write, org, node, author, None).await?;
        }
        T::settle(&mut write, org, node).await?;
        write.tell_of_node(org, node, T::RESOURCE, Operation::Deleted).await?;
        Ok(write.commit().await?)
    }
}

/// A part of a node, as a row on which a write by Horizon's API is decided.
struct NodePartRow<'a, T> {
    node: NodeOwnershipRow<'a>,
    part: PhantomData<fn() -> T>,
}

impl<'a, T> NodePartRow<'a, T> {
    fn new(org: &'a OrgId, node: &'a NodeId) -> Self {
        Self { node: NodeOwnershipRow(org, node), part: PhantomData }
    }
}

impl<T: NodePart> Guarded for NodePartRow<'_, T> {
    type Row = HorizonName<Ownership>;

    async fn load(&self, write: &mut Write) -> Result<Option<Self::Row>, StoreError> {
        let NodeOwnershipRow(org, node) = self.node;
        let row = self.node.load(write).await?;
        Ok(Some(HorizonName { row, is_signed: T::is_signed(write, org, node).await? }))
    }
}

impl Write {
    /// One of the texts that are kept of a node.
    pub(super) async fn node_row(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        part: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT document FROM node_parts WHERE org = $1 AND node_id = $2 AND part = $3";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(node.as_str()).bind(part);
        Ok(query.fetch_optional(self.sql()).await?)
    }

    /// Keeps a text of a node.
    pub(super) async fn put_node_row(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        part: &str,
        document: &str,
    ) -> Result<(), StoreError> {
        self.limit(&Quota::NODE_PARTS, org, format!("{org}/{node}")).await?;
        let now = self.now();
        let sql = "INSERT INTO node_parts (org, node_id, part, document, last_updated)
                   VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (org, node_id, part) DO UPDATE
                   SET document = excluded.document, last_updated = excluded.last_updated";
        sqlx::query(sql)
            .bind(org.as_str())
            .bind(node.as_str())
            .bind(part)
            .bind(document)
            .bind(now)
            .execute(self.sql())
            .await
            .map_err(|error| StoreError::without(error, || format!("node '{org}/{node}'")))?;
        Ok(())
    }

    /// Forgets a text of a node; whether there was one.
    pub(super) async fn delete_node_row(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        part: &str,
    ) -> Result<bool, StoreError> {
        let sql = "DELETE FROM node_parts WHERE org = $1 AND node_id = $2 AND part = $3";
        let query = sqlx::query(sql).bind(org.as_str()).bind(node.as_str()).bind(part);
        Ok(query.execute(self.sql()).await?.rows_affected() > 0)
    }

    /// Records a change of something that a node says.
    pub(super) async fn tell_of_node(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        resource: Resource,
        operation: Operation,
    ) -> Result<(), StoreError> {
        self.record(Change { org, resource, id: node.as_str(), operation, public: false }).await
    }
}
