//! What a user has set of a node: the part of its registration that decides about pull credentials.
//!
//! A node changes its pattern, its policy and its public key itself, with its token. Such changes are stored with the
//! node and shown, and none of them comes here: what is here was set by a user, or approved by an administrator.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{
    NodePart as _, NodeRecord, Ownership, Permit, RegisteredNode, Store, StoreError, Write,
    nodes::NodeOwnershipRow,
};
use crate::{
    exchange::api::{NodeApproval, NodePolicyRequest, Operation, Resource},
    types::{Digest, NodeId, OrgId},
};

/// The part of a node in which the policy is stored that a user set last.
pub(super) const REGISTERED_POLICY: &str = "registered-policy";

/// How the names of the properties begin that a node measures.
const BUILT_IN: &str = "openhorizon.";

/// What a user has set of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// `org/pattern`, or nothing for a node that runs what policies say.
    pub pattern: String,
    /// `org/user`, who set the pattern; nothing if no user stands for it.
    pub pattern_by: String,
    /// `org/user`, who set the policy; nothing if no user did.
    pub policy_by: String,
    /// The public key that credentials are sealed to; nothing before the first.
    pub key: String,
    /// The hexadecimal digest of the signed policy that was published for this registration; or nothing.
    pub policy_sha256: String,
}

/// A user who changes a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// `org/user`.
    pub name: String,
    /// Whether the user administers the organization of the node.
    pub administers: bool,
}

impl Registration {
    /// The registration after `author` has written a node with this pattern and public key; `None` is the node itself.
    ///
    /// A user who repeats the pattern changes nothing, unless it is an administrator, who then stands for it. The node
    /// itself sets its first public key and nothing else.
    #[must_use]
    pub fn after(self, author: Option<&Author>, pattern: &str, key: &str) -> Self {
        let mut next = self;
        let Some(Author { name, administers }) = author else {
            if next.key.is_empty() {
                key.clone_into(&mut next.key);
            }
            return next;
        };
        if next.pattern != pattern || next.pattern_by.is_empty() || *administers {
            pattern.clone_into(&mut next.pattern);
            name.clone_into(&mut next.pattern_by);
        }
        if !key.is_empty() {
            key.clone_into(&mut next.key);
        }
        next
    }
}

impl Store {
    /// Makes the user whom the permit names stand for the pattern, the policy and the public key that a node has now.
    pub async fn approve_node<E: From<StoreError>>(
        &self,
        org: &OrgId,
        node: &NodeId,
        permit: Permit<'_, Ownership, String, E>,
        now: Timestamp,
    ) -> Result<NodeApproval, E> {
        let (mut write, by) = self.write_if(&NodeOwnershipRow(org, node), permit, now).await?;
        let record = write.registered(org, node).await?;
        let policy = write.node_row(org, node, NodePolicyRequest::SAID).await?;
        let policy_by = if policy.is_some() { by.clone() } else { String::new() };
        let registration = Registration {
            pattern: record.pattern.clone(),
            pattern_by: by,
            policy_by,
            key: record.public_key.clone(),
            policy_sha256: record.registration.policy_sha256.clone(),
        };
        write.put_registration(org, node, &registration).await?;
        write.put_registered_policy(org, node, policy.as_deref()).await?;
        let approval = write.approval(org, node).await?;
        write.tell_of_node(org, node, Resource::Node, Operation::Modified).await?;
        write.commit().await?;
        Ok(approval)
    }

    /// Ends every approval of a node: it gets no credentials until a user registers or an administrator approves it.
    pub async fn unapprove_node<E: From<StoreError>>(
        &self,
        org: &OrgId,
        node: &NodeId,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.write_if(&NodeOwnershipRow(org, node), permit, now).await?;
        let key = write.registered(org, node).await?.registration.key;
        let registration = Registration { key, ..Registration::default() };
        write.put_registration(org, node, &registration).await?;
        write.put_registered_policy(org, node, None).await?;
        write.tell_of_node(org, node, Resource::Node, Operation::Modified).await?;
        Ok(write.commit().await?)
    }

