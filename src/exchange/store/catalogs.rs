//! The list of an organization's documents, and the stamp that vouches for the newest of it.

use jiff::{SignedDuration, Timestamp};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Store, StoreError, Write, bad, column, number, stamp_clock::report_jump, time};
use crate::{
    sign::SigningKey,
    trust::{Catalog, CatalogDifference, CatalogEntry, Stamp, StampedCatalog, StampedTrust, State},
    types::{Digest, DocumentKey, OrgId},
};

/// How long a stamp holds: a node that hears nothing new for longer takes nothing new.
const LIFE: SignedDuration = SignedDuration::from_hours(24);
/// A stamp older than this is made anew when somebody asks for it.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// How many catalogs are kept, for nodes that have just read the stamp before.
const KEPT: i64 = 32;
/// The longest way between two catalogs that is told in changes; a node that was away for longer reads
/// the catalog whole.
const LONGEST_DIFFERENCE: u64 = 1024;
/// How the states of documents are written.
const ACTIVE: &str = "active";
const WITHDRAWN: &str = "withdrawn";
/// The newest stamp, and when it was made.
const STAMP: &str = "SELECT issued, envelope FROM stamps WHERE org = $1";

impl Store {
    /// The exact bytes of a version of the catalog.
    pub async fn catalog(&self, org: &OrgId, version: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT content FROM catalogs WHERE org = $1 AND version = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(column(version));
        Ok(query.fetch_optional(self.read()).await?)
    }

    /// How long a version of the catalog is, in bytes.
    pub async fn catalog_length(
        &self,
        org: &OrgId,
        version: u64,
    ) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT octet_length(content) FROM catalogs WHERE org = $1 AND version = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(column(version));
        Ok(query.fetch_optional(self.read()).await?)
    }

    /// What the catalog of version `to` has that the one of version `from` has not; `None` if the way
    /// is too long, or not all of it is known any more.
    pub async fn catalog_difference(
        &self,
        org: &OrgId,
        from: u64,
        to: u64,
    ) -> Result<Option<CatalogDifference>, StoreError> {
        let Some(steps @ 1..=LONGEST_DIFFERENCE) = to.checked_sub(from) else {
            return Ok(None);
        };
        let sql = "SELECT document_key, epoch, seq, sha256, state FROM catalog_changes \
                   WHERE org = $1 AND version > $2 AND version <= $3 ORDER BY version";
        let query = sqlx::query(sql).bind(org.as_str()).bind(column(from)).bind(column(to));
        let rows = query.fetch_all(self.read()).await?;
        // Each version brought one change.
        if rows.len() as u64 != steps {
            return Ok(None);
        }
        let entries = rows.iter().map(entry).collect::<Result<_, StoreError>>()?;
        Ok(Some(CatalogDifference { org: org.clone(), from, to, entries }))
    }

    /// The envelope of the newest stamp, made anew if it is an hour old; `None` if the organization
    /// has no trust document.
    pub async fn stamp(
        &self,
        org: &OrgId,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let is_fresh = |issued| is_younger(issued, FRESH, now);
        let is_alive = |issued| is_younger(issued, LIFE, now);
        let held: Option<(i64, Vec<u8>)> =
            sqlx::query_as(STAMP).bind(org.as_str()).fetch_optional(self.read()).await?;
        match held {
            Some((issued, envelope)) if is_fresh(issued) => return Ok(Some(envelope)),
            None if self.newest_trust(org).await?.is_none() => return Ok(None),
            _ => (),
        }
        match (self.renew_stamp(org, key, now).await, held) {
            // One that was not renewed is good for the rest of its life.
            (Err(error), Some((issued, envelope)))
                if (error.is_disk_full() || error.is_storage_failure()) && is_alive(issued) =>
            {
                Ok(Some(envelope))
            }
            (renewed, _) => renewed.map(Some),
        }
    }

    /// Makes a stamp, unless another request has made one meanwhile.
    async fn renew_stamp(
        &self,
        org: &OrgId,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<Vec<u8>, StoreError> {
        let mut write = self.write_essential(now).await?;
        let held: Option<(i64, Vec<u8>)> =
            sqlx::query_as(STAMP).bind(org.as_str()).fetch_optional(write.sql()).await?;
        if let Some((issued, envelope)) = held
            && is_younger(issued, FRESH, now)
        {
            return Ok(envelope);
        }
        let envelope = write.stamp(org, key).await?;
        write.commit().await?;
        Ok(envelope)
    }
}

/// Whether a stamp was made within `age` before `now`. A stamp from the future is one of a clock that has been
/// set back since.
fn is_younger(issued: i64, age: SignedDuration, now: Timestamp) -> bool {
    time(issued) <= now && now.duration_since(time(issued)) < age
}

impl Write {
    /// Adds an entry to the catalog, or replaces it; gives the new catalog's version.
    pub(super) async fn list(
        &mut self,
        org: &OrgId,
        key: &DocumentKey,
        entry: CatalogEntry,
    ) -> Result<u64, StoreError> {
        let mut catalog = self.newest_catalog(org).await?;
        catalog.version += 1;
        self.keep_change(org, catalog.version, key, &entry).await?;
        catalog.entries.insert(key.clone(), entry);
        self.keep(&catalog).await?;
        Ok(catalog.version)
    }

