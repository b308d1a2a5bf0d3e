//! The list of every document of an organization, pinned as a whole by the stamp.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    trust::{Refusal, State, Verified, refusal::Malformed, strict},
    types::{Digest, DocumentKey, OrgId},
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

    /// Checks that `document` is the very state that the catalog lists.
    pub fn confirm<T>(&self, document: &Verified<T>) -> Result<(), Refusal> {
        let header = document.header();
        let key = header.key();
        let Some(entry) = self.entries.get(&key).filter(|_| header.org == self.org) else {
            return Err(Refusal::MixAndMatch {
                what: format!("catalog {}", self.version),
                expected: format!("an entry for {key}"),
                received: "none".to_owned(),
            });
        };
        if entry.sha256 != document.digest() {
            return Err(Refusal::Altered {
                what: key.to_string(),
                expected: entry.sha256,
                received: document.digest(),
            });
        }
        let state = |epoch, seq, state| format!("epoch {epoch}, seq {seq}, {state:?}");
        let expected = state(entry.epoch, entry.seq, entry.state);
        let received = state(header.epoch, header.seq, header.state);
        if expected != received {
            return Err(Refusal::MixAndMatch { what: key.to_string(), expected, received });
        }
        Ok(())
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
    fn only_the_listed_state_is_confirmed() {
        let org = Org::new();
        let document = org.open(&org.hello(2, &[&org.owner])).unwrap();
        let mut catalog = org.catalog(1, 0, 2, "");
        let entry = |catalog: &mut Catalog, change: fn(&mut CatalogEntry)| {
            change(catalog.entries.get_mut(&hello()).unwrap());
        };
        assert_eq!(attack(catalog.confirm(&document)), "altered");
        catalog.entries.get_mut(&hello()).unwrap().sha256 = document.digest();
        assert_eq!(attack(catalog.confirm(&document)), "none");
        entry(&mut catalog, |it| it.seq = 3);
        assert_eq!(attack(catalog.confirm(&document)), "mix-and-match");
        entry(&mut catalog, |it| (it.seq, it.state) = (2, State::Withdrawn));
        assert_eq!(attack(catalog.confirm(&document)), "mix-and-match");
        assert_eq!(attack(Catalog::empty(catalog.org).confirm(&document)), "mix-and-match");
    }
}
