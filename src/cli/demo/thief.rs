//! Somebody who took over the exchange: its database, and its online key.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    sign::{Envelope, SigningKey},
    trust::{Catalog, CatalogEntry, Stamp, StampedCatalog, State, Statement},
    types::{Digest, DocumentKey, OrgId},
};

/// Why the thief failed. The demonstration then proves nothing, so that it is an error.
pub(super) type TheftError = Box<dyn std::error::Error + Send + Sync>;

/// The thief at work.
#[derive(Debug)]
pub(super) struct Thief {
    database: SqliteConnection,
    stamp_key: SigningKey,
    org: OrgId,
    /// What stood there before, to be put back after each attack.
    honest: Honest,
}

#[derive(Debug)]
struct Honest {
    stamp: (i64, i64, i64, i64, Vec<u8>),
    catalog: Catalog,
}

impl Thief {
    /// Breaks into the exchange whose data lies in `folder`.
    pub(super) async fn break_in(folder: &Path, org: &OrgId) -> Result<Self, TheftError> {
        let options = SqliteConnectOptions::new().filename(folder.join("exchange.db"));
        let mut database = SqliteConnection::connect_with(&options).await?;
        let stamp_key =
            SigningKey::from_pem(&std::fs::read_to_string(folder.join("stamp-key.pem"))?)?;
        let sql = "SELECT seq, trust_version, catalog_version, issued, envelope FROM stamps WHERE org = $1";
        let stamp: (i64, i64, i64, i64, Vec<u8>) =
            sqlx::query_as(sql).bind(org.as_str()).fetch_one(&mut database).await?;
        let sql = "SELECT content FROM catalogs WHERE org = $1 AND version = $2";
        let catalog: Vec<u8> = sqlx::query_scalar(sql)
            .bind(org.as_str())
            .bind(stamp.2)
            .fetch_one(&mut database)
            .await?;
        let honest = Honest { stamp, catalog: Catalog::from_bytes(&catalog)? };
        Ok(Self { database, stamp_key, org: org.clone(), honest })
    }

    /// Flips one bit of the stored envelope of `key`; doing it again puts it back.
    pub(super) async fn flip_a_bit(&mut self, key: &DocumentKey) -> Result<(), TheftError> {
        let sha256 = self.listed(key)?.sha256;
        let sql = "SELECT envelope FROM signed_documents WHERE org = $1 AND sha256 = $2";
        let honest: Vec<u8> = sqlx::query_scalar(sql)
            .bind(self.org.as_str())
            .bind(sha256.hex())
            .fetch_one(&mut self.database)
            .await?;
        self.replace_document(&sha256, &with_a_bit_flipped(&honest)?).await
    }

    /// Lists another document under `key`, in a catalog and stamp that the exchange's own key vouches for.
    pub(super) async fn list_instead(
        &mut self,
        key: &DocumentKey,
        envelope: &Envelope,
        now: Timestamp,
    ) -> Result<(), TheftError> {
        let statement: Statement<serde_json::Value> = serde_json::from_slice(envelope.payload())?;
        let header = statement.header;
        let sha256 = envelope.digest();
        let mut catalog = self.honest.catalog.clone();
        catalog.version += 1;
        let entry =
            CatalogEntry { epoch: header.epoch, seq: header.seq, sha256, state: State::Active };
        catalog.entries.insert(key.clone(), entry);
        let sql = "INSERT INTO signed_documents \
                   (org, sha256, document_key, epoch, seq, owner, envelope, last_updated) \
                   VALUES ($1, $2, $3, $4, $5, 'thief', $6, 0) ON CONFLICT DO NOTHING";
        sqlx::query(sql)
            .bind(self.org.as_str())
            .bind(sha256.hex())
            .bind(key.to_string())
            .bind(i64::try_from(header.epoch)?)
            .bind(i64::try_from(header.seq)?)
            .bind(envelope.to_json())
            .execute(&mut self.database)
            .await?;
        let sql = "INSERT INTO catalogs (org, version, content) VALUES ($1, $2, $3)";
        sqlx::query(sql)
            .bind(self.org.as_str())
            .bind(i64::try_from(catalog.version)?)
            .bind(catalog.to_bytes())
            .execute(&mut self.database)
            .await?;
        let day = SignedDuration::from_hours(24);
        self.stamp(&catalog, now, now.saturating_add(day)?, now).await
    }

