//! A trust document, and what a next version changes, in words.
//!
//! Everything is made from what is signed. Texts that others chose are escaped, so that no prefix can
//! write a line of its own.

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::Timestamp;

use super::keys::KeyNames;
use crate::{
    sign::KeyId,
    trust::{Change, Draft, Import, RevocationReason, Rule, Tally, TrustDocument, TrustPin, Who},
    types::DocumentKind,
};

/// The whole document: who may publish what, who changes that, and for how long it holds.
pub(super) fn whole(
    document: &TrustDocument,
    pin: &TrustPin,
    names: &KeyNames,
    now: Timestamp,
) -> String {
    let mut text = heading(document, pin, now);
    text.push_str("\nWho may publish what\n");
    for rule in &document.rules {
        text.push_str(&rule_in_words(rule, document, names));
    }
    if document.rules.is_empty() {
        text.push_str("  nobody may publish anything\n");
    } else {
        text.push_str(
            "  of the lines that fit a name, the one with the longest beginning alone decides\n",
        );
    }
    let root = &document.root;
    let many = how_many(root.threshold, &root.keyids, document);
    let _ = write!(text, "\nWho changes this: {many}\n{}", keys(&root.keyids, document, names));
    let stamp = &document.stamp.keyids;
    let _ = write!(
        text,
        "\nWho says what is newest: the exchange, by\n{}",
        keys(stamp, document, names)
    );
    if !document.revoked.is_empty() {
        text.push_str("\nRevoked keys\n");
        // Named twice for two reasons, the graver one holds.
        for keyid in document.revoked.iter().map(|it| it.keyid).collect::<BTreeSet<_>>() {
            let reason = document.revocation(&keyid).map(reason_in_words).unwrap_or_default();
            let _ = writeln!(text, "  {}: {reason}", names.label(&keyid));
        }
    }
    if !document.imports.is_empty() {
        text.push_str("\nOther organizations, whose services nodes use as well\n");
        for import in &document.imports {
            let _ = writeln!(text, "  {}", import_in_words(import));
        }
    }
    text
}

fn heading(document: &TrustDocument, pin: &TrustPin, now: Timestamp) -> String {
    let TrustDocument { org, version, issued, expires, .. } = document;
    let ahead = if *issued > now { ", in the future by the clock of this machine" } else { "" };
    let left = match days_left(*expires, now) {
        days if days < 0 => "it has expired: nodes take nothing new".to_owned(),
        0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    };
    format!(
        "trust of organization {org}, version {version}\n  \
         pin      {pin}\n  issued   {issued:.0}{ahead}\n  expires  {expires:.0}, {left}\n"
    )
}

/// How many whole days are left; negative once it has expired.
pub(super) fn days_left(expires: Timestamp, now: Timestamp) -> i64 {
    let hours = now.duration_until(expires).as_hours();
    if expires <= now { (hours / 24).min(-1) } else { hours / 24 }
}

fn rule_in_words(rule: &Rule, document: &TrustDocument, names: &KeyNames) -> String {
    let many = how_many(rule.threshold, &rule.keyids, document);
    let epoch = match rule.epoch {
        0 => String::new(),
        epoch => format!(", epoch {epoch} (what was signed before it counts no more)"),
    };
    let what = names_of(rule.kind, &rule.prefix);
    format!("  {what}: {many}{epoch}\n{}", keys(&rule.keyids, document, names))
}

/// Which documents a rule is for.
fn names_of(kind: DocumentKind, prefix: &str) -> String {
    let kind = match kind {
        DocumentKind::Service => "services".to_owned(),
        DocumentKind::Pattern => "patterns".to_owned(),
        DocumentKind::Policy => "policies".to_owned(),
        DocumentKind::NodePolicy => "node policies".to_owned(),
        DocumentKind::Other(_) => format!("documents of kind {kind}"),
    };
    if prefix.is_empty() {
        return format!("{kind} of any name");
    }
    format!("{kind} whose names begin with `{}`", prefix.escape_default())
}

/// How many of the keys must sign, and whether enough of them still count.
fn how_many(threshold: u32, keyids: &BTreeSet<KeyId>, document: &TrustDocument) -> String {
    let usable = keyids.iter().filter(|it| document.revocation(it).is_none()).count();
    if usable < threshold as usize {
        return format!("nobody, since {threshold} must sign and only {usable} of the keys count");
    }
    many_of(threshold, usable)
}

fn many_of(threshold: u32, count: usize) -> String {
    match (threshold, count) {
        (1, 1) => "this key".to_owned(),
        (1, _) => format!("any one of these {count} keys"),
        (threshold, count) => format!("{threshold} of these {count} keys together"),
    }
}

