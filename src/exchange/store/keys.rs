//! Public keys beside services and patterns, as Horizon's agents fetch them.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::{
    Change, Ownership, Permit, Posted, Quota, Store, StoreError, Write, posted::OwnershipRow,
};
use crate::{
    exchange::api::{Operation, PatternRequest, Resource, ServiceRequest},
    types::OrgId,
};

/// Something posted that has keys beside it.
pub trait KeyHolder: Posted {
    /// The table of the keys.
    const KEYS: &'static str;
    /// What the change feed calls a key.
    const KEY_RESOURCE: Resource;
    /// How many keys there may be.
    const KEY_QUOTA: Quota;
}

impl KeyHolder for ServiceRequest {
    const KEYS: &'static str = "service_keys";
    const KEY_RESOURCE: Resource = Resource::ServiceKey;
    const KEY_QUOTA: Quota = Quota::SERVICE_KEYS;
}

impl KeyHolder for PatternRequest {
    const KEYS: &'static str = "pattern_keys";
    const KEY_RESOURCE: Resource = Resource::PatternKey;
    const KEY_QUOTA: Quota = Quota::PATTERN_KEYS;
}

impl Store {
    /// The names of the keys.
    pub async fn key_names<T: KeyHolder>(
        &self,
        org: &OrgId,
        holder: &str,
    ) -> Result<Vec<String>, StoreError> {
        let sql = format!("SELECT id FROM {} WHERE org = $1 AND holder = $2 ORDER BY id", T::KEYS);
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(org.as_str()).bind(holder);
        Ok(query.fetch_all(self.read()).await?)
    }

    /// A key, as it was given.
    pub async fn key<T: KeyHolder>(
        &self,
        org: &OrgId,
        holder: &str,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql =
            format!("SELECT content FROM {} WHERE org = $1 AND holder = $2 AND id = $3", T::KEYS);
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(org.as_str()).bind(holder).bind(id);
        Ok(query.fetch_optional(self.read()).await?)
    }

    /// Puts a key beside its holder, if the permit allows it.
    pub async fn put_key<T: KeyHolder, E: From<StoreError>>(
        &self,
        org: &OrgId,
        holder: &str,
        (id, content): (&str, &str),
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) =
            self.write_if(&OwnershipRow::<T>::new(org, holder), permit, now).await?;
        write.put_key::<T>(org, holder, (id, content)).await?;
        Ok(write.commit().await?)
    }

    /// Removes a key, or all of them, if the permit allows it; whether there was one.
    pub async fn remove_keys<T: KeyHolder, E: From<StoreError>>(
        &self,
        org: &OrgId,
        holder: &str,
        id: Option<&str>,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<bool, E> {
        let (mut write, ()) =
            self.delete_if(&OwnershipRow::<T>::new(org, holder), permit, now).await?;
        if !write.remove_keys::<T>(org, holder, id).await? {
            return Ok(false);
        }
        write.commit().await?;
        Ok(true)
    }
}

impl Write {
    async fn put_key<T: KeyHolder>(
        &mut self,
        org: &OrgId,
        holder: &str,
        (id, content): (&str, &str),
    ) -> Result<(), StoreError> {
        self.limit(&T::KEY_QUOTA, org, format!("{org}/{holder}")).await?;
        let now = self.now();
        let sql = format!(
            "INSERT INTO {} (org, holder, id, content, last_updated) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (org, holder, id) DO UPDATE
             SET content = excluded.content, last_updated = excluded.last_updated",
            T::KEYS
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(org.as_str())
            .bind(holder)
            .bind(id)
            .bind(content)
            .bind(now)
            .execute(self.sql())
            .await
            .map_err(|error| {
                StoreError::without(error, || format!("{} '{org}/{holder}'", T::NOUN))
            })?;
        self.tell_key::<T>(org, holder, Operation::CreatedOrModified).await
    }

    async fn remove_keys<T: KeyHolder>(
        &mut self,
        org: &OrgId,
        holder: &str,
        id: Option<&str>,
    ) -> Result<bool, StoreError> {
        let sql = format!(
            "DELETE FROM {} WHERE org = $1 AND holder = $2 AND ($3 IS NULL OR id = $3)",
            T::KEYS
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(org.as_str()).bind(holder).bind(id);
        if query.execute(self.sql()).await?.rows_affected() == 0 {
            return Ok(false);
        }
        self.tell_key::<T>(org, holder, Operation::Deleted).await?;
        Ok(true)
    }

    async fn tell_key<T: KeyHolder>(
        &mut self,
        org: &OrgId,
        holder: &str,
        operation: Operation,
    ) -> Result<(), StoreError> {
        let resource = T::KEY_RESOURCE;
        self.record(Change { org, resource, id: holder, operation, public: false }).await
    }
}
