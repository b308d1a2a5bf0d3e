//! How many of everything there are.

use std::collections::BTreeMap;

use sqlx::Row as _;

use super::{Store, StoreError};
use crate::types::OrgId;

/// How many of everything there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The version of the tables.
    pub schema_version: i64,
    /// Organizations.
    pub orgs: i64,
    /// Users.
    pub users: i64,
    /// Nodes.
    pub nodes: i64,
    /// Nodes that have a public key.
    pub registered_nodes: i64,
    /// Agreements of nodes.
    pub agreements: i64,
}

impl Store {
    /// How many nodes each organization has that has any.
    pub async fn nodes_of_orgs(&self) -> Result<BTreeMap<String, i64>, StoreError> {
        let sql = "SELECT org, COUNT(*) FROM nodes GROUP BY org";
        let rows = sqlx::query_as::<_, (String, i64)>(sql).fetch_all(self.read()).await?;
        Ok(rows.into_iter().collect())
    }

    /// How many there are of everything; only in `org`, and only nodes of `owner`, if given.
    pub async fn counts(
        &self,
        org: Option<&OrgId>,
        owner: Option<&str>,
    ) -> Result<Counts, StoreError> {
        let sql = "SELECT
            (SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations) AS schema_version,
            (SELECT COUNT(*) FROM orgs WHERE $1 IS NULL OR id = $1) AS orgs,
            (SELECT COUNT(*) FROM users WHERE $1 IS NULL OR org = $1) AS users,
            (SELECT COUNT(*) FROM nodes
              WHERE ($1 IS NULL OR org = $1) AND ($2 IS NULL OR owner = $2)) AS nodes,
            (SELECT COUNT(*) FROM nodes WHERE public_key <> ''
              AND ($1 IS NULL OR org = $1) AND ($2 IS NULL OR owner = $2)) AS registered_nodes,
            (SELECT COUNT(*) FROM agreements WHERE $1 IS NULL OR org = $1) AS agreements";
        let query = sqlx::query(sql).bind(org.map(OrgId::as_str)).bind(owner);
        let row = query.fetch_one(self.read()).await?;
        Ok(Counts {
            schema_version: row.try_get("schema_version")?,
            orgs: row.try_get("orgs")?,
            users: row.try_get("users")?,
            nodes: row.try_get("nodes")?,
            registered_nodes: row.try_get("registered_nodes")?,
            agreements: row.try_get("agreements")?,
        })
    }
}
