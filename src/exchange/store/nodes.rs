//! Nodes.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row as _, sqlite::SqliteRow};

use super::{
    Change, Db, Ownership, Permit, Quota, Registration, Store, StoreError, Usage, Write,
    batches::{Batch, RowKey},
    permit::Guarded,
    readable,
    references::references_of,
    registrations::registration,
    time,
};
use crate::{
    exchange::api::{Hidden, Node, NodeDescription, Operation, OrgRequest, Resource},
    types::{NodeId, OrgId},
};

/// What is kept of a node.
#[derive(Debug, Clone)]
pub struct NodeRecord {
    /// `org/user`, who made it.
    pub owner: String,
    /// The hash of its token.
    pub token_hash: String,
    /// `org/pattern`, or nothing.
    pub pattern: String,
    /// Its public key, or nothing until it is registered.
    pub public_key: String,
    /// What a user has set of it.
    pub registration: Registration,
    /// What is said about it.
    pub description: NodeDescription,
    /// When it was last heard of, in milliseconds since 1970.
    pub last_heartbeat: Option<i64>,
}

/// How many nodes an organization has, and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeCount {
    /// How many there are.
    pub nodes: i64,
    /// How many there may be; 0 is no limit.
    pub most: i64,
}

/// Which nodes of an organization are listed: all, those of one owner, or one.
#[derive(Debug, Clone)]
pub struct NodesOf {
    /// The organization.
    pub org: OrgId,
    /// Those of one owner, `org/user`.
    pub owner: Option<String>,
    /// One alone.
    pub only: Option<NodeId>,
}

impl NodesOf {
    fn narrow(&self, query: &mut QueryBuilder<Db>) {
        query.push("org = ").push_bind(self.org.to_string());
        if let Some(owner) = &self.owner {
            query.push(" AND owner = ").push_bind(owner.clone());
        }
        if let Some(id) = &self.only {
            query.push(" AND id = ").push_bind(id.to_string());
        }
    }
}

/// A part of a list of nodes, not yet decoded.
#[derive(Debug)]
pub struct NodeBatch {
    rows: Vec<SqliteRow>,
    /// Where the next part begins; `None` if this is the last.
    pub next: Option<RowKey>,
}

impl NodeBatch {
    /// What can be read of it, by `org/id`.
    pub fn decode(&self) -> Vec<(String, Node)> {
        self.rows.iter().filter_map(|row| readable("nodes", named(row))).collect()
    }
}

impl Store {
    /// Who made the node, if there is one of this name.
    pub async fn node_owner(&self, org: &OrgId, id: &NodeId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT owner FROM nodes WHERE org = $1 AND id = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(id.as_str());
        Ok(query.fetch_optional(self.read()).await?)
    }

    /// A node as others see it, if there is one of this name.
    pub async fn node(&self, org: &OrgId, id: &NodeId) -> Result<Option<Node>, StoreError> {
        let sql = "SELECT * FROM nodes WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.as_str());
        query.fetch_optional(self.read()).await?.as_ref().map(node).transpose()
    }

    /// The next nodes of an organization after `after`.
    pub async fn nodes_batch(
        &self,
        which: &NodesOf,
        after: Option<&RowKey>,
    ) -> Result<NodeBatch, StoreError> {
        let narrow = |query: &mut QueryBuilder<Db>| which.narrow(query);
        let Batch { rows, next } = self.batch("nodes", narrow, after).await?;
        Ok(NodeBatch { rows, next })
    }

    /// How many nodes there are of these at most, and how long their documents are.
    pub async fn nodes_size(&self, which: &NodesOf) -> Result<Usage, StoreError> {
        if let Some(id) = &which.only {
            let node = self.node(&which.org, id).await?;
            return Ok(Usage { count: i64::from(node.is_some()), bytes: 0 });
        }
        match &which.owner {
            Some(owner) => self.usage_of_holder(&Quota::NODES, owner).await,
            None => self.usage_of_org(&Quota::NODES, &which.org).await,
        }
    }

