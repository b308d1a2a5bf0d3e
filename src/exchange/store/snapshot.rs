//! One consistent view of everything that decides about pull credentials: what is read through a [`Snapshot`] is of one
//! moment, whatever is written meanwhile.

use std::fmt;

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection, Transaction, sqlite::SqliteRow};
use tokio::sync::RwLockReadGuard;

use super::{
    Db, NodePart as _, NodeRecord, Posted, Store, StoreError, StoredCredential, bad,
    credentials::{OF_SERVICE, decrypted, masked},
    nodes::record,
    orgs::{SETTINGS, settings},
    posted::stored,
    readable,
    registrations::REGISTERED_POLICY,
    trust::{HEAD, head},
    vault::Keys,
};
use crate::{
    exchange::api::{
        MaskedCredential, NodePolicyRequest, OrgSettings, PatternRequest, PolicyRequest,
        ServiceRequest, Stored,
    },
    types::{Arch, Digest, DocumentKey, NodeId, OrgId, ServiceUrl},
};

/// The user who may do everything.
const ROOT_USER: &str = "root/root";

/// A read transaction, and the keys by which its tokens are decrypted.
pub(crate) struct Snapshot<'a> {
    tx: Transaction<'static, Db>,
    keys: RwLockReadGuard<'a, Keys>,
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

/// A user as the author of something, with what the account may do at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// `org/user`.
    pub(crate) name: String,
    /// What the account may do in the organization in question.
    pub(crate) role: AccountRole,
}

/// What an account may do in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountRole {
    /// Everything: an administrator of the organization, or the root user.
    Administrator,
    /// Manage what it owns.
    Member,
    /// Nothing: it belongs to another organization, or does not exist any more.
    Outsider,
}

/// A node with what a user has set of it.
#[derive(Debug)]
pub(crate) struct RegisteredNode {
    /// The node as it is now.
    pub(crate) record: NodeRecord,
    /// The policy that a user set last, as JSON.
    pub(crate) registered_policy: Option<String>,
    /// What the node says itself, as JSON.
    pub(crate) own_policy: Option<String>,
}

/// A row of Horizon's API that no signed document of its name exists for.
#[derive(Debug)]
pub(crate) struct UnsignedDocument {
    /// Its id in the organization.
    pub(crate) id: String,
    /// Its owner.
    pub(crate) author: Account,
}

impl Store {
    /// Begins a read transaction.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot<'_>, StoreError> {
        // The keys come first: no key that a row names is dropped before the row is decrypted.
        let keys = self.vault.keys().await;
        let tx = self.read().begin().await?;
        Ok(Snapshot { tx, keys })
    }
}

