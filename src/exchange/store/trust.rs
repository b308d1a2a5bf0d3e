//! The chain of an organization's trust documents.

use jiff::Timestamp;

use super::{Change, Permit, Store, StoreError, Write, bad, column, number, orgs::OrgRow};
use crate::{
    exchange::api::{Operation, OrgRequest, Resource},
    sign::{Envelope, SigningKey},
    types::{Digest, OrgId},
};

/// What became of a trust document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustPut {
    /// It is the newest now.
    Accepted,
    /// It was there already.
    Unchanged,
    /// It is not the next version; the newest is this one (0: there is none).
    OutOfTurn {
        /// The version of the newest.
        newest: u64,
    },
}

impl Store {
    /// Version and digest of the newest trust document, if the organization has any.
    pub async fn newest_trust(&self, org: &OrgId) -> Result<Option<(u64, Digest)>, StoreError> {
        head(sqlx::query_as(HEAD).bind(org.as_str()).fetch_optional(self.read()).await?)
    }

    /// The envelope of a version of the trust document.
    pub async fn trust(&self, org: &OrgId, version: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT envelope FROM trusts WHERE org = $1 AND version = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(column(version));
        Ok(query.fetch_optional(self.read()).await?)
    }

    /// Makes a trust document, already verified against the one before, the newest, if the permit allows it; a
    /// new stamp goes with it.
    pub async fn put_trust<E: From<StoreError>>(
        &self,
        org: &OrgId,
        (version, envelope): (u64, &Envelope),
        stamp_key: &SigningKey,
        permit: Permit<'_, OrgRequest, (), E>,
        now: Timestamp,
    ) -> Result<TrustPut, E> {
        let (mut write, ()) = self.write_if(&OrgRow(org), permit, now).await?;
        let newest = write.newest_trust(org).await?;
        if write.trust_digest(org, version).await? == Some(envelope.digest()) {
            return Ok(TrustPut::Unchanged);
        }
        let newest = newest.map_or(0, |(version, _)| version);
        if version != newest + 1 {
            return Ok(TrustPut::OutOfTurn { newest });
        }
        write.add_trust(org, (version, envelope)).await?;
        write.stamp(org, stamp_key).await?;
        write.commit().await?;
        Ok(TrustPut::Accepted)
    }
}

pub(super) const HEAD: &str =
    "SELECT version, sha256 FROM trusts WHERE org = $1 ORDER BY version DESC LIMIT 1";

impl Write {
    async fn add_trust(
        &mut self,
        org: &OrgId,
        (version, envelope): (u64, &Envelope),
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO trusts (org, version, sha256, envelope, last_updated) \
                   VALUES ($1, $2, $3, $4, $5)";
        let at = self.now();
        sqlx::query(sql)
            .bind(org.as_str())
            .bind(column(version))
            .bind(envelope.digest().hex())
            .bind(envelope.to_json())
            .bind(at)
            .execute(self.sql())
            .await?;
        let (resource, operation) = (Resource::Trust, Operation::CreatedOrModified);
        let id = org.as_str();
        self.record(Change { org, resource, id, operation, public: false }).await
    }

    /// Version and digest of the newest trust document, as it is within the transaction.
    pub(super) async fn newest_trust(
        &mut self,
        org: &OrgId,
    ) -> Result<Option<(u64, Digest)>, StoreError> {
        head(sqlx::query_as(HEAD).bind(org.as_str()).fetch_optional(self.sql()).await?)
    }

    async fn trust_digest(
        &mut self,
        org: &OrgId,
        version: u64,
    ) -> Result<Option<Digest>, StoreError> {
        let sql = "SELECT sha256 FROM trusts WHERE org = $1 AND version = $2";
        let query = sqlx::query_scalar::<_, String>(sql).bind(org.as_str()).bind(column(version));
        let held = query.fetch_optional(self.sql()).await?;
        held.map(|hex| Digest::from_hex(&hex).map_err(bad)).transpose()
    }
}

pub(super) fn head(row: Option<(i64, String)>) -> Result<Option<(u64, Digest)>, StoreError> {
    let read =
        |(version, hex): (i64, String)| Ok((number(version), Digest::from_hex(&hex).map_err(bad)?));
    row.map(read).transpose()
}
