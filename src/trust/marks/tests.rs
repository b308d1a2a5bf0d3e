//! What a hostile exchange may try on a node, and what a robbed organization can undo.

use super::*;
use crate::{
    sign::SigningKey,
    trust::{
        Revocation, RevocationReason, Role, Stamp,
        testing::{Org, hello, hours, now},
    },
};

fn attack<T>(result: Result<T, Refusal>) -> &'static str {
    result.err().map_or("none", |refusal| refusal.attack())
}

/// A node of `org` that has seen stamp 5, catalog 5 and seq 5 of `hello`.
fn node(org: &Org) -> Marks {
    let catalog = org.catalog(5, 0, 5, "five");
    org.admit(&Marks::default().no_earlier_than(now()), &org.stamp(5, &catalog), &catalog).unwrap()
}

#[test]
fn a_newer_state_is_admitted_and_marked() {
    let org = Org::new();
    let catalog = org.catalog(6, 0, 6, "six");
    let marks = org.admit(&node(&org), &org.stamp(6, &catalog), &catalog).unwrap();
    assert_eq!((marks.stamp_seq, marks.catalog_version), (6, 6));
    assert_eq!(marks.stamp_key, Some(org.stamper.key_id()));
    assert_eq!((marks.documents[&hello()].epoch, marks.documents[&hello()].seq), (0, 6));
    let json = serde_json::to_vec(&marks).unwrap();
    assert_eq!(serde_json::from_slice::<Marks>(&json).unwrap(), marks);
}

#[test]
fn a_node_that_knows_the_day_from_elsewhere_goes_by_the_later_one() {
    let marks = node(&Org::new());
    let floor = |day| marks.clone().no_earlier_than(now() + hours(day)).clock_floor;
    assert_eq!((floor(1), floor(-1)), (now() + hours(1), now()));
    assert_eq!(marks.clone().no_earlier_than(now() + hours(1)).stamp_seq, 5);
}

#[test]
fn the_same_state_is_admitted_again() {
    let org = Org::new();
    let catalog = org.catalog(5, 0, 5, "five");
    assert_eq!(org.admit(&node(&org), &org.stamp(5, &catalog), &catalog).unwrap(), node(&org));
}

#[test]
fn nothing_older_is_admitted() {
    let org = Org::new();
    let admit = |stamp, catalog: &Catalog| {
        attack(org.admit(&node(&org), &org.stamp(stamp, catalog), catalog))
    };
    assert_eq!(admit(4, &org.catalog(5, 0, 5, "five")), "rollback");
    assert_eq!(admit(6, &org.catalog(4, 0, 5, "five")), "rollback");
    assert_eq!(admit(6, &org.catalog(6, 0, 4, "four")), "rollback");
}

#[test]
fn an_older_trust_is_refused() {
    let old = Org::new();
    let (catalog, stamp) = (old.catalog(6, 0, 6, "six"), |org: &Org, catalog: &Catalog| {
        org.open_stamp(&org.stamp(6, catalog))
    });
    let opened = stamp(&old, &catalog);
    let first = old.trust.clone();
    let new = old.with_trust(|_| {});
    let marks = node(&new);
    let older = marks.admit(&first, &opened, &catalog.to_bytes(), now());
    assert_eq!(attack(older), "rollback");
    let older_stamp = marks.admit(&new.trust, &opened, &catalog.to_bytes(), now());
    assert_eq!(attack(older_stamp), "rollback");
}

#[test]
fn a_stamp_of_another_trust_does_not_fit() {
    let org = Org::new();
    let catalog = org.catalog(6, 0, 6, "six");
    let mut stamp = org.stamp(6, &catalog);
    stamp.trust.version = 2;
    assert_eq!(attack(org.admit(&node(&org), &stamp, &catalog)), "mix-and-match");
    stamp.trust = crate::trust::StampedTrust { version: 1, sha256: Digest::of(b"other") };
    assert_eq!(attack(org.admit(&node(&org), &stamp, &catalog)), "mix-and-match");
}

