//! How far a node has come, so that nobody can lead it back.

use std::{cmp::Ordering, collections::BTreeMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    sign::KeyId,
    trust::{Catalog, CatalogEntry, Freshness, Refusal, Trust, VerifiedStamp},
    types::{Digest, DocumentKey},
};

/// The highest state of everything that a node has ever believed. It is stored before anything that it
/// vouches for is acted on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks {
    /// The version of the newest trust document.
    pub trust_version: u64,
    /// The key that signed the newest stamp.
    pub stamp_key: Option<KeyId>,
    /// The number of the newest stamp.
    pub stamp_seq: u64,
    /// The hash of the newest stamp's payload.
    pub stamp_sha256: Option<Digest>,
    /// The version of the newest catalog.
    pub catalog_version: u64,
    /// The hash of the newest catalog.
    pub catalog_sha256: Option<Digest>,
    /// The newest moment that something signed speaks of: it cannot be earlier than this. It falls to the time of a
    /// newer trust document, since nothing that names that document is older.
    pub clock_floor: Timestamp,
    /// The highest state of each document.
    pub documents: BTreeMap<DocumentKey, Mark>,
}

/// The highest state of one document that a catalog has listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Compared first.
    pub epoch: u64,
    /// Compared within an epoch.
    pub seq: u64,
    /// The hash of its payload.
    pub sha256: Digest,
    /// Whether the newest catalog lists it. Only under a new stamp key may it do without.
    pub listed: bool,
}

impl Marks {
    /// The same on a node that knows from elsewhere that it is not earlier than `floor`.
    #[must_use]
    pub fn no_earlier_than(self, floor: Timestamp) -> Self {
        Self { clock_floor: self.clock_floor.max(floor), ..self }
    }

    /// The same after the node was registered again by its owner, who stands for the clock at `wall`: the floor falls
    /// to that. A clock that is earlier than `trust` was issued is wrong, and changes nothing.
    #[must_use]
    pub fn registered_again(self, trust: &Trust, wall: Timestamp) -> Self {
        if wall < trust.document.issued {
            return self;
        }
        Self { clock_floor: self.clock_floor.min(wall), ..self }
    }

    /// The moment at which a state under `trust` is judged: a stopped or reset clock revives nothing.
    pub fn freshness(&self, trust: &Trust, wall: impl Into<Freshness>) -> Freshness {
        wall.into().no_earlier_than(self.floor_under(trust))
    }

    /// Takes a newer state: answers the marks to store and the catalog to act on, or why it is no newer
    /// state. It changes nothing by itself.
    ///
    /// The stamp's counters fall back when the key that raised them no longer counts; so a thief of that
    /// key cannot raise them out of reach for good. The marks of documents never fall: where a thief
    /// raised those, the root raises the epoch of the rule.
    pub fn admit(
        &self,
        trust: &Trust,
        stamp: &VerifiedStamp,
        catalog_bytes: &[u8],
        freshness: impl Into<Freshness>,
    ) -> Result<(Self, Catalog), Refusal> {
        self.check_trust(trust, stamp)?;
        self.freshness(trust, freshness).check(trust, stamp)?;
        let before = self.under(trust);
        before.check_counters(stamp)?;
        let catalog = open_catalog(stamp, catalog_bytes)?;
        let documents = before.admit_documents(trust, &catalog)?;
        let marks = Self {
            trust_version: trust.version(),
            stamp_key: stamp.signer(before.stamp_key),
            stamp_seq: stamp.seq,
            stamp_sha256: Some(stamp.digest()),
            catalog_version: stamp.catalog.version,
            catalog_sha256: Some(stamp.catalog.sha256),
            clock_floor: before.clock_floor.max(stamp.issued).max(trust.document.issued),
            documents,
        };
        Ok((marks, catalog))
    }

    /// The stamp must name exactly the trust that was walked to, and that must be no older one.
    fn check_trust(&self, trust: &Trust, stamp: &VerifiedStamp) -> Result<(), Refusal> {
        let oldest = trust.version().min(stamp.trust.version);
        if oldest < self.trust_version {
            return Err(rollback("trust", self.trust_version, oldest));
        }
        if stamp.trust.version != trust.version() || stamp.trust.sha256 != trust.digest() {
            let version = |version, sha256| format!("trust version {version} ({sha256})");
            return Err(Refusal::MixAndMatch {
                what: format!("stamp {}", stamp.seq),
                expected: version(stamp.trust.version, stamp.trust.sha256),
                received: version(trust.version(), trust.digest()),
            });
        }
        Ok(())
    }

    /// The clock floor under `trust`. A version that is newer than the accepted one, or that takes the power from the
    /// key of the newest stamp, brings it back to its own time: the root keys end what an exchange or a thief has
    /// signed in the future.
    fn floor_under(&self, trust: &Trust) -> Timestamp {
        let is_newer = self.trust_version != 0 && trust.version() > self.trust_version;
        if is_newer || !self.is_stamp_key_live(trust) {
            self.clock_floor.min(trust.document.issued)
        } else {
            self.clock_floor
        }
    }

    fn is_stamp_key_live(&self, trust: &Trust) -> bool {
        self.stamp_key.is_none_or(|key| trust.document.may_stamp(&key))
    }

