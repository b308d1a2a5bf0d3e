//! An organization with all its keys, for the tests of this module.

use jiff::{SignedDuration, Timestamp};

use crate::{
    sign::{Envelope, SigningKey},
    trust::{
        Catalog, CatalogEntry, Header, Marks, Refusal, Stamp, StampedCatalog, StampedTrust, State,
        Statement, Trust, TrustDocument, TrustPin, VerifiedStamp,
    },
    types::{Digest, DocumentBody, DocumentKey, OrgId, Subject},
};

/// The hour that the tests begin in.
pub(super) fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

pub(super) fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// The name of the service that the tests publish.
pub(super) fn hello() -> DocumentKey {
    "service/hello_1.0.0_amd64".parse().unwrap()
}

pub(super) struct Org {
    pub(super) owner: SigningKey,
    pub(super) stamper: SigningKey,
    pub(super) trust: Trust,
}

impl Org {
    pub(super) fn new() -> Self {
        let (owner, stamper) = (SigningKey::generate(), SigningKey::generate());
        let document = TrustDocument::single_key(
            "acme".parse().unwrap(),
            &owner.verifying_key(),
            &stamper.verifying_key(),
            now(),
        );
        let trust = pinned(&document, &[&owner]);
        Self { owner, stamper, trust }
    }

    /// The same with the next version of its trust.
    pub(super) fn with_trust(mut self, change: impl FnOnce(&mut TrustDocument)) -> Self {
        let mut next = self.trust.document().next(now());
        change(&mut next);
        self.trust = self.trust.advance(&next.seal(&[&self.owner]).unwrap()).unwrap();
        self
    }

    pub(super) fn header(&self, seq: u64) -> Header {
        Header {
            org: self.trust.org().clone(),
            subject: Subject::Service {
                url: "hello".parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
                arch: "amd64".parse().unwrap(),
            },
            epoch: 0,
            seq,
            issued: now(),
            state: State::Active,
        }
    }

    /// The service `hello`, signed by `keys`.
    pub(super) fn hello(&self, seq: u64, keys: &[&SigningKey]) -> Envelope {
        statement(self.header(seq)).seal(keys).unwrap()
    }

    pub(super) fn open(&self, envelope: &Envelope) -> Result<super::Verified<String>, Refusal> {
        self.trust.open(envelope, &hello())
    }

    /// What the exchange would say if `catalog` were the newest.
    pub(super) fn stamp(&self, seq: u64, catalog: &Catalog) -> Stamp {
        let bytes = catalog.to_bytes();
        Stamp {
            org: self.trust.org().clone(),
            seq,
            issued: now(),
            expires: now() + hours(24),
            trust: StampedTrust { version: self.trust.version(), sha256: self.trust.digest() },
            catalog: StampedCatalog {
                version: catalog.version,
                sha256: Digest::of(&bytes),
                length: bytes.len() as u64,
            },
        }
    }

    pub(super) fn open_stamp(&self, stamp: &Stamp) -> VerifiedStamp {
        self.trust.open_stamp(&stamp.seal(&self.stamper), now()).unwrap()
    }

    /// A node with `marks` receives `stamp` and `catalog`.
    pub(super) fn admit(
        &self,
        marks: &Marks,
        stamp: &Stamp,
        catalog: &Catalog,
    ) -> Result<Marks, Refusal> {
        self.admit_at(now(), marks, stamp, catalog)
    }

    /// The same while the node's clock says `wall`.
    pub(super) fn admit_at(
        &self,
        wall: Timestamp,
        marks: &Marks,
        stamp: &Stamp,
        catalog: &Catalog,
    ) -> Result<Marks, Refusal> {
        let freshness = marks.freshness(&self.trust, wall);
        let stamp = self.trust.open_stamp(&stamp.seal(&self.stamper), freshness)?;
        marks.admit(&self.trust, &stamp, &catalog.to_bytes(), wall).map(|(marks, _)| marks)
    }

    /// A catalog of one version of `hello` with content named after `content`.
    pub(super) fn catalog(&self, version: u64, epoch: u64, seq: u64, content: &str) -> Catalog {
        let sha256 = Digest::of(content.as_bytes());
        let entry = CatalogEntry { epoch, seq, sha256, state: State::Active };
        let mut catalog = Catalog::empty(self.trust.org().clone());
        catalog.version = version;
        catalog.entries.insert(hello(), entry);
        catalog
    }
}

/// A text says nothing of what it is about, but for one that begins like this.
impl DocumentBody for String {
    fn contradiction(&self, _org: &OrgId, _subject: &Subject) -> Option<String> {
        self.strip_prefix("about ").map(str::to_owned)
    }
}

pub(super) fn statement(header: Header) -> Statement<String> {
    Statement { header, body: "hello".to_owned() }
}

pub(super) fn pinned(document: &TrustDocument, keys: &[&SigningKey]) -> Trust {
    let envelope = document.seal(keys).unwrap();
    Trust::pinned(&envelope, &TrustPin(envelope.digest())).unwrap()
}

/// Every envelope that differs from `envelope` by one bit of its JSON and is still read.
pub(super) fn one_bit_off(envelope: &Envelope) -> impl Iterator<Item = (usize, Envelope)> {
    let json = envelope.to_json();
    (0..json.len() * 8).filter_map(move |bit| {
        let mut altered = json.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        Envelope::from_json(&altered).ok().map(|envelope| (bit, envelope))
    })
}
