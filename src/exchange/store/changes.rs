//! The record of what changed, from which the feed is told.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row as _, sqlite::SqliteRow};

use super::{Db, Store, StoreError, Write, bad, time};
use crate::{
    exchange::api::{
        ChangedResource, ChangesResponse, MOST_CHANGES, Operation, Resource, ResourceChange,
    },
    types::{NodeId, OrgId},
};

/// What happened to what.
#[derive(Debug, Clone)]
pub(crate) struct Change<'a> {
    /// The organization it belongs to.
    pub(crate) org: &'a OrgId,
    /// What it is.
    pub(crate) resource: Resource,
    /// Its name, without the organization.
    pub(crate) id: &'a str,
    /// What happened.
    pub(crate) operation: Operation,
    /// Whether other organizations see it.
    pub(crate) public: bool,
}

/// From where on changes are of interest.
#[derive(Debug, Clone, Copy)]
pub enum Since {
    /// From this one on.
    Change(i64),
    /// From this time on.
    Time(Timestamp),
}

/// Who is told, and therefore what.
#[derive(Debug, Clone)]
pub enum Audience {
    /// A user: everything of the organization, and what is public elsewhere.
    User,
    /// A Horizon node: services, its organization and itself.
    Node(NodeId),
    /// One of our agents, which chooses its services itself: the same, and patterns, policies and
    /// trust.
    Agent(NodeId),
}

/// The most changes that are kept.
const MOST_KEPT: i64 = 1_000_000;
/// How many rows of changes are deleted in one transaction.
const PRUNED_AT_ONCE: i64 = 5000;

/// What concerns every node.
const SHARED: &[Resource] = &[
    Resource::Org,
    Resource::Service,
    Resource::ServiceKey,
    Resource::ServicePolicy,
    Resource::DockAuth,
];
/// What concerns every node that chooses its services itself.
const CHOOSING: &[Resource] =
    &[Resource::Pattern, Resource::PatternKey, Resource::Policy, Resource::Trust];
/// What concerns the node of that name alone.
const OWN: &[Resource] = &[
    Resource::Node,
    Resource::NodePolicy,
    Resource::NodeStatus,
    Resource::NodeErrors,
    Resource::NodeAgreement,
    Resource::ConfigState,
];

impl Store {
    /// The number of the newest change.
    pub async fn newest_change(&self) -> Result<i64, StoreError> {
        let sql = "SELECT value FROM counters WHERE name = 'change'";
        Ok(sqlx::query_scalar(sql).fetch_one(self.read()).await?)
    }

    /// What `audience` in `org` is told of the changes since then: at most `most` of them.
    /// The answer's `exchange_version` is left to the server.
    pub async fn changes(
        &self,
        org: &OrgId,
        audience: &Audience,
        since: Since,
        most: u32,
    ) -> Result<ChangesResponse, StoreError> {
        let most = most.min(MOST_CHANGES);
        // Read before the rows: a change that comes in between is told now, and once more later.
        let newest = self.newest_change().await?;
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM changes WHERE ");
        match since {
            Since::Change(id) => query.push("id >= ").push_bind(id),
            Since::Time(time) => query.push("last_updated >= ").push_bind(time.as_millisecond()),
        };
        visible(&mut query, org, audience);
        query.push(" ORDER BY id LIMIT ").push_bind(i64::from(most));
        let rows = query.build().fetch_all(self.read()).await?;

        let mut changes = Told::default();
        let mut greatest = 0;
        for row in &rows {
            greatest = row.try_get("id")?;
            changes.tell(row)?;
        }
        let changes = changes.things;
        let hit_max_records = most > 0 && rows.len() == most as usize;
        Ok(ChangesResponse {
            changes,
            most_recent_change_id: if hit_max_records { greatest } else { newest.max(greatest) },
            hit_max_records,
            exchange_version: String::new(),
        })
    }