    /// What of the marks counts under `trust`. When the key that raised the stamp's counters no longer counts, that
    /// is what the root keys vouch for, and the documents.
    fn under(&self, trust: &Trust) -> Self {
        let clock_floor = self.floor_under(trust);
        if self.is_stamp_key_live(trust) {
            return Self { clock_floor, ..self.clone() };
        }
        let unlisted = |(key, mark): (&DocumentKey, &Mark)| {
            (key.clone(), Mark { listed: false, ..mark.clone() })
        };
        Self {
            clock_floor,
            documents: self.documents.iter().map(unlisted).collect(),
            ..Self::default()
        }
    }

    fn check_counters(&self, stamp: &VerifiedStamp) -> Result<(), Refusal> {
        check_counter("stamp", (self.stamp_seq, self.stamp_sha256), (stamp.seq, stamp.digest()))?;
        check_counter(
            "catalog",
            (self.catalog_version, self.catalog_sha256),
            (stamp.catalog.version, stamp.catalog.sha256),
        )
    }

    fn admit_documents(
        &self,
        trust: &Trust,
        catalog: &Catalog,
    ) -> Result<BTreeMap<DocumentKey, Mark>, Refusal> {
        let mut marks = self.documents.clone();
        let is_missing =
            |(key, mark): &(&DocumentKey, &Mark)| mark.listed && !catalog.entries.contains_key(key);
        if let Some((key, _)) = self.documents.iter().find(is_missing) {
            return Err(Refusal::Vanished { what: key.to_string() });
        }
        for (key, entry) in &catalog.entries {
            let granted = trust.document.authority(key).map_or(0, |rule| rule.epoch);
            match marks.get_mut(key) {
                // Nothing of an epoch that the root has ended opens any more, so its count is void:
                // a thief may have raised it out of reach.
                Some(mark) if mark.epoch >= granted => {
                    mark.check(key, entry)?;
                    mark.listed = true;
                }
                _ => {}
            }
            // An epoch that the root has not granted leaves no mark, lest a thief of the stamp key
            // close a name for ever. It does not open either.
            if entry.epoch <= granted {
                marks.insert(key.clone(), Mark::from(entry));
            }
        }
        Ok(marks)
    }
}

impl Mark {
    /// Refuses an entry that is older than the mark, or another one of the same age.
    fn check(&self, key: &DocumentKey, entry: &CatalogEntry) -> Result<(), Refusal> {
        match (entry.epoch, entry.seq).cmp(&(self.epoch, self.seq)) {
            Ordering::Less => Err(Refusal::Rollback {
                what: key.to_string(),
                held: format!("epoch {}, seq {}", self.epoch, self.seq),
                received: format!("epoch {}, seq {}", entry.epoch, entry.seq),
            }),
            Ordering::Equal if entry.sha256 != self.sha256 => Err(Refusal::Equivocation {
                what: key.to_string(),
                held: self.sha256,
                received: entry.sha256,
            }),
            _ => Ok(()),
        }
    }
}

impl From<&CatalogEntry> for Mark {
    fn from(entry: &CatalogEntry) -> Self {
        Self { epoch: entry.epoch, seq: entry.seq, sha256: entry.sha256, listed: true }
    }
}

/// Refuses a counter that falls, or that stands still while the content changes.
fn check_counter(
    what: &str,
    held: (u64, Option<Digest>),
    received: (u64, Digest),
) -> Result<(), Refusal> {
    if received.0 < held.0 {
        return Err(rollback(what, held.0, received.0));
    }
    match held.1 {
        Some(hash) if received.0 == held.0 && received.1 != hash => Err(Refusal::Equivocation {
            what: format!("{what} {}", held.0),
            held: hash,
            received: received.1,
        }),
        _ => Ok(()),
    }
}

fn rollback(what: &str, held: u64, received: u64) -> Refusal {
    Refusal::Rollback {
        what: what.to_owned(),
        held: format!("number {held}"),
        received: format!("number {received}"),
    }
}

/// Reads the catalog that the stamp pins.
fn open_catalog(stamp: &VerifiedStamp, bytes: &[u8]) -> Result<Catalog, Refusal> {
    let pinned = &stamp.catalog;
    let mismatch = |received: &Catalog| Refusal::MixAndMatch {
        what: format!("stamp {}", stamp.seq),
        expected: format!("catalog {} of {}", pinned.version, stamp.org),
        received: format!("catalog {} of {}", received.version, received.org),
    };
    let is_pinned =
        |catalog: &Catalog| catalog.org == stamp.org && catalog.version == pinned.version;
    let received = Digest::of(bytes);
    if bytes.len() as u64 == pinned.length && received == pinned.sha256 {
        let catalog = Catalog::from_bytes(bytes)?;
        return if is_pinned(&catalog) { Ok(catalog) } else { Err(mismatch(&catalog)) };
    }
    // Another genuine catalog and mere rubbish are different attacks; only the name depends on it.
    match Catalog::from_bytes(bytes) {
        Ok(other) if !is_pinned(&other) => Err(mismatch(&other)),
        _ => Err(Refusal::Altered {
            what: format!("catalog {}", pinned.version),
            expected: pinned.sha256,
            received,
        }),
    }
}

#[cfg(test)]
mod tests;
