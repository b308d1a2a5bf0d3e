//! Organizations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Change, Store, StoreError, Write, bad, time};
use crate::{
    exchange::api::{Operation, Org, OrgRequest, OrgSettings, PlainCredentials, Resource},
    types::OrgId,
};

impl Store {
    /// The organization, if there is one of this name.
    pub async fn org(&self, id: &OrgId) -> Result<Option<Org>, StoreError> {
        let sql = "SELECT document, last_updated FROM orgs WHERE id = $1";
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(self.read()).await?;
        row.as_ref().map(org).transpose()
    }

    /// All organizations.
    pub async fn orgs(&self) -> Result<BTreeMap<OrgId, Org>, StoreError> {
        let sql = "SELECT id, document, last_updated FROM orgs";
        let rows = sqlx::query(sql).fetch_all(self.read()).await?;
        let named = |row| Ok((row_id(row)?, org(row)?));
        rows.iter().map(named).collect()
    }

    /// Makes an organization.
    pub async fn create_org(
        &self,
        id: &OrgId,
        request: &OrgRequest,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(now).await?;
        write.create_org(id, request).await?;
        write.commit().await
    }

    /// Replaces what is said about an organization by what `change` makes of it.
    pub async fn change_org<E: From<StoreError>>(
        &self,
        id: &OrgId,
        change: impl FnOnce(OrgRequest) -> Result<OrgRequest, E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let mut write = self.write(now).await?;
        let sql = "SELECT document FROM orgs WHERE id = $1";
        let held = sqlx::query_scalar::<_, String>(sql).bind(id.as_str());
        let held = held.fetch_optional(write.sql()).await.map_err(StoreError::from)?;
        let held = held.ok_or_else(|| StoreError::Missing { what: format!("org '{id}'") })?;
        let new = change(serde_json::from_str(&held).map_err(StoreError::from)?)?;
        write.put_org(id, &new).await?;
        Ok(write.commit().await?)
    }

    /// What an organization has chosen that Horizon has no word for; `None` if there is none of this
    /// name.
    pub async fn org_settings(&self, id: &OrgId) -> Result<Option<OrgSettings>, StoreError> {
        let sql = "SELECT plain_credentials FROM orgs WHERE id = $1";
        let word = sqlx::query_scalar::<_, String>(sql).bind(id.as_str());
        let word = word.fetch_optional(self.read()).await?;
        Ok(word.map(|word| OrgSettings { plain_credentials: choice(&word) }))
    }

    /// Replaces what an organization has chosen.
    pub async fn put_org_settings(
        &self,
        id: &OrgId,
        settings: &OrgSettings,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(now).await?;
        let sql = "UPDATE orgs SET plain_credentials = $2 WHERE id = $1";
        let query = sqlx::query(sql).bind(id.as_str()).bind(word_of(settings.plain_credentials));
        if query.execute(write.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::Missing { what: format!("org '{id}'") });
        }
        write.record(change(id, Operation::Modified)).await?;
        write.commit().await
    }

    /// Removes an organization and everything in it.
    pub async fn delete_org(&self, id: &OrgId, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(now).await?;
        let sql = "DELETE FROM orgs WHERE id = $1";
        let gone = sqlx::query(sql).bind(id.as_str()).execute(write.sql()).await?;
        if gone.rows_affected() == 0 {
            return Err(StoreError::Missing { what: format!("org '{id}'") });
        }
        write.record(change(id, Operation::Deleted)).await?;
        write.commit().await
    }
}

impl Write {
    /// Makes an organization.
    pub(crate) async fn create_org(
        &mut self,
        id: &OrgId,
        request: &OrgRequest,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let sql = "INSERT INTO orgs (id, document, last_updated) VALUES ($1, $2, $3)
                   ON CONFLICT (id) DO NOTHING";
        let made = sqlx::query(sql)
            .bind(id.as_str())
            .bind(serde_json::to_string(request)?)
            .bind(now)
            .execute(self.sql())
            .await?;
        if made.rows_affected() == 0 {
            return Err(StoreError::Exists { what: format!("org '{id}'") });
        }
        self.record(change(id, Operation::Created)).await
    }

    async fn put_org(&mut self, id: &OrgId, request: &OrgRequest) -> Result<(), StoreError> {
        let now = self.now();
        let sql = "UPDATE orgs SET document = $2, last_updated = $3 WHERE id = $1";
        sqlx::query(sql)
            .bind(id.as_str())
            .bind(serde_json::to_string(request)?)
            .bind(now)
            .execute(self.sql())
            .await?;
        self.record(change(id, Operation::Modified)).await
    }
}

fn change(id: &OrgId, operation: Operation) -> Change<'_> {
    Change { org: id, resource: Resource::Org, id: id.as_str(), operation, public: false }
}

fn word_of(choice: PlainCredentials) -> &'static str {
    match choice {
        PlainCredentials::Served => "served",
        PlainCredentials::Refused => "refused",
    }
}

/// A word that this version does not know gives away nothing.
fn choice(word: &str) -> PlainCredentials {
    match word {
        "served" => PlainCredentials::Served,
        _ => PlainCredentials::Refused,
    }
}

fn row_id(row: &SqliteRow) -> Result<OrgId, StoreError> {
    row.try_get::<&str, _>("id")?.parse().map_err(bad)
}

fn org(row: &SqliteRow) -> Result<Org, StoreError> {
    let value = serde_json::from_str(row.try_get("document")?)?;
    Ok(Org { value, last_updated: time(row.try_get("last_updated")?) })
}
