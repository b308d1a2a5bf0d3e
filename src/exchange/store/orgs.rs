//! Organizations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Change, Permit, Store, StoreError, Write, bad, permit::Guarded, readable, time};
use crate::{
    exchange::api::{
        NodeCredentials, Operation, Org, OrgRequest, OrgSettings, PlainCredentials, Resource,
        UnsignedDocuments,
    },
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
        Ok(rows.iter().filter_map(|row| readable("orgs", named(row))).collect())
    }

    /// Makes an organization, as the permit decides.
    pub async fn create_org<E: From<StoreError>>(
        &self,
        id: &OrgId,
        permit: Permit<'_, OrgRequest, OrgRequest, E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, new) = self.write_if(&OrgRow(id), permit, now).await?;
        write.create_org(id, &new).await?;
        Ok(write.commit().await?)
    }

    /// Replaces what is said about an organization by what the permit makes of it.
    pub async fn change_org<E: From<StoreError>>(
        &self,
        id: &OrgId,
        permit: Permit<'_, OrgRequest, OrgRequest, E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, new) = self.write_if(&OrgRow(id), permit, now).await?;
        write.put_org(id, &new).await?;
        Ok(write.commit().await?)
    }

    /// What an organization has chosen that Horizon has no word for; `None` if there is none of this
    /// name.
    pub async fn org_settings(&self, id: &OrgId) -> Result<Option<OrgSettings>, StoreError> {
        let row = sqlx::query(SETTINGS).bind(id.as_str()).fetch_optional(self.read()).await?;
        row.as_ref().map(settings).transpose()
    }

    /// Replaces what an organization has chosen by what the permit makes of it, and gives that.
    pub async fn change_org_settings<E: From<StoreError>>(
        &self,
        id: &OrgId,
        permit: Permit<'_, OrgSettings, OrgSettings, E>,
        now: Timestamp,
    ) -> Result<OrgSettings, E> {
        let (mut write, new) = self.write_if(&SettingsRow(id), permit, now).await?;
        write.put_org_settings(id, &new).await?;
        write.commit().await?;
        Ok(new)
    }

    /// Removes an organization and everything in it, if the permit allows it.
    pub async fn delete_org<E: From<StoreError>>(
        &self,
        id: &OrgId,
        permit: Permit<'_, OrgRequest, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.delete_if(&OrgRow(id), permit, now).await?;
        write.delete_org(id).await?;
        Ok(write.commit().await?)
    }
}

/// An organization, as a row on which rights are decided.
pub(super) struct OrgRow<'a>(pub(super) &'a OrgId);

/// What an organization has chosen, as a row on which rights are decided.
struct SettingsRow<'a>(&'a OrgId);

impl Guarded for OrgRow<'_> {
    type Row = OrgRequest;

    async fn load(&self, write: &mut Write) -> Result<Option<OrgRequest>, StoreError> {
        let sql = "SELECT document FROM orgs WHERE id = $1";
        let query = sqlx::query_scalar::<_, String>(sql).bind(self.0.as_str());
        let document = query.fetch_optional(write.sql()).await?;
        Ok(document.as_deref().map(serde_json::from_str).transpose()?)
    }
}

impl Guarded for SettingsRow<'_> {
    type Row = OrgSettings;

    async fn load(&self, write: &mut Write) -> Result<Option<OrgSettings>, StoreError> {
        let query = sqlx::query(SETTINGS).bind(self.0.as_str());
        query.fetch_optional(write.sql()).await?.as_ref().map(settings).transpose()
    }
}

impl Write {
    async fn put_org_settings(
        &mut self,
        id: &OrgId,
        settings: &OrgSettings,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE orgs SET plain_credentials = $2, min_password_length = $3,
                   min_token_length = $4, node_credentials = $5, unsigned_documents = $6
                   WHERE id = $1";
        let query = sqlx::query(sql)
            .bind(id.as_str())
            .bind(word(&settings.plain_credentials)?)
            .bind(i64::from(settings.min_password_length))
            .bind(i64::from(settings.min_token_length))
            .bind(word(&settings.node_credentials)?)
            .bind(word(&settings.unsigned_documents)?);
        if query.execute(self.sql()).await?.rows_affected() == 0 {
            return Err(missing(id));
        }
        self.record(change(id, Operation::Modified)).await
    }

    async fn delete_org(&mut self, id: &OrgId) -> Result<(), StoreError> {
        let sql = "DELETE FROM orgs WHERE id = $1";
        let gone = sqlx::query(sql).bind(id.as_str()).execute(self.sql()).await?;
        if gone.rows_affected() == 0 {
            return Err(missing(id));
        }
        self.record(change(id, Operation::Deleted)).await
    }

    /// Makes an organization.
    pub(crate) async fn create_org(
        &mut self,
        id: &OrgId,
        request: &OrgRequest,
    ) -> Result<(), StoreError> {
        self.limit_orgs().await?;
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
        self.limit_orgs().await?;
        let now = self.now();
        let sql = "UPDATE orgs SET document = $2, last_updated = $3 WHERE id = $1";
        let put = sqlx::query(sql)
            .bind(id.as_str())
            .bind(serde_json::to_string(request)?)
            .bind(now)
            .execute(self.sql())
            .await?;
        if put.rows_affected() == 0 {
            return Err(missing(id));
        }
        self.record(change(id, Operation::Modified)).await
    }
}

fn missing(id: &OrgId) -> StoreError {
    StoreError::Missing { what: format!("org '{id}'") }
}

fn change(id: &OrgId, operation: Operation) -> Change<'_> {
    Change { org: id, resource: Resource::Org, id: id.as_str(), operation, public: false }
}

/// The settings of an organization.
pub(super) const SETTINGS: &str = "SELECT plain_credentials, node_credentials, unsigned_documents, min_password_length, \
     min_token_length FROM orgs WHERE id = $1";

/// The settings in a row. A word that this version does not know counts as the choice that gives away least.
pub(super) fn settings(row: &SqliteRow) -> Result<OrgSettings, StoreError> {
    let length = |name: &str| {
        let length = row.try_get::<i64, _>(name)?;
        Ok::<_, StoreError>(u32::try_from(length).unwrap_or(0))
    };
    Ok(OrgSettings {
        min_password_length: length("min_password_length")?,
        min_token_length: length("min_token_length")?,
        plain_credentials: choice(row, "plain_credentials", PlainCredentials::Refused)?,
        node_credentials: choice(row, "node_credentials", NodeCredentials::Admins)?,
        unsigned_documents: choice(row, "unsigned_documents", UnsignedDocuments::Ignored)?,
    })
}

/// The word for a choice, the same as on the wire.
fn word(choice: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(choice)? {
        Value::String(word) => Ok(word),
        other => Ok(other.to_string()),
    }
}

fn choice<T: DeserializeOwned>(row: &SqliteRow, column: &str, least: T) -> Result<T, StoreError> {
    let word: String = row.try_get(column)?;
    Ok(serde_json::from_value(Value::String(word)).unwrap_or(least))
}

fn row_id(row: &SqliteRow) -> Result<OrgId, StoreError> {
    row.try_get::<&str, _>("id")?.parse().map_err(bad)
}

fn org(row: &SqliteRow) -> Result<Org, StoreError> {
    let value = serde_json::from_str(row.try_get("document")?)?;
    Ok(Org { value, last_updated: time(row.try_get("last_updated")?) })
}
