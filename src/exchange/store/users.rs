//! Users.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Change, Permit, Quota, Store, StoreError, Write, bad, permit::Guarded, time};
use crate::{
    exchange::api::{ApiKey, Hidden, Operation, Resource, User},
    types::{OrgId, UserId},
};

/// What is kept of a user.
#[derive(Debug, Clone)]
pub struct UserRecord {
    /// The hash of the password; an empty one admits nobody.
    pub password_hash: String,
    /// Whether the user manages the organization.
    pub admin: bool,
    /// Whether the user manages organizations.
    pub hub_admin: bool,
    /// An address for people.
    pub email: String,
}

impl Store {
    /// What is kept of the user, if there is one of this name.
    pub async fn user(&self, org: &OrgId, id: &UserId) -> Result<Option<UserRecord>, StoreError> {
        let sql = "SELECT * FROM users WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.as_str());
        query.fetch_optional(self.read()).await?.as_ref().map(record).transpose()
    }

    /// The users of an organization by `org/user`, as others see them; or the one of this name.
    pub async fn users(
        &self,
        org: &OrgId,
        id: Option<&UserId>,
    ) -> Result<BTreeMap<String, User>, StoreError> {
        let sql = "SELECT * FROM users WHERE org = $1 AND ($2 IS NULL OR id = $2)";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.map(UserId::as_str));
        let rows = query.fetch_all(self.read()).await?;
        let mut users = BTreeMap::new();
        for row in &rows {
            users.insert(row.try_get("name")?, user(row)?);
        }
        let sql = "SELECT * FROM api_keys WHERE org = $1 AND ($2 IS NULL OR user_id = $2)";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.map(UserId::as_str));
        for row in &query.fetch_all(self.read()).await? {
            let owner = format!("{org}/{}", row.try_get::<&str, _>("user_id")?);
            if let Some(user) = users.get_mut(&owner) {
                user.apikeys.push(api_key(row)?);
            }
        }
        Ok(users)
    }

    /// Makes a user, or replaces what is known of one, by what the permit makes of what is held. `by` is
    /// `org/user`, who writes.
    pub async fn write_user<E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &UserId,
        by: &str,
        permit: Permit<'_, UserRecord, UserRecord, E>,
        now: Timestamp,
    ) -> Result<Put, E> {
        let (mut write, user) = self.write_if(&UserRow(org, id), permit, now).await?;
        let put = write.put_user(org, id, &user, by).await?;
        write.commit().await?;
        Ok(put)
    }

    /// Replaces what is kept of a user, as [`Store::write_user`] does, and removes the user's API keys, whose
    /// number it gives.
    pub async fn write_user_and_revoke<E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &UserId,
        by: &str,
        permit: Permit<'_, UserRecord, UserRecord, E>,
        now: Timestamp,
    ) -> Result<u64, E> {
        let (mut write, user) = self.write_if(&UserRow(org, id), permit, now).await?;
        write.put_user(org, id, &user, by).await?;
        let revoked = write.revoke_api_keys(org, id).await?;
        write.commit().await?;
        Ok(revoked)
    }

    /// Removes a user and everything the user owns, if the permit allows it. What Horizon's API shows of active
    /// signed documents is not removed with their publisher, since nodes go on with the documents: `by` owns it from
    /// then on, `org/user`.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] if the user owns such documents and is `by` itself.
    pub async fn delete_user<E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &UserId,
        by: &str,
        permit: Permit<'_, UserRecord, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.delete_if(&UserRow(org, id), permit, now).await?;
        write.give_away_signed(&format!("{org}/{id}"), by).await?;
        write.delete_user(org, id).await?;
        Ok(write.commit().await?)
    }
}

/// A user, as a row on which rights are decided.
pub(super) struct UserRow<'a>(pub(super) &'a OrgId, pub(super) &'a UserId);

impl Guarded for UserRow<'_> {
    type Row = UserRecord;

    async fn load(&self, write: &mut Write) -> Result<Option<UserRecord>, StoreError> {
        write.user_record(self.0, self.1).await
    }
}

/// Whether something came to be or was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It came to be.
    Created,
    /// It was there, and is replaced.
    Replaced,
}

