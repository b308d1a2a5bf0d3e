//! What one version of the trust document says otherwise than another.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    sign::KeyId,
    trust::{Import, RevocationReason, Rule, TrustDocument},
    types::DocumentKind,
};

/// Keys with a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The root keys, which sign the list itself.
    Root,
    /// The exchange's keys, which sign stamps.
    Stamp,
    /// The keys of a rule.
    Rule {
        /// The kind of document.
        kind: DocumentKind,
        /// How the names begin.
        prefix: String,
    },
}

/// One thing that is said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A key has a task that it did not have.
    KeyAdded {
        /// The task.
        who: Who,
        /// The key.
        keyid: KeyId,
    },
    /// A key has a task no longer.
    KeyRemoved {
        /// The task.
        who: Who,
        /// The key.
        keyid: KeyId,
    },
    /// Another number of keys must sign.
    Threshold {
        /// The task.
        who: Who,
        /// How many had to.
        before: u32,
        /// How many have to.
        after: u32,
    },
    /// There is a rule that was not there.
    RuleAdded {
        /// The rule.
        rule: Rule,
    },
    /// A rule is there no longer.
    RuleRemoved {
        /// The rule.
        rule: Rule,
    },
    /// Too few keys of a rule are left that count: nobody can sign these names any longer.
    Closed {
        /// The kind of document.
        kind: DocumentKind,
        /// How the names begin.
        prefix: String,
    },
    /// Documents of the epochs before count no more; or, if it falls, count again.
    Epoch {
        /// The kind of document.
        kind: DocumentKind,
        /// How the names begin.
        prefix: String,
        /// The epoch before.
        before: u64,
        /// The epoch now.
        after: u64,
    },
    /// A key is revoked, or for another reason.
    Revoked {
        /// The key.
        keyid: KeyId,
        /// Why.
        reason: RevocationReason,
    },
    /// A key counts again.
    Restored {
        /// The key.
        keyid: KeyId,
    },
    /// Another organization's services may be used.
    ImportAdded {
        /// Which.
        import: Import,
    },
    /// Another organization's services may be used no longer.
    ImportRemoved {
        /// Which.
        import: Import,
    },
    /// It is the list of another organization.
    Org,
    /// A key is held that nothing names, or is so no longer.
    KeyWithoutTask {
        /// The key.
        keyid: KeyId,
    },
}

/// Everything that `after` says otherwise than `before`, but for its number and times, which every version
/// has of its own.
pub fn changes(before: &TrustDocument, after: &TrustDocument) -> Vec<Change> {
    // Named one by one, so that a field to come cannot be forgotten here.
    let TrustDocument {
        org,
        version: _,
        issued: _,
        expires: _,
        keys,
        root,
        stamp,
        rules,
        revoked: _,
        imports,
    } = before;
    let mut changes = Vec::new();
    if *org != after.org {
        changes.push(Change::Org);
    }
    compare_keys(
        &mut changes,
        &Who::Root,
        (&root.keyids, &after.root.keyids),
        (root.threshold, after.root.threshold),
    );
    compare_keys(
        &mut changes,
        &Who::Stamp,
        (&stamp.keyids, &after.stamp.keyids),
        (stamp.threshold, after.stamp.threshold),
    );
    compare_rules(&mut changes, rules, &after.rules);
    compare_revocations(&mut changes, before, after);
    let was_closed =
        |rule: &Rule| rules.iter().any(|old| is_same(old, rule) && is_closed(old, before));
    let closed = after.rules.iter().filter(|rule| is_closed(rule, after) && !was_closed(rule));
    changes.extend(closed.map(|rule| {
        let (kind, prefix) = (rule.kind, rule.prefix.clone());
        Change::Closed { kind, prefix }
    }));
    let new = after.imports.iter().filter(|it| !imports.contains(it));
    changes.extend(new.map(|it| Change::ImportAdded { import: it.clone() }));
    let gone = imports.iter().filter(|it| !after.imports.contains(it));
    changes.extend(gone.map(|it| Change::ImportRemoved { import: it.clone() }));
    let (held, holds) = (keys.keys().collect::<BTreeSet<_>>(), after.keys.keys().collect());
    let named = |it: &&&KeyId| !before.names(it) && !after.names(it);
    let idle = held.symmetric_difference(&holds).filter(named);
    changes.extend(idle.map(|keyid| Change::KeyWithoutTask { keyid: **keyid }));
    changes
}

fn compare_keys(
    changes: &mut Vec<Change>,
    who: &Who,
    (before, after): (&BTreeSet<KeyId>, &BTreeSet<KeyId>),
    thresholds: (u32, u32),
) {
    let added = after.difference(before).copied();
    changes.extend(added.map(|keyid| Change::KeyAdded { who: who.clone(), keyid }));
    let removed = before.difference(after).copied();
    changes.extend(removed.map(|keyid| Change::KeyRemoved { who: who.clone(), keyid }));
    let (before, after) = thresholds;
    if before != after {
        changes.push(Change::Threshold { who: who.clone(), before, after });
    }
}

fn compare_rules(changes: &mut Vec<Change>, before: &[Rule], after: &[Rule]) {
    for rule in after {
        let Some(old) = before.iter().find(|old| is_same(old, rule)) else {
            changes.push(Change::RuleAdded { rule: rule.clone() });
            continue;
        };
        let Rule { kind, prefix, keyids, threshold, epoch } = rule;
        let who = Who::Rule { kind: *kind, prefix: prefix.clone() };
        compare_keys(changes, &who, (&old.keyids, keyids), (old.threshold, *threshold));
        if old.epoch != *epoch {
            let (prefix, before) = (prefix.clone(), old.epoch);
            changes.push(Change::Epoch { kind: *kind, prefix, before, after: *epoch });
        }
    }
    let gone = before.iter().filter(|old| !after.iter().any(|rule| is_same(old, rule)));
    changes.extend(gone.map(|rule| Change::RuleRemoved { rule: rule.clone() }));
}

