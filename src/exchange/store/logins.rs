//! What a name and a secret are compared with.

use sqlx::Row as _;

use super::{Store, StoreError, UserRecord, bad};
use crate::types::{NodeId, OrgId, UserId};

/// Everyone who goes by one name in an organization.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    /// The node of that name.
    pub node: Option<NodeLogin>,
    /// The user of that name.
    pub user: Option<(UserId, UserRecord)>,
}

/// What is kept of a node's token.
#[derive(Debug, Clone)]
pub struct NodeLogin {
    /// The node's name.
    pub id: NodeId,
    /// The hash of its token.
    pub token_hash: String,
}

impl Store {
    /// Everyone who goes by `name` in `org`.
    pub async fn logins(&self, org: &OrgId, name: &str) -> Result<Logins, StoreError> {
        let sql = "SELECT id, token_hash FROM nodes WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(name);
        let node = query.fetch_optional(self.read()).await?;
        let node = node.map(|row| {
            let id = row.try_get::<&str, _>("id")?.parse().map_err(bad)?;
            Ok::<_, StoreError>(NodeLogin { id, token_hash: row.try_get("token_hash")? })
        });
        let user = match name.parse::<UserId>() {
            Ok(id) => self.user(org, &id).await?.map(|user| (id, user)),
            Err(_) => None,
        };
        Ok(Logins { node: node.transpose()?, user })
    }
}
