//! How far a node has come: honest states, old states again, thieves of the stamp key and of publishers' keys,
//! and what the root does about them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Tally, histories,
    world::{Entry, Root, STAMPERS, Shown, World, at, key},
};
use crate::{
    trust::{Mark, Marks},
    types::Digest,
};

/// The most steps of a history.
const STEPS: u64 = 10;
/// How many hours ahead of a clock that can be right something may be issued.
const TOLERANCE: i64 = 12;

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
        let counts = self.stamper.is_none_or(|it| root.stampers.contains(&it));
        let is_newer = self.trust != 0 && root.version > self.trust;
        let floor = if counts && !is_newer { self.floor } else { self.floor.min(root.issued) };
        if counts {
            return Self { floor, ..self.clone() };
        }
        let documents = self.documents.iter().map(|(name, (entry, _))| (*name, (*entry, false)));
        Self { trust: self.trust, floor, documents: documents.collect(), ..Self::default() }
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
        let is_ahead = root.issued.max(shown.issued) > wall + TOLERANCE;
        reason(wall + TOLERANCE >= node.floor && is_ahead, "fast-forward");
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

/// Shows the node a state under a version of the trust; whether it was taken.
fn is_taken(
    tally: &mut Tally,
    node: &mut Node,
    (root, shown, wall): (&Root, &Shown, i64),
    history: u64,
) -> bool {
    let stamp = shown.stamp().seal(&STAMPERS[shown.stamper]);
    let freshness = node.marks().freshness(&root.trust, at(wall));
    let opened = root.trust.open_stamp(&stamp, freshness);
    if !root.stampers.contains(&shown.stamper) {
        assert_eq!(opened.unwrap_err().attack(), "stranger");
        return false;
    }
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
        for _ in 0..=world.dice.below(STEPS) {
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
        world.is_put_right(node.stamper);
        let (root, shown, hour) = (world.root().clone(), world.newest.clone(), world.hour);
        assert!(is_taken(&mut tally, &mut node, (&root, &shown, hour), history), "no way back");
    }
    tally.close(
        "a node's marks",
        histories,
        &["equivocation", "fast-forward", "freeze", "mix-and-match", "rollback", "vanished"],
    );
}
