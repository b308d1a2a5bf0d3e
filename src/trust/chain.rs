//! The organization's trust, walked from a pinned first version.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    sign::{Envelope, KeyId, PayloadType, VerifyingKey},
    trust::{Refusal, TrustDocument, document::MAX_TRUST, refusal::Malformed, strict},
    types::{CopyFlaw, Digest, OrgId},
};

/// The most versions that are walked: a node must not be kept busy for ever.
pub const MAX_VERSIONS: u64 = 1024;

/// The SHA-256 of the payload of the first trust document: all that a node must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrustPin(pub Digest);

/// Why a text is not a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParsePinError {
    /// It is not as it was shown.
    #[error("the pin is not as it was shown: {0}")]
    Copied(CopyFlaw),
    /// It has another form.
    #[error(
        "expected 64 hexadecimal digits in lower case, as `edgepost trust show` prints them, and received {length} characters"
    )]
    Form {
        /// How long it is, in characters.
        length: usize,
    },
}

impl FromStr for TrustPin {
    type Err = ParsePinError;

    /// Reads 64 hexadecimal digits, with or without `sha256:` before them.
    fn from_str(text: &str) -> Result<Self, ParsePinError> {
        let digest = Digest::from_hex(text.strip_prefix("sha256:").unwrap_or(text));
        digest.map(Self).map_err(|_| match CopyFlaw::of(text) {
            Some(flaw) => ParsePinError::Copied(flaw),
            None => ParsePinError::Form { length: text.chars().count() },
        })
    }
}

impl fmt::Display for TrustPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

/// Whether the first trust document is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustRoot {
    /// It has this hash, as somebody trustworthy said.
    Pinned(TrustPin),
    /// Whatever is given is taken: a hostile exchange could give its own.
    FirstSeen,
}

/// Whom an organization trusts, as far as its chain has been walked. It can only be had by walking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    pub(super) document: TrustDocument,
    pin: TrustPin,
    digest: Digest,
    walked: u64,
}

impl Trust {
    /// Walks all of `chain`, which begins with the first version; `None` if there is nothing in it.
    pub fn walk(chain: &[Envelope], root: TrustRoot) -> Result<Option<Self>, Refusal> {
        let Some((first, rest)) = chain.split_first() else {
            return Ok(None);
        };
        let pin = match root {
            TrustRoot::Pinned(pin) => pin,
            TrustRoot::FirstSeen => TrustPin(first.digest()),
        };
        let trust = Self::pinned(first, &pin)?;
        rest.iter().try_fold(trust, |trust, next| trust.advance(next)).map(Some)
    }

    /// Begins with the document whose hash is pinned, which its own root keys must have signed.
    pub fn pinned(first: &Envelope, pin: &TrustPin) -> Result<Self, Refusal> {
        let document = read_first(first, pin)?;
        check_root(&document, first)?;
        Ok(Self { document, pin: *pin, digest: first.digest(), walked: 1 })
    }

    /// Takes the next version: exactly one more, signed by enough root keys of this version and of the
    /// next. Whether it has expired is judged where it is used, so that a chain can be caught up with.
    pub fn advance(&self, next: &Envelope) -> Result<Self, Refusal> {
        check_type(next)?;
        check_root(&self.document, next)?;
        let document = self.read_next(next)?;
        check_root(&document, next)?;
        Ok(Self { document, pin: self.pin, digest: next.digest(), walked: self.walked + 1 })
    }

    /// Reads what would follow this version, whoever has signed it: of the same organization, and exactly
    /// one version more.
    pub(super) fn read_next(&self, next: &Envelope) -> Result<TrustDocument, Refusal> {
        check_type(next)?;
        let document = read(next)?;
        if document.org != self.document.org {
            return Err(Refusal::Relabel {
                expected: format!("the trust of {}", self.document.org),
                received: format!("the trust of {}", document.org),
            });
        }
        self.check_version(&document, next)?;
        if self.walked == MAX_VERSIONS {
            return Err(Refusal::malformed("trust", Malformed::TooManyVersions(MAX_VERSIONS)));
        }
        Ok(document)
    }

    /// The newest version.
    pub fn document(&self) -> &TrustDocument {
        &self.document
    }

    /// The organization.
    pub fn org(&self) -> &OrgId {
        &self.document.org
    }

    /// The hash of the first version, from which it was walked.
    pub fn pin(&self) -> TrustPin {
        self.pin
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

/// Reads the pinned first version, whoever has signed it.
pub(super) fn read_first(first: &Envelope, pin: &TrustPin) -> Result<TrustDocument, Refusal> {
    let received = first.digest();
    if received != pin.0 {
        return Err(Refusal::WrongRoot { pinned: pin.0, received });
    }
    check_type(first)?;
    read(first)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sign::SigningKey,
        trust::{
            Revocation, RevocationReason, TrustProblem,
            testing::{Org, hours, now, one_bit_off, pinned},
        },
    };

    fn attack<T>(result: Result<T, Refusal>) -> &'static str {
        result.err().map_or("none", |refusal| refusal.attack())
    }

