use super::*;
use crate::{
    sign::PayloadType,
    trust::{
        RevocationReason, Rotation,
        testing::{Org, now},
    },
    types::DocumentKind,
};

fn attack<T>(result: Result<T, DraftError>) -> &'static str {
    match result.err() {
        None => "none",
        Some(DraftError::Syntax(_)) => "syntax",
        Some(DraftError::Contradiction(_)) => "contradiction",
        Some(DraftError::Refused(refusal)) => refusal.attack(),
    }
}

/// An organization with its owner, and its chain of one version.
fn org() -> (Org, Vec<Envelope>) {
    let org = Org::new();
    let first = org.trust.document().seal(&[&org.owner]).unwrap();
    (org, vec![first])
}

/// The draft by which `keys`, of which two must sign, take the place of the owner.
fn rotation(org: &Org, chain: &[Envelope], keys: &[SigningKey; 3]) -> Draft {
    let mut next = org.trust.document().next(now());
    let add = keys.iter().map(SigningKey::verifying_key).collect();
    let remove = vec![org.owner.key_id()];
    next.rotate(&Rotation { add, remove, threshold: Some(2) }).unwrap();
    Draft::begin(chain.to_vec(), TrustRoot::Pinned(org.trust.pin()), &next).unwrap()
}

fn keys() -> [SigningKey; 3] {
    [SigningKey::generate(), SigningKey::generate(), SigningKey::generate()]
}

fn missing(draft: &Draft) -> Vec<usize> {
    draft.tallies().iter().map(Tally::missing).collect()
}

/// A draft of this payload, honestly sealed by `keys`.
fn raw(chain: &[Envelope], document: &TrustDocument, keys: &[&SigningKey]) -> Vec<u8> {
    let payload = serde_json::to_vec(document).unwrap();
    let next = Envelope::seal(PayloadType::Trust, payload, keys);
    serde_json::to_vec(&Wire { format: Format::One, chain: chain.to_vec(), next }).unwrap()
}

#[test]
fn a_draft_is_signed_apart_merged_and_then_holds() {
    let (org, chain) = org();
    let [a, b, c] = keys();
    let draft = rotation(&org, &chain, &[a.clone(), b.clone(), c.clone()]);
    assert_eq!(missing(&draft), [1, 2]);
    let pinned = TrustRoot::Pinned(org.trust.pin());
    let read = |draft: &Draft| Draft::from_json(&draft.to_json(), pinned).unwrap();
    let (mut first, mut second, mut third) = (read(&draft), read(&draft), read(&draft));
    first.sign(&a).unwrap();
    second.sign(&c).unwrap();
    third.sign(&org.owner).unwrap();
    first.merge(&second).unwrap();
    assert!(first.finish().is_err(), "the old root key is missing");
    first.merge(&read(&third)).unwrap();
    first.merge(&second).unwrap();
    assert_eq!(missing(&first), [0, 0]);
    assert_eq!(first.envelope.claimed_signers().count(), 3);
    let trust = read(&first).finish().unwrap();
    assert_eq!((trust.version(), trust.pin()), (2, org.trust.pin()));
    assert_eq!(first.changes().len(), 5);
}

#[test]
fn only_root_keys_sign_and_only_once() {
    let (org, chain) = org();
    let roots = keys();
    let mut draft = rotation(&org, &chain, &roots);
    let stranger = SigningKey::generate();
    assert_eq!(draft.sign(&stranger), Err(SignError::NotRoot(stranger.key_id())));
    let stamper = &org.stamper;
    assert_eq!(draft.sign(stamper), Err(SignError::NotRoot(stamper.key_id())));
    draft.sign(&roots[0]).unwrap();
    assert_eq!(draft.sign(&roots[0]), Err(SignError::Twice(roots[0].key_id())));

    // What strangers put into the file is left out, and takes nobody's place.
    let strangers: Vec<_> = (0..MAX_SIGNATURES).map(|_| SigningKey::generate()).collect();
    let json = raw(&chain, draft.after(), &strangers.iter().collect::<Vec<_>>());
    let mut read = Draft::from_json(&json, TrustRoot::FirstSeen).unwrap();
    assert_eq!(read.envelope.claimed_signers().count(), 0);
    read.sign(&roots[1]).unwrap();
}

#[test]
fn a_revoked_key_signs_nothing() {
    let [a, b, c] = keys();
    let (org, mut chain) = org();
    let mut draft = rotation(&org, &chain, &[a.clone(), b.clone(), c.clone()]);
    for key in [&org.owner, &a, &b] {
        draft.sign(key).unwrap();
    }
    chain.push(draft.envelope().clone());
    let mut next = draft.finish().unwrap().document().next(now());
    next.revoke(c.key_id(), RevocationReason::Compromised).unwrap();
    let mut draft = Draft::begin(chain.clone(), TrustRoot::FirstSeen, &next).unwrap();
    draft.sign(&a).unwrap();
    draft.sign(&b).unwrap();
    chain.push(draft.envelope().clone());
    let trust = draft.finish().unwrap();

    let next = trust.document().next(now());
    let mut draft = Draft::begin(chain.clone(), TrustRoot::FirstSeen, &next).unwrap();
    assert_eq!(draft.sign(&c), Err(SignError::Revoked(c.key_id())));
    let json = raw(&chain, &next, &[&a, &c]);
    let forged = Draft::from_json(&json, TrustRoot::FirstSeen).unwrap();
    assert_eq!(missing(&forged), [1, 1]);
    assert_eq!(forged.finish().unwrap_err().attack(), "stranger");
}

