//! The exchange's small, expiring note of the newest state.

use std::ops::Deref;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    sign::{Envelope, KeyId, PayloadType, SigningKey},
    trust::{
        Freshness, Refusal, Trust,
        chain::{check_payload_type, check_signers, check_size},
        refusal::Malformed,
        strict,
    },
    types::{Digest, OrgId},
};

/// The largest stamp that is read, in bytes.
pub const MAX_STAMP: usize = 4 * 1024;

/// The longest that a stamp may hold: so long can the newest state be kept from a node unnoticed.
pub const MAX_SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The payload of type `stamp`, signed by the exchange's online key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// The organization.
    pub org: OrgId,
    /// Rises with every stamp.
    pub seq: u64,
    /// When it was made.
    pub issued: Timestamp,
    /// From when on it says nothing; at most 7 days later.
    pub expires: Timestamp,
    /// The newest trust document.
    pub trust: StampedTrust,
    /// The newest catalog.
    pub catalog: StampedCatalog,
}

/// Which trust document is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StampedTrust {
    /// Its version.
    pub version: u64,
    /// The hash of its payload.
    pub sha256: Digest,
}

/// Which catalog is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StampedCatalog {
    /// Its version.
    pub version: u64,
    /// The hash of its bytes.
    pub sha256: Digest,
    /// How many bytes it has.
    pub length: u64,
}

impl Stamp {
    /// Signs it.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "texts and numbers alone cannot fail to be written"
    )]
    pub fn seal(&self, key: &SigningKey) -> Envelope {
        let payload = serde_json::to_vec(self).expect("a stamp is JSON");
        Envelope::seal(PayloadType::Stamp, payload, &[key])
    }
}

/// A stamp that the trust's stamp key has signed and that had not expired when it was opened; only
/// [`Trust::open_stamp`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStamp {
    stamp: Stamp,
    digest: Digest,
    signers: Vec<KeyId>,
}

impl VerifiedStamp {
    /// The hash of its payload, which nodes report so that two views of the world come to light.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// A key that signed it: the one in `before`, if that is still among them.
    pub(super) fn signer(&self, before: Option<KeyId>) -> Option<KeyId> {
        before.filter(|key| self.signers.contains(key)).or_else(|| self.signers.first().copied())
    }
}

impl Deref for VerifiedStamp {
    type Target = Stamp;

    fn deref(&self) -> &Stamp {
        &self.stamp
    }
}

impl Trust {
    /// Opens the exchange's stamp, which must hold at the moment that
    /// [`Marks::freshness`](crate::trust::Marks::freshness) answers.
    pub fn open_stamp(
        &self,
        envelope: &Envelope,
        freshness: impl Into<Freshness>,
    ) -> Result<VerifiedStamp, Refusal> {
        check_payload_type(envelope, PayloadType::Stamp)?;
        check_size("stamp", envelope, MAX_STAMP)?;
        let role = &self.document.stamp;
        let signers =
            check_signers("stamp", envelope, self.document.live(&role.keyids), role.threshold)?;
        let stamp: Stamp = strict::from_slice(envelope.payload())
            .map_err(|source| Refusal::malformed("stamp", source))?;
        if stamp.org != *self.org() {
            return Err(Refusal::Relabel {
                expected: format!("a stamp of {}", self.org()),
                received: format!("a stamp of {}", stamp.org),
            });
        }
        let span = stamp.issued.duration_until(stamp.expires);
        if !span.is_positive() || span > MAX_SPAN {
            let (issued, expires) = (stamp.issued, stamp.expires);
            return Err(Refusal::malformed("stamp", Malformed::Span { issued, expires }));
        }
        freshness.into().check(self, &stamp)?;
        let signers = signers.into_iter().collect();
        Ok(VerifiedStamp { stamp, digest: envelope.digest(), signers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{
        Role,
        testing::{Org, hours, now, one_bit_off},
    };

    fn attack<T>(result: Result<T, Refusal>) -> &'static str {
        result.err().map_or("none", |refusal| refusal.attack())
    }

    fn stamp(org: &Org) -> Stamp {
        org.stamp(1, &org.catalog(1, 0, 1, "one"))
    }

    #[test]
    fn no_altered_bit_goes_unnoticed() {
        let org = Org::new();
        let envelope = stamp(&org).seal(&org.stamper);
        assert!(org.trust.open_stamp(&envelope, now()).is_ok());
        for (bit, altered) in one_bit_off(&envelope) {
            assert!(org.trust.open_stamp(&altered, now()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn only_the_stamp_key_stamps() {
        let org = Org::new();
        assert_eq!(attack(org.trust.open_stamp(&stamp(&org).seal(&org.owner), now())), "stranger");
    }

    #[test]
    fn a_new_stamp_key_ends_the_old_one() {
        let new = SigningKey::generate();
        let org = Org::new().with_trust(|trust| {
            trust.keys.insert(new.key_id(), new.verifying_key());
            trust.stamp = Role::of(new.key_id());
        });
        assert_eq!(
            attack(org.trust.open_stamp(&stamp(&org).seal(&org.stamper), now())),
            "stranger"
        );
        assert!(org.trust.open_stamp(&stamp(&org).seal(&new), now()).is_ok());
    }

    #[test]
    fn an_expired_stamp_is_a_freeze() {
        let org = Org::new();
        let envelope = stamp(&org).seal(&org.stamper);
        let open = |hour| attack(org.trust.open_stamp(&envelope, now() + hours(hour)));
        assert_eq!((open(23), open(24), open(9000)), ("none", "freeze", "freeze"));
    }

    #[test]
    fn an_expired_trust_is_a_freeze() {
        let org = Org::new().with_trust(|trust| trust.expires = now() + hours(1));
        let envelope = stamp(&org).seal(&org.stamper);
        assert_eq!(attack(org.trust.open_stamp(&envelope, now())), "none");
        assert_eq!(attack(org.trust.open_stamp(&envelope, now() + hours(1))), "freeze");
    }

    #[test]
    fn a_stamp_holds_for_a_week_at_most() {
        let org = Org::new();
        let open = |hour| {
            let stamp = Stamp { expires: now() + hours(hour), ..stamp(&org) };
            attack(org.trust.open_stamp(&stamp.seal(&org.stamper), now() - hours(2)))
        };
        assert_eq!((open(7 * 24), open(7 * 24 + 1)), ("none", "malformed"));
        assert_eq!((open(0), open(-1)), ("malformed", "malformed"));
    }

    #[test]
    fn a_stamp_of_another_organization_is_refused() {
        let org = Org::new();
        let stamp = Stamp { org: "other".parse().unwrap(), ..stamp(&org) };
        assert_eq!(attack(org.trust.open_stamp(&stamp.seal(&org.stamper), now())), "relabel");
    }

    #[test]
    fn a_stamp_that_is_too_large_is_refused() {
        let org = Org::new();
        let mut payload = stamp(&org).seal(&org.stamper).payload().to_vec();
        let mut open = |size| {
            payload.resize(size, b' ');
            let envelope = Envelope::seal(PayloadType::Stamp, payload.clone(), &[&org.stamper]);
            attack(org.trust.open_stamp(&envelope, now()))
        };
        assert_eq!((open(MAX_STAMP), open(MAX_STAMP + 1)), ("none", "malformed"));
        assert_eq!(MAX_STAMP, 4096);
    }
}
