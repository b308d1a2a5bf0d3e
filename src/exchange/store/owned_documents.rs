//! Signed documents whose publisher is removed: the user goes, the documents stay.

use sqlx::AssertSqlSafe;

use super::{Posted, StoreError, Write, bad};
use crate::{
    exchange::api::{PatternRequest, PolicyRequest, ServiceRequest},
    types::{DocumentKey, OrgId},
};

/// An active signed document, and the table in which Horizon's API has its row.
#[derive(Clone)]
struct OwnedDocument {
    table: &'static str,
    org: OrgId,
    key: DocumentKey,
}

impl Write {
    /// Makes `by` the owner of all that `owner` owns by an active signed document.
    pub(super) async fn give_away_signed(
        &mut self,
        owner: &str,
        by: &str,
    ) -> Result<(), StoreError> {
        let signed = [
            self.signed_of_owner::<ServiceRequest>(owner).await?,
            self.signed_of_owner::<PatternRequest>(owner).await?,
            self.signed_of_owner::<PolicyRequest>(owner).await?,
        ]
        .concat();
        let Some(OwnedDocument { key, .. }) = signed.first() else { return Ok(()) };
        if owner == by {
            let msg = format!(
                "{owner} owns {} signed documents, such as {key}, which stay published: an administrator of the \
                 organization removes the user and owns them then",
                signed.len()
            );
            return Err(StoreError::Unfit { msg });
        }
        for OwnedDocument { table, org, key } in &signed {
            let sql = format!("UPDATE {table} SET owner = $1 WHERE org = $2 AND id = $3");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(by).bind(org.as_str()).bind(key.id());
            query.execute(self.sql()).await?;
            let sql = "UPDATE signed_documents SET owner = $1 WHERE org = $2 AND document_key = $3";
            let query = sqlx::query(sql).bind(by).bind(org.as_str()).bind(key.to_string());
            query.execute(self.sql()).await?;
        }
        let count = signed.len();
        tracing::info!(
            event = "document.owner_changed",
            former_owner = owner,
            owner = by,
            count,
            "signed documents of a user that was removed have another owner"
        );
        Ok(())
    }

    async fn signed_of_owner<T: Posted>(
        &mut self,
        owner: &str,
    ) -> Result<Vec<OwnedDocument>, StoreError> {
        let sql = format!("SELECT org, id FROM {} WHERE owner = $1 ORDER BY org, id", T::TABLE);
        let query = sqlx::query_as::<_, (String, String)>(AssertSqlSafe(sql)).bind(owner);
        let mut signed = Vec::new();
        for (org, id) in query.fetch_all(self.sql()).await? {
            let org: OrgId = org.parse().map_err(bad)?;
            // A name that no document can have was never signed.
            let Ok(key) = format!("{}/{id}", T::KIND).parse::<DocumentKey>() else { continue };
            if self.is_signed_document(&org, &key).await? {
                signed.push(OwnedDocument { table: T::TABLE, org, key });
            }
        }
        Ok(signed)
    }
}
