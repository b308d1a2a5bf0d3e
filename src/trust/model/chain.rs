//! The chain of trust documents: rotations, thresholds, revocations, and whatever else may be offered as the
//! next version.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Tally, dice::Dice, histories};
use crate::{
    sign::{Envelope, PayloadType, SigningKey},
    trust::{Revocation, RevocationReason, Role, Trust, TrustDocument, TrustPin, testing::now},
};

/// The keys that may become root keys, and after them one that is never named.
static KEYS: LazyLock<[SigningKey; 5]> =
    LazyLock::new(|| std::array::from_fn(|_| SigningKey::generate()));
/// How many of them may become root keys.
const ROOTS: usize = 4;
/// The most steps of a history.
const STEPS: u64 = 6;

/// What a version says about the root, in small.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    number: u64,
    /// Tells two contents of one number apart.
    content: u64,
    is_of_acme: bool,
    is_trust: bool,
    roots: BTreeSet<usize>,
    threshold: u32,
    revoked: BTreeSet<usize>,
}

/// A signature that comes with a version.
#[derive(Debug, Clone, Copy)]
struct Signed {
    /// Whose it is.
    by: usize,
    /// Under whose name it stands.
    named: usize,
    is_spoilt: bool,
}

impl Version {
    fn first(dice: &mut Dice) -> Self {
        let roots = subset(dice);
        let threshold = up_to(dice, roots.len());
        let revoked = BTreeSet::new();
        Self { number: 1, content: 0, is_of_acme: true, is_trust: true, roots, threshold, revoked }
    }

    /// Something like a next version.
    fn next(&self, dice: &mut Dice) -> Self {
        let mut next = self.clone();
        next.content = dice.below(1 << 40);
        next.number = match dice.below(20) {
            0 => self.number.saturating_sub(1).max(1),
            1 => self.number,
            2 => self.number + 2,
            _ => self.number + 1,
        };
        if dice.happens(40) {
            next.roots = subset(dice);
            next.threshold = up_to(dice, next.roots.len());
        }
        if dice.happens(15) {
            next.revoked.insert(dice.index(ROOTS));
        }
        if dice.happens(10) {
            next.revoked.clear();
        }
        if dice.happens(5) {
            next.threshold = u32::try_from(dice.below(6)).unwrap();
        }
        next.is_of_acme = !dice.happens(3);
        next.is_trust = !dice.happens(3);
        next
    }

    /// Those whose signatures count.
    fn live(&self) -> BTreeSet<usize> {
        self.roots.difference(&self.revoked).copied().collect()
    }

    fn is_consistent(&self) -> bool {
        self.threshold > 0 && self.threshold as usize <= self.live().len()
    }

    fn is_signed_by_enough(&self, signed: &[Signed]) -> bool {
        let whole = signed.iter().filter(|it| !it.is_spoilt && it.by == it.named);
        let signers: BTreeSet<usize> = whole.map(|it| it.by).collect();
        self.live().intersection(&signers).count() >= self.threshold as usize
    }

