//! The organization's trust, walked from a pinned first version.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    sign::{Envelope, KeyId, PayloadType, VerifyingKey},
    trust::{Refusal, TrustDocument, document::MAX_TRUST, refusal::Malformed, strict},
    types::{Digest, OrgId, digest::ParseDigestError},
};

/// The most versions that are walked: a node must not be kept busy for ever.
pub const MAX_VERSIONS: u64 = 1024;

/// The SHA-256 of the payload of the first trust document: all that a node must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrustPin(pub Digest);

impl FromStr for TrustPin {
    type Err = ParseDigestError;

    /// Reads 64 hexadecimal digits, with or without `sha256:` before them.
    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        match text.strip_prefix("sha256:") {
            Some(hex) => Digest::from_hex(hex).map(Self),
            None => Digest::from_hex(text).map(Self),
        }
    }
}

impl fmt::Display for TrustPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

/// Whom an organization trusts, as far as its chain has been walked. It can only be had by walking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    pub(super) document: TrustDocument,
    digest: Digest,
    walked: u64,
}

impl Trust {
    /// Begins with the document whose hash is pinned, which its own root keys must have signed.
    pub fn pinned(first: &Envelope, pin: &TrustPin) -> Result<Self, Refusal> {
        let digest = first.digest();
        if digest != pin.0 {
            return Err(Refusal::WrongRoot { pinned: pin.0, received: digest });
        }
        check_type(first)?;
        let document = read(first)?;
        check_root(&document, first)?;
        Ok(Self { document, digest, walked: 1 })
    }

    /// Takes the next version: exactly one more, signed by enough root keys of this version and of the
    /// next. Whether it has expired is judged where it is used, so that a chain can be caught up with.
    pub fn advance(&self, next: &Envelope) -> Result<Self, Refusal> {
        check_type(next)?;
        check_root(&self.document, next)?;
        let document = read(next)?;
        if document.org != self.document.org {
            return Err(Refusal::Relabel {
                expected: format!("the trust of {}", self.document.org),
                received: format!("the trust of {}", document.org),
            });
        }
        self.check_version(&document, next)?;
        check_root(&document, next)?;
        if self.walked == MAX_VERSIONS {
            return Err(Refusal::malformed("trust", Malformed::TooManyVersions(MAX_VERSIONS)));
        }
        Ok(Self { document, digest: next.digest(), walked: self.walked + 1 })
    }

    /// The newest version.
    pub fn document(&self) -> &TrustDocument {
        &self.document
    }

    /// The organization.
    pub fn org(&self) -> &OrgId {
        &self.document.org
    }

    /// The number of the newest version.
    pub fn version(&self) -> u64 {
        self.document.version
    }

    /// The hash of the newest version's payload.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    fn check_version(&self, document: &TrustDocument, next: &Envelope) -> Result<(), Refusal> {
        let (held, received) = (self.version(), document.version);
        if received == held && next.digest() != self.digest {
            return Err(Refusal::Equivocation {
                what: format!("trust version {held}"),
                held: self.digest,
                received: next.digest(),
            });
        }
        if received <= held {
            return Err(Refusal::Rollback {
                what: "trust".to_owned(),
                held: format!("version {held}"),
                received: format!("version {received}"),
            });
        }
        if received != held + 1 {
            return Err(Refusal::Vanished { what: format!("trust version {}", held + 1) });
        }
        Ok(())
    }
}

fn check_type(envelope: &Envelope) -> Result<(), Refusal> {
    check_payload_type(envelope, PayloadType::Trust)?;
    check_size("trust", envelope, MAX_TRUST)
}

fn read(envelope: &Envelope) -> Result<TrustDocument, Refusal> {
    let document: TrustDocument = strict::from_slice(envelope.payload())
        .map_err(|source| Refusal::malformed("trust", source))?;
    document.check().map_err(|source| Refusal::malformed("trust", source))?;
    Ok(document)
}

fn check_root(by: &TrustDocument, envelope: &Envelope) -> Result<(), Refusal> {
    let what = format!("trust, by the root keys of version {}", by.version);
    check_signers(&what, envelope, by.live(&by.root.keyids), by.root.threshold).map(|_| ())
}

/// Refuses an envelope that is of another type than `expected`.
pub(super) fn check_payload_type(
    envelope: &Envelope,
    expected: PayloadType,
) -> Result<(), Refusal> {
    let received = envelope.payload_type();
    if received == expected {
        return Ok(());
    }
    Err(Refusal::Relabel { expected: expected.to_string(), received: received.to_string() })
}

/// Refuses an envelope whose payload has more than `allowed` bytes.
pub(super) fn check_size(what: &str, envelope: &Envelope, allowed: usize) -> Result<(), Refusal> {
    let received = envelope.payload().len();
    if received <= allowed {
        return Ok(());
    }
    Err(Refusal::malformed(what, Malformed::TooLarge { allowed, received }))
}

/// Refuses an envelope that fewer than `threshold` of `keys` have signed; answers who has.
pub(super) fn check_signers<'a>(
    what: &str,
    envelope: &Envelope,
    keys: impl IntoIterator<Item = &'a VerifyingKey>,
    threshold: u32,
) -> Result<BTreeSet<KeyId>, Refusal> {
    let signers = envelope.verified_by(keys);
    if signers.len() >= threshold as usize {
        return Ok(signers);
    }
    Err(Refusal::Stranger { what: what.to_owned(), threshold, valid: signers.len() })
}
