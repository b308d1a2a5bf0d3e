//! What the node has accepted: rebuilt from the disk at the start, replaced as a whole by what the
//! exchange has, never changed in part.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    agent::{library::Library, marks::Kept},
    sign::Envelope,
    trust::{Catalog, Freshness, Refusal, Trust, TrustPin, TrustRoot, VerifiedStamp},
    types::DocumentKey,
};

/// Something that was not accepted, with the name of what it was.
#[derive(Debug, thiserror::Error)]
#[error("refused {document}")]
pub struct Refused {
    /// `trust`, `stamp`, `catalog` or the key of a document.
    pub document: String,
    /// Why.
    #[source]
    pub refusal: Refusal,
}

impl Refused {
    /// For `map_err`.
    pub(super) fn of(document: &(impl ToString + ?Sized)) -> impl FnOnce(Refusal) -> Self {
        let document = document.to_string();
        move |refusal| Self { document, refusal }
    }
}

/// Everything that has been verified, and the bytes it was verified from.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) trust: Trust,
    pub(super) catalog: Catalog,
    pub(super) library: Library,
    /// What is on the disk of it, or is about to be.
    pub(super) kept: Kept,
}

impl Accepted {
    /// What the node had accepted when it stopped, verified again. A document that the trust of
    /// today no longer vouches for is set aside.
    /// `None` if it had accepted nothing, not even a trust.
    pub(super) fn restore(kept: Kept, pin: &TrustPin) -> Result<Option<Self>, Refused> {
        let walked = Trust::walk(&kept.trust, TrustRoot::Pinned(*pin));
        let Some(trust) = walked.map_err(Refused::of("trust"))? else {
            return Ok(None);
        };
        let catalog = match &kept.catalog {
            Some(bytes) => Catalog::from_bytes(bytes).map_err(Refused::of("catalog"))?,
            None => Catalog::empty(trust.document().org.clone()),
        };
        let library = reopen(&trust, &catalog, &kept.documents);
        Ok(Some(Self { trust, catalog, library, kept }))
    }

    /// What follows from a newer stamp and its catalog, with the documents that are still the
    /// newest; the others are to be fetched and [added](Self::add).
    pub(super) fn succeeded_by(
        &self,
        trust: Trust,
        envelopes: Vec<Envelope>,
        stamp: &VerifiedStamp,
        catalog_bytes: Vec<u8>,
        wall: Freshness,
    ) -> Result<Self, Refused> {
        let (marks, catalog) = self
            .kept
            .marks
            .admit(&trust, stamp, &catalog_bytes, wall)
            .map_err(Refused::of("catalog"))?;
        let documents: BTreeMap<_, _> = self
            .kept
            .documents
            .iter()
            .filter(|(key, envelope)| {
                catalog.entries.get(key).is_some_and(|entry| entry.sha256 == envelope.digest())
            })
            .map(|(key, envelope)| (key.clone(), envelope.clone()))
            .collect();
        let library = reopen(&trust, &catalog, &documents);
        let kept = Kept { marks, trust: envelopes, catalog: Some(catalog_bytes), documents };
        Ok(Self { trust, catalog, library, kept })
    }

    /// Verifies a document that the catalog names, and takes it in.
    pub(super) fn add(&mut self, key: &DocumentKey, envelope: Envelope) -> Result<(), Refused> {
        self.library.add(&self.trust, &self.catalog, key, &envelope).map_err(Refused::of(key))?;
        self.kept.documents.insert(key.clone(), envelope);
        Ok(())
    }

    /// Lets go of the documents that nothing needs any more.
    pub(super) fn forget_unused(&mut self, used: &BTreeSet<DocumentKey>) {
        self.kept.documents.retain(|key, _| used.contains(key));
        self.library.retain(used);
    }
}

/// Opens documents that had been accepted. What fails now was signed by a key that has been taken
/// out of the trust since: by one that was merely retired, what runs goes on; by another, it stops. So does what was
/// signed in an epoch that has ended. None of it is an attack: the organization itself has changed its trust.
fn reopen(
    trust: &Trust,
    catalog: &Catalog,
    documents: &BTreeMap<DocumentKey, Envelope>,
) -> Library {
    let ended = trust.of_ended_epochs(catalog);
    let mut library = Library { distrusted: ended.clone(), ..Library::default() };
    for (key, envelope) in documents.iter().filter(|(key, _)| !ended.contains(*key)) {
        match library.add(trust, catalog, key, envelope) {
            Ok(()) => {}
            Err(Refusal::Retired { .. }) => {
                library.retired.insert(key.clone());
            }
            Err(refusal) => {
                let reason: &dyn std::error::Error = &refusal;
                tracing::info!(event = "document.untrusted", %key, reason, "a document is no longer trusted");
                library.distrusted.insert(key.clone());
            }
        }
    }
    Library { ended, ..library }
}