    /// A document whose root is `threshold` of `keys`.
    fn rooted(document: &TrustDocument, threshold: u32, keys: &[&SigningKey]) -> TrustDocument {
        let mut document = document.clone();
        document.keys.extend(keys.iter().map(|key| (key.key_id(), key.verifying_key())));
        document.root.keyids = keys.iter().map(|key| key.key_id()).collect();
        document.root.threshold = threshold;
        document
    }

    #[test]
    fn a_pin_prints_what_it_reads() {
        let hex = "ab".repeat(32);
        let pin: TrustPin = hex.parse().unwrap();
        assert_eq!(pin.to_string(), hex);
        assert_eq!(format!("sha256:{hex}").parse(), Ok(pin));
    }

    #[test]
    fn a_chain_ends_where_it_would_keep_a_node_busy_for_ever() {
        let org = Org::new();
        let next = |trust: &Trust| trust.document().next(now()).seal(&[&org.owner]).unwrap();
        let almost = Trust { walked: MAX_VERSIONS - 1, ..org.trust.clone() };
        let last = almost.advance(&next(&almost)).unwrap();
        assert_eq!(attack(last.advance(&next(&last))), "malformed");
    }

    #[test]
    fn a_chain_is_walked_to_its_end_from_the_pin_or_from_what_is_seen_first() {
        let owner = SigningKey::generate();
        let first = Org::new().trust.document().clone();
        let first = rooted(&first, 1, &[&owner]).seal(&[&owner]).unwrap();
        let pin = TrustPin(first.digest());
        let trust = Trust::walk(std::slice::from_ref(&first), TrustRoot::FirstSeen);
        let next = trust.unwrap().unwrap().document().next(now()).seal(&[&owner]).unwrap();
        let chain = [first, next];

        for root in [TrustRoot::FirstSeen, TrustRoot::Pinned(pin)] {
            let trust = Trust::walk(&chain, root).unwrap().unwrap();
            assert_eq!((trust.version(), trust.pin()), (2, pin));
        }
        let other = TrustRoot::Pinned(TrustPin(chain[1].digest()));
        assert_eq!(attack(Trust::walk(&chain, other)), "wrong-root");
        assert_eq!(Trust::walk(&[], TrustRoot::FirstSeen).unwrap(), None);
    }

    fn keys() -> [SigningKey; 3] {
        [SigningKey::generate(), SigningKey::generate(), SigningKey::generate()]
    }

    #[test]
    fn only_the_pinned_document_is_a_root() {
        let (org, other) = (Org::new(), Org::new());
        let pin = TrustPin(org.trust.digest());
        let genuine = org.trust.document().seal(&[&org.owner]).unwrap();
        let foreign = other.trust.document().seal(&[&other.owner]).unwrap();
        assert_eq!(Trust::pinned(&genuine, &pin).unwrap(), org.trust);
        assert_eq!(attack(Trust::pinned(&foreign, &pin)), "wrong-root");
    }

    #[test]
    fn a_root_signs_itself() {
        let [a, b, c] = keys();
        let document = rooted(Org::new().trust.document(), 2, &[&a, &b, &c]);
        let pin = TrustPin(document.seal(&[]).unwrap().digest());
        for few in [vec![], vec![&a], vec![&a, &a]] {
            let envelope = document.seal(&few).unwrap();
            assert_eq!(attack(Trust::pinned(&envelope, &pin)), "stranger");
        }
        assert!(Trust::pinned(&document.seal(&[&c, &a]).unwrap(), &pin).is_ok());
    }

