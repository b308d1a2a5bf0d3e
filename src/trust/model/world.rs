//! An organization through the hours: what its root keys say, what is published, and what an exchange, honest or
//! not, shows of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use jiff::{SignedDuration, Timestamp};

use super::dice::Dice;
use crate::{
    sign::SigningKey,
    trust::{
        Catalog, CatalogEntry, Role, Stamp, StampedCatalog, StampedTrust, State, Trust,
        TrustDocument,
        testing::{now, pinned},
    },
    types::{Digest, DocumentKey},
};

pub(super) static ROOT: LazyLock<SigningKey> = LazyLock::new(SigningKey::generate);
pub(super) static STAMPERS: LazyLock<[SigningKey; 3]> =
    LazyLock::new(|| std::array::from_fn(|_| SigningKey::generate()));
/// The documents that there may be; the rule for services has one epoch, that for patterns another.
pub(super) const NAMES: [&str; 3] = ["service/a_1_amd64", "service/b_1_amd64", "pattern/p"];
/// The rules for them, by their places in the trust document.
pub(super) const RULES: [usize; 3] = [0, 0, 1];
/// A moment, in hours since the tests begin.
pub(super) fn at(hour: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hour)
}

/// What the root keys say, in small.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) version: u64,
    pub(super) issued: i64,
    pub(super) expires: i64,
    pub(super) stampers: BTreeSet<usize>,
    pub(super) epochs: [u64; 2],
    pub(super) trust: Trust,
}

impl Root {
    pub(super) fn first() -> Self {
        let mut document = TrustDocument::single_key(
            "acme".parse().unwrap(),
            &ROOT.verifying_key(),
            &STAMPERS[0].verifying_key(),
            now(),
        );
        for key in STAMPERS.iter() {
            document.keys.insert(key.key_id(), key.verifying_key());
        }
        let (issued, expires, stampers) = (0, 365 * 24, BTreeSet::from([0]));
        let trust = pinned(&document, &[&ROOT]);
        Self { version: 1, issued, expires, stampers, epochs: [0, 0], trust }
    }

    /// The next version, after `change`.
    pub(super) fn next(&self, hour: i64, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        (next.version, next.issued, next.expires) = (self.version + 1, hour, hour + 365 * 24);
        change(&mut next);
        let mut document = self.trust.document().next(at(hour));
        document.expires = at(next.expires);
        let keyids = next.stampers.iter().map(|it| STAMPERS[*it].key_id()).collect();
        document.stamp = Role { keyids, threshold: 1 };
        for (rule, epoch) in document.rules.iter_mut().zip(next.epochs) {
            rule.epoch = epoch;
        }
        next.trust = self.trust.advance(&document.seal(&[&ROOT]).unwrap()).unwrap();
        next
    }

    pub(super) fn epoch_of(&self, name: usize) -> u64 {
        self.epochs[RULES[name]]
    }
}

/// A state of one document: epoch, number, and which content.
pub(super) type Entry = (u64, u64, u64);

/// What an exchange shows.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// The trust that it names.
    pub(super) trust: (u64, Digest),
    pub(super) seq: u64,
    pub(super) stamper: usize,
    pub(super) issued: i64,
    pub(super) expires: i64,
    pub(super) catalog: u64,
    /// A stamp and a catalog of the same numbers may be others.
    pub(super) variant: u64,
    pub(super) entries: BTreeMap<usize, Entry>,
    /// Whether other bytes than the pinned ones come.
    pub(super) is_swapped: bool,
}

impl Shown {
    pub(super) fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::empty("acme".parse().unwrap());
        catalog.version = self.catalog;
        let entry = |(name, (epoch, seq, content)): (&usize, &Entry)| {
            let sha256 = Digest::of(&content.to_le_bytes());
            let entry = CatalogEntry { epoch: *epoch, seq: *seq, sha256, state: State::Active };
            (key(*name), entry)
        };
        catalog.entries = self.entries.iter().map(entry).collect();
        catalog
    }

    pub(super) fn stamp(&self) -> Stamp {
        let bytes = self.catalog().to_bytes();
        let (version, sha256) = self.trust;
        let variant = SignedDuration::from_secs(i64::try_from(self.variant).unwrap());
        Stamp {
            org: "acme".parse().unwrap(),
            seq: self.seq,
            issued: at(self.issued),
            expires: at(self.expires) + variant,
            trust: StampedTrust { version, sha256 },
            catalog: StampedCatalog {
                version: self.catalog,
                sha256: Digest::of(&bytes),
                length: bytes.len() as u64,
            },
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut catalog = self.catalog();
        catalog.version += u64::from(self.is_swapped);
        catalog.to_bytes()
    }
}

