//! Who may say it, and is it the newest? The only maker of [`Verified`].
//!
//! ```text
//!  pin ──► Trust ──► Trust ──► …        root keys, one version after the other
//!            │
//!            ├─ open_stamp ──► VerifiedStamp ─┐
//!            │                                ├─ Marks::admit ──► Marks, Catalog
//!            │              catalog bytes ────┘
//!            └─ open ────────► Verified<T> ◄── Catalog::open (what is listed)
//! ```

pub mod catalog;
pub mod chain;
pub mod change;
pub mod difference;
pub mod document;
pub mod draft;
pub mod edit;
pub mod freshness;
pub mod marks;
#[cfg(test)]
mod model;
pub mod refusal;
pub mod rule;
pub mod stamp;
pub mod statement;
mod strict;
#[cfg(test)]
mod testing;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

pub use catalog::{Catalog, CatalogEntry};
pub use chain::{ParsePinError, Trust, TrustPin, TrustRoot};
pub use change::{Change, Who, changes};
pub use difference::CatalogDifference;
pub use document::{Import, Revocation, RevocationReason, TrustDocument, TrustProblem};
pub use draft::{Draft, DraftError, MergeError, SignError, Tally};
pub use edit::{EditError, Rotation};
pub use freshness::Freshness;
pub use marks::{Mark, Marks};
pub use refusal::{Malformed, Refusal};
pub use rule::{Role, Rule};
pub use stamp::{Stamp, StampedCatalog, StampedTrust, VerifiedStamp};
pub use statement::{Header, SealError, State, Statement};

use crate::{
    sign::{Envelope, KeyId, PayloadType},
    types::{Digest, DocumentBody, DocumentKey},
};