    /// The version of the newest catalog; 0 if there is none.
    pub(super) async fn catalog_version(&mut self, org: &OrgId) -> Result<u64, StoreError> {
        let sql = "SELECT MAX(version) FROM catalogs WHERE org = $1";
        let version: Option<i64> =
            sqlx::query_scalar(sql).bind(org.as_str()).fetch_one(self.sql()).await?;
        Ok(version.map_or(0, number))
    }

    /// Signs a stamp for the newest trust and the newest catalog (an empty one, if there is none), and
    /// keeps it. Gives its envelope.
    pub(super) async fn stamp(
        &mut self,
        org: &OrgId,
        key: &SigningKey,
    ) -> Result<Vec<u8>, StoreError> {
        let (trust_version, trust_sha256) = self
            .newest_trust(org)
            .await?
            .ok_or_else(|| StoreError::Missing { what: format!("trust of '{org}'") })?;
        let mut catalog = self.newest_catalog(org).await?;
        if catalog.version == 0 {
            catalog.version = 1;
            self.keep(&catalog).await?;
        }
        let content = catalog.to_bytes();
        let sql = "SELECT seq, issued FROM stamps WHERE org = $1";
        let newest: Option<(i64, i64)> =
            sqlx::query_as(sql).bind(org.as_str()).fetch_optional(self.sql()).await?;
        let issued = time(self.now());
        if let Some((_, newest)) = newest {
            report_jump(org.as_str(), time(newest), issued);
        }
        // The number rises whatever the clock says.
        let seq = newest.map_or(1, |(seq, _)| number(seq) + 1);
        let stamp = Stamp {
            org: org.clone(),
            seq,
            issued,
            expires: issued.saturating_add(LIFE).unwrap_or(issued),
            trust: StampedTrust { version: trust_version, sha256: trust_sha256 },
            catalog: StampedCatalog {
                version: catalog.version,
                sha256: Digest::of(&content),
                length: content.len() as u64,
            },
        };
        let envelope = stamp.seal(key).to_json();
        let sql = "INSERT INTO stamps (org, seq, trust_version, catalog_version, issued, envelope) \
               VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (org) DO UPDATE SET seq = excluded.seq, \
               trust_version = excluded.trust_version, \
               catalog_version = excluded.catalog_version, \
               issued = excluded.issued, envelope = excluded.envelope";
        sqlx::query(sql)
            .bind(org.as_str())
            .bind(column(seq))
            .bind(column(trust_version))
            .bind(column(catalog.version))
            .bind(issued.as_millisecond())
            .bind(envelope.as_slice())
            .execute(self.sql())
            .await?;
        Ok(envelope)
    }

    async fn newest_catalog(&mut self, org: &OrgId) -> Result<Catalog, StoreError> {
        let sql = "SELECT content FROM catalogs WHERE org = $1 ORDER BY version DESC LIMIT 1";
        let content: Option<Vec<u8>> =
            sqlx::query_scalar(sql).bind(org.as_str()).fetch_optional(self.sql()).await?;
        match content {
            Some(content) => Catalog::from_bytes(&content).map_err(bad),
            None => Ok(Catalog::empty(org.clone())),
        }
    }

    async fn keep(&mut self, catalog: &Catalog) -> Result<(), StoreError> {
        let (org, version) = (catalog.org.as_str(), column(catalog.version));
        let sql = "INSERT INTO catalogs (org, version, content) VALUES ($1, $2, $3)";
        let insert = sqlx::query(sql).bind(org).bind(version).bind(catalog.to_bytes());
        insert.execute(self.sql()).await?;
        let sql = "DELETE FROM catalogs WHERE org = $1 AND version <= $2";
        sqlx::query(sql).bind(org).bind(version - KEPT).execute(self.sql()).await?;
        Ok(())
    }

    async fn keep_change(
        &mut self,
        org: &OrgId,
        version: u64,
        key: &DocumentKey,
        entry: &CatalogEntry,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO catalog_changes \
                   (org, version, document_key, epoch, seq, sha256, state) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(sql)
            .bind(org.as_str())
            .bind(column(version))
            .bind(key.to_string())
            .bind(column(entry.epoch))
            .bind(column(entry.seq))
            .bind(entry.sha256.hex())
            .bind(state_name(entry.state))
            .execute(self.sql())
            .await?;
        let sql = "DELETE FROM catalog_changes WHERE org = $1 AND version <= $2";
        let oldest = column(version.saturating_sub(LONGEST_DIFFERENCE));
        sqlx::query(sql).bind(org.as_str()).bind(oldest).execute(self.sql()).await?;
        Ok(())
    }
}

/// A row of the changes.
fn entry(row: &SqliteRow) -> Result<(DocumentKey, CatalogEntry), StoreError> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let count = |name: &str| row.try_get(name).map(number);
    let state = match text("state")?.as_str() {
        WITHDRAWN => State::Withdrawn,
        _ => State::Active,
    };
    let sha256 = Digest::from_hex(&text("sha256")?).map_err(bad)?;
    let entry = CatalogEntry { epoch: count("epoch")?, seq: count("seq")?, sha256, state };
    Ok((text("document_key")?.parse().map_err(bad)?, entry))
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Active => ACTIVE,
        State::Withdrawn => WITHDRAWN,
    }
}