#[test]
fn two_contents_of_one_state_are_an_equivocation() {
    let org = Org::new();
    let admit = |stamp: &Stamp, catalog| attack(org.admit(&node(&org), stamp, catalog));
    let (same, other) = (org.catalog(5, 0, 5, "five"), org.catalog(5, 0, 6, "six"));
    let later = Stamp { expires: now() + hours(30), ..org.stamp(5, &same) };
    assert_eq!(admit(&later, &same), "equivocation");
    assert_eq!(admit(&org.stamp(6, &other), &other), "equivocation");
    let forged = org.catalog(6, 0, 5, "forged");
    assert_eq!(admit(&org.stamp(6, &forged), &forged), "equivocation");
}

#[test]
fn nothing_may_vanish() {
    let org = Org::new();
    let mut catalog = org.catalog(6, 0, 6, "six");
    catalog.entries.clear();
    assert_eq!(attack(org.admit(&node(&org), &org.stamp(6, &catalog), &catalog)), "vanished");
}

#[test]
fn a_stamp_and_a_catalog_must_belong_together() {
    let org = Org::new();
    let (pinned, other) = (org.catalog(6, 0, 6, "six"), org.catalog(7, 0, 6, "six"));
    let stamp = org.stamp(6, &pinned);
    let admit = |stamp: &Stamp, bytes: &[u8]| {
        attack(node(&org).admit(&org.trust, &org.open_stamp(stamp), bytes, now()))
    };
    assert_eq!(admit(&stamp, &pinned.to_bytes()), "none");
    assert_eq!(admit(&stamp, &other.to_bytes()), "mix-and-match");
    assert_eq!(admit(&stamp, &pinned.to_bytes()[1..]), "altered");
    assert_eq!(admit(&stamp, &org.catalog(6, 0, 6, "forged").to_bytes()), "altered");
    let foreign = Catalog { org: "other".parse().unwrap(), ..pinned.clone() };
    let of_foreign = org.stamp(6, &foreign);
    assert_eq!(admit(&of_foreign, &foreign.to_bytes()), "mix-and-match");
    let mut mislabelled = org.stamp(6, &other);
    mislabelled.catalog.version = 6;
    assert_eq!(admit(&mislabelled, &other.to_bytes()), "mix-and-match");
    let mut too_short = stamp.clone();
    too_short.catalog.length -= 1;
    assert_eq!(admit(&too_short, &pinned.to_bytes()), "altered");
}

#[test]
fn a_clock_that_is_set_back_revives_nothing() {
    let org = Org::new();
    let (old, new) = (org.catalog(6, 0, 6, "six"), org.catalog(7, 0, 7, "seven"));
    let later = now() + hours(100);
    let newest = Stamp { issued: later, expires: later + hours(24), ..org.stamp(7, &new) };
    let marks = org.admit_at(later, &node(&org), &newest, &new).unwrap();
    assert_eq!(marks.clock_floor, later);
    assert_eq!(marks.freshness(&org.trust, Timestamp::UNIX_EPOCH).now(), later);

    let expired = Stamp { seq: 8, ..org.stamp(6, &old) };
    assert_eq!(attack(org.admit_at(Timestamp::UNIX_EPOCH, &marks, &expired, &old)), "freeze");
    let opened = org.open_stamp(&expired);
    let admitted = marks.admit(&org.trust, &opened, &old.to_bytes(), Timestamp::UNIX_EPOCH);
    assert_eq!(attack(admitted), "freeze");
}

/// The organization after its stamp key was stolen and replaced.
fn with_a_new_stamp_key(org: Org) -> Org {
    let new = SigningKey::generate();
    let mut org = org.with_trust(|trust| {
        trust.keys.insert(new.key_id(), new.verifying_key());
        trust.stamp = Role::of(new.key_id());
    });
    org.stamper = new;
    org
}