    /// Who stands for the registration of a node, and whether the node has changed it since.
    pub async fn node_approval(
        &self,
        org: &OrgId,
        node: &NodeId,
    ) -> Result<NodeApproval, StoreError> {
        let held = self.snapshot().await?.node(org, node).await?;
        held.map(approval).ok_or_else(|| StoreError::missing("node", org, node))
    }
}

impl Write {
    async fn registered(&mut self, org: &OrgId, id: &NodeId) -> Result<NodeRecord, StoreError> {
        self.node(org, id).await?.ok_or_else(|| StoreError::missing("node", org, id))
    }

    async fn approval(&mut self, org: &OrgId, node: &NodeId) -> Result<NodeApproval, StoreError> {
        Ok(approval(RegisteredNode {
            record: self.registered(org, node).await?,
            registered_policy: self.node_row(org, node, REGISTERED_POLICY).await?,
            own_policy: self.node_row(org, node, NodePolicyRequest::SAID).await?,
        }))
    }

    /// Records that `author` has set the policy of a node, or removed it.
    pub(super) async fn register_node_policy(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        author: &Author,
        policy: Option<&str>,
    ) -> Result<(), StoreError> {
        let held = self.node_row(org, node, REGISTERED_POLICY).await?;
        let mut registration = self.registered(org, node).await?.registration;
        let repeats = held.as_deref() == policy && !registration.policy_by.is_empty();
        if repeats && !author.administers {
            return Ok(());
        }
        author.name.clone_into(&mut registration.policy_by);
        self.put_registration(org, node, &registration).await?;
        self.put_registered_policy(org, node, policy).await
    }

    /// Records that a signed policy was published for this registration of a node; whether that is news.
    pub(super) async fn register_signed_policy(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        sha256: &Digest,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE nodes SET policy_sha256 = $3 \
                   WHERE org = $1 AND id = $2 AND policy_sha256 <> $3";
        let query = sqlx::query(sql).bind(org.as_str()).bind(node.as_str()).bind(sha256.hex());
        Ok(query.execute(self.sql()).await?.rows_affected() > 0)
    }

    async fn put_registration(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        registration: &Registration,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE nodes SET registered_pattern = $3, pattern_by = $4, policy_by = $5, \
                   registered_key = $6, policy_sha256 = $7 WHERE org = $1 AND id = $2";
        sqlx::query(sql)
            .bind(org.as_str())
            .bind(node.as_str())
            .bind(registration.pattern.as_str())
            .bind(registration.pattern_by.as_str())
            .bind(registration.policy_by.as_str())
            .bind(registration.key.as_str())
            .bind(registration.policy_sha256.as_str())
            .execute(self.sql())
            .await?;
        Ok(())
    }

    async fn put_registered_policy(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        policy: Option<&str>,
    ) -> Result<(), StoreError> {
        match policy {
            Some(policy) => self.put_node_row(org, node, REGISTERED_POLICY, policy).await,
            None => self.delete_node_row(org, node, REGISTERED_POLICY).await.map(drop),
        }
    }
}

/// The registration in a row of nodes.
pub(super) fn registration(row: &sqlx::sqlite::SqliteRow) -> Result<Registration, StoreError> {
    Ok(Registration {
        pattern: row.try_get("registered_pattern")?,
        pattern_by: row.try_get("pattern_by")?,
        policy_by: row.try_get("policy_by")?,
        key: row.try_get("registered_key")?,
        policy_sha256: row.try_get("policy_sha256")?,
    })
}

/// Who stands for the registration of a node, and whether the node differs from it now.
fn approval(node: RegisteredNode) -> NodeApproval {
    let RegisteredNode { record, registered_policy, own_policy } = node;
    let Registration { pattern, pattern_by, policy_by, key, policy_sha256 } = record.registration;
    NodeApproval {
        same_pattern: pattern == record.pattern,
        same_policy: stated(registered_policy.as_deref()) == stated(own_policy.as_deref()),
        same_key: key == record.public_key,
        pattern,
        pattern_by: some(pattern_by),
        policy_by: some(policy_by),
        signed_policy: some(policy_sha256),
    }
}

