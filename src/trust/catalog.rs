//! The list of every document of an organization, pinned as a whole by the stamp.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    sign::Envelope,
    trust::{Header, Refusal, State, Trust, Verified, refusal::Malformed, strict},
    types::{Digest, DocumentBody, DocumentKey, OrgId},
};

/// The largest catalog that is read, in bytes: room for about 300,000 documents.
pub const MAX_CATALOG: usize = 64 * 1024 * 1024;

/// Every document that was ever published, withdrawn ones included. It is not signed itself, since the
/// stamp names the hash of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The organization.
    pub org: OrgId,
    /// Rises with every change.
    pub version: u64,
    /// The documents.
    pub entries: BTreeMap<DocumentKey, CatalogEntry>,
}

/// The newest state of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// As in its header.
    pub epoch: u64,
    /// As in its header.
    pub seq: u64,
    /// The hash of its payload.
    pub sha256: Digest,
    /// As in its header.
    pub state: State,
}

impl Catalog {
    /// A catalog of nothing.
    pub fn empty(org: OrgId) -> Self {
        Self { org, version: 0, entries: BTreeMap::new() }
    }

    /// The bytes that are kept, sent and hashed; the same catalog always gives the same ones.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "texts, numbers and text-keyed maps are always JSON"
    )]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a catalog is JSON")
    }

    /// Reads the bytes, without judging where they come from.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_CATALOG {
            let (allowed, received) = (MAX_CATALOG, bytes.len());
            return Err(Refusal::malformed("catalog", Malformed::TooLarge { allowed, received }));
        }
        strict::from_slice(bytes).map_err(|source| Refusal::malformed("catalog", source))
    }

    /// Opens the document that the catalog lists as `key`: it must be the very bytes that are listed,
    /// and then signed as `trust` asks for.
    ///
    /// The hash is compared first: bytes that were changed on their way are no sign of a stranger.
    pub fn open<T: DeserializeOwned + DocumentBody>(
        &self,
        trust: &Trust,
        envelope: &Envelope,
        key: &DocumentKey,
    ) -> Result<Verified<T>, Refusal> {
        let Some(entry) = self.entries.get(key).filter(|_| *trust.org() == self.org) else {
            return Err(Refusal::MixAndMatch {
                what: format!("catalog {}", self.version),
                expected: format!("an entry for {key}"),
                received: "none".to_owned(),
            });
        };
        let received = envelope.digest();
        if entry.sha256 != received {
            let (what, expected) = (key.to_string(), entry.sha256);
            return Err(Refusal::Altered { what, expected, received });
        }
        let document = trust.open(envelope, key)?;
        entry.check(document.header())?;
        Ok(document)
    }
}

impl CatalogEntry {
    /// Refuses a document that says of itself what the catalog does not.
    fn check(&self, header: &Header) -> Result<(), Refusal> {
        let state = |epoch, seq, state| format!("epoch {epoch}, seq {seq}, {state:?}");
        let expected = state(self.epoch, self.seq, self.state);
        let received = state(header.epoch, header.seq, header.state);
        if expected == received {
            return Ok(());
        }
        Err(Refusal::MixAndMatch { what: header.key().to_string(), expected, received })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{Org, hello};

    fn attack<T>(result: Result<T, Refusal>) -> &'static str {
        result.err().map_or("none", |refusal| refusal.attack())
    }

    #[test]
    fn the_same_catalog_gives_the_same_bytes() {
        let catalog = Org::new().catalog(3, 0, 1, "one");
        let bytes = catalog.to_bytes();
        assert_eq!(Catalog::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn a_catalog_with_two_readings_is_refused() {
        let catalog = Org::new().catalog(3, 0, 1, "one");
        let json = String::from_utf8(catalog.to_bytes()).unwrap();
        let entry = json.split_once("\"entries\":{").unwrap().1.strip_suffix("}}").unwrap();
        let twice = json.replace(entry, &format!("{entry},{entry}"));
        assert_eq!(attack(Catalog::from_bytes(twice.as_bytes())), "malformed");
    }

    #[test]
    fn a_catalog_has_a_length_that_it_may_have_and_no_more() {
        let read = |size: usize| {
            let Err(Refusal::Malformed { source, .. }) = Catalog::from_bytes(&vec![b' '; size])
            else {
                panic!("nothing is no catalog")
            };
            matches!(source, Malformed::TooLarge { .. })
        };
        assert_eq!(MAX_CATALOG, 67_108_864);
        assert!(!read(MAX_CATALOG) && read(MAX_CATALOG + 1) && read(MAX_CATALOG + 1000));
    }

    #[test]
    fn only_the_listed_state_opens() {
        let org = Org::new();
        let envelope = org.hello(2, &[&org.owner]);
        let trust = &org.trust;
        let open = |catalog: &Catalog| attack(catalog.open::<String>(trust, &envelope, &hello()));
        let mut catalog = org.catalog(1, 0, 2, "");
        let entry = |catalog: &mut Catalog, change: fn(&mut CatalogEntry)| {
            change(catalog.entries.get_mut(&hello()).unwrap());
        };
        assert_eq!(open(&catalog), "altered");
        catalog.entries.get_mut(&hello()).unwrap().sha256 = envelope.digest();
        assert_eq!(open(&catalog), "none");
        entry(&mut catalog, |it| it.seq = 3);
        assert_eq!(open(&catalog), "mix-and-match");
        entry(&mut catalog, |it| (it.seq, it.state) = (2, State::Withdrawn));
        assert_eq!(open(&catalog), "mix-and-match");
        assert_eq!(open(&Catalog::empty(catalog.org)), "mix-and-match");
    }

    #[test]
    fn a_document_of_a_kind_to_come_is_listed_and_marked_and_opened_by_nobody() {
        let rule = r#"{"kind":"orbit","prefix":"","keyids":[],"threshold":1,"epoch":0}"#;
        let org = Org::new().with_trust(|trust| {
            let mut rule: crate::trust::Rule = serde_json::from_str(rule).unwrap();
            rule.keyids.clone_from(&trust.rules[0].keyids);
            trust.rules.push(rule);
        });
        let key: DocumentKey = "orbit/moon".parse().unwrap();
        let mut catalog = org.catalog(1, 0, 1, "one");
        let envelope = org.hello(1, &[&org.owner]);
        let entry = CatalogEntry { sha256: envelope.digest(), ..catalog.entries[&hello()].clone() };
        catalog.entries.insert(key.clone(), entry);
        let read = Catalog::from_bytes(&catalog.to_bytes()).unwrap();
        assert_eq!(read, catalog);

        let marks =
            org.admit(&crate::trust::Marks::default(), &org.stamp(1, &read), &read).unwrap();
        assert_eq!(marks.documents[&key].seq, 1);
        let refusal = read.open::<String>(&org.trust, &envelope, &key).unwrap_err();
        assert!(matches!(refusal, Refusal::UnknownKind { .. }), "{refusal:?}");
        let mut without = read.clone();
        (without.version, _) = (2, without.entries.remove(&key));
        assert_eq!(attack(org.admit(&marks, &org.stamp(2, &without), &without)), "vanished");
    }
}
