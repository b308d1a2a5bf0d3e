//! Changes the key by which tokens are encrypted, while all else goes on.
//!
//! The order makes a crash harmless at every point: the new key is in the key file beside the old one
//! before anything is encrypted by it; rows are rewritten a few at a time, each batch in a transaction
//! of its own; the old key goes once no row names it. What is broken off is found as two keys in the
//! file, and is gone on with.

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Store, StoreError, Write, bad,
    credentials::{decrypted, end_of},
    number,
    vault::{Keys, Place},
};
use crate::{exchange::api::Rekeyed, types::OrgId};

/// Rows rewritten in one transaction, for which every other writer waits: some milliseconds.
const BATCH: i64 = 64;
/// Rows rewritten by one call, so that whoever asked hears of it within seconds.
const MOST: u64 = 1024;
/// How many rows that no key opens are named.
const MOST_NAMED: usize = 20;

impl Store {
    /// Goes on with the change of the key, `toward` one that an earlier call named; or begins one.
    pub async fn rekey(&self, toward: Option<i64>, now: Timestamp) -> Result<Rekeyed, StoreError> {
        let _turn = self.vault.turn().await;
        let newest = self.key_to_change_to(toward).await?;
        let mut rekeyed = Rekeyed { key_version: newest, ..Rekeyed::default() };
        let mut after = i64::MIN;
        while rekeyed.rewritten < MOST {
            let mut write = self.write(now).await?;
            let Some(last) = write.rewrite_some(newest, after, &mut rekeyed).await? else { break };
            write.commit().await?;
            after = last;
        }
        rekeyed.left = self.drop_older_keys(newest, now).await?;
        Ok(rekeyed)
    }

    /// Whether a change of the key was begun and is not finished.
    pub async fn is_rekeying(&self) -> bool {
        self.vault.keys().await.are_changing()
    }

    async fn key_to_change_to(&self, toward: Option<i64>) -> Result<i64, StoreError> {
        let (newest, is_changing) = {
            let keys = self.vault.keys().await;
            (keys.newest(), keys.are_changing())
        };
        if is_changing || toward.is_some() {
            return Ok(newest);
        }
        let version = self.vault.add_key().await?;
        tracing::info!(version, "tokens are encrypted by a new key from now on");
        Ok(version)
    }

    /// Drops the older keys, if no row needs one; how many do. While that is found out nobody writes,
    /// so that no row comes that was encrypted before the newest key was there.
    async fn drop_older_keys(&self, newest: i64, now: Timestamp) -> Result<u64, StoreError> {
        let mut write = self.write(now).await?;
        let sql = "SELECT COUNT(*) FROM dockauths WHERE key_version < $1";
        let left: i64 = sqlx::query_scalar(sql).bind(newest).fetch_one(write.sql()).await?;
        if left == 0 && self.is_rekeying().await {
            self.vault.drop_older().await?;
            tracing::info!(version = newest, "no token needs an older key: it is gone");
        }
        Ok(number(left))
    }
}

impl Write {
    /// Rewrites the next rows that need an older key, and gives the number of the last; `None` if
    /// there are no more. What a row says stays the same, so that no change of it is recorded.
    async fn rewrite_some(
        &mut self,
        newest: i64,
        after: i64,
        rekeyed: &mut Rekeyed,
    ) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT * FROM dockauths WHERE key_version < $1 AND id > $2 ORDER BY id LIMIT $3";
        let query = sqlx::query(sql).bind(newest).bind(after).bind(BATCH);
        let rows = query.fetch_all(self.sql()).await?;
        let mut last = None;
        for row in &rows {
            last = Some(row.try_get("id")?);
            let rewritten = Rewritten::of(row, &*self.vault.keys().await);
            match rewritten {
                Ok(row) => {
                    self.put_rewritten(row).await?;
                    rekeyed.rewritten += 1;
                }
                // Left as it is: one row must not keep all others from their new key.
                Err(StoreError::Vault(error)) => {
                    tracing::warn!(%error, "a token keeps its old key");
                    if rekeyed.unreadable.len() < MOST_NAMED {
                        rekeyed.unreadable.push(name_of(row)?);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    async fn put_rewritten(&mut self, row: Rewritten) -> Result<(), StoreError> {
        let sql =
            "UPDATE dockauths SET token_sealed = $2, key_version = $3, expires = $4 WHERE id = $1";
        sqlx::query(sql)
            .bind(row.id)
            .bind(row.bytes)
            .bind(row.key_version)
            .bind(row.expires)
            .execute(self.sql())
            .await?;
        Ok(())
    }
}

/// A row's token under the newest key.
struct Rewritten {
    id: i64,
    bytes: Vec<u8>,
    key_version: i64,
    expires: Option<i64>,
}

impl Rewritten {
    fn of(row: &SqliteRow, keys: &Keys) -> Result<Self, StoreError> {
        let org: OrgId = row.try_get::<&str, _>("org")?.parse().map_err(bad)?;
        let service = row.try_get::<&str, _>("service_id")?;
        let held = decrypted(keys, &org, service, row)?;
        let place = Place {
            org: &org,
            service,
            registry: &held.credential.registry,
            username: &held.credential.username,
            row: held.id,
        };
        let locked = keys.lock(&held.credential.token, place)?;
        let expires = end_of(&held.credential.token);
        Ok(Self { id: held.id, bytes: locked.bytes, key_version: locked.key_version, expires })
    }
}

fn name_of(row: &SqliteRow) -> Result<String, StoreError> {
    let text = |column: &str| row.try_get::<&str, _>(column);
    Ok(format!("{}/{}: {}", text("org")?, text("service_id")?, text("registry")?))
}
