//! The logins that nodes pull a service's images with: Horizon's "dock auths", encrypted at rest.

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Change, Ownership, Permit, Quota, Store, StoreError, Write, bad, number,
    posted::OwnershipRow,
    time,
    vault::{Keys, Locked, Place},
};
use crate::{
    exchange::api::{Credential, Hidden, MaskedCredential, Operation, Resource, ServiceRequest},
    types::{OrgId, Registry, Secret, jwt},
};

/// The logins of one service, oldest first.
pub(super) const OF_SERVICE: &str =
    "SELECT * FROM dockauths WHERE org = $1 AND service_id = $2 ORDER BY id";

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
    /// Sets logins of a service, if the permit allows it: each takes the place of what the service had for its
    /// registry, whoever the user was, and those for other registries stay. What it has afterwards, and
    /// whether anything changed.
    pub async fn set_credentials<E: From<StoreError>>(
        &self,
        org: &OrgId,
        service: &str,
        credentials: &[Credential],
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<(Vec<MaskedCredential>, bool), E> {
        let mut write = self.write_credentials(org, service, permit, now).await?;
        let changed = write.set_credentials(org, service, credentials).await?;
        let held = write.masked_credentials(org, service).await?;
        if changed {
            write.record_credentials(org, service).await?;
            write.commit().await?;
        }
        Ok((held, changed))
    }

    /// Adds a login to a service, if the permit allows it, and gives its number. One with the same registry,
    /// user name and token is only touched.
    pub async fn add_credential<E: From<StoreError>>(
        &self,
        org: &OrgId,
        service: &str,
        credential: &Credential,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<i64, E> {
        let mut write = self.write_credentials(org, service, permit, now).await?;
        let same = |held: &&StoredCredential| held.credential == *credential;
        let id = match write.credentials(org, service).await?.0.iter().find(same) {
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

    /// Replaces the login with this number, if the permit allows it; whether there is one.
    pub async fn replace_credential<E: From<StoreError>>(
        &self,
        org: &OrgId,
        service: &str,
        (id, credential): (i64, &Credential),
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<bool, E> {
        let mut write = self.write_credentials(org, service, permit, now).await?;
        if !write.put_credential(org, service, id, credential).await? {
            return Ok(false);
        }
        write.record_credentials(org, service).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Removes one login of a service, or all, if the permit allows it; whether there was any.
    pub async fn delete_credentials<E: From<StoreError>>(
        &self,
        org: &OrgId,
        service: &str,
        id: Option<i64>,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<bool, E> {
        let row = OwnershipRow::<ServiceRequest>::new(org, service);
        let (mut write, ()) = self.delete_if(&row, permit, now).await?;
        let gone = write.delete_credentials(org, service, id).await?;
        if gone {
            write.record_credentials(org, service).await?;
            write.commit().await?;
        }
        Ok(gone)
    }

    async fn write_credentials<E: From<StoreError>>(
        &self,
        org: &OrgId,
        service: &str,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<Write, E> {
        let service = OwnershipRow::<ServiceRequest>::new(org, service);
        Ok(self.write_if(&service, permit, now).await?.0)
    }
}

impl Write {
    async fn masked_credentials(
        &mut self,
        org: &OrgId,
        service: &str,
    ) -> Result<Vec<MaskedCredential>, StoreError> {
        let query = sqlx::query(OF_SERVICE).bind(org.as_str()).bind(service);
        query.fetch_all(self.sql()).await?.iter().map(masked).collect()
    }

    async fn delete_credentials(
        &mut self,
        org: &OrgId,
        service: &str,
        id: Option<i64>,
    ) -> Result<bool, StoreError> {
        let sql =
            "DELETE FROM dockauths WHERE org = $1 AND service_id = $2 AND ($3 IS NULL OR id = $3)";
        let query = sqlx::query(sql).bind(org.as_str()).bind(service).bind(id);
        Ok(query.execute(self.sql()).await?.rows_affected() > 0)
    }

    /// Makes these the logins of a service: what is there stays, the rest goes, the new come in.
    /// Whether that changed anything.
    pub(super) async fn replace_credentials(
        &mut self,
        org: &OrgId,
        service: &str,
        credentials: &[Credential],
    ) -> Result<bool, StoreError> {
        let (held, unreadable) = self.credentials(org, service).await?;
        let gone = held.iter().filter(|it| !credentials.contains(&it.credential));
        let gone: Vec<_> =
            gone.map(|it| it.id).chain(unreadable.into_iter().map(|it| it.0)).collect();
        let mut changed = !gone.is_empty();
        for id in gone {
            self.remove_credential(id).await?;
        }
        for new in credentials.iter().filter(|it| !held.iter().any(|h| h.credential == **it)) {
            self.add_credential(org, service, new).await?;
            changed = true;
        }
        Ok(changed)
    }

    /// Puts each login in the place of what the service has for its registry; whether that changed
    /// anything. The number stays, and its version rises.
    async fn set_credentials(
        &mut self,
        org: &OrgId,
        service: &str,
        credentials: &[Credential],
    ) -> Result<bool, StoreError> {
        let (held, unreadable) = self.credentials(org, service).await?;
        let mut changed = false;
        for new in credentials {
            let of_registry = held.iter().filter(|it| it.credential.registry == new.registry);
            let (same, others): (Vec<_>, Vec<_>) =
                of_registry.partition(|it| it.credential == *new);
            let others = others.iter().map(|it| it.id);
            let lost = unreadable.iter().filter(|(_, it)| *it == new.registry).map(|(id, _)| *id);
            let mut others: Vec<_> = others.chain(lost).collect();
            changed |= same.is_empty() || !others.is_empty();
            if same.is_empty() {
                match others.pop() {
                    Some(old) => drop(self.put_credential(org, service, old, new).await?),
                    None => drop(self.add_credential(org, service, new).await?),
                }
            }
            for id in others {
                self.remove_credential(id).await?;
            }
        }
        Ok(changed)
    }

    async fn remove_credential(&mut self, id: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM dockauths WHERE id = $1";
        sqlx::query(sql).bind(id).execute(self.sql()).await?;
        Ok(())
    }

    /// The logins of a service; and those that cannot be decrypted, by number and registry: what is
    /// replaced or removed need not be.
    async fn credentials(
        &mut self,
        org: &OrgId,
        service: &str,
    ) -> Result<(Vec<StoredCredential>, Vec<(i64, Registry)>), StoreError> {
        let query = sqlx::query(OF_SERVICE).bind(org.as_str()).bind(service);
        let rows = query.fetch_all(self.sql()).await?;
        let keys = self.vault.keys().await;
        let (mut held, mut unreadable) = (Vec::new(), Vec::new());
        for row in &rows {
            match decrypted(&keys, org, service, row) {
                Ok(credential) => held.push(credential),
                Err(StoreError::Vault(_)) => unreadable.push((row.try_get("id")?, registry(row)?)),
                Err(error) => return Err(error),
            }
        }
        Ok((held, unreadable))
    }

    /// Adds a login whatever is there. The row comes first, since its number is bound to the token.
    async fn add_credential(
        &mut self,
        org: &OrgId,
        service: &str,
        credential: &Credential,
    ) -> Result<i64, StoreError> {
        self.limit(&Quota::CREDENTIALS, org, format!("{org}/{service}")).await?;
        let (id, now) = (self.next("dockauth").await?, self.now());
        let locked = self.locked(org, service, id, credential).await?;
        let sql = "INSERT INTO dockauths \
                   (id, org, service_id, registry, username, token_sealed, key_version, \
                    last_updated, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        sqlx::query(sql)
            .bind(id)
            .bind(org.as_str())
            .bind(service)
            .bind(credential.registry.as_str())
            .bind(credential.username.as_str())
            .bind(locked.bytes)
            .bind(locked.key_version)
            .bind(now)
            .bind(end_of(&credential.token))
            .execute(self.sql())
            .await?;
        Ok(id)
    }

    /// Replaces the login with this number; whether the service has it.
    async fn put_credential(
        &mut self,
        org: &OrgId,
        service: &str,
        id: i64,
        credential: &Credential,
    ) -> Result<bool, StoreError> {
        self.limit(&Quota::CREDENTIALS, org, format!("{org}/{service}")).await?;
        let now = self.now();
        let locked = self.locked(org, service, id, credential).await?;
        let sql = "UPDATE dockauths SET registry = $2, username = $3, token_sealed = $4, \
                   key_version = $5, last_updated = $6, expires = $7, version = version + 1 \
                   WHERE id = $1 AND org = $8 AND service_id = $9";
        let written = sqlx::query(sql)
            .bind(id)
            .bind(credential.registry.as_str())
            .bind(credential.username.as_str())
            .bind(locked.bytes)
            .bind(locked.key_version)
            .bind(now)
            .bind(end_of(&credential.token))
            .bind(org.as_str())
            .bind(service)
            .execute(self.sql());
        Ok(written.await?.rows_affected() > 0)
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

    async fn locked(
        &self,
        org: &OrgId,
        service: &str,
        row: i64,
        Credential { registry, username, token }: &Credential,
    ) -> Result<Locked, StoreError> {
        let place = Place { org, service, registry, username, row };
        Ok(self.vault.keys().await.lock(token, place)?)
    }
}

/// When a token ends, as the database keeps times; `None` if it does not say so.
pub(super) fn end_of(token: &Secret) -> Option<i64> {
    jwt::expiry(token.expose()).map(Timestamp::as_millisecond)
}

/// A login as a row has it, but for its token.
pub(super) fn masked(row: &SqliteRow) -> Result<MaskedCredential, StoreError> {
    Ok(MaskedCredential {
        id: row.try_get("id")?,
        registry: registry(row)?,
        username: row.try_get("username")?,
        token: Hidden,
        version: number(row.try_get("version")?),
        last_updated: time(row.try_get("last_updated")?),
        expires: row.try_get::<Option<i64>, _>("expires")?.map(time),
    })
}

/// The login of a row. Whoever read the row has borrowed `keys` before.
pub(super) fn decrypted(
    keys: &Keys,
    org: &OrgId,
    service: &str,
    row: &SqliteRow,
) -> Result<StoredCredential, StoreError> {
    let (id, registry, username) =
        (row.try_get("id")?, registry(row)?, row.try_get::<String, _>("username")?);
    let place = Place { org, service, registry: &registry, username: &username, row: id };
    let locked =
        Locked { bytes: row.try_get("token_sealed")?, key_version: row.try_get("key_version")? };
    let token = keys.unlock(&locked, place)?;
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