/// A line for each key.
fn keys(keyids: &BTreeSet<KeyId>, document: &TrustDocument, names: &KeyNames) -> String {
    let line = |keyid: &KeyId| match document.revocation(keyid) {
        None => format!("    {}\n", names.label(keyid)),
        Some(RevocationReason::Compromised) => {
            format!("    {}, which is revoked: compromised\n", names.label(keyid))
        }
        Some(RevocationReason::Retired) => {
            format!("    {}, which is revoked: retired\n", names.label(keyid))
        }
    };
    keyids.iter().map(line).collect()
}

fn reason_in_words(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Compromised => "compromised; what it alone vouches for stops",
        RevocationReason::Retired => {
            "retired; what it vouches for runs on, and is not installed anew"
        }
    }
}

fn import_in_words(import: &Import) -> String {
    let prefixes: Vec<_> =
        import.prefixes.iter().map(|it| format!("`{}`", it.escape_default())).collect();
    let (org, prefixes) = (&import.org, prefixes.join(", "));
    format!(
        "{org}, pin {}: nodes run its services whose names begin with {prefixes}",
        import.sha256.hex()
    )
}

/// What a next version says otherwise, a line for each thing: `+` is more power, `-` is less, `~` is other.
pub(super) fn changes_in_words(changes: &[Change], names: &KeyNames) -> String {
    if changes.is_empty() {
        return "  = nothing but its number and its times\n".to_owned();
    }
    let line = |change| "  ".to_owned() + &change_in_words(change, names) + "\n";
    changes.iter().map(line).collect()
}

fn change_in_words(change: &Change, names: &KeyNames) -> String {
    match change {
        Change::KeyAdded { who, keyid } => {
            format!("+ {} {}", names.label(keyid), power(who, "may"))
        }
        Change::KeyRemoved { who, keyid } => {
            format!("- {} {} any longer", names.label(keyid), power(who, "may not"))
        }
        Change::Threshold { who, before, after } => {
            let who = match who {
                Who::Root => "root keys".to_owned(),
                Who::Stamp => "keys of the exchange".to_owned(),
                Who::Rule { kind, prefix } => names_of(*kind, prefix),
            };
            format!("~ {who}: {after} must sign together, not {before}")
        }
        Change::RuleAdded { rule } => {
            let (what, many) =
                (names_of(rule.kind, &rule.prefix), many_of(rule.threshold, rule.keyids.len()));
            let line = |keyid| "\n      ".to_owned() + &names.label(keyid);
            let keys: String = rule.keyids.iter().map(line).collect();
            let epoch = match rule.epoch {
                0 => String::new(),
                epoch => format!(", in epoch {epoch}"),
            };
            format!("+ {what} may be signed{epoch} by {many}, and by no others:{keys}")
        }
        Change::RuleRemoved { rule } => {
            let what = names_of(rule.kind, &rule.prefix);
            format!(
                "- {what} have no rule of their own: a broader one decides, or nobody signs them"
            )
        }
        Change::Closed { kind, prefix } => {
            format!("- {}: nobody can sign them any longer", names_of(*kind, prefix))
        }
        Change::Epoch { kind, prefix, before, after } if after > before => {
            let what = names_of(*kind, prefix);
            format!("~ {what}: epoch {after} begins; what was signed before counts no more")
        }
        Change::Epoch { kind, prefix, before, after } => {
            let what = names_of(*kind, prefix);
            format!(
                "+ {what}: epoch {after} comes back after {before}; what was ended counts again"
            )
        }
        Change::Revoked { keyid, reason } => {
            format!("- {} is revoked: {}", names.label(keyid), reason_in_words(*reason))
        }
        Change::Restored { keyid } => {
            format!("+ {} counts again: it is revoked no longer", names.label(keyid))
        }
        Change::ImportAdded { import } => format!("+ organization {}", import_in_words(import)),
        Change::ImportRemoved { import } => format!("- organization {}", import_in_words(import)),
        Change::Org => "~ it is the list of another organization".to_owned(),
        Change::KeyWithoutTask { keyid } => {
            format!(
                "~ {} is in the list, or in it no longer, and may do nothing",
                names.label(keyid)
            )
        }
    }
}

/// What a task allows, after `may` or `may not`.
fn power(who: &Who, may: &str) -> String {
    match who {
        Who::Root => format!("{may} sign changes of this list"),
        Who::Stamp => format!("{may} say for the exchange what is newest"),
        Who::Rule { kind, prefix } => format!("{may} sign {}", names_of(*kind, prefix)),
    }
}