impl Write {
    /// What is kept of the user within the transaction, if there is one of this name.
    pub(super) async fn user_record(
        &mut self,
        org: &OrgId,
        id: &UserId,
    ) -> Result<Option<UserRecord>, StoreError> {
        let sql = "SELECT * FROM users WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.as_str());
        query.fetch_optional(self.sql()).await?.as_ref().map(record).transpose()
    }

    async fn delete_user(&mut self, org: &OrgId, id: &UserId) -> Result<(), StoreError> {
        self.tell_of_owned(org, id).await?;
        let sql = "DELETE FROM users WHERE org = $1 AND id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id.as_str());
        if query.execute(self.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::missing("user", org, id));
        }
        Ok(())
    }

    /// Records that everything goes that the user owns.
    async fn tell_of_owned(&mut self, org: &OrgId, id: &UserId) -> Result<(), StoreError> {
        let sql = "SELECT 'service' AS resource, org, id, public FROM services WHERE owner = $1
                   UNION ALL SELECT 'pattern', org, id, public FROM patterns WHERE owner = $1
                   UNION ALL SELECT 'policy', org, id, public FROM policies WHERE owner = $1
                   UNION ALL SELECT 'node', org, id, 0 FROM nodes WHERE owner = $1";
        let query = sqlx::query_as::<_, (String, String, String, i64)>(sql);
        let owned = query.bind(format!("{org}/{id}")).fetch_all(self.sql()).await?;
        for (resource, org, id, public) in owned {
            let org = org.parse().map_err(bad)?;
            let (resource, operation) = (Resource::from(resource), Operation::Deleted);
            let public = public == 1;
            self.record(Change { org: &org, resource, id: &id, operation, public }).await?;
        }
        Ok(())
    }

    /// Makes a user, or replaces what is known of one.
    pub(crate) async fn put_user(
        &mut self,
        org: &OrgId,
        id: &UserId,
        user: &UserRecord,
        by: &str,
    ) -> Result<Put, StoreError> {
        self.limit_of_org(&Quota::USERS, org).await?;
        let now = self.now();
        let sql = "SELECT COUNT(*) FROM users WHERE org = $1 AND id = $2";
        let query = sqlx::query_scalar::<_, i64>(sql).bind(org.as_str()).bind(id.as_str());
        let there = query.fetch_one(self.sql()).await? > 0;
        let sql = "INSERT INTO users
                     (org, id, name, password_hash, admin, hub_admin, email, updated_by, last_updated)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                   ON CONFLICT (org, id) DO UPDATE SET
                     password_hash = excluded.password_hash, admin = excluded.admin,
                     hub_admin = excluded.hub_admin, email = excluded.email,
                     updated_by = excluded.updated_by, last_updated = excluded.last_updated";
        let put = sqlx::query(sql)
            .bind(org.as_str())
            .bind(id.as_str())
            .bind(format!("{org}/{id}"))
            .bind(user.password_hash.as_str())
            .bind(i64::from(user.admin))
            .bind(i64::from(user.hub_admin))
            .bind(user.email.as_str())
            .bind(by)
            .bind(now)
            .execute(self.sql())
            .await;
        match put {
            Ok(_) if there => Ok(Put::Replaced),
            Ok(_) => Ok(Put::Created),
            Err(error) => Err(StoreError::without_org(error, org)),
        }
    }
}

fn record(row: &SqliteRow) -> Result<UserRecord, StoreError> {
    Ok(UserRecord {
        password_hash: row.try_get("password_hash")?,
        admin: row.try_get::<i64, _>("admin")? == 1,
        hub_admin: row.try_get::<i64, _>("hub_admin")? == 1,
        email: row.try_get("email")?,
    })
}

fn user(row: &SqliteRow) -> Result<User, StoreError> {
    let UserRecord { admin, hub_admin, email, .. } = record(row)?;
    Ok(User {
        password: Hidden,
        admin,
        hub_admin,
        email,
        last_updated: time(row.try_get("last_updated")?),
        updated_by: row.try_get("updated_by")?,
        apikeys: Vec::new(),
    })
}

/// An API key from its row.
pub(super) fn api_key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.try_get("id")?,
        label: row.try_get("label")?,
        description: row.try_get("description")?,
        last_updated: time(row.try_get("last_updated")?),
    })
}