/// Whether two rules are for the same names, spelled alike.
fn is_same(one: &Rule, other: &Rule) -> bool {
    (one.kind, &one.prefix) == (other.kind, &other.prefix)
}

/// Whether nobody can sign by the rule.
fn is_closed(rule: &Rule, document: &TrustDocument) -> bool {
    document.live(&rule.keyids).count() < rule.threshold as usize
}

fn compare_revocations(changes: &mut Vec<Change>, before: &TrustDocument, after: &TrustDocument) {
    let both = before.revoked.iter().chain(&after.revoked).map(|it| it.keyid);
    for keyid in both.collect::<BTreeSet<_>>() {
        match (before.revocation(&keyid), after.revocation(&keyid)) {
            (old, Some(reason)) if old != Some(reason) => {
                changes.push(Change::Revoked { keyid, reason });
            }
            (Some(_), None) => changes.push(Change::Restored { keyid }),
            _ => {}
        }
    }
}

impl TrustDocument {
    /// Whether a role or rule names `keyid`.
    fn names(&self, keyid: &KeyId) -> bool {
        let mut of_rules = self.rules.iter().map(|rule| &rule.keyids);
        let roles = [&self.root.keyids, &self.stamp.keyids];
        roles.iter().any(|keyids| keyids.contains(keyid))
            || of_rules.any(|keyids| keyids.contains(keyid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sign::SigningKey,
        trust::{
            Revocation, Rotation,
            testing::{Org, now},
        },
        types::Digest,
    };

    fn document() -> TrustDocument {
        Org::new().trust.document().clone()
    }

    #[test]
    fn a_version_that_says_the_same_changes_nothing() {
        let before = document();
        let mut after = before.next(now());
        after.rules.reverse();
        assert_eq!(changes(&before, &after), []);
    }

    #[test]
    fn nothing_that_is_said_otherwise_is_left_out() {
        type Edit = fn(&mut TrustDocument);
        let edits: [Edit; 14] = [
            |it| it.org = "others".parse().unwrap(),
            |it| it.root.keyids.clone_from(&it.stamp.keyids),
            |it| it.root.threshold += 1,
            |it| it.stamp.keyids.clone_from(&it.root.keyids),
            |it| it.stamp.threshold += 1,
            |it| it.rules[0].kind = "orbit".parse().unwrap(),
            |it| it.rules[0].prefix.push('a'),
            |it| it.rules[0].keyids.clone_from(&it.stamp.keyids),
            |it| it.rules[0].threshold += 1,
            |it| it.rules[0].epoch += 1,
            |it| drop(it.rules.pop()),
            |it| {
                let (keyid, reason) =
                    (*it.keys.keys().next().unwrap(), RevocationReason::Compromised);
                it.revoked.push(Revocation { keyid, reason });
            },
            |it| {
                let (org, sha256) = ("others".parse().unwrap(), Digest::of(b"1"));
                it.imports.push(Import { org, sha256, prefixes: vec!["a".to_owned()] });
            },
            |it| {
                let key = SigningKey::generate();
                it.keys.insert(key.key_id(), key.verifying_key());
            },
        ];
        for (index, edit) in edits.into_iter().enumerate() {
            let before = document();
            let mut after = before.clone();
            edit(&mut after);
            assert!(!changes(&before, &after).is_empty(), "edit {index}");
            assert!(!changes(&after, &before).is_empty(), "edit {index}, undone");
        }
    }

    #[test]
    fn a_rotation_is_told_key_by_key() {
        let before = document();
        let (old, new) = (*before.root.keyids.first().unwrap(), SigningKey::generate());
        let mut after = before.next(now());
        let add = vec![new.verifying_key(), SigningKey::generate().verifying_key()];
        after.rotate(&Rotation { add, remove: vec![old], threshold: Some(2) }).unwrap();
        let told = changes(&before, &after);
        assert_eq!(told.len(), 4);
        assert!(told.contains(&Change::KeyAdded { who: Who::Root, keyid: new.key_id() }));
        assert!(told.contains(&Change::KeyRemoved { who: Who::Root, keyid: old }));
        assert!(told.contains(&Change::Threshold { who: Who::Root, before: 1, after: 2 }));
    }

    #[test]
    fn a_rule_that_a_revocation_closes_is_told() {
        let before = document();
        let key = SigningKey::generate();
        let mut with_team = before.next(now());
        let (kind, prefix) = (DocumentKind::Service, "a".to_owned());
        with_team.grant(kind, &prefix, &[key.verifying_key()], None).unwrap();
        let mut after = with_team.next(now());
        let (keyid, reason) = (key.key_id(), RevocationReason::Retired);
        after.revoke(keyid, reason).unwrap();
        let told = [Change::Revoked { keyid, reason }, Change::Closed { kind, prefix }];
        assert_eq!(changes(&with_team, &after), told);
        assert_eq!(changes(&after, &after.next(now())), []);
    }

    #[test]
    fn changes_are_told_to_machines() {
        let keyid = SigningKey::generate().key_id();
        let who = Who::Rule { kind: DocumentKind::Service, prefix: "a".to_owned() };
        let change = Change::KeyAdded { who, keyid };
        assert_eq!(
            serde_json::to_value(change).unwrap(),
            serde_json::json!({
                "change": "key-added",
                "who": {"rule": {"kind": "service", "prefix": "a"}},
                "keyid": keyid,
            })
        );
    }
}