    #[test]
    fn a_pin_is_read_with_or_without_its_algorithm() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string().parse::<TrustPin>().unwrap(), TrustPin(digest));
        assert_eq!(digest.hex().parse::<TrustPin>().unwrap(), TrustPin(digest));
        assert!("sha256:".parse::<TrustPin>().is_err());
    }

    #[test]
    fn no_altered_bit_goes_unnoticed() {
        let org = Org::new();
        let genuine = org.trust.document().seal(&[&org.owner]).unwrap();
        let pin = TrustPin(genuine.digest());
        for (bit, altered) in one_bit_off(&genuine) {
            assert!(Trust::pinned(&altered, &pin).is_err(), "bit {bit}");
        }
        let next = org.trust.document().next(now()).seal(&[&org.owner]).unwrap();
        for (bit, altered) in one_bit_off(&next) {
            assert!(org.trust.advance(&altered).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn new_root_keys_need_the_old_and_the_new() {
        let (old, new) = (keys(), keys());
        let [old_1, old_2, old_3] = &old;
        let [new_1, new_2, new_3] = &new;
        let first = rooted(Org::new().trust.document(), 2, &[old_1, old_2, old_3]);
        let trust = pinned(&first, &[old_1, old_2]);
        let next = rooted(&first.next(now()), 2, &[new_1, new_2, new_3]);
        for few in [
            vec![old_1, old_2],
            vec![new_1, new_2],
            vec![old_1, new_1, new_2],
            vec![old_1, old_2, new_1],
        ] {
            let envelope = next.seal(&few).unwrap();
            assert_eq!(attack(trust.advance(&envelope)), "stranger");
        }
        let rotated = trust.advance(&next.seal(&[old_1, old_2, new_1, new_2]).unwrap()).unwrap();
        assert_eq!(rotated.version(), 2);

        let third = rotated.document().next(now());
        let by_the_old = third.seal(&[old_1, old_2, old_3]).unwrap();
        assert_eq!(attack(rotated.advance(&by_the_old)), "stranger");
        assert!(rotated.advance(&third.seal(&[new_2, new_3]).unwrap()).is_ok());
    }

    #[test]
    fn a_revoked_root_key_does_not_count() {
        let [a, b, c] = keys();
        let first = rooted(Org::new().trust.document(), 2, &[&a, &b, &c]);
        let mut second = first.next(now());
        second.revoked =
            vec![Revocation { keyid: a.key_id(), reason: RevocationReason::Compromised }];
        let trust = pinned(&first, &[&a, &b]);
        assert_eq!(attack(trust.advance(&second.seal(&[&a, &b]).unwrap())), "stranger");
        let trust = trust.advance(&second.seal(&[&b, &c]).unwrap()).unwrap();
        let third = second.next(now());
        assert_eq!(attack(trust.advance(&third.seal(&[&a, &b]).unwrap())), "stranger");
    }

    #[test]
    fn versions_follow_one_another() {
        let org = Org::new();
        let version = |version, expires| {
            let mut document = org.trust.document().next(now());
            document.version = version;
            document.expires = now() + expires;
            document.seal(&[&org.owner]).unwrap()
        };
        let second = org.trust.advance(&version(2, hours(1))).unwrap();
        assert_eq!(attack(second.advance(&version(1, hours(1)))), "rollback");
        assert_eq!(attack(second.advance(&version(2, hours(1)))), "rollback");
        assert_eq!(attack(second.advance(&version(2, hours(2)))), "equivocation");
        assert_eq!(attack(second.advance(&version(4, hours(1)))), "vanished");
        assert_eq!(attack(second.advance(&version(3, hours(1)))), "none");
    }

    #[test]
    fn another_organization_does_not_continue_the_chain() {
        let org = Org::new();
        let mut next = org.trust.document().next(now());
        next.org = "other".parse().unwrap();
        assert_eq!(attack(org.trust.advance(&next.seal(&[&org.owner]).unwrap())), "relabel");
    }

    #[test]
    fn a_contradiction_is_refused_though_it_is_signed() {
        type Change = fn(&mut TrustDocument);
        let changes: [Change; 9] = [
            |it| it.root.threshold = 0,
            |it| it.root.threshold = 2,
            |it| it.stamp.keyids.clear(),
            |it| it.rules[0].threshold = 0,
            |it| it.rules.push(it.rules[0].clone()),
            |it| it.rules[0].prefix = "https://".to_owned(),
            |it| it.expires = it.issued,
            |it| it.keys.clear(),
            |it| {
                let mut ids = it.keys.keys().copied();
                let (one, two) = (ids.next().unwrap(), ids.next().unwrap());
                let swapped = [(one, it.keys[&two]), (two, it.keys[&one])];
                it.keys = swapped.into_iter().collect();
            },
        ];
        let org = Org::new();
        for (index, change) in changes.into_iter().enumerate() {
            let mut next = org.trust.document().next(now());
            change(&mut next);
            assert!(next.seal(&[&org.owner]).is_err(), "change {index} can be sealed");
            let payload = serde_json::to_vec(&next).unwrap();
            let envelope = Envelope::seal(PayloadType::Trust, payload, &[&org.owner]);
            assert_eq!(attack(org.trust.advance(&envelope)), "malformed", "change {index}");
        }
    }

    #[test]
    fn two_spellings_of_one_prefix_are_the_same_rule() {
        let mut document = Org::new().trust.document().clone();
        for prefix in ["https://acme.com/a", "acme.com-a"] {
            let mut rule = document.rules[0].clone();
            rule.prefix = prefix.to_owned();
            document.rules.push(rule);
        }
        assert!(matches!(document.check(), Err(TrustProblem::RuleTwice { .. })));
    }

    #[test]
    fn a_document_that_is_too_large_is_refused() {
        let org = Org::new();
        let next = org.trust.document().next(now()).seal(&[]).unwrap();
        let mut payload = next.payload().to_vec();
        let mut advance = |size| {
            payload.resize(size, b' ');
            let next = Envelope::seal(PayloadType::Trust, payload.clone(), &[&org.owner]);
            attack(org.trust.advance(&next))
        };
        assert_eq!((advance(MAX_TRUST), advance(MAX_TRUST + 1)), ("none", "malformed"));
    }

    #[test]
    fn a_chain_does_not_go_on_for_ever() {
        let org = Org::new();
        let next = org.trust.document().next(now()).seal(&[&org.owner]).unwrap();
        let walked = |walked| Trust { walked, ..org.trust.clone() };
        assert_eq!(attack(walked(MAX_VERSIONS - 1).advance(&next)), "none");
        assert_eq!(attack(walked(MAX_VERSIONS).advance(&next)), "malformed");
    }
}