impl Snapshot<'_> {
    fn sql(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    /// The settings of an organization.
    pub(crate) async fn settings(
        &mut self,
        org: &OrgId,
    ) -> Result<Option<OrgSettings>, StoreError> {
        let row = sqlx::query(SETTINGS).bind(org.as_str()).fetch_optional(self.sql()).await?;
        row.as_ref().map(settings).transpose()
    }

    /// The number of the organization that grows with every change of what decides about pull credentials, other than
    /// a node's own rows.
    pub(crate) async fn entitlement_version(&mut self, org: &OrgId) -> Result<i64, StoreError> {
        let sql = "SELECT version FROM entitlement_versions WHERE org = $1";
        let query = sqlx::query_scalar(sql).bind(org.as_str());
        Ok(query.fetch_optional(self.sql()).await?.unwrap_or_default())
    }

    /// A service, as Horizon's API shows it.
    pub(crate) async fn service(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<Stored<ServiceRequest>>, StoreError> {
        let sql = "SELECT * FROM services WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id);
        query.fetch_optional(self.sql()).await?.as_ref().map(stored).transpose()
    }

    /// A node, and what was set of it by a user.
    pub(crate) async fn node(
        &mut self,
        org: &OrgId,
        id: &NodeId,
    ) -> Result<Option<RegisteredNode>, StoreError> {
        let sql = "SELECT * FROM nodes WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.as_str());
        let Some(row) = query.fetch_optional(self.sql()).await? else { return Ok(None) };
        let record = record(&row)?;
        let registered_policy = self.node_part(org, id, REGISTERED_POLICY).await?;
        let own_policy = self.node_part(org, id, NodePolicyRequest::SAID).await?;
        Ok(Some(RegisteredNode { record, registered_policy, own_policy }))
    }

    async fn node_part(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        part: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT document FROM node_parts WHERE org = $1 AND node_id = $2 AND part = $3";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(node.as_str()).bind(part);
        Ok(query.fetch_optional(self.sql()).await?)
    }

    /// What the account `name` (`org/user`) may do in `org` at this moment.
    pub(crate) async fn account(&mut self, org: &OrgId, name: &str) -> Result<Account, StoreError> {
        let sql = "SELECT org, admin FROM users WHERE name = $1";
        let row: Option<(String, i64)> =
            sqlx::query_as(sql).bind(name).fetch_optional(self.sql()).await?;
        let role = match row {
            Some(_) if name == ROOT_USER => AccountRole::Administrator,
            Some((of, admin)) if of == org.as_str() => role(admin != 0),
            _ => AccountRole::Outsider,
        };
        Ok(Account { name: name.to_owned(), role })
    }

    /// Version and digest of the newest trust document.
    pub(crate) async fn newest_trust(
        &mut self,
        org: &OrgId,
    ) -> Result<Option<(u64, Digest)>, StoreError> {
        head(sqlx::query_as(HEAD).bind(org.as_str()).fetch_optional(self.sql()).await?)
    }

    /// The digest of the newest signed document of this name, withdrawn or not.
    pub(crate) async fn newest_signed(
        &mut self,
        org: &OrgId,
        key: &DocumentKey,
    ) -> Result<Option<Digest>, StoreError> {
        let sql = "SELECT sha256 FROM signed_documents WHERE org = $1 AND document_key = $2 \
                   ORDER BY epoch DESC, seq DESC LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(key.to_string());
        let held: Option<String> = query.fetch_optional(self.sql()).await?;
        held.map(|hex| Digest::from_hex(&hex).map_err(bad)).transpose()
    }

    /// The newest signed deployment policies, withdrawn ones included.
    pub(crate) async fn signed_policies(
        &mut self,
        org: &OrgId,
    ) -> Result<Vec<(DocumentKey, Digest)>, StoreError> {
        self.signed_from(org, "policy/").await
    }

    /// The newest signed documents of a service's versions for `arch`, withdrawn ones included.
    pub(crate) async fn signed_versions(
        &mut self,
        org: &OrgId,
        url: &ServiceUrl,
        arch: &Arch,
    ) -> Result<Vec<(DocumentKey, Digest)>, StoreError> {
        let mut versions = self.signed_from(org, &format!("service/{}_", url.mangled())).await?;
        let end = format!("_{arch}");
        versions.retain(|(key, _)| key.id().ends_with(&end));
        Ok(versions)
    }

    /// The newest signed documents whose names begin like this.
    async fn signed_from(
        &mut self,
        org: &OrgId,
        prefix: &str,
    ) -> Result<Vec<(DocumentKey, Digest)>, StoreError> {
        let sql = "SELECT d.document_key, d.sha256 FROM signed_documents d \
                   WHERE d.org = $1 AND d.document_key >= $2 AND d.document_key < $3 \
                   AND NOT EXISTS (SELECT 1 FROM signed_documents n \
                       WHERE n.org = d.org AND n.document_key = d.document_key \
                       AND (n.epoch > d.epoch OR (n.epoch = d.epoch AND n.seq > d.seq)))";
        let rows: Vec<(String, String)> = sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(prefix)
            .bind(after(prefix))
            .fetch_all(self.sql())
            .await?;
        let read = |(key, sha256): (String, String)| {
            Ok((key.parse().map_err(bad)?, Digest::from_hex(&sha256).map_err(bad)?))
        };
        rows.into_iter().map(read).collect()
    }

    /// The envelope of a signed document.
    pub(crate) async fn envelope(
        &mut self,
        org: &OrgId,
        sha256: &Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT envelope FROM signed_documents WHERE org = $1 AND sha256 = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(sha256.hex());
        Ok(query.fetch_optional(self.sql()).await?)
    }

    /// A pattern that no signed document of its name exists for.
    pub(crate) async fn unsigned_pattern(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<UnsignedDocument>, StoreError> {
        let all = self.unsigned::<PatternRequest>(org, "pattern", "t.id = $2", &[id]).await?;
        Ok(all.into_iter().next())
    }

    /// The deployment policies that no signed document of their names exists for, and whose authors may change what
    /// `owner` owns.
    pub(crate) async fn unsigned_policies(
        &mut self,
        org: &OrgId,
        owner: &str,
    ) -> Result<Vec<UnsignedDocument>, StoreError> {
        let by_whom = "(t.owner = $2 OR t.owner = 'root/root' OR (u.org = t.org AND u.admin <> 0))";
        self.unsigned::<PolicyRequest>(org, "policy", by_whom, &[owner]).await
    }

    /// The versions of a service for `arch` that no signed document of their names exists for.
    pub(crate) async fn unsigned_versions(
        &mut self,
        org: &OrgId,
        url: &ServiceUrl,
        arch: &Arch,
    ) -> Result<Vec<UnsignedDocument>, StoreError> {
        let which = "t.url = $2 AND t.arch = $3";
        self.unsigned::<ServiceRequest>(org, "service", which, &[url.as_str(), arch.as_str()]).await
    }

    /// What a row of Horizon's API says; `None` if it cannot be read.
    pub(crate) async fn posted<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<T>, StoreError> {
        let sql = format!("SELECT document FROM {} WHERE org = $1 AND id = $2", T::TABLE);
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(org.as_str()).bind(id);
        let document: Option<String> = query.fetch_optional(self.sql()).await?;
        let parse = |it: String| readable(T::TABLE, serde_json::from_str(&it).map_err(Into::into));
        Ok(document.and_then(parse))
    }

    /// Rows without a signed document of the same name: names only, since one row may have a megabyte.
    async fn unsigned<T: Posted>(
        &mut self,
        org: &OrgId,
        kind: &str,
        which: &str,
        values: &[&str],
    ) -> Result<Vec<UnsignedDocument>, StoreError> {
        let sql = format!(
            "SELECT t.id, t.owner, u.org AS owner_org, u.admin AS owner_admin \
             FROM {} t JOIN users u ON u.name = t.owner \
             WHERE t.org = $1 AND {which} AND NOT EXISTS (SELECT 1 FROM signed_documents s \
                 WHERE s.org = t.org AND s.document_key = '{kind}/' || t.id)",
            T::TABLE
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(org.as_str());
        for value in values {
            query = query.bind(*value);
        }
        let rows = query.fetch_all(self.sql()).await?;
        rows.iter().map(|row| unsigned(org, row)).collect()
    }

    /// The policy of a service as JSON, as Horizon's API has it.
    pub(crate) async fn service_policy(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT document FROM service_policies WHERE org = $1 AND service_id = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(id);
        Ok(query.fetch_optional(self.sql()).await?)
    }

    /// The pull credentials of a service with their tokens, oldest first.
    pub(crate) async fn credentials(
        &mut self,
        org: &OrgId,
        service: &str,
    ) -> Result<Vec<StoredCredential>, StoreError> {
        let query = sqlx::query(OF_SERVICE).bind(org.as_str()).bind(service);
        let rows = query.fetch_all(&mut *self.tx).await?;
        rows.iter().map(|row| decrypted(&self.keys, org, service, row)).collect()
    }

    /// The same without their tokens; nothing is decrypted.
    pub(crate) async fn masked_credentials(
        &mut self,
        org: &OrgId,
        service: &str,
    ) -> Result<Vec<MaskedCredential>, StoreError> {
        let query = sqlx::query(OF_SERVICE).bind(org.as_str()).bind(service);
        query.fetch_all(self.sql()).await?.iter().map(masked).collect()
    }
}

fn unsigned(org: &OrgId, row: &SqliteRow) -> Result<UnsignedDocument, StoreError> {
    let (name, of): (String, &str) = (row.try_get("owner")?, row.try_get("owner_org")?);
    let is_admin = row.try_get::<i64, _>("owner_admin")? != 0;
    let role = match () {
        () if name == ROOT_USER => AccountRole::Administrator,
        () if of == org.as_str() => role(is_admin),
        () => AccountRole::Outsider,
    };
    Ok(UnsignedDocument { id: row.try_get("id")?, author: Account { name, role } })
}

fn role(is_admin: bool) -> AccountRole {
    if is_admin { AccountRole::Administrator } else { AccountRole::Member }
}

/// The first text that does not begin with `prefix`, of those that come after it. `prefix` ends with an ASCII sign.
fn after(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    if let Some(last) = end.pop() {
        end.push(char::from_u32(u32::from(last) + 1).unwrap_or(char::MAX));
    }
    end
}
