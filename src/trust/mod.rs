//! Who may say it, and is it the newest? The only maker of [`Verified`].
//!
//! ```text
//!  pin ──► Trust ──► Trust ──► …        root keys, one version after the other
//!            │
//!            ├─ open_stamp ──► VerifiedStamp ─┐
//!            │                                ├─ Marks::admit ──► Marks, Catalog
//!            │              catalog bytes ────┘
//!            └─ open ────────► Verified<T> ──── Catalog::confirm
//! ```

pub mod catalog;
pub mod chain;
pub mod document;
pub mod marks;
pub mod refusal;
pub mod rule;
pub mod stamp;
pub mod statement;
mod strict;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

pub use catalog::{Catalog, CatalogEntry};
pub use chain::{Trust, TrustPin};
pub use document::{Import, Revocation, RevocationReason, TrustDocument, TrustProblem};
pub use marks::{Mark, Marks};
pub use refusal::{Malformed, Refusal};
pub use rule::{Role, Rule};
pub use stamp::{Stamp, StampedCatalog, StampedTrust, VerifiedStamp};
pub use statement::{Header, SealError, State, Statement, Subject};

use crate::{
    sign::{Envelope, KeyId, PayloadType},
    types::{Digest, DocumentKey},
};

/// A document that its organization's trust vouches for. Whether it is the newest is for
/// [`Catalog::confirm`] to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<T> {
    header: Header,
    body: T,
    digest: Digest,
    signers: BTreeSet<KeyId>,
}

impl<T> Verified<T> {
    /// What it is about.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What is said.
    pub fn body(&self) -> &T {
        &self.body
    }

    /// What is said, to keep.
    pub fn into_body(self) -> T {
        self.body
    }

    /// The hash of the payload: the document's name in catalogs.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The trusted keys that signed it.
    pub fn signers(&self) -> &BTreeSet<KeyId> {
        &self.signers
    }

    /// Refuses it if its publisher has withdrawn it.
    pub fn check_active(&self) -> Result<(), Refusal> {
        match self.header.state {
            State::Active => Ok(()),
            State::Withdrawn => Err(Refusal::Withdrawn { document: self.header.key() }),
        }
    }
}

impl Trust {
    /// Opens a document: the one place where a publisher's signature is judged.
    ///
    /// It must be signed by enough of the keys that the rule for its name asks for, and it must be
    /// `expected` by its own header, of this organization and of the rule's epoch. A withdrawn document
    /// opens; see [`Verified::check_active`].
    pub fn open<T: DeserializeOwned>(
        &self,
        envelope: &Envelope,
        expected: &DocumentKey,
    ) -> Result<Verified<T>, Refusal> {
        chain::check_payload_type(envelope, PayloadType::from(expected.kind()))?;
        let Some(rule) = self.document.authority(expected) else {
            return Err(Refusal::NoAuthority { document: expected.clone() });
        };
        let signers = self.check_publisher(envelope, expected, rule)?;
        let Statement { header, body } = strict::from_slice(envelope.payload())
            .map_err(|source| Refusal::malformed(expected.to_string(), source))?;
        self.check_header(&header, expected, rule)?;
        Ok(Verified { header, body, digest: envelope.digest(), signers })
    }

    fn check_publisher(
        &self,
        envelope: &Envelope,
        expected: &DocumentKey,
        rule: &Rule,
    ) -> Result<BTreeSet<KeyId>, Refusal> {
        let check =
            |keys| chain::check_signers(&expected.to_string(), envelope, keys, rule.threshold);
        let live = self.document.live(&rule.keyids).collect::<Vec<_>>();
        check(live).map_err(|refusal| {
            match check(self.document.live_or_retired(&rule.keyids).collect()) {
                Ok(_) => Refusal::Retired { document: expected.clone() },
                Err(_) => refusal,
            }
        })
    }

    fn check_header(
        &self,
        header: &Header,
        expected: &DocumentKey,
        rule: &Rule,
    ) -> Result<(), Refusal> {
        if header.org != *self.org() || header.key() != *expected {
            return Err(Refusal::Relabel {
                expected: format!("{expected} of {}", self.org()),
                received: format!("{} of {}", header.key(), header.org),
            });
        }
        if header.epoch < rule.epoch {
            return Err(Refusal::Rollback {
                what: expected.to_string(),
                held: format!("epoch {}", rule.epoch),
                received: format!("epoch {}", header.epoch),
            });
        }
        if header.epoch > rule.epoch {
            return Err(Refusal::FastForward {
                document: expected.clone(),
                allowed: rule.epoch,
                received: header.epoch,
            });
        }
        Ok(())
    }
}
