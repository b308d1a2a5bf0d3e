//! What decides about nodes, a page at a time.

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::{QueryBuilder, Row as _, sqlite::SqliteRow};

use super::{Db, NodePart as _, Store, StoreError, bad, readable};
use crate::{
    exchange::api::{NodeDescription, NodePolicyRequest, NodeProfile, NodeProfiles},
    types::{NodeId, OrgId},
};

/// A page ends early when what it holds has become this long, in bytes.
pub const LONGEST_PAGE: usize = 1 << 20;

/// Which nodes to tell of.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProfilesOf<'a> {
    /// Those of one owner, `org/user`.
    pub owner: Option<&'a str>,
    /// One alone.
    pub only: Option<&'a NodeId>,
    /// Those whose names come after this one.
    pub after: Option<&'a NodeId>,
}

impl Store {
    /// What decides about the nodes of an organization, by name: one query, at most `limit` nodes.
    pub async fn node_profiles(
        &self,
        org: &OrgId,
        which: ProfilesOf<'_>,
        limit: u32,
    ) -> Result<NodeProfiles, StoreError> {
        let mut query = QueryBuilder::<Db>::new(
            "SELECT n.id, n.pattern, n.document, p.document AS policy
             FROM nodes n LEFT JOIN node_parts p
             ON p.org = n.org AND p.node_id = n.id AND p.part = ",
        );
        query.push_bind(NodePolicyRequest::PART).push(" WHERE n.org = ").push_bind(org.as_str());
        if let Some(owner) = which.owner {
            query.push(" AND n.owner = ").push_bind(owner);
        }
        if let Some(id) = which.only {
            query.push(" AND n.id = ").push_bind(id.as_str());
        }
        if let Some(id) = which.after {
            query.push(" AND n.id > ").push_bind(id.as_str());
        }
        // One more than asked for tells whether there is another page.
        let limit = limit.max(1);
        query.push(" ORDER BY n.id LIMIT ").push_bind(i64::from(limit) + 1);

        let mut page = NodeProfiles::default();
        let mut length = 0;
        let mut rows = query.build().fetch(self.read());
        while let Some(row) = rows.try_next().await? {
            let is_full = page.nodes.len() >= limit as usize || length >= LONGEST_PAGE;
            if let Some(last) = page.nodes.last().filter(|_| is_full) {
                page.next = Some(last.id.clone());
                break;
            }
            let Some((profile, bytes)) = readable("nodes", profile(&row)) else { continue };
            length += bytes;
            page.nodes.push(profile);
        }
        Ok(page)
    }
}

/// What decides about the node of a row, and how long the row is.
fn profile(row: &SqliteRow) -> Result<(NodeProfile, usize), StoreError> {
    let (document, policy): (&str, Option<&str>) =
        (row.try_get("document")?, row.try_get("policy")?);
    let NodeDescription {
        node_type, user_input, arch, cluster_namespace, is_namespace_scoped, ..
    } = serde_json::from_str(document)?;
    let values = user_input.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let profile = NodeProfile {
        id: row.try_get::<&str, _>("id")?.parse().map_err(bad)?,
        arch,
        node_type,
        pattern: row.try_get("pattern")?,
        cluster_namespace,
        is_namespace_scoped,
        user_input: values,
        policy: policy.map_or(Ok(Value::Null), serde_json::from_str)?,
    };
    Ok((profile, document.len() + policy.map_or(0, str::len)))
}