#[test]
fn what_does_not_follow_is_no_draft_to_sign() {
    type Edit = fn(&mut TrustDocument);
    let edits: [(&str, Edit); 7] = [
        ("relabel", |it| it.org = "others".parse().unwrap()),
        ("vanished", |it| it.version += 1),
        ("rollback", |it| it.version -= 2),
        ("equivocation", |it| {
            it.version -= 1;
            it.rules.pop();
        }),
        ("malformed", |it| it.root.threshold = 0),
        ("malformed", |it| it.root.threshold = 2),
        ("malformed", |it| it.expires = it.issued),
    ];
    let org = Org::new().with_trust(|_| {});
    let first = org.trust.document();
    let mut original = first.clone();
    original.version = 1;
    let one = original.seal(&[&org.owner]).unwrap();
    let two = first.seal(&[&org.owner]).unwrap();
    let chain = [one, two];
    for (expected, edit) in edits {
        let mut next = first.next(now());
        edit(&mut next);
        let json = raw(&chain, &next, &[&org.owner]);
        assert_eq!(attack(Draft::from_json(&json, TrustRoot::FirstSeen)), expected);
    }
    let next = org.hello(1, &[&org.owner]);
    let draft = Wire { format: Format::One, chain: chain.to_vec(), next };
    let json = serde_json::to_vec(&draft).unwrap();
    assert_eq!(attack(Draft::from_json(&json, TrustRoot::FirstSeen)), "relabel");
}

#[test]
fn a_later_version_does_not_pass_for_a_first_one() {
    let org = Org::new();
    let next = org.trust.document().next(now());
    let json = raw(&[], &next, &[]);
    assert_eq!(attack(Draft::from_json(&json, TrustRoot::FirstSeen)), "vanished");
    let first = raw(&[], org.trust.document(), &[]);
    assert_eq!(attack(Draft::from_json(&first, TrustRoot::FirstSeen)), "none");
}

#[test]
fn a_history_that_was_made_up_is_not_pinned() {
    let (org, chain) = org();
    let thief = Org::new();
    let thieves = [thief.trust.document().seal(&[&thief.owner]).unwrap()];
    let mut next = org.trust.document().next(now());
    next.grant(DocumentKind::Service, "x", &[thief.owner.verifying_key()], None).unwrap();
    let pinned = TrustRoot::Pinned(org.trust.pin());
    let json = raw(&thieves, &next, &[]);
    assert_eq!(attack(Draft::from_json(&json, pinned)), "wrong-root");
    let json = raw(&[], org.trust.document(), &[]);
    assert_eq!(attack(Draft::from_json(&json, TrustRoot::Pinned(thief.trust.pin()))), "wrong-root");

    // A version between that the root keys have not signed.
    let unsigned = Envelope::seal(PayloadType::Trust, serde_json::to_vec(&next).unwrap(), &[]);
    let chain = [chain[0].clone(), unsigned];
    let json = raw(&chain, &next.next(now()), &[]);
    assert_eq!(attack(Draft::from_json(&json, pinned)), "stranger");
}

#[test]
fn drafts_of_different_words_are_not_merged() {
    let (org, chain) = org();
    let mut one = rotation(&org, &chain, &keys());
    let mut other = rotation(&org, &chain, &keys());
    other.sign(&org.owner).unwrap();
    assert_eq!(one.merge(&other), Err(MergeError::Different { version: 2 }));
    assert_eq!(missing(&one), [1, 2]);
}

#[test]
fn a_draft_says_nothing_about_itself() {
    let (org, chain) = org();
    let draft = rotation(&org, &chain, &keys());
    let json = String::from_utf8(draft.to_json()).unwrap();
    for (from, to) in [
        ("\"chain\"", "\"changes\": \"nothing of note\",\n\"chain\""),
        ("trust draft 1", "trust draft 2"),
        ("\"next\"", "\"next\": {},\n\"next\""),
        ("\"chain\"", "\"format\": \"edgepost trust draft 1\",\n\"chain\""),
    ] {
        let other = json.replacen(from, to, 1);
        assert_ne!(other, json);
        assert_eq!(attack(Draft::from_json(other.as_bytes(), TrustRoot::FirstSeen)), "syntax");
    }
    for text in ["", "{}", "[]", "null", "\u{0}", "{\"org\":\"acme\"}"] {
        assert_eq!(attack(Draft::from_json(text.as_bytes(), TrustRoot::FirstSeen)), "syntax");
    }
}
