//! Envelopes and documents that are not what they should be: ten thousand of them, the same in each run. None
//! panics, and none is taken.

use edgepost::{
    document::ServiceBody,
    sign::{Envelope, PayloadType, SigningKey},
    trust::{Catalog, Stamp, StampedCatalog, StampedTrust, Trust, TrustDocument, TrustPin},
    types::{Digest, DocumentKey},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// How many of each family are tried.
const EACH: usize = 5_000;

fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// An organization with one key, and something genuine of every kind.
struct Genuine {
    key: SigningKey,
    trust: Trust,
    service: DocumentKey,
    /// Every kind of envelope, and the payload of each.
    envelopes: Vec<Envelope>,
}

impl Genuine {
    fn new() -> Self {
        let key = SigningKey::generate();
        let public = key.verifying_key();
        let document = TrustDocument::single_key("acme".parse().unwrap(), &public, &public, now());
        let first = document.seal(&[&key]).unwrap();
        let trust = Trust::pinned(&first, &TrustPin(first.digest())).unwrap();
        let next = document.next(now()).seal(&[&key]).unwrap();
        let stamp = Stamp {
            org: "acme".parse().unwrap(),
            seq: 1,
            issued: now(),
            expires: now() + SignedDuration::from_hours(24),
            trust: StampedTrust { version: 1, sha256: trust.digest() },
            catalog: StampedCatalog { version: 1, sha256: Digest::of(b""), length: 0 },
        };
        let deployment =
            json!({"services": {"main": {"image": format!("r.example/web@{}", Digest::of(b""))}}});
        let header = json!({"org": "acme", "kind": "service", "name": "web", "version": "1.0.0",
            "arch": "amd64", "epoch": 0, "seq": 1, "issued": now(), "state": "active"});
        let body = json!({"definition": {"url": "web", "version": "1.0.0", "arch": "amd64",
            "sharable": "multiple", "deployment": deployment.to_string()}});
        let payload = json!({"header": header, "body": body}).to_string().into_bytes();
        let service = Envelope::seal(PayloadType::Service, payload, &[&key]);
        let envelopes = vec![next, stamp.seal(&key), service];
        let service = "service/web_1.0.0_amd64".parse().unwrap();
        let genuine = Self { key, trust, service, envelopes };
        for envelope in &genuine.envelopes {
            assert!(genuine.takes(envelope), "{:?}", envelope.payload_type());
        }
        genuine
    }

    /// Whether anything is made of it, by whichever way it could come in.
    fn takes(&self, envelope: &Envelope) -> bool {
        self.trust.advance(envelope).is_ok()
            || self.trust.open_stamp(envelope, now()).is_ok()
            || self.trust.open::<ServiceBody>(envelope, &self.service).is_ok()
    }
}

/// Chance that is the same in every run (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }
}

/// The bytes of an envelope, damaged in a few places.
fn damaged(json: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = json.to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(bytes.len());
        match chance.below(12) {
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => bytes.truncate(at.max(1)),
            2 => bytes.insert(at, *chance.one_of(b"{}[]\",:\\0-9eE\xff\x00")),
            3 => drop(bytes.remove(at)),
            4 => {
                let slice = bytes[at..(at + chance.below(40)).min(bytes.len())].to_vec();
                let to = chance.below(bytes.len());
                bytes.splice(to..to, slice);
            }
            5 => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
            // So that it can still be read, mostly.
            _ if bytes[at].is_ascii_alphanumeric() => {
                bytes[at] = *chance.one_of(b"AaBbYyZz0189");
            }
            _ => {}
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
    bytes
}

#[test]
fn no_damaged_envelope_is_taken() {
    let (genuine, mut chance) = (Genuine::new(), Chance(1));
    let (mut tried, mut read) = (0, 0);
    while tried < EACH {
        let honest = chance.one_of(&genuine.envelopes);
        let bytes = damaged(&honest.to_json(), &mut chance);
        let _ = Catalog::from_bytes(&bytes);
        let Ok(envelope) = Envelope::from_json(&bytes) else {
            tried += 1;
            continue;
        };
        // Between its parts JSON has room; what says the same thing is not damaged.
        if (envelope.payload(), envelope.payload_type())
            != (honest.payload(), honest.payload_type())
        {
            assert!(!genuine.takes(&envelope), "{}", String::from_utf8_lossy(&bytes));
            (tried, read) = (tried + 1, read + 1);
        }
    }
    println!("{tried} damaged envelopes, {read} of them read as envelopes: 0 taken, 0 panics");
    assert!(read > 1000, "hardly any was read at all");
}

/// Every place in a document but those within a body, which has rules of its own.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    if at != "/body" {
        found.push(at.to_owned());
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    places(member, &format!("{at}/{}", name.replace('/', "~1")), found);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    places(item, &format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
    }
}

/// A document that breaks a rule of its form, in one place.
fn broken(payload: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(payload).unwrap();
    let mut found = Vec::new();
    places(&document, "", &mut found);
    let at = chance.below(found.len());
    let place = document.pointer_mut(&found[at]).unwrap();
    match (chance.below(6), place) {
        (0, Value::Object(members)) => {
            let name = members.keys().nth(chance.below(members.len())).unwrap().clone();
            members.remove(&name);
        }
        (1, Value::Object(members)) => drop(members.insert("extra".to_owned(), json!(1))),
        (2, Value::Object(members)) => {
            let name = members.keys().nth(chance.below(members.len())).unwrap().clone();
            let text = document.to_string();
            let twice = format!("\"{name}\":null,\"{name}\":");
            return text.replacen(&format!("\"{name}\":"), &twice, 1).into_bytes();
        }
        (3, place) => *place = (0..40).fold(json!(1), |inner, _| json!([inner])),
        (4, place) => *place = json!(*chance.one_of(&[1_u64 << 53, 1 << 60, u64::MAX])),
        (_, place) => {
            *place = match place {
                Value::String(_) => json!(["text"]),
                Value::Number(_) => json!("number"),
                Value::Object(_) => json!(1),
                _ => json!({"no": "list"}),
            }
        }
    }
    document.to_string().into_bytes()
}

#[test]
fn no_document_of_another_form_is_taken_though_the_right_key_signed_it() {
    let (genuine, mut chance) = (Genuine::new(), Chance(2));
    for number in 0..EACH {
        let honest = chance.one_of(&genuine.envelopes);
        let payload = broken(honest.payload(), &mut chance);
        let _ = Catalog::from_bytes(&payload);
        let envelope = Envelope::seal(honest.payload_type(), payload, &[&genuine.key]);
        let text = String::from_utf8_lossy(envelope.payload()).into_owned();
        assert!(!genuine.takes(&envelope), "document {number}: {text}");
    }
    println!("{EACH} broken documents that the right key signed: 0 taken, 0 panics");
}