    /// Makes a node, or replaces what is kept of one, by what the permit makes of what is held.
    /// `resource` is what the change feed calls it. Tells how many nodes the organization has.
    pub async fn write_node<E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &NodeId,
        resource: Resource,
        permit: Permit<'_, NodeRecord, NodeRecord, E>,
        now: Timestamp,
    ) -> Result<NodeCount, E> {
        let (mut write, new) = self.write_if(&NodeRow(org, id), permit, now).await?;
        let is_new = write.node_owner(org, id).await?.is_none();
        write.check_node(&new).await?;
        let count = write.count_nodes(org, is_new).await?;
        write.put_node(org, id, &new).await?;
        if is_new {
            // One of this name may have been here before, with a signed policy.
            write.settle_node_policy(org, id).await?;
        }
        let operation = if is_new { Operation::Created } else { Operation::Modified };
        let change = Change { org, resource, id: id.as_str(), operation, public: false };
        write.record(change).await?;
        write.commit().await?;
        Ok(count)
    }

    /// Removes a node and what it said about itself, if the permit allows it.
    pub async fn delete_node<E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &NodeId,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.delete_if(&NodeOwnershipRow(org, id), permit, now).await?;
        write.delete_node(org, id).await?;
        Ok(write.commit().await?)
    }

    /// Writes that the node was heard of just now, if the permit allows it.
    pub async fn heartbeat<E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &NodeId,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.write_if(&NodeOwnershipRow(org, id), permit, now).await?;
        write.heartbeat(org, id).await?;
        Ok(write.commit().await?)
    }
}

/// The ownership of a node, as a row on which rights are decided.
pub(super) struct NodeOwnershipRow<'a>(pub(super) &'a OrgId, pub(super) &'a NodeId);

/// A node as a whole, as a row on which rights are decided.
struct NodeRow<'a>(&'a OrgId, &'a NodeId);

impl Guarded for NodeOwnershipRow<'_> {
    type Row = Ownership;

    async fn load(&self, write: &mut Write) -> Result<Option<Ownership>, StoreError> {
        let owner = write.node_owner(self.0, self.1).await?;
        Ok(owner.map(|owner| Ownership { owner, public: false }))
    }
}

impl Guarded for NodeRow<'_> {
    type Row = NodeRecord;

    async fn load(&self, write: &mut Write) -> Result<Option<NodeRecord>, StoreError> {
        write.node(self.0, self.1).await
    }
}

impl Write {
    /// Who made the node, within the transaction.
    pub(super) async fn node_owner(
        &mut self,
        org: &OrgId,
        id: &NodeId,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT owner FROM nodes WHERE org = $1 AND id = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(id.as_str());
        Ok(query.fetch_optional(self.sql()).await?)
    }

    /// The hash of the node's token, within the transaction.
    pub(super) async fn node_token_hash(
        &mut self,
        org: &OrgId,
        id: &NodeId,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT token_hash FROM nodes WHERE org = $1 AND id = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(id.as_str());
        Ok(query.fetch_optional(self.sql()).await?)
    }