    /// Forgets the changes before `before`, and the oldest of more than a million. It holds the writer for a
    /// few thousand rows at a time.
    pub async fn prune_changes(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let mut write = self.write_essential(before).await?;
            let old = "DELETE FROM changes WHERE id IN \
                       (SELECT id FROM changes WHERE last_updated < $1 LIMIT $2)";
            let old = sqlx::query(old).bind(before.as_millisecond()).bind(PRUNED_AT_ONCE);
            let old = old.execute(write.sql()).await?.rows_affected();
            let excess = "DELETE FROM changes WHERE id IN \
                          (SELECT id FROM changes WHERE id <= \
                           (SELECT value FROM counters WHERE name = 'change') - $1 LIMIT $2)";
            let excess = sqlx::query(excess).bind(MOST_KEPT).bind(PRUNED_AT_ONCE);
            let excess = excess.execute(write.sql()).await?.rows_affected();
            write.commit().await?;
            pruned += old + excess;
            if old.max(excess) < PRUNED_AT_ONCE.unsigned_abs() {
                return Ok(pruned);
            }
        }
    }
}

impl Write {
    /// Records that something changes with this transaction.
    pub(crate) async fn record(&mut self, change: Change<'_>) -> Result<(), StoreError> {
        let id = self.next("change").await?;
        let now = self.now();
        let sql =
            "INSERT INTO changes (id, org, resource, resource_id, operation, public, last_updated)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(sql)
            .bind(id)
            .bind(change.org.as_str())
            .bind(change.resource.as_str())
            .bind(change.id)
            .bind(change.operation.as_str())
            .bind(i64::from(change.public))
            .bind(now)
            .execute(self.sql())
            .await?;
        self.recorded = Some(id);
        Ok(())
    }
}

/// Narrows the query to what the audience may see.
fn visible(query: &mut QueryBuilder<Db>, org: &OrgId, audience: &Audience) {
    let any_of = |query: &mut QueryBuilder<Db>, resources: &[&[Resource]]| {
        query.push("resource IN (");
        let mut separated = query.separated(", ");
        for resource in resources.iter().copied().flatten() {
            separated.push_bind(resource.as_str().to_owned());
        }
        query.push(")");
    };
    query.push(" AND (org = ").push_bind(org.to_string());
    let (node, shared) = match audience {
        Audience::User => {
            query.push(" OR public = 1)");
            return;
        }
        Audience::Node(node) => (node, vec![SHARED]),
        Audience::Agent(node) => (node, vec![SHARED, CHOOSING]),
    };
    query.push(" AND (");
    any_of(query, &shared);
    query.push(" OR (resource_id = ").push_bind(node.to_string()).push(" AND ");
    any_of(query, &[OWN]);
    query.push(")) OR (public = 1 AND ");
    any_of(query, &shared);
    query.push("))");
}

/// What is told, one entry for each thing that changed.
#[derive(Debug, Default)]
struct Told {
    things: Vec<ChangedResource>,
    places: HashMap<(OrgId, Resource, String), usize>,
}

impl Told {
    fn tell(&mut self, row: &SqliteRow) -> Result<(), StoreError> {
        let org = row.try_get::<String, _>("org")?.parse::<OrgId>();
        let org_id = org.map_err(bad)?;
        let id = row.try_get::<String, _>("resource_id")?;
        let resource = Resource::from(row.try_get::<String, _>("resource")?);
        let operation = Operation::from(row.try_get::<String, _>("operation")?);
        let last_updated = time(row.try_get("last_updated")?);
        let change = ResourceChange { change_id: row.try_get("id")?, last_updated };
        let key = (org_id.clone(), resource.clone(), id.clone());
        let place = *self.places.entry(key).or_insert(self.things.len());
        if let Some(known) = self.things.get_mut(place) {
            known.operation = operation;
            known.resource_changes.push(change);
        } else {
            let resource_changes = vec![change];
            self.things.push(ChangedResource { org_id, resource, id, operation, resource_changes });
        }
        Ok(())
    }
}
