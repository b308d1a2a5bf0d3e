//! The next version of an organization's trust, on its way from one signer to the next.
//!
//! A draft carries every version before it, so that whoever signs it sees what it changes, without an
//! exchange and from the pin on. It says nothing about itself: what people read of it is made from what
//! they sign.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    sign::{Envelope, KeyId, SigningKey, VerifyingKey, envelope::MAX_SIGNATURES},
    trust::{
        Change, Refusal, Trust, TrustDocument, TrustPin, TrustProblem, TrustRoot, chain, changes,
        strict,
    },
    types::JsonProblem,
};

/// The largest draft that is read, in bytes: a thousand versions of 16 KiB, many times what anyone has.
pub const MAX_DRAFT: u64 = 16 << 20;

/// The next version of an organization's trust while it is being signed. It follows the versions that it
/// carries, though not yet by enough signatures.
#[derive(Debug, Clone)]
pub struct Draft {
    chain: Vec<Envelope>,
    before: Option<Trust>,
    after: TrustDocument,
    envelope: Envelope,
    pin: TrustPin,
}

/// How far the root keys of one version have come with signing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The version whose root keys are meant.
    pub version: u64,
    /// How many of them must sign.
    pub threshold: u32,
    /// Those that have.
    pub signed: BTreeSet<KeyId>,
    /// Those that still could.
    pub open: BTreeSet<KeyId>,
}

/// Why a file is no draft, or not one to sign.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// It is something else, or damaged.
    #[error("it is not a draft of a trust document")]
    Syntax(#[source] JsonProblem),
    /// The document contradicts itself.
    #[error("no node would take such a trust document")]
    Contradiction(#[from] TrustProblem),
    /// It does not follow what it carries, or that does not hold.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why a key does not sign a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It is a root key neither of the version before nor of this one.
    #[error("key {0} is a root key neither of the version before nor of this one")]
    NotRoot(KeyId),
    /// It is a root key, and revoked.
    #[error("key {0} is revoked")]
    Revoked(KeyId),
    /// It has signed.
    #[error("key {0} has signed it already")]
    Twice(KeyId),
    /// More signatures than anyone reads.
    #[error("it has {MAX_SIGNATURES} signatures, and more are never read")]
    Full,
}

/// Why two drafts are not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// They say different things.
    #[error(
        "version {version}: the drafts say different things, so a signature of one is none of the other"
    )]
    Different {
        /// The version of the first.
        version: u64,
    },
    /// More signatures than anyone reads.
    #[error("together they have more than {MAX_SIGNATURES} signatures, and more are never read")]
    Full,
}

/// The JSON of a draft.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    format: Format,
    /// Every version before, the first one first.
    chain: Vec<Envelope>,
    next: Envelope,
}

/// What tells a draft from other JSON.
#[derive(Serialize, Deserialize)]
enum Format {
    #[serde(rename = "edgepost trust draft 1")]
    One,
}

impl Tally {
    /// How many signatures are missing.
    pub fn missing(&self) -> usize {
        (self.threshold as usize).saturating_sub(self.signed.len())
    }
}

impl Draft {
    /// The draft of `next`, which is to follow `chain`; the first version follows nothing.
    pub fn begin(
        chain: Vec<Envelope>,
        root: TrustRoot,
        next: &TrustDocument,
    ) -> Result<Self, DraftError> {
        Self::open(chain, &next.seal(&[])?, root)
    }

    /// Reads a draft, and judges that it follows the chain that it carries and that this holds from `root`
    /// on. Signatures of others than root keys are left out.
    pub fn from_json(json: &[u8], root: TrustRoot) -> Result<Self, DraftError> {
        let Wire { format: Format::One, chain, next } =
            strict::from_slice(json).map_err(DraftError::Syntax)?;
        Self::open(chain, &next, root)
    }

    fn open(chain: Vec<Envelope>, next: &Envelope, root: TrustRoot) -> Result<Self, DraftError> {
        let before = Trust::walk(&chain, root)?;
        let (after, pin) = match &before {
            Some(before) => (before.read_next(next)?, before.pin()),
            None => read_first(next, root)?,
        };
        let mut envelope = Envelope::seal(next.payload_type(), next.payload().to_vec(), &[]);
        envelope.take_signatures(next, &root_keys(before.as_ref(), &after));
        Ok(Self { chain, before, after, envelope, pin })
    }