#[test]
fn counters_that_a_thief_raised_fall_with_the_stamp_key() {
    let org = Org::new();
    let mut theirs = org.catalog(1 << 50, 0, 5, "five");
    theirs
        .entries
        .insert("service/invented_1_amd64".parse().unwrap(), theirs.entries[&hello()].clone());
    let far = now() + hours(24 * 365);
    let stamp = Stamp { issued: far, expires: far + hours(1), ..org.stamp(1 << 50, &theirs) };
    let marks = org.admit_at(Timestamp::UNIX_EPOCH, &node(&org), &stamp, &theirs).unwrap();

    let org = with_a_new_stamp_key(org);
    let catalog = org.catalog(6, 0, 6, "six");
    let marks = org.admit(&marks, &org.stamp(6, &catalog), &catalog).unwrap();
    assert_eq!((marks.stamp_seq, marks.catalog_version), (6, 6));
    assert_eq!(marks.clock_floor, now());
}

#[test]
fn a_slow_clock_takes_no_stamp_from_before_the_trust_that_names_its_key() {
    let org = Org::new();
    let marks = node(&org);
    let org = with_a_new_stamp_key(org);
    let catalog = org.catalog(6, 0, 6, "six");
    let stamp = |hour| {
        let (issued, expires) = (now() + hours(hour), now() + hours(hour + 24));
        let stamp = Stamp { issued, expires, ..org.stamp(6, &catalog) };
        attack(org.admit_at(Timestamp::UNIX_EPOCH, &marks, &stamp, &catalog))
    };
    assert_eq!((stamp(-48), stamp(-24), stamp(-23)), ("freeze", "freeze", "none"));
}

#[test]
fn marks_of_documents_do_not_fall_with_the_stamp_key() {
    let org = Org::new();
    let marks = node(&org);
    let org = with_a_new_stamp_key(org);
    let older = org.catalog(6, 0, 4, "four");
    assert_eq!(attack(org.admit(&marks, &org.stamp(6, &older), &older)), "rollback");

    let mut without = org.catalog(6, 0, 4, "four");
    without.entries.clear();
    let marks = org.admit(&marks, &org.stamp(6, &without), &without).unwrap();
    let older = org.catalog(7, 0, 4, "four");
    assert_eq!(attack(org.admit(&marks, &org.stamp(7, &older), &older)), "rollback");
    let back = org.catalog(7, 0, 5, "five");
    let marks = org.admit(&marks, &org.stamp(7, &back), &back).unwrap();
    let mut without = back.clone();
    without.version = 8;
    without.entries.clear();
    assert_eq!(attack(org.admit(&marks, &org.stamp(8, &without), &without)), "vanished");
}

#[test]
fn a_revoked_stamp_key_does_not_count_though_it_is_still_named() {
    let org = Org::new();
    let (marks, old) = (node(&org), org.stamper.key_id());
    let new = SigningKey::generate();
    let mut org = org.with_trust(|trust| {
        trust.keys.insert(new.key_id(), new.verifying_key());
        trust.stamp.keyids.insert(new.key_id());
        trust.revoked.push(Revocation { keyid: old, reason: RevocationReason::Compromised });
    });
    org.stamper = new;
    let catalog = org.catalog(1, 0, 5, "five");
    assert!(org.admit(&marks, &org.stamp(1, &catalog), &catalog).is_ok());
}

#[test]
fn another_stamp_key_beside_the_first_drops_nothing() {
    let org = Org::new();
    let marks = node(&org);
    let second = SigningKey::generate();
    let org = org.with_trust(|trust| {
        trust.keys.insert(second.key_id(), second.verifying_key());
        trust.stamp.keyids.insert(second.key_id());
    });
    let catalog = org.catalog(5, 0, 5, "five");
    assert_eq!(attack(org.admit(&marks, &org.stamp(4, &catalog), &catalog)), "rollback");
}