    /// Why `next` must not follow, if it must not.
    fn reasons(&self, next: &Self, signed: &[Signed]) -> BTreeSet<&'static str> {
        let mut reasons = BTreeSet::new();
        let mut reason = |holds: bool, name| {
            if holds {
                reasons.insert(name);
            }
        };
        reason(!next.is_trust || !next.is_of_acme, "relabel");
        reason(!next.is_consistent(), "malformed");
        reason(next.number < self.number, "rollback");
        let is_same = next.document() == self.document();
        reason(next.number == self.number && is_same, "rollback");
        reason(next.number == self.number && !is_same, "equivocation");
        reason(next.number > self.number + 1, "vanished");
        let enough = self.is_signed_by_enough(signed) && next.is_signed_by_enough(signed);
        reason(!enough, "stranger");
        reasons
    }

    fn document(&self) -> TrustDocument {
        let owner = KEYS[0].verifying_key();
        let org = if self.is_of_acme { "acme" } else { "others" };
        let mut document = TrustDocument::single_key(org.parse().unwrap(), &owner, &owner, now());
        let id = |it: &usize| KEYS[*it].key_id();
        document.keys = KEYS[..ROOTS].iter().map(|it| (it.key_id(), it.verifying_key())).collect();
        document.version = self.number;
        document.root =
            Role { keyids: self.roots.iter().map(id).collect(), threshold: self.threshold };
        document.stamp.keyids = document.keys.keys().copied().collect();
        let reason = RevocationReason::Compromised;
        document.revoked =
            self.revoked.iter().map(|it| Revocation { keyid: id(it), reason }).collect();
        // Two contents of one version differ in when they end.
        let later =
            jiff::SignedDuration::from_secs(i64::try_from(self.content).unwrap() % (1 << 20));
        document.expires += later;
        document
    }

    /// The version with these very signatures.
    fn envelope(&self, signed: &[Signed]) -> Envelope {
        let payload = serde_json::to_vec(&self.document()).unwrap();
        let payload_type = if self.is_trust { PayloadType::Trust } else { PayloadType::Stamp };
        let mut made = BTreeMap::new();
        let signatures: Vec<Value> = signed
            .iter()
            .map(|it| {
                let sig = made.entry(it.by).or_insert_with(|| {
                    let whole = Envelope::seal(payload_type, payload.clone(), &[&KEYS[it.by]]);
                    let json: Value = serde_json::from_slice(&whole.to_json()).unwrap();
                    BASE64_STANDARD.decode(json["signatures"][0]["sig"].as_str().unwrap()).unwrap()
                });
                let mut sig = sig.clone();
                sig[17] ^= u8::from(it.is_spoilt);
                json!({"keyid": KEYS[it.named].key_id().to_string(), "sig": BASE64_STANDARD.encode(sig)})
            })
            .collect();
        let json = json!({
            "payloadType": payload_type,
            "payload": BASE64_STANDARD.encode(&payload),
            "signatures": signatures,
        });
        Envelope::from_json(json.to_string().as_bytes()).unwrap()
    }
}

/// Some of the keys that may be root keys, at least one.
fn subset(dice: &mut Dice) -> BTreeSet<usize> {
    let first = dice.index(ROOTS);
    (0..ROOTS).filter(|it| *it == first || dice.happens(40)).collect()
}

fn up_to(dice: &mut Dice, most: usize) -> u32 {
    1 + u32::try_from(dice.below(most as u64)).unwrap()
}

/// Signatures: mostly of everybody who should sign, or of nearly all of them, some twice, some under
/// another's name, some spoilt.
fn signatures(dice: &mut Dice, held: &Version, next: &Version) -> Vec<Signed> {
    let honest = |it: usize| Signed { by: it, named: it, is_spoilt: false };
    let mut signed: Vec<_> = held.live().union(&next.live()).map(|it| honest(*it)).collect();
    for _ in 0..dice.below(3) {
        if dice.happens(60) && !signed.is_empty() {
            signed.remove(dice.index(signed.len()));
        }
    }
    for _ in 0..dice.below(3) {
        signed.push(honest(dice.index(KEYS.len())));
    }
    for at in 0..signed.len() {
        if dice.happens(8) {
            signed[at].named = dice.index(KEYS.len());
        }
        signed[at].is_spoilt = dice.happens(5);
        if dice.happens(10) {
            signed.push(signed[at]);
        }
    }
    signed.truncate(16);
    signed
}

#[test]
fn whoever_may_follow_in_a_chain_is_whom_the_rules_allow() {
    let mut tally = Tally::default();
    let histories = histories();
    for history in 0..histories {
        let mut dice = Dice::of(history);
        let mut held = Version::first(&mut dice);
        let everybody: Vec<_> = held
            .live()
            .into_iter()
            .map(|it| Signed { by: it, named: it, is_spoilt: false })
            .collect();
        let first = held.envelope(&everybody);
        let mut trust = Trust::pinned(&first, &TrustPin(first.digest())).unwrap();
        for _ in 0..=dice.below(STEPS) {
            let next = held.next(&mut dice);
            let signed = signatures(&mut dice, &held, &next);
            let reasons = held.reasons(&next, &signed);
            let result = trust.advance(&next.envelope(&signed));
            let step = (history, &held, &next, &signed);
            if let Some(advanced) = tally.hold(result, &reasons, &step) {
                assert_eq!(*advanced.document(), next.document());
                (trust, held) = (advanced, next);
            }
        }
        assert_eq!((trust.version(), trust.pin()), (held.number, TrustPin(first.digest())));
    }
    tally.close(
        "the chain of trust",
        histories,
        &["equivocation", "malformed", "relabel", "rollback", "stranger", "vanished"],
    );
}
