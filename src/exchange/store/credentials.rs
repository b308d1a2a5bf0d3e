//! The logins that nodes pull a service's images with: Horizon's "dock auths", encrypted at rest.

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Change, Store, StoreError, Write, bad, number, time,
    vault::{Locked, Place, Vault},
};
use crate::{
    exchange::api::{Credential, MaskedCredential, Operation, Resource},
    types::{OrgId, Registry, Secret},
};

/// A login, decrypted, with what the exchange knows about it.
#[derive(Debug, Clone)]
pub struct StoredCredential {
    /// Its number, Horizon's `dockAuthId`.
    pub id: i64,
    /// How often it was replaced, from 1 on.
    pub version: u64,
    /// The login itself.
    pub credential: Credential,
    /// When it was last written.
    pub last_updated: Timestamp,
}

impl Store {
    /// The logins of a service, oldest first.
    pub async fn credentials(
        &self,
        org: &OrgId,
        service: &str,
    ) -> Result<Vec<StoredCredential>, StoreError> {
        let sql = "SELECT * FROM dockauths WHERE org = $1 AND service_id = $2 ORDER BY id";
        let query = sqlx::query(sql).bind(org.as_str()).bind(service);
        let rows = query.fetch_all(self.read()).await?;
        rows.iter().map(|row| self.decrypted(org, service, row)).collect()
    }

    /// The same, as their owner sees them; nothing is decrypted.
    pub async fn masked_credentials(
        &self,
        org: &OrgId,
        service: &str,
    ) -> Result<Vec<MaskedCredential>, StoreError> {
        let sql = "SELECT * FROM dockauths WHERE org = $1 AND service_id = $2 ORDER BY id";
        let query = sqlx::query(sql).bind(org.as_str()).bind(service);
        let masked = |row: &SqliteRow| {
            Ok(MaskedCredential::new(row.try_get("id")?, registry(row)?, row.try_get("username")?))
        };
        query.fetch_all(self.read()).await?.iter().map(masked).collect()
    }

    /// Adds a login to a service, and gives its number. One with the same registry, user name and
    /// token is only touched.
    pub async fn add_credential(
        &self,
        org: &OrgId,
        service: &str,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let mut write = self.write(now).await?;
        let same = |held: &&StoredCredential| held.credential == *credential;
        let id = match write.credentials(org, service).await?.iter().find(same) {
            Some(held) => {
                write.touch(held.id).await?;
                held.id
            }
            None => write.add_credential(org, service, credential).await?,
        };
        write.record_credentials(org, service).await?;
        write.commit().await?;
        Ok(id)
    }

    /// Replaces the login with this number; whether there is one.
    pub async fn replace_credential(
        &self,
        org: &OrgId,
        service: &str,
        id: i64,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.write(now).await?;
        if !write.credentials(org, service).await?.iter().any(|held| held.id == id) {
            return Ok(false);
        }
        write.put_credential(org, service, id, credential).await?;
        write.record_credentials(org, service).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Removes one login of a service, or all; whether there was any.
    pub async fn delete_credentials(
        &self,
        org: &OrgId,
        service: &str,
        id: Option<i64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.write(now).await?;
        let sql =
            "DELETE FROM dockauths WHERE org = $1 AND service_id = $2 AND ($3 < 0 OR id = $3)";
        let query = sqlx::query(sql).bind(org.as_str()).bind(service).bind(id.unwrap_or(-1));
        let gone = query.execute(write.sql()).await?.rows_affected() > 0;
        if gone {
            write.record_credentials(org, service).await?;
            write.commit().await?;
        }
        Ok(gone)
    }

    fn decrypted(
        &self,
        org: &OrgId,
        service: &str,
        row: &SqliteRow,
    ) -> Result<StoredCredential, StoreError> {
        decrypted(&self.vault, org, service, row)
    }
}

impl Write {
    /// Makes these the logins of a service: what is there stays, the rest goes, the new come in.
    /// Whether that changed anything.
    pub(super) async fn replace_credentials(
        &mut self,
        org: &OrgId,
        service: &str,
        credentials: &[Credential],
    ) -> Result<bool, StoreError> {
        let held = self.credentials(org, service).await?;
        let mut changed = false;
        for gone in held.iter().filter(|it| !credentials.contains(&it.credential)) {
            let sql = "DELETE FROM dockauths WHERE id = $1";
            sqlx::query(sql).bind(gone.id).execute(self.sql()).await?;
            changed = true;
        }
        for new in credentials.iter().filter(|it| !held.iter().any(|h| h.credential == **it)) {
            self.add_credential(org, service, new).await?;
            changed = true;
        }
        Ok(changed)
    }

