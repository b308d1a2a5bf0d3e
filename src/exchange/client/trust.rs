//! Trust documents, the stamp and the catalog, as the exchange gives them; [`ExchangeClient::walk_trust`]
//! alone verifies what it gives.

use bytes::Bytes;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{StampKey, TrustHead},
    sign::{Envelope, VerifyingKey},
    trust::{CatalogDifference, Refusal, Trust, TrustRoot, chain::MAX_VERSIONS},
};

/// Four times the 64 KiB that a trust document may have: base64 and signatures come on top.
const LARGEST_TRUST: usize = 256 << 10;
/// A stamp has at most 4 KiB.
const LARGEST_STAMP: usize = 16 << 10;

/// Why the organization's trust could not be walked.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The exchange did not give all of it.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// What it gave does not hold.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl ExchangeClient {
    /// The exchange's online key, which a trust document names for stamps.
    ///
    /// # Errors
    /// As of every request.
    pub async fn stamp_key(&self) -> Result<VerifyingKey, ExchangeError> {
        let call = Call::get(&self.extension(&["stamp-key"])).at_most(LARGEST_STAMP);
        Ok(self.transport.send(call).await?.json::<StampKey>()?.key)
    }

    /// Makes `trust` the organization's newest trust document; whether it was not that before.
    ///
    /// # Errors
    /// [`ExchangeError::SignatureRefused`] if the trust in force does not allow it;
    /// [`ExchangeError::Conflict`] if it is not the next version.
    pub async fn put_trust(&self, trust: &Envelope) -> Result<bool, ExchangeError> {
        let call = Call::put(&self.extension(&["trust"])).json(trust)?;
        Ok(self.transport.send(call).await?.is_created())
    }

    /// The version of the newest trust document, if the organization has any.
    ///
    /// # Errors
    /// As of every request.
    pub async fn newest_trust(&self) -> Result<Option<u64>, ExchangeError> {
        match self.transport.find(Call::get(&self.extension(&["trust"]))).await? {
            Some(answer) => Ok(Some(answer.json::<TrustHead>()?.newest)),
            None => Ok(None),
        }
    }

    /// A version of the trust document, if there is one.
    ///
    /// # Errors
    /// As of every request.
    pub async fn trust(&self, version: u64) -> Result<Option<Envelope>, ExchangeError> {
        let version = version.to_string();
        let call = Call::get(&self.extension(&["trust", &version])).at_most(LARGEST_TRUST);
        let Some(answer) = self.transport.find(call).await? else {
            return Ok(None);
        };
        Envelope::from_json(&answer.body).map(Some).map_err(|error| answer.malformed(&error))
    }

    /// Every version of the trust document, the first one first; nothing if there is none.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if a version is missing among them.
    pub async fn trust_chain(&self) -> Result<Vec<Envelope>, ExchangeError> {
        let newest = self.newest_trust().await?.unwrap_or_default();
        let mut chain = Vec::new();
        // One more than are walked, so that walking says what is wrong with it.
        for version in 1..=newest.min(MAX_VERSIONS + 1) {
            let missing = || ExchangeError::NotFound { what: format!("trust version {version}") };
            chain.push(self.trust(version).await?.ok_or_else(missing)?);
        }
        Ok(chain)
    }

    /// The organization's newest trust, walked from its first version; `None` if it has none.
    ///
    /// # Errors
    /// As of [`ExchangeClient::trust_chain`], and if the chain does not hold.
    pub async fn walk_trust(&self, root: TrustRoot) -> Result<Option<Trust>, WalkError> {
        Ok(Trust::walk(&self.trust_chain().await?, root)?)
    }

    /// The newest stamp.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if the organization has no trust document yet.
    pub async fn stamp(&self) -> Result<Envelope, ExchangeError> {
        let call = Call::get(&self.extension(&["stamp"])).at_most(LARGEST_STAMP);
        let answer = self.transport.send(call).await?;
        Envelope::from_json(&answer.body).map_err(|error| answer.malformed(&error))
    }

    /// The exact bytes of a version of the catalog, whose digest the stamp names.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if the exchange does not hold that version (any more).
    pub async fn catalog(&self, version: u64) -> Result<Bytes, ExchangeError> {
        let version = version.to_string();
        Ok(self.transport.send(Call::get(&self.extension(&["catalog", &version]))).await?.body)
    }

    /// What the catalog of version `to` has that the one of version `from` has not; `None` from an
    /// exchange that does not know (any more).
    ///
    /// # Errors
    /// As of every request.
    pub async fn catalog_difference(
        &self,
        from: u64,
        to: u64,
    ) -> Result<Option<CatalogDifference>, ExchangeError> {
        let (from, to) = (from.to_string(), to.to_string());
        let path = self.extension(&["catalog", &to, "since", &from]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => answer.json().map(Some),
            None => Ok(None),
        }
    }
}