    /// Writes the JSON form.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "texts and numbers alone cannot fail to be written"
    )]
    pub fn to_json(&self) -> Vec<u8> {
        let (chain, next) = (self.chain.clone(), self.envelope.clone());
        let wire = Wire { format: Format::One, chain, next };
        serde_json::to_vec_pretty(&wire).expect("a draft is JSON")
    }

    /// The version before; none before the first.
    pub fn before(&self) -> Option<&TrustDocument> {
        self.before.as_ref().map(Trust::document)
    }

    /// What is to be signed.
    pub fn after(&self) -> &TrustDocument {
        &self.after
    }

    /// The hash of the first version: of this one, if it is that.
    pub fn pin(&self) -> TrustPin {
        self.pin
    }

    /// What is sent, with the signatures so far.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// What it says otherwise than the version before; nothing for the first version.
    pub fn changes(&self) -> Vec<Change> {
        self.before().map(|before| changes(before, &self.after)).unwrap_or_default()
    }

    /// How far signing has come, by the root keys of the version before and by its own: both must have
    /// signed enough. It is for people; [`Draft::finish`] judges.
    pub fn tallies(&self) -> Vec<Tally> {
        self.before().into_iter().chain([&self.after]).map(|by| self.tally(by)).collect()
    }

    fn tally(&self, by: &TrustDocument) -> Tally {
        let keys = || by.live(&by.root.keyids);
        let signed = self.envelope.verified_by(keys());
        let open = keys().map(VerifyingKey::key_id).filter(|it| !signed.contains(it)).collect();
        Tally { version: by.version, threshold: by.root.threshold, signed, open }
    }

    /// Whether a signature of `keyid` would count.
    pub fn check_signer(&self, keyid: &KeyId) -> Result<(), SignError> {
        let roots = || self.before().into_iter().chain([&self.after]);
        if roots().any(|by| by.root.keyids.contains(keyid) && by.revocation(keyid).is_none()) {
            return Ok(());
        }
        if roots().any(|by| by.revocation(keyid).is_some()) {
            return Err(SignError::Revoked(*keyid));
        }
        Err(SignError::NotRoot(*keyid))
    }

    /// Signs it, if that counts and is new.
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), SignError> {
        let keyid = key.key_id();
        self.check_signer(&keyid)?;
        if self.envelope.verified_by([&key.verifying_key()]).contains(&keyid) {
            return Err(SignError::Twice(keyid));
        }
        if self.envelope.claimed_signers().count() == MAX_SIGNATURES {
            return Err(SignError::Full);
        }
        self.envelope.add_signature(key);
        Ok(())
    }

    /// Takes over the signatures of `other`, which must say the very same and follow the same.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        let same = self.envelope.digest() == other.envelope.digest()
            && self.before.as_ref().map(Trust::digest) == other.before.as_ref().map(Trust::digest);
        if !same {
            return Err(MergeError::Different { version: self.after.version });
        }
        let keys = root_keys(self.before.as_ref(), &self.after);
        let mut envelope = self.envelope.clone();
        envelope.take_signatures(&other.envelope, &keys);
        if envelope.claimed_signers().count() > MAX_SIGNATURES {
            return Err(MergeError::Full);
        }
        self.envelope = envelope;
        Ok(())
    }

    /// Judges it as every node will.
    pub fn finish(&self) -> Result<Trust, Refusal> {
        match &self.before {
            Some(before) => before.advance(&self.envelope),
            None => Trust::pinned(&self.envelope, &self.pin),
        }
    }
}

/// Reads a first version, which nothing may stand before: a later one without its chain would hide what it
/// changes.
fn read_first(first: &Envelope, root: TrustRoot) -> Result<(TrustDocument, TrustPin), Refusal> {
    let pin = match root {
        TrustRoot::Pinned(pin) => pin,
        TrustRoot::FirstSeen => TrustPin(first.digest()),
    };
    let document = chain::read_first(first, &pin)?;
    if document.version != 1 {
        return Err(Refusal::Vanished { what: format!("trust version {}", document.version - 1) });
    }
    Ok((document, pin))
}

/// The keys whose signatures count.
fn root_keys(before: Option<&Trust>, after: &TrustDocument) -> Vec<VerifyingKey> {
    let documents = before.map(Trust::document).into_iter().chain([after]);
    documents.flat_map(|by| by.live(&by.root.keyids)).copied().collect()
}

#[cfg(test)]
mod tests;