/// Who has signed a draft, and who still could.
pub(super) fn signatures_in_words(draft: &Draft, names: &KeyNames) -> String {
    let tallies = draft.tallies();
    tallies.iter().map(|tally| tally_in_words(tally, draft, names)).collect()
}

fn tally_in_words(tally: &Tally, draft: &Draft, names: &KeyNames) -> String {
    let Tally { version, threshold, signed, open } = tally;
    let which = if *version == draft.after().version { "its own" } else { "the former" };
    let mut text = format!(
        "  {which} root keys (version {version}): {} of {threshold} needed have signed",
        signed.len()
    );
    match tally.missing() {
        0 => text.push_str(", which is enough\n"),
        missing => {
            let _ = writeln!(text, "; {missing} more of");
            for keyid in open {
                let _ = writeln!(text, "    {}", names.label(keyid));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sign::SigningKey, trust::changes, types::Digest};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn document() -> TrustDocument {
        let (owner, stamp) = (SigningKey::generate(), SigningKey::generate());
        TrustDocument::single_key(
            "acme".parse().unwrap(),
            &owner.verifying_key(),
            &stamp.verifying_key(),
            at("2026-11-21T10:00:00Z"),
        )
    }

    fn shown(document: &TrustDocument) -> String {
        let pin = TrustPin(Digest::of(b"first"));
        whole(document, &pin, &KeyNames::default(), at("2026-11-22T09:00:00Z"))
    }

    #[test]
    fn a_document_says_who_may_publish_what_and_for_how_long() {
        let mut document = document();
        let (team, thief) = (SigningKey::generate(), SigningKey::generate());
        let both = [team.verifying_key(), thief.verifying_key()];
        document.grant(DocumentKind::Service, "a", &both, Some(2)).unwrap();
        document.raise_epoch(DocumentKind::Service, "a").unwrap();
        let text = shown(&document);
        assert!(text.contains("services of any name: this key\n"), "{text}");
        assert!(text.contains("begin with `a`: 2 of these 2 keys together, epoch 1"), "{text}");
        assert!(text.contains("expires  2027-11-21T10:00:00Z, in 364 days"), "{text}");
        assert!(text.contains("Who changes this: this key"), "{text}");
        document.revoke(thief.key_id(), RevocationReason::Compromised).unwrap();
        let text = shown(&document);
        assert!(text.contains("nobody, since 2 must sign and only 1 of the keys count"), "{text}");
        assert!(text.contains(&format!("{}: compromised", thief.key_id())), "{text}");
    }

    #[test]
    fn days_are_counted_to_the_end() {
        let now = at("2026-11-21T10:00:00Z");
        let days = |text| days_left(at(text), now);
        assert_eq!(days("2026-11-22T10:00:00Z"), 1);
        assert_eq!(days("2026-11-21T11:00:00Z"), 0);
        assert_eq!(days("2026-11-21T10:00:00Z"), -1);
        assert_eq!(days("2026-11-11T10:00:00Z"), -10);
    }

    #[test]
    fn no_text_of_others_writes_a_line_of_its_own() {
        let before = document();
        let mut after = before.clone();
        let prefix = "x`\n  = nothing but its number and its times\u{202e}";
        let key = SigningKey::generate().verifying_key();
        after.grant(DocumentKind::Pattern, prefix, &[key], None).unwrap();
        let import = Import {
            org: "others".parse().unwrap(),
            sha256: Digest::of(b"1"),
            prefixes: vec!["\n\u{430}".to_owned()],
        };
        after.imports.push(import);
        let told = changes_in_words(&changes(&before, &after), &KeyNames::default());
        let starts: Vec<_> = told.lines().map(|line| line.trim_start().chars().next()).collect();
        assert_eq!(starts.len(), 3, "{told}");
        for text in [told, shown(&after)] {
            assert!(!text.contains("\n  = "), "{text}");
            assert!(text.is_ascii(), "{text}");
        }
    }

    #[test]
    fn every_change_has_words_that_name_the_whole_key() {
        let before = document();
        let new = SigningKey::generate();
        let keyid = new.key_id();
        let mut after = before.clone();
        after.keys.insert(keyid, new.verifying_key());
        after.root.keyids.insert(keyid);
        let names = KeyNames::default();
        let words =
            |one: &TrustDocument, two: &TrustDocument| changes_in_words(&changes(one, two), &names);
        assert_eq!(words(&before, &after), format!("  + {keyid} may sign changes of this list\n"));
        assert_eq!(
            words(&after, &before),
            format!("  - {keyid} may not sign changes of this list any longer\n")
        );
        assert_eq!(words(&before, &before), "  = nothing but its number and its times\n");
    }
}
