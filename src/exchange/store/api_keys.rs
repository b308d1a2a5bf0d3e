//! API keys of users.

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Change, Permit, Quota, Store, StoreError, UserRecord, Write, bad, time,
    users::{UserRow, api_key},
};
use crate::{
    exchange::api::{ExpiringKey, Operation, Resource},
    types::{Digest, OrgId, UserId},
};

impl Store {
    /// Keeps a key of a user, if the permit allows it; its value itself is not kept.
    pub async fn create_api_key<E: From<StoreError>>(
        &self,
        org: &OrgId,
        user: &UserId,
        (key, value): (&ExpiringKey, &Digest),
        permit: Permit<'_, UserRecord, (), E>,
    ) -> Result<(), E> {
        let now = key.key.last_updated;
        let (mut write, ()) = self.write_if(&UserRow(org, user), permit, now).await?;
        write.create_api_key(org, user, (key, value)).await?;
        Ok(write.commit().await?)
    }

    /// Removes a key of a user, if the permit allows it.
    pub async fn delete_api_key<E: From<StoreError>>(
        &self,
        org: &OrgId,
        user: &UserId,
        id: &str,
        permit: Permit<'_, UserRecord, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.write_if(&UserRow(org, user), permit, now).await?;
        write.delete_api_key(org, user, id).await?;
        Ok(write.commit().await?)
    }

    /// Removes all keys of a user, if the permit allows it, and gives their number.
    pub async fn revoke_api_keys<E: From<StoreError>>(
        &self,
        org: &OrgId,
        user: &UserId,
        permit: Permit<'_, UserRecord, (), E>,
        now: Timestamp,
    ) -> Result<u64, E> {
        let (mut write, ()) = self.delete_if(&UserRow(org, user), permit, now).await?;
        let revoked = write.revoke_api_keys(org, user).await?;
        write.commit().await?;
        Ok(revoked)
    }

    /// The keys of a user, oldest first, expired ones too: at most 100, unless there were more before that limit.
    pub async fn api_keys(
        &self,
        org: &OrgId,
        user: &UserId,
    ) -> Result<Vec<ExpiringKey>, StoreError> {
        let sql =
            "SELECT * FROM api_keys WHERE org = $1 AND user_id = $2 ORDER BY last_updated, id";
        let query = sqlx::query(sql).bind(org.as_str()).bind(user.as_str());
        query.fetch_all(self.read()).await?.iter().map(expiring).collect()
    }

    /// A key of a user, if there is one of this id.
    pub async fn api_key(
        &self,
        org: &OrgId,
        user: &UserId,
        id: &str,
    ) -> Result<Option<ExpiringKey>, StoreError> {
        let sql = "SELECT * FROM api_keys WHERE org = $1 AND user_id = $2 AND id = $3";
        let query = sqlx::query(sql).bind(org.as_str()).bind(user.as_str()).bind(id);
        query.fetch_optional(self.read()).await?.as_ref().map(expiring).transpose()
    }

    /// For whom the key of this value stands at this time.
    pub async fn api_key_owner(
        &self,
        org: &OrgId,
        value: &Digest,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let query = sqlx::query_scalar(OWNER).bind(org.as_str()).bind(value.to_string());
        owner(query.bind(now.as_millisecond()).fetch_optional(self.read()).await?)
    }
}

/// For whom the key of a value stands. An expired key stands for no user, nor does one of a user whose password
/// was cleared.
const OWNER: &str = "SELECT k.user_id FROM api_keys k
    JOIN users u ON u.org = k.org AND u.id = k.user_id AND u.password_hash <> ''
    WHERE k.org = $1 AND k.value_sha256 = $2 AND (k.expires IS NULL OR k.expires > $3)";

fn expiring(row: &SqliteRow) -> Result<ExpiringKey, StoreError> {
    let expires = row.try_get::<Option<i64>, _>("expires")?.map(time);
    Ok(ExpiringKey { key: api_key(row)?, expires })
}

fn owner(user: Option<String>) -> Result<Option<UserId>, StoreError> {
    user.map(|user| user.parse().map_err(bad)).transpose()
}

impl Write {
    /// For whom the key of this value stands within the transaction.
    pub(super) async fn api_key_owner(
        &mut self,
        org: &OrgId,
        value: &Digest,
    ) -> Result<Option<UserId>, StoreError> {
        let now = self.now();
        let query = sqlx::query_scalar(OWNER).bind(org.as_str()).bind(value.to_string());
        owner(query.bind(now).fetch_optional(self.sql()).await?)
    }

    /// Removes all keys of a user, and gives their number.
    pub(super) async fn revoke_api_keys(
        &mut self,
        org: &OrgId,
        user: &UserId,
    ) -> Result<u64, StoreError> {
        let sql = "DELETE FROM api_keys WHERE org = $1 AND user_id = $2 RETURNING id";
        let query = sqlx::query_scalar::<_, String>(sql).bind(org.as_str()).bind(user.as_str());
        let gone = query.fetch_all(self.sql()).await?;
        for id in &gone {
            self.record(change(org, id, Operation::Deleted)).await?;
        }
        Ok(gone.len() as u64)
    }

    async fn create_api_key(
        &mut self,
        org: &OrgId,
        user: &UserId,
        (ExpiringKey { key, expires }, value): (&ExpiringKey, &Digest),
    ) -> Result<(), StoreError> {
        let now = self.now();
        self.limit(&Quota::API_KEYS, org, format!("{org}/{user}")).await?;
        let sql = "INSERT INTO api_keys
                     (id, org, user_id, label, description, value_sha256, last_updated, expires)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(sql)
            .bind(key.id.as_str())
            .bind(org.as_str())
            .bind(user.as_str())
            .bind(key.label.as_str())
            .bind(key.description.as_str())
            .bind(value.to_string())
            .bind(now)
            .bind(expires.map(Timestamp::as_millisecond))
            .execute(self.sql())
            .await
            .map_err(|error| StoreError::without_user(error, org, user))?;
        self.record(change(org, &key.id, Operation::Created)).await
    }

    async fn delete_api_key(
        &mut self,
        org: &OrgId,
        user: &UserId,
        id: &str,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM api_keys WHERE org = $1 AND user_id = $2 AND id = $3";
        let query = sqlx::query(sql).bind(org.as_str()).bind(user.as_str()).bind(id);
        if query.execute(self.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::missing("apikey", org, id));
        }
        self.record(change(org, id, Operation::Deleted)).await
    }
}

fn change<'a>(org: &'a OrgId, id: &'a str, operation: Operation) -> Change<'a> {
    Change { org, resource: Resource::ApiKey, id, operation, public: false }
}