pub(super) fn key(name: usize) -> DocumentKey {
    NAMES[name].parse().unwrap()
}

pub(super) static FIRST: LazyLock<Root> = LazyLock::new(Root::first);

/// An organization through the hours.
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) hour: i64,
    /// What the root keys have said, all versions.
    pub(super) roots: Vec<Root>,
    /// What the exchange has shown, honestly or not.
    pub(super) past: Vec<Shown>,
    pub(super) newest: Shown,
}

impl World {
    pub(super) fn new(history: u64) -> Self {
        let root = FIRST.clone();
        let newest = Shown {
            trust: (root.version, root.trust.digest()),
            seq: 1,
            stamper: 0,
            issued: 0,
            expires: 24,
            catalog: 1,
            variant: 0,
            entries: BTreeMap::new(),
            is_swapped: false,
        };
        let past = vec![newest.clone()];
        Self { dice: Dice::of(history), hour: 0, roots: vec![root], past, newest }
    }

    pub(super) fn root(&self) -> &Root {
        self.roots.last().unwrap()
    }

    /// The root keys speak.
    pub(super) fn root_acts(&mut self) {
        let (act, hour, dice) = (self.dice.below(3), self.hour, &mut self.dice);
        let root = self.roots.last().unwrap();
        let next = root.next(hour, |next| match act {
            0 => next.epochs[dice.index(2)] += 1,
            1 => next.stampers = BTreeSet::from([dice.index(STAMPERS.len())]),
            _ => {
                next.stampers.insert(dice.index(STAMPERS.len()));
            }
        });
        self.newest.trust = (next.version, next.trust.digest());
        self.newest.stamper = *next.stampers.first().unwrap();
        self.roots.push(next);
    }

    /// A publisher, or a thief of a publisher's key, publishes.
    pub(super) fn publishes(&mut self) {
        let name = self.dice.index(NAMES.len());
        let granted = self.root().epoch_of(name);
        let (epoch, seq, _) = self.newest.entries.get(&name).copied().unwrap_or_default();
        let seq = if granted > epoch { 1 } else { seq + 1 };
        self.newest.entries.insert(name, (granted, seq, self.dice.below(4)));
        self.newest.catalog += 1;
    }

    /// The exchange makes an honest stamp.
    pub(super) fn stamps(&mut self) {
        self.newest.seq += 1;
        (self.newest.issued, self.newest.expires) = (self.hour, self.hour + 24);
        self.past.push(self.newest.clone());
    }

    /// What a node is shown: the newest, an old state again, or what a thief of the stamp key makes of either.
    pub(super) fn shown(&mut self) -> Shown {
        let mut shown = self.newest.clone();
        if self.dice.happens(25) {
            shown = self.dice.one_of(&self.past).clone();
        }
        if !self.dice.happens(40) {
            return shown;
        }
        for _ in 0..=self.dice.below(2) {
            let dice = &mut self.dice;
            match dice.below(11) {
                0 => shown.seq += dice.below(1000),
                1 => shown.seq = shown.seq.saturating_sub(dice.below(3)),
                2 => shown.catalog += dice.below(1000),
                3 => shown.variant = dice.below(4),
                4 => shown.stamper = dice.index(STAMPERS.len()),
                5 => {
                    shown.issued += i64::try_from(dice.below(1000)).unwrap();
                    shown.expires = shown.issued + 24;
                }
                6 => drop(shown.entries.remove(&dice.index(NAMES.len()))),
                7 => shown.is_swapped = true,
                8 => shown.trust.1 = Digest::of(b"another trust"),
                _ => {
                    let entry = shown.entries.entry(dice.index(NAMES.len())).or_default();
                    *entry = (dice.below(5), dice.below(1000), dice.below(4));
                }
            }
        }
        self.past.push(shown.clone());
        shown
    }

    /// What the root can always do: it ends every epoch and replaces the stamp key, and everything that was
    /// ever listed is published again.
    pub(super) fn is_put_right(&mut self, stolen: Option<usize>) {
        let hour = self.hour;
        let stamper = (0..STAMPERS.len()).find(|it| Some(*it) != stolen).unwrap();
        let next = self.root().next(hour, |next| {
            next.epochs = next.epochs.map(|it| it + 1);
            next.stampers = BTreeSet::from([stamper]);
        });
        let names = 0..NAMES.len();
        self.newest = Shown {
            trust: (next.version, next.trust.digest()),
            seq: 1,
            stamper,
            issued: hour,
            expires: hour + 24,
            catalog: 1,
            variant: 0,
            entries: names.map(|it| (it, (next.epoch_of(it), 1, 0))).collect(),
            is_swapped: false,
        };
        self.roots.push(next);
    }
}