/// A document that its organization's trust vouches for. Whether it is the newest is for
/// [`Catalog::open`] to say.
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
    /// The documents of a catalog that count no more, since they were signed in an epoch that the root keys have ended.
    pub fn of_ended_epochs(&self, catalog: &Catalog) -> BTreeSet<DocumentKey> {
        let is_ended = |(key, entry): &(&DocumentKey, &CatalogEntry)| {
            self.document.authority(key).is_some_and(|rule| entry.epoch < rule.epoch)
        };
        catalog.entries.iter().filter(is_ended).map(|(key, _)| key.clone()).collect()
    }

    /// Opens a document: the one place where a publisher's signature is judged.
    ///
    /// It must be signed by enough of the keys that the rule for its name asks for, and it must be
    /// `expected` by its own header, of this organization and of the rule's epoch, and say nothing else
    /// in its body. A withdrawn document opens; see [`Verified::check_active`].
    pub fn open<T: DeserializeOwned + DocumentBody>(
        &self,
        envelope: &Envelope,
        expected: &DocumentKey,
    ) -> Result<Verified<T>, Refusal> {
        let Some(payload_type) = PayloadType::of(expected.kind()) else {
            return Err(Refusal::UnknownKind { document: expected.clone() });
        };
        chain::check_payload_type(envelope, payload_type)?;
        let Some(rule) = self.document.authority(expected) else {
            return Err(Refusal::NoAuthority { document: expected.clone() });
        };
        let signers = self.check_publisher(envelope, expected, rule)?;
        let Statement::<T> { header, body } = strict::from_slice(envelope.payload())
            .map_err(|source| Refusal::malformed(expected.to_string(), source))?;
        self.check_header(&header, expected, rule)?;
        if let Some(received) = body.contradiction(&header.org, &header.subject) {
            return Err(Refusal::Relabel { expected: header.subject.to_string(), received });
        }
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
            return Err(Refusal::EpochEnded {
                document: expected.clone(),
                current: rule.epoch,
                received: header.epoch,
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

#[cfg(test)]
mod tests {
    use super::{
        testing::{Org, hello, now, one_bit_off, statement},
        *,
    };
    use crate::{
        sign::SigningKey,
        types::{DocumentKind, Subject},
    };

    fn attack<T>(result: Result<T, Refusal>) -> &'static str {
        result.err().map_or("none", |refusal| refusal.attack())
    }

    /// The organization with a second publisher, both of whom must sign.
    fn two_publishers() -> (Org, SigningKey) {
        let second = SigningKey::generate();
        let org = Org::new().with_trust(|trust| {
            trust.keys.insert(second.key_id(), second.verifying_key());
            trust.rules[0].keyids.insert(second.key_id());
            trust.rules[0].threshold = 2;
        });
        (org, second)
    }

    #[test]
    fn what_a_publisher_signed_opens() {
        let org = Org::new();
        let envelope = org.hello(1, &[&org.owner]);
        let opened = org.open(&envelope).unwrap();
        assert_eq!(opened.body(), "hello");
        assert_eq!(opened.header(), &org.header(1));
        assert_eq!(opened.digest(), envelope.digest());
        assert_eq!(opened.signers(), &BTreeSet::from([org.owner.key_id()]));
    }

    #[test]
    fn no_altered_bit_goes_unnoticed() {
        let org = Org::new();
        let envelope = org.hello(1, &[&org.owner]);
        let mut read = 0;
        for (bit, altered) in one_bit_off(&envelope) {
            read += 1;
            assert!(org.open(&altered).is_err(), "bit {bit}");
        }
        assert!(read > 500, "only {read} altered envelopes were read at all");
    }

    #[test]
    fn a_stranger_is_refused() {
        let org = Org::new();
        assert_eq!(attack(org.open(&org.hello(1, &[&SigningKey::generate()]))), "stranger");
        assert_eq!(attack(org.open(&org.hello(1, &[&org.stamper]))), "stranger");
        assert_eq!(attack(org.open(&org.hello(1, &[]))), "stranger");
    }

    #[test]
    fn two_signatures_of_one_key_are_not_two_signers() {
        let (org, second) = two_publishers();
        let owner = &org.owner;
        assert_eq!(attack(org.open(&org.hello(1, &[owner, owner]))), "stranger");

        let json = String::from_utf8(org.hello(1, &[owner]).to_json()).unwrap();
        let (_, signature) = json.split_once("\"signatures\":[").unwrap();
        let signature = signature.strip_suffix("]}").unwrap();
        let alias = signature.replace(&owner.key_id().to_string(), &second.key_id().to_string());
        for extra in [signature, &alias] {
            let json = json.replace(signature, &format!("{signature},{extra}"));
            let twice = Envelope::from_json(json.as_bytes()).unwrap();
            assert_eq!(attack(org.open(&twice)), "stranger");
        }

        assert!(org.open(&org.hello(1, &[owner, &second])).is_ok());
    }

    #[test]
    fn a_broad_rule_does_not_sign_into_a_stricter_name_space() {
        let second = SigningKey::generate();
        let org = Org::new().with_trust(|trust| {
            trust.keys.insert(second.key_id(), second.verifying_key());
            trust.rules.push(Rule {
                prefix: "hel".to_owned(),
                keyids: BTreeSet::from([second.key_id()]),
                ..trust.rules[0].clone()
            });
        });
        assert_eq!(attack(org.open(&org.hello(1, &[&org.owner]))), "stranger");
        assert!(org.open(&org.hello(1, &[&second])).is_ok());
    }

    #[test]
    fn a_name_without_a_rule_cannot_be_signed() {
        let org = Org::new().with_trust(|trust| trust.rules.remove(0).kind = DocumentKind::Service);
        assert_eq!(attack(org.open(&org.hello(1, &[&org.owner]))), "stranger");
    }

    #[test]
    fn a_revoked_key_does_not_count() {
        for (reason, is_retired) in
            [(RevocationReason::Compromised, false), (RevocationReason::Retired, true)]
        {
            let (org, second) = two_publishers();
            let org = org.with_trust(|trust| {
                trust.revoked.push(Revocation { keyid: second.key_id(), reason });
            });
            let refusal = org.open(&org.hello(1, &[&org.owner, &second])).unwrap_err();
            assert_eq!(refusal.attack(), "stranger");
            assert_eq!(matches!(refusal, Refusal::Retired { .. }), is_retired);
        }
    }

    #[test]
    fn one_document_is_not_taken_for_another() {
        let org = Org::new();
        let header = |change: fn(&mut Header)| {
            let mut header = org.header(1);
            change(&mut header);
            statement(header).seal(&[&org.owner]).unwrap()
        };
        let service = |url: &str, version: &str, arch: &str| Subject::Service {
            url: url.parse().unwrap(),
            version: version.parse().unwrap(),
            arch: arch.parse().unwrap(),
        };
        let mut swapped = vec![
            header(|it| it.org = "other".parse().unwrap()),
            header(|it| it.subject = Subject::Pattern("hello_1.0.0_amd64".parse().unwrap())),
            header(|it| it.subject = Subject::Policy("hello_1.0.0_amd64".parse().unwrap())),
        ];
        for subject in [
            service("hello", "1.0.0", "arm64"),
            service("hello", "1.0.1", "amd64"),
            service("hello", "1.0", "amd64"),
            service("bye", "1.0.0", "amd64"),
        ] {
            let header = Header { subject, ..org.header(1) };
            swapped.push(statement(header).seal(&[&org.owner]).unwrap());
        }
        for envelope in swapped {
            assert_eq!(attack(org.open(&envelope)), "relabel");
        }
    }

    #[test]
    fn a_body_does_not_speak_of_something_else_than_its_header() {
        let org = Org::new();
        let said = Statement { header: org.header(1), body: "about bye".to_owned() };
        let refusal = org.open(&said.seal(&[&org.owner]).unwrap()).unwrap_err();
        assert_eq!(refusal.attack(), "relabel");
        assert_eq!(refusal.to_string(), "expected service hello 1.0.0 for amd64, received bye");
    }

    #[test]
    fn an_envelope_is_not_taken_for_one_of_another_type() {
        let org = Org::new();
        let payload = org.hello(1, &[]).payload().to_vec();
        for payload_type in [PayloadType::Trust, PayloadType::Stamp, PayloadType::Pattern] {
            let envelope = Envelope::seal(payload_type, payload.clone(), &[&org.owner]);
            assert_eq!(attack(org.open(&envelope)), "relabel");
        }
        let trust = org.trust.document().seal(&[&org.stamper]).unwrap();
        assert_eq!(attack(org.trust.open_stamp(&trust, now())), "relabel");
    }

    #[test]
    fn only_the_root_moves_the_epoch() {
        let org = Org::new().with_trust(|trust| trust.rules[0].epoch = 1);
        let epoch = |epoch| {
            let header = Header { epoch, ..org.header(1) };
            org.open(&statement(header).seal(&[&org.owner]).unwrap())
        };
        assert_eq!(attack(epoch(0)), "epoch-ended");
        assert_eq!(attack(epoch(1)), "none");
        assert_eq!(attack(epoch(2)), "fast-forward");
    }

    #[test]
    fn a_withdrawn_document_opens_but_is_not_active() {
        let org = Org::new();
        let header = Header { state: State::Withdrawn, ..org.header(2) };
        let opened = org.open(&statement(header).seal(&[&org.owner]).unwrap()).unwrap();
        assert_eq!(attack(opened.check_active()), "withdrawn");
        assert!(org.open(&org.hello(1, &[&org.owner])).unwrap().check_active().is_ok());
    }

    #[test]
    fn signed_json_with_two_readings_is_refused() {
        let org = Org::new();
        let payload = String::from_utf8(org.hello(1, &[]).payload().to_vec()).unwrap();
        for (from, to) in [
            ("{\"header\"", "{\"body\":\"x\",\"header\""),
            ("{\"header\"", "{\"extra\":1,\"header\""),
            ("\"seq\":1", "\"seq\":1,\"seq\":2"),
            ("\"seq\":1", "\"seq\":9007199254740992"),
            ("\"seq\":1", "\"seq\":1,\"trusted\":true"),
        ] {
            let altered = payload.replacen(from, to, 1).into_bytes();
            let envelope = Envelope::seal(PayloadType::Service, altered, &[&org.owner]);
            assert_eq!(attack(org.open(&envelope)), "malformed", "{to}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_refused() {
        let org = Org::new();
        let refusal = org.open(&org.hello(1, &[&SigningKey::generate()])).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "service/hello_1.0.0_amd64: 0 of 1 trusted signatures needed"
        );
        assert_eq!(hello().kind(), DocumentKind::Service);
    }
}
