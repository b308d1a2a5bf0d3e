//! API keys of users.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Change, Store, StoreError, bad, users::api_key};
use crate::{
    exchange::api::{ApiKey, Operation, Resource},
    types::{Digest, OrgId, UserId},
};

impl Store {
    /// Keeps a key of a user; its value itself is not kept.
    pub async fn create_api_key(
        &self,
        org: &OrgId,
        user: &UserId,
        key: &ApiKey,
        value: &Digest,
    ) -> Result<(), StoreError> {
        let mut write = self.write(key.last_updated).await?;
        let now = write.now();
        let sql = "INSERT INTO api_keys
                     (id, org, user_id, label, description, value_sha256, last_updated)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(sql)
            .bind(key.id.as_str())
            .bind(org.as_str())
            .bind(user.as_str())
            .bind(key.label.as_str())
            .bind(key.description.as_str())
            .bind(value.to_string())
            .bind(now)
            .execute(write.sql())
            .await
            .map_err(|error| StoreError::without_user(error, org, user))?;
        write.record(change(org, &key.id, Operation::Created)).await?;
        write.commit().await
    }

    /// A key of a user, if there is one of this id.
    pub async fn api_key(
        &self,
        org: &OrgId,
        user: &UserId,
        id: &str,
    ) -> Result<Option<ApiKey>, StoreError> {
        let sql = "SELECT * FROM api_keys WHERE org = $1 AND user_id = $2 AND id = $3";
        let query = sqlx::query(sql).bind(org.as_str()).bind(user.as_str()).bind(id);
        query.fetch_optional(self.read()).await?.as_ref().map(api_key).transpose()
    }

    /// Removes a key of a user.
    pub async fn delete_api_key(
        &self,
        org: &OrgId,
        user: &UserId,
        id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(now).await?;
        let sql = "DELETE FROM api_keys WHERE org = $1 AND user_id = $2 AND id = $3";
        let query = sqlx::query(sql).bind(org.as_str()).bind(user.as_str()).bind(id);
        if query.execute(write.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::missing("apikey", org, id));
        }
        write.record(change(org, id, Operation::Deleted)).await?;
        write.commit().await
    }

    /// For whom the key of this value stands.
    pub async fn api_key_owner(
        &self,
        org: &OrgId,
        value: &Digest,
    ) -> Result<Option<UserId>, StoreError> {
        let sql = "SELECT user_id FROM api_keys WHERE org = $1 AND value_sha256 = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(value.to_string());
        let row = query.fetch_optional(self.read()).await?;
        row.map(|row| row.try_get::<&str, _>("user_id")?.parse().map_err(bad)).transpose()
    }
}

fn change<'a>(org: &'a OrgId, id: &'a str, operation: Operation) -> Change<'a> {
    Change { org, resource: Resource::ApiKey, id, operation, public: false }
}
