//! How far a node has come: honest states, old states again, thieves of the stamp key and of publishers' keys,
//! and what the root does about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use jiff::{SignedDuration, Timestamp};

use super::{Tally, dice::Dice, histories};
use crate::{
    sign::SigningKey,
    trust::{
        Catalog, CatalogEntry, Mark, Marks, Role, Stamp, StampedCatalog, StampedTrust, State,
        Trust, TrustDocument,
        testing::{now, pinned},
    },
    types::{Digest, DocumentKey},
};

static ROOT: LazyLock<SigningKey> = LazyLock::new(SigningKey::generate);
static STAMPERS: LazyLock<[SigningKey; 3]> =
    LazyLock::new(|| std::array::from_fn(|_| SigningKey::generate()));
/// The documents that there may be; the rule for services has one epoch, that for patterns another.
const NAMES: [&str; 3] = ["service/a_1_amd64", "service/b_1_amd64", "pattern/p"];
/// The rules for them, by their places in the trust document.
const RULES: [usize; 3] = [0, 0, 1];
/// The most steps of a history.
const STEPS: u64 = 10;

/// A moment, in hours since the tests begin.
fn at(hour: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hour)
}

/// What the root keys say, in small.
#[derive(Debug, Clone)]
struct Root {
    version: u64,
    issued: i64,
    expires: i64,
    stampers: BTreeSet<usize>,
    epochs: [u64; 2],
    trust: Trust,
}

