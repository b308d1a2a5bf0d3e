//! Committing signed documents, and reading them back.

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Publication, Published},
    sign::Envelope,
    types::{Digest, DocumentKey},
};

/// An envelope is at most 1 MiB of JSON.
const LARGEST_ENVELOPE: usize = 1 << 20;

impl ExchangeClient {
    /// Commits a signed document and what goes with it, all at once. To send the same bytes again
    /// changes nothing, so it is repeated when the network fails.
    ///
    /// # Errors
    /// [`ExchangeError::Conflict`] if something else stands under the same or a higher sequence
    /// number; [`ExchangeError::SignatureRefused`] if the organization's trust does not allow it.
    pub async fn publish(&self, publication: &Publication) -> Result<Published, ExchangeError> {
        let call = Call::post(&self.extension(&["publish"])).json(publication)?.repeatable();
        self.transport.send(call).await?.json()
    }

    /// The document with this payload digest. Its signatures are still to be verified.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if the exchange does not hold it.
    pub async fn document(&self, sha256: &Digest) -> Result<Envelope, ExchangeError> {
        let call = Call::get(&self.extension(&["documents", &sha256.hex()]));
        let answer = self.transport.send(call.at_most(LARGEST_ENVELOPE)).await?;
        Envelope::from_json(&answer.body).map_err(|error| answer.malformed(&error))
    }

    /// The newest document of this name, also when it is withdrawn.
    ///
    /// # Errors
    /// As of every request.
    pub async fn newest_document(
        &self,
        key: &DocumentKey,
    ) -> Result<Option<Envelope>, ExchangeError> {
        let call = Call::get(&self.extension(&["documents"])).query("key", key);
        let Some(answer) = self.transport.find(call.at_most(LARGEST_ENVELOPE)).await? else {
            return Ok(None);
        };
        Envelope::from_json(&answer.body).map(Some).map_err(|error| answer.malformed(&error))
    }
}
