//! Trust documents, the stamp and the catalog. None of it is verified here.

use bytes::Bytes;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{StampKey, TrustHead},
    sign::{Envelope, VerifyingKey},
};

/// Four times the 64 KiB that a trust document may have: base64 and signatures come on top.
const LARGEST_TRUST: usize = 256 << 10;
/// A stamp has at most 4 KiB.
const LARGEST_STAMP: usize = 16 << 10;

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
}