impl Root {
    fn first() -> Self {
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
    fn next(&self, hour: i64, change: impl FnOnce(&mut Self)) -> Self {
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

    fn epoch_of(&self, name: usize) -> u64 {
        self.epochs[RULES[name]]
    }
}

/// A state of one document: epoch, number, and which content.
type Entry = (u64, u64, u64);

/// What an exchange shows.
#[derive(Debug, Clone)]
struct Shown {
    /// The trust that it names.
    trust: (u64, Digest),
    seq: u64,
    stamper: usize,
    issued: i64,
    expires: i64,
    catalog: u64,
    /// A stamp and a catalog of the same numbers may be others.
    variant: u64,
    entries: BTreeMap<usize, Entry>,
    /// Whether other bytes than the pinned ones come.
    is_swapped: bool,
}

impl Shown {
    fn catalog(&self) -> Catalog {
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

    fn stamp(&self) -> Stamp {
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

    fn bytes(&self) -> Vec<u8> {
        let mut catalog = self.catalog();
        catalog.version += u64::from(self.is_swapped);
        catalog.to_bytes()
    }
}

fn key(name: usize) -> DocumentKey {
    NAMES[name].parse().unwrap()
}

/// How far a node has come, in small.
#[derive(Debug, Clone, Default)]
struct Node {
    trust: u64,
    stamper: Option<usize>,
    stamp: Option<(u64, Digest)>,
    catalog: Option<(u64, Digest)>,
    floor: i64,
    /// Each document's highest state, and whether it must be listed.
    documents: BTreeMap<usize, (Entry, bool)>,
}

impl Node {
    /// The node under `root`, who may have taken its power from the key that led the node so far.
    fn under(&self, root: &Root) -> Self {
        if self.stamper.is_none_or(|it| root.stampers.contains(&it)) {
            return self.clone();
        }
        let documents = self.documents.iter().map(|(name, (entry, _))| (*name, (*entry, false)));
        Self {
            trust: self.trust,
            floor: self.floor.min(root.issued),
            documents: documents.collect(),
            ..Self::default()
        }
    }

    /// Why `shown` must not be taken at hour `wall`, if it must not.
    fn reasons(&self, root: &Root, shown: &Shown, wall: i64) -> BTreeSet<&'static str> {
        let node = self.under(root);
        let mut reasons = BTreeSet::new();
        let mut reason = |holds: bool, name| {
            if holds {
                reasons.insert(name);
            }
        };
        reason(root.version.min(shown.trust.0) < self.trust, "rollback");
        reason(shown.trust != (root.version, root.trust.digest()), "mix-and-match");
        let stamp = shown.stamp();
        let now = at(wall.max(node.floor));
        reason(at(root.expires) <= now || stamp.expires <= now, "freeze");
        let digest = Digest::of(&serde_json::to_vec(&stamp).unwrap());
        for (held, offered) in [
            (node.stamp, (stamp.seq, digest)),
            (node.catalog, (stamp.catalog.version, stamp.catalog.sha256)),
        ] {
            let Some((number, sha256)) = held else { continue };
            reason(offered.0 < number, "rollback");
            reason(offered.0 == number && offered.1 != sha256, "equivocation");
        }
        reason(shown.is_swapped, "mix-and-match");
        for (name, (held, listed)) in &node.documents {
            let Some(entry) = shown.entries.get(name) else {
                reason(*listed, "vanished");
                continue;
            };
            let counts = held.0 >= root.epoch_of(*name);
            reason(counts && (entry.0, entry.1) < (held.0, held.1), "rollback");
            let is_same_age = (entry.0, entry.1) == (held.0, held.1);
            reason(counts && is_same_age && entry.2 != held.2, "equivocation");
        }
        reasons
    }

    /// The node after it has taken `shown`.
    fn after(&self, root: &Root, shown: &Shown) -> Self {
        let node = self.under(root);
        let stamp = shown.stamp();
        let mut documents = node.documents;
        for (name, entry) in &shown.entries {
            let granted = root.epoch_of(*name);
            if entry.0 <= granted {
                documents.insert(*name, (*entry, true));
            } else if let Some((held, listed)) = documents.get_mut(name)
                && held.0 >= granted
            {
                *listed = true;
            }
        }
        Self {
            trust: root.version,
            stamper: Some(shown.stamper),
            stamp: Some((stamp.seq, Digest::of(&serde_json::to_vec(&stamp).unwrap()))),
            catalog: Some((stamp.catalog.version, stamp.catalog.sha256)),
            floor: node.floor.max(shown.issued).max(root.issued),
            documents,
        }
    }

    /// The marks that say the same.
    fn marks(&self) -> Marks {
        let mark = |(name, ((epoch, seq, content), listed)): (&usize, &(Entry, bool))| {
            let sha256 = Digest::of(&content.to_le_bytes());
            (key(*name), Mark { epoch: *epoch, seq: *seq, sha256, listed: *listed })
        };
        Marks {
            trust_version: self.trust,
            stamp_key: self.stamper.map(|it| STAMPERS[it].key_id()),
            stamp_seq: self.stamp.map_or(0, |it| it.0),
            stamp_sha256: self.stamp.map(|it| it.1),
            catalog_version: self.catalog.map_or(0, |it| it.0),
            catalog_sha256: self.catalog.map(|it| it.1),
            clock_floor: at(self.floor),
            documents: self.documents.iter().map(mark).collect(),
        }
    }
}

/// An organization through the hours.
struct World {
    dice: Dice,
    hour: i64,
    /// What the root keys have said, all versions.
    roots: Vec<Root>,
    /// What the exchange has shown, honestly or not.
    past: Vec<Shown>,
    newest: Shown,
}

impl World {
    fn new(history: u64) -> Self {
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

    fn root(&self) -> &Root {
        self.roots.last().unwrap()
    }

    /// The root keys speak.
    fn root_acts(&mut self) {
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
    fn publishes(&mut self) {
        let name = self.dice.index(NAMES.len());
        let granted = self.root().epoch_of(name);
        let (epoch, seq, _) = self.newest.entries.get(&name).copied().unwrap_or_default();
        let seq = if granted > epoch { 1 } else { seq + 1 };
        self.newest.entries.insert(name, (granted, seq, self.dice.below(4)));
        self.newest.catalog += 1;
    }

    /// The exchange makes an honest stamp.
    fn stamps(&mut self) {
        self.newest.seq += 1;
        (self.newest.issued, self.newest.expires) = (self.hour, self.hour + 24);
        self.past.push(self.newest.clone());
    }

    /// What a node is shown: the newest, an old state again, or what a thief of the stamp key makes of either.
    fn shown(&mut self) -> Shown {
        let mut shown = self.newest.clone();
        if self.dice.happens(25) {
            shown = self.dice.one_of(&self.past).clone();
        }
        if !self.dice.happens(40) {
            return shown;
        }
        for _ in 0..1 + self.dice.below(2) {
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
    fn is_put_right(&mut self, node: &Node) {
        let hour = self.hour;
        let stamper = (0..STAMPERS.len()).find(|it| Some(*it) != node.stamper).unwrap();
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

static FIRST: LazyLock<Root> = LazyLock::new(Root::first);

/// Shows the node a state under a version of the trust; whether it was taken.
fn is_taken(
    tally: &mut Tally,
    node: &mut Node,
    (root, shown, wall): (&Root, &Shown, i64),
    history: u64,
) -> bool {
    let stamp = shown.stamp().seal(&STAMPERS[shown.stamper]);
    let opened = root.trust.open_stamp(&stamp, shown.stamp().issued);
    if !root.stampers.contains(&shown.stamper) {
        assert_eq!(opened.unwrap_err().attack(), "stranger");
        return false;
    }
    // Whether it is fresh by the node's own clock is for the marks to say.
    let reasons = node.reasons(root, shown, wall);
    let result = opened.and_then(|stamp| {
        node.marks().admit(&root.trust, &stamp, &shown.bytes(), at(wall)).map(|(marks, _)| marks)
    });
    let Some(marks) = tally.hold(result, &reasons, &(history, &node, root, shown, wall)) else {
        return false;
    };
    *node = node.after(root, shown);
    assert_eq!(marks, node.marks(), "history {history}: the same was taken in different ways");
    true
}

#[test]
fn a_node_goes_where_the_rules_lead_it_and_nowhere_else() {
    let mut tally = Tally::default();
    let histories = histories();
    for history in 0..histories {
        let (mut world, mut node) = (World::new(history), Node::default());
        for _ in 0..1 + world.dice.below(STEPS) {
            world.hour += i64::try_from(world.dice.below(30)).unwrap();
            if world.dice.happens(12) {
                world.root_acts();
            }
            if world.dice.happens(60) {
                world.publishes();
            }
            if world.dice.happens(90) {
                world.stamps();
            }
            let shown = world.shown();
            // The machine's clock is right, or far off to either side.
            let wall = match world.dice.below(12) {
                0 => 0,
                1 => world.hour + 200_000,
                _ => world.hour,
            };
            // An exchange may withhold the newest trust, too.
            let at = world.roots.len() - 1;
            let at = if world.dice.happens(10) { world.dice.index(at + 1) } else { at };
            let before = node.clone();
            is_taken(&mut tally, &mut node, (&world.roots[at], &shown, wall), history);
            for (name, (held, _)) in &before.documents {
                let (now, _) = node.documents[name];
                let granted = world.root().epoch_of(*name).max(world.roots[at].epoch_of(*name));
                assert!(held.0 < granted || (held.0, held.1) <= (now.0, now.1), "led back");
            }
        }
        // A thief may have moved the floor of the clock; that falls with the stamp key.
        world.is_put_right(&node);
        let (root, shown, hour) = (world.root().clone(), world.newest.clone(), world.hour);
        assert!(is_taken(&mut tally, &mut node, (&root, &shown, hour), history), "no way back");
    }
    tally.close(
        "a node's marks",
        histories,
        &["equivocation", "freeze", "mix-and-match", "rollback", "vanished"],
    );
}