/// What of a policy does not come from measuring the node.
fn stated(policy: Option<&str>) -> NodePolicyRequest {
    let policy = policy.and_then(|it| serde_json::from_str::<NodePolicyRequest>(it).ok());
    let mut policy = policy.unwrap_or_default();
    policy.properties.retain(|it| !it.name.starts_with(BUILT_IN));
    policy
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, SqliteConnection};

    use super::*;

    #[tokio::test]
    async fn nodes_of_older_databases_count_as_registered_by_their_owners() {
        let mut database = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for sql in [
            include_str!("../../../schemas/sql/0001_exchange.sql"),
            include_str!("../../../schemas/sql/0002_signed_documents.sql"),
            include_str!("../../../schemas/sql/0003_node_policies.sql"),
            "INSERT INTO orgs VALUES ('acme', '{}', 0);
             INSERT INTO users VALUES ('acme', 'bob', 'acme/bob', '', 0, 0, '', '', 0);
             INSERT INTO nodes VALUES ('acme', 'n1', 'acme/bob', '', 'acme/p', 'key', '{}', NULL, 0);
             INSERT INTO nodes VALUES ('acme', 'n2', 'acme/bob', '', '', '', '{}', NULL, 0);
             INSERT INTO node_parts VALUES ('acme', 'n2', 'own-policy', '{\"a\":1}', 0);
             INSERT INTO signed_documents VALUES ('acme', 'old', 'node-policy/n2', 0, 1, '', '', 0);
             INSERT INTO signed_documents VALUES ('acme', 'new', 'node-policy/n2', 0, 2, '', '', 0);",
            include_str!("../../../schemas/sql/0012_node_registrations.sql"),
        ] {
            sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
        }
        let rows = sqlx::query("SELECT * FROM nodes ORDER BY id").fetch_all(&mut database).await;
        let registrations = rows.unwrap().iter().map(|row| registration(row).unwrap()).collect();
        let registrations: Vec<Registration> = registrations;
        let text = str::to_owned;
        assert_eq!(
            registrations,
            [
                Registration {
                    pattern: text("acme/p"),
                    pattern_by: text("acme/bob"),
                    key: text("key"),
                    ..Registration::default()
                },
                Registration {
                    pattern_by: text("acme/bob"),
                    policy_by: text("acme/bob"),
                    policy_sha256: text("new"),
                    ..Registration::default()
                },
            ]
        );
        let sql = "SELECT document FROM node_parts WHERE part = $1";
        let policy = sqlx::query_scalar::<_, String>(sql).bind(REGISTERED_POLICY);
        assert_eq!(policy.fetch_one(&mut database).await.unwrap(), "{\"a\":1}");
    }

    fn author(name: &str, administers: bool) -> Author {
        Author { name: name.to_owned(), administers }
    }

    #[test]
    fn node_itself_changes_nothing_but_its_first_key() {
        let (ada, bob) = (author("acme/ada", true), author("acme/bob", false));
        let made = Registration::default().after(Some(&ada), "acme/p", "");
        assert_eq!((made.pattern.as_str(), made.pattern_by.as_str()), ("acme/p", "acme/ada"));
        let keyed = made.after(None, "acme/secret", "key-1");
        assert_eq!((keyed.pattern.as_str(), keyed.key.as_str()), ("acme/p", "key-1"));
        let same = keyed.clone().after(None, "", "key-2");
        assert_eq!(same, keyed);

        let repeated = keyed.clone().after(Some(&bob), "acme/p", "key-1");
        assert_eq!(repeated, keyed, "to repeat is no change");
        let changed = keyed.after(Some(&bob), "acme/secret", "key-1");
        assert_eq!(
            (changed.pattern.as_str(), changed.pattern_by.as_str()),
            ("acme/secret", "acme/bob")
        );
        let approved = changed.after(Some(&ada), "acme/secret", "key-1");
        assert_eq!(approved.pattern_by, "acme/ada");
    }
}
