//! Committing signed documents, and reading them back.

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{DocumentHistory, Publication, Published, PublishedDocument},
    sign::Envelope,
    types::{Digest, DocumentKey, DocumentKind},
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

    /// What the exchange would answer to [`ExchangeClient::publish`]; it keeps nothing. None: it is of a version that does
    /// not have this question.
    ///
    /// # Errors
    /// As of [`ExchangeClient::publish`].
    pub async fn check_publication(
        &self,
        publication: &Publication,
    ) -> Result<Option<Published>, ExchangeError> {
        let call = Call::post(&self.extension(&["publish", "check"])).json(publication)?;
        match self.transport.send(call.repeatable()).await {
            Ok(answer) => answer.json().map(Some),
            Err(ExchangeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
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

    /// Every document of a kind that was ever published, replaced and withdrawn ones too; `None` from
    /// an exchange that does not list them.
    ///
    /// # Errors
    /// As of every request.
    pub async fn document_history(
        &self,
        kind: DocumentKind,
    ) -> Result<Option<Vec<PublishedDocument>>, ExchangeError> {
        let mut all: Vec<PublishedDocument> = Vec::new();
        loop {
            let mut call =
                Call::get(&self.extension(&["documents", "history"])).query("kind", &kind);
            if let Some(last) = all.last() {
                call = call.query("after", &last.sha256);
            }
            let page: DocumentHistory = match self.transport.find(call).await {
                Ok(Some(answer)) => answer.json()?,
                // Older ones take `history` for a digest.
                Ok(None) | Err(ExchangeError::Invalid { .. }) if all.is_empty() => return Ok(None),
                Ok(None) => return Ok(Some(all)),
                Err(error) => return Err(error),
            };
            let is_last = !page.more || page.documents.is_empty();
            all.extend(page.documents);
            if is_last {
                return Ok(Some(all));
            }
        }
    }
}