    async fn delete_node(&mut self, org: &OrgId, id: &NodeId) -> Result<(), StoreError> {
        let sql = "DELETE FROM nodes WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.as_str());
        if query.execute(self.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::missing("node", org, id));
        }
        self.tell_of_node(org, id, Resource::Node, Operation::Deleted).await
    }

    /// Writes that the node was heard of just now.
    pub(super) async fn heartbeat(&mut self, org: &OrgId, id: &NodeId) -> Result<(), StoreError> {
        let now = self.now();
        let sql = "UPDATE nodes SET last_heartbeat = $3 WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.as_str()).bind(now);
        if query.execute(self.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::missing("node", org, id));
        }
        Ok(())
    }

    pub(super) async fn node(
        &mut self,
        org: &OrgId,
        id: &NodeId,
    ) -> Result<Option<NodeRecord>, StoreError> {
        let sql = "SELECT * FROM nodes WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.as_str());
        query.fetch_optional(self.sql()).await?.as_ref().map(record).transpose()
    }

    /// Whether its pattern is there, and the services whose variables it gives values.
    async fn check_node(&mut self, node: &NodeRecord) -> Result<(), StoreError> {
        if !node.pattern.is_empty() {
            let (org, id) = node.pattern.split_once('/').unwrap_or_default();
            let sql = "SELECT COUNT(*) FROM patterns WHERE org = $1 AND id = $2";
            let query = sqlx::query_scalar::<_, i64>(sql).bind(org).bind(id);
            if query.fetch_one(self.sql()).await? == 0 {
                let msg = format!("there is no pattern '{}' (org/pattern)", node.pattern);
                return Err(StoreError::Unfit { msg });
            }
        }
        self.check_services(references_of(&node.description.user_input)).await
    }

    /// How many nodes there are, with the new one; an error if that is too many.
    async fn count_nodes(&mut self, org: &OrgId, is_new: bool) -> Result<NodeCount, StoreError> {
        let sql = "SELECT document FROM orgs WHERE id = $1";
        let query = sqlx::query_scalar::<_, String>(sql).bind(org.as_str());
        let document = query.fetch_optional(self.sql()).await?;
        let document =
            document.ok_or_else(|| StoreError::Missing { what: format!("org '{org}'") })?;
        let most = serde_json::from_str::<OrgRequest>(&document)?.limits.max_nodes;
        if !is_new || most == 0 {
            return Ok(NodeCount { nodes: 0, most: 0 });
        }
        let nodes = self.usage_of_org(&Quota::NODES, org).await?.count + 1;
        if nodes <= most {
            return Ok(NodeCount { nodes, most });
        }
        let held = nodes - 1;
        let msg = format!("Your current total number of nodes is {held}, over the limit of {most}");
        Err(StoreError::Limit { msg })
    }

    async fn put_node(
        &mut self,
        org: &OrgId,
        id: &NodeId,
        node: &NodeRecord,
    ) -> Result<(), StoreError> {
        self.limit(&Quota::NODES, org, &node.owner).await?;
        let now = self.now();
        let sql = "INSERT INTO nodes (org, id, owner, token_hash, pattern, public_key, document,
                                      last_heartbeat, last_updated, registered_pattern, pattern_by,
                                      registered_key)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                   ON CONFLICT (org, id) DO UPDATE SET
                     token_hash = excluded.token_hash, pattern = excluded.pattern,
                     public_key = excluded.public_key, document = excluded.document,
                     registered_pattern = excluded.registered_pattern,
                     pattern_by = excluded.pattern_by, registered_key = excluded.registered_key,
                     last_heartbeat = excluded.last_heartbeat, last_updated = excluded.last_updated";
        sqlx::query(sql)
            .bind(org.as_str())
            .bind(id.as_str())
            .bind(node.owner.as_str())
            .bind(node.token_hash.as_str())
            .bind(node.pattern.as_str())
            .bind(node.public_key.as_str())
            .bind(serde_json::to_string(&node.description)?)
            .bind(node.last_heartbeat)
            .bind(now)
            .bind(node.registration.pattern.as_str())
            .bind(node.registration.pattern_by.as_str())
            .bind(node.registration.key.as_str())
            .execute(self.sql())
            .await?;
        Ok(())
    }
}

pub(super) fn record(row: &SqliteRow) -> Result<NodeRecord, StoreError> {
    Ok(NodeRecord {
        owner: row.try_get("owner")?,
        token_hash: row.try_get("token_hash")?,
        pattern: row.try_get("pattern")?,
        public_key: row.try_get("public_key")?,
        registration: registration(row)?,
        description: serde_json::from_str(row.try_get("document")?)?,
        last_heartbeat: row.try_get("last_heartbeat")?,
    })
}

fn named(row: &SqliteRow) -> Result<(String, Node), StoreError> {
    let (org, id) = (row.try_get::<&str, _>("org")?, row.try_get::<&str, _>("id")?);
    Ok((format!("{org}/{id}"), node(row)?))
}

fn node(row: &SqliteRow) -> Result<Node, StoreError> {
    let NodeRecord { owner, pattern, public_key, description, last_heartbeat, .. } = record(row)?;
    Ok(Node {
        token: Hidden,
        description,
        owner,
        pattern,
        public_key,
        last_heartbeat: last_heartbeat.map(time),
        ha_group: None,
        last_updated: time(row.try_get("last_updated")?),
    })
}