    /// Replaces the stamp by one that ended yesterday.
    pub(super) async fn let_the_stamp_expire(&mut self, now: Timestamp) -> Result<(), TheftError> {
        let hours = SignedDuration::from_hours;
        let catalog = self.honest.catalog.clone();
        let (issued, expires) = (now.saturating_sub(hours(48))?, now.saturating_sub(hours(24))?);
        self.stamp(&catalog, issued, expires, now).await
    }

    /// The envelope of an earlier state of `key`, which was honestly signed in its time.
    pub(super) async fn earlier(&mut self, key: &DocumentKey) -> Result<Envelope, TheftError> {
        let sql = "SELECT envelope FROM signed_documents WHERE org = $1 AND document_key = $2 \
                   ORDER BY epoch, seq LIMIT 1";
        let envelope: Vec<u8> = sqlx::query_scalar(sql)
            .bind(self.org.as_str())
            .bind(key.to_string())
            .fetch_one(&mut self.database)
            .await?;
        Ok(Envelope::from_json(&envelope)?)
    }

    /// Puts everything back as it was.
    pub(super) async fn put_back(&mut self) -> Result<(), TheftError> {
        let org = self.org.as_str();
        let sql = "DELETE FROM signed_documents WHERE org = $1 AND owner = 'thief'";
        sqlx::query(sql).bind(org).execute(&mut self.database).await?;
        let sql = "DELETE FROM catalogs WHERE org = $1 AND version > $2";
        sqlx::query(sql)
            .bind(org)
            .bind(i64::try_from(self.honest.catalog.version)?)
            .execute(&mut self.database)
            .await?;
        let (seq, trust, catalog, issued, envelope) = self.honest.stamp.clone();
        self.write_stamp(seq, trust, catalog, issued, envelope).await
    }

    fn listed(&self, key: &DocumentKey) -> Result<&CatalogEntry, TheftError> {
        Ok(self.honest.catalog.entries.get(key).ok_or_else(|| format!("{key} is not listed"))?)
    }

    async fn replace_document(
        &mut self,
        sha256: &Digest,
        envelope: &[u8],
    ) -> Result<(), TheftError> {
        let sql = "UPDATE signed_documents SET envelope = $3 WHERE org = $1 AND sha256 = $2";
        sqlx::query(sql)
            .bind(self.org.as_str())
            .bind(sha256.hex())
            .bind(envelope)
            .execute(&mut self.database)
            .await?;
        Ok(())
    }

    async fn stamp(
        &mut self,
        catalog: &Catalog,
        issued: Timestamp,
        expires: Timestamp,
        made: Timestamp,
    ) -> Result<(), TheftError> {
        let honest = Envelope::from_json(&self.honest.stamp.4)?;
        let honest: Stamp = serde_json::from_slice(honest.payload())?;
        let content = catalog.to_bytes();
        let stamp = Stamp {
            seq: honest.seq + 1,
            issued,
            expires,
            catalog: StampedCatalog {
                version: catalog.version,
                sha256: Digest::of(&content),
                length: content.len() as u64,
            },
            ..honest
        };
        let envelope = stamp.seal(&self.stamp_key).to_json();
        let (seq, trust) = (i64::try_from(stamp.seq)?, self.honest.stamp.1);
        let version = i64::try_from(catalog.version)?;
        self.write_stamp(seq, trust, version, made.as_millisecond(), envelope).await
    }

    async fn write_stamp(
        &mut self,
        seq: i64,
        trust: i64,
        catalog: i64,
        issued: i64,
        envelope: Vec<u8>,
    ) -> Result<(), TheftError> {
        let sql = "UPDATE stamps SET seq = $2, trust_version = $3, catalog_version = $4, \
                   issued = $5, envelope = $6 WHERE org = $1";
        sqlx::query(sql)
            .bind(self.org.as_str())
            .bind(seq)
            .bind(trust)
            .bind(catalog)
            .bind(issued)
            .bind(envelope)
            .execute(&mut self.database)
            .await?;
        Ok(())
    }
}

/// The envelope with one bit in the middle of its payload flipped.
fn with_a_bit_flipped(envelope: &[u8]) -> Result<Vec<u8>, TheftError> {
    let mut envelope: serde_json::Value = serde_json::from_slice(envelope)?;
    let mut payload = BASE64_STANDARD.decode(envelope["payload"].as_str().unwrap_or_default())?;
    let middle = payload.len() / 2;
    *payload.get_mut(middle).ok_or("the payload is empty")? ^= 1;
    envelope["payload"] = BASE64_STANDARD.encode(payload).into();
    Ok(serde_json::to_vec(&envelope)?)
}