    async fn credentials(
        &mut self,
        org: &OrgId,
        service: &str,
    ) -> Result<Vec<StoredCredential>, StoreError> {
        let sql = "SELECT * FROM dockauths WHERE org = $1 AND service_id = $2 ORDER BY id";
        let query = sqlx::query(sql).bind(org.as_str()).bind(service);
        let rows = query.fetch_all(self.sql()).await?;
        let vault = &self.vault;
        rows.iter().map(|row| decrypted(vault, org, service, row)).collect()
    }

    /// Adds a login whatever is there. The row comes first, since its number is bound to the token.
    async fn add_credential(
        &mut self,
        org: &OrgId,
        service: &str,
        credential: &Credential,
    ) -> Result<i64, StoreError> {
        let (id, now) = (self.next("dockauth").await?, self.now());
        let locked = self.locked(org, service, id, credential)?;
        let sql = "INSERT INTO dockauths \
                   (id, org, service_id, registry, username, token_sealed, key_version, last_updated) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(sql)
            .bind(id)
            .bind(org.as_str())
            .bind(service)
            .bind(credential.registry.as_str())
            .bind(credential.username.as_str())
            .bind(locked.bytes)
            .bind(locked.key_version)
            .bind(now)
            .execute(self.sql())
            .await?;
        Ok(id)
    }

    async fn put_credential(
        &mut self,
        org: &OrgId,
        service: &str,
        id: i64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let locked = self.locked(org, service, id, credential)?;
        let sql = "UPDATE dockauths SET registry = $2, username = $3, token_sealed = $4, \
                   key_version = $5, last_updated = $6, version = version + 1 WHERE id = $1";
        sqlx::query(sql)
            .bind(id)
            .bind(credential.registry.as_str())
            .bind(credential.username.as_str())
            .bind(locked.bytes)
            .bind(locked.key_version)
            .bind(now)
            .execute(self.sql())
            .await?;
        Ok(())
    }

    async fn touch(&mut self, id: i64) -> Result<(), StoreError> {
        let now = self.now();
        let sql = "UPDATE dockauths SET last_updated = $2 WHERE id = $1";
        sqlx::query(sql).bind(id).bind(now).execute(self.sql()).await?;
        Ok(())
    }

    /// Records that the logins of a service changed.
    pub(super) async fn record_credentials(
        &mut self,
        org: &OrgId,
        service: &str,
    ) -> Result<(), StoreError> {
        let (resource, operation) = (Resource::DockAuth, Operation::CreatedOrModified);
        self.record(Change { org, resource, id: service, operation, public: false }).await
    }

    fn locked(
        &self,
        org: &OrgId,
        service: &str,
        row: i64,
        Credential { registry, username, token }: &Credential,
    ) -> Result<Locked, StoreError> {
        Ok(self.vault.lock(token, Place { org, service, registry, username, row })?)
    }
}

fn decrypted(
    vault: &Vault,
    org: &OrgId,
    service: &str,
    row: &SqliteRow,
) -> Result<StoredCredential, StoreError> {
    let (id, registry, username) =
        (row.try_get("id")?, registry(row)?, row.try_get::<String, _>("username")?);
    let place = Place { org, service, registry: &registry, username: &username, row: id };
    let locked =
        Locked { bytes: row.try_get("token_sealed")?, key_version: row.try_get("key_version")? };
    let token: Secret = vault.unlock(&locked, place)?;
    Ok(StoredCredential {
        id,
        version: number(row.try_get("version")?),
        credential: Credential { registry, username, token },
        last_updated: time(row.try_get("last_updated")?),
    })
}

fn registry(row: &SqliteRow) -> Result<Registry, StoreError> {
    row.try_get::<&str, _>("registry")?.parse().map_err(bad)
}