#[test]
fn a_raised_epoch_ends_the_count_of_the_old_one() {
    let org = Org::new();
    let theirs = org.catalog(6, 0, 1 << 50, "forged");
    let marks = org.admit(&node(&org), &org.stamp(6, &theirs), &theirs).unwrap();
    let org = org.with_trust(|trust| trust.rules[0].epoch = 1);
    let unsigned = org.catalog(7, 0, 5, "five");
    let marks = org.admit(&marks, &org.stamp(7, &unsigned), &unsigned).unwrap();
    let signed = org.catalog(8, 1, 1, "five again");
    let marks = org.admit(&marks, &org.stamp(8, &signed), &signed).unwrap();
    let back = org.catalog(9, 0, 1 << 50, "forged");
    assert_eq!(attack(org.admit(&marks, &org.stamp(9, &back), &back)), "rollback");
}

#[test]
fn an_epoch_that_was_not_granted_leaves_no_mark() {
    let org = Org::new();
    let theirs = org.catalog(6, 1 << 50, 1, "forged");
    let marks = org.admit(&node(&org), &org.stamp(6, &theirs), &theirs).unwrap();
    assert_eq!(marks.documents[&hello()].epoch, 0);
    let honest = org.catalog(7, 0, 6, "six");
    assert!(org.admit(&marks, &org.stamp(7, &honest), &honest).is_ok());
}

/// A node whose clock floor a stamp has raised by `span`, since its clock said nothing that could be believed.
fn node_ahead(org: &Org, span: i64) -> Marks {
    let catalog = org.catalog(6, 0, 6, "six");
    let (issued, expires) = (now() + hours(span), now() + hours(span + 24));
    let stamp = Stamp { issued, expires, ..org.stamp(6, &catalog) };
    assert_eq!(attack(org.admit(&node(org), &stamp, &catalog)), "fast-forward");
    org.admit_at(Timestamp::UNIX_EPOCH, &node(org), &stamp, &catalog).unwrap()
}

#[test]
fn newer_trust_brings_the_clock_floor_back_to_its_own_time() {
    for span in [72, 24 * 3650] {
        let org = Org::new();
        let marks = node_ahead(&org, span);
        let honest = org.catalog(7, 0, 7, "seven");
        assert_eq!(attack(org.admit(&marks, &org.stamp(7, &honest), &honest)), "freeze");
        let org = org.with_trust(|_| {});
        let renewed = org.admit(&marks, &org.stamp(7, &honest), &honest).unwrap();
        assert_eq!((renewed.clock_floor, renewed.stamp_seq), (now(), 7));
        let older = org.catalog(5, 0, 5, "five");
        assert_eq!(attack(org.admit(&marks, &org.stamp(5, &older), &older)), "rollback");
    }
}

#[test]
fn newer_trust_of_the_same_stamp_key_keeps_the_counters() {
    let org = Org::new();
    let marks = node_ahead(&org, 72);
    let org = org.with_trust(|_| {});
    let catalog = org.catalog(7, 0, 7, "seven");
    assert_eq!(attack(org.admit(&marks, &org.stamp(5, &catalog), &catalog)), "rollback");
}

#[test]
fn stamps_within_the_tolerance_do_not_lead_beyond_it() {
    let org = Org::new();
    let catalog = org.catalog(6, 0, 6, "six");
    let stamp = |seq, span| {
        let (issued, expires) = (now() + hours(span), now() + hours(span + 24));
        Stamp { issued, expires, ..org.stamp(seq, &catalog) }
    };
    let marks = org.admit(&node(&org), &stamp(6, 12), &catalog).unwrap();
    assert_eq!(attack(org.admit(&marks, &stamp(7, 24), &catalog)), "fast-forward");
    assert_eq!(attack(org.admit(&marks, &stamp(7, 0), &catalog)), "none");
}

#[test]
fn registering_again_brings_the_clock_floor_back_to_a_clock_that_can_be_right() {
    let org = Org::new();
    let floor = |wall| node_ahead(&org, 72).registered_again(&org.trust, wall).clock_floor;
    assert_eq!(floor(now() + hours(1)), now() + hours(1));
    assert_eq!(floor(now() - hours(1)), now() + hours(72));
    assert_eq!(floor(now() + hours(99)), now() + hours(72));
}
