//! Documents that are each validly signed, in each other's place: every one of them is taken for itself alone.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use edgepost::{
    sign::{Envelope, SigningKey},
    trust::{
        Catalog, CatalogEntry, Header, State, Statement, Trust, TrustDocument, TrustPin, Verified,
    },
    types::{DocumentKey, OrgId, Subject},
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A validly signed document, and what it is.
struct Document {
    org: OrgId,
    key: DocumentKey,
    seq: u64,
    envelope: Envelope,
}

fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// One key for everything, in two organizations: the worst of cases.
fn organizations(key: &SigningKey) -> [Trust; 2] {
    ["acme", "others"].map(|org| {
        let public = key.verifying_key();
        let document = TrustDocument::single_key(org.parse().unwrap(), &public, &public, now());
        let first = document.seal(&[key]).unwrap();
        Trust::pinned(&first, &TrustPin(first.digest())).unwrap()
    })
}

/// Two of every field: organizations, kinds, names, versions, architectures, and states.
fn documents(key: &SigningKey) -> Vec<Document> {
    let mut subjects = Vec::new();
    for name in ["hello", "hello_1.0.0_amd64"] {
        for version in ["1.0.0", "1.0.1"] {
            for arch in ["amd64", "arm64"] {
                subjects.push(Subject::Service {
                    url: name.parse().unwrap(),
                    version: version.parse().unwrap(),
                    arch: arch.parse().unwrap(),
                });
            }
        }
        subjects.push(Subject::Pattern(name.parse().unwrap()));
        subjects.push(Subject::Policy(name.parse().unwrap()));
        subjects.push(Subject::NodePolicy(name.parse().unwrap()));
    }
    let mut documents = Vec::new();
    for org in ["acme", "others"] {
        for subject in &subjects {
            for seq in [1, 2] {
                let (org, subject) = (org.parse::<OrgId>().unwrap(), subject.clone());
                let state = State::Active;
                let header =
                    Header { org: org.clone(), subject, epoch: 0, seq, issued: now(), state };
                let key_of = header.key();
                let body = json!({"seq": seq});
                let envelope = Statement { header, body }.seal(&[key]).unwrap();
                documents.push(Document { org, key: key_of, seq, envelope });
            }
        }
    }
    documents
}

fn open(trust: &Trust, envelope: &Envelope, key: &DocumentKey) -> Option<Verified<Value>> {
    trust.open(envelope, key).ok()
}

#[test]
fn no_document_is_taken_for_another() {
    let key = SigningKey::generate();
    let (trusts, documents) = (organizations(&key), documents(&key));
    let (mut tried, mut taken) = (0, 0);
    for trust in &trusts {
        for wanted in documents.iter().filter(|it| it.org == *trust.org() && it.seq == 1) {
            let mut catalog = Catalog::empty(trust.org().clone());
            let (epoch, seq, state) = (0, wanted.seq, State::Active);
            let sha256 = wanted.envelope.digest();
            catalog.entries.insert(wanted.key.clone(), CatalogEntry { epoch, seq, sha256, state });
            for offered in &documents {
                let is_it = offered.org == wanted.org && offered.key == wanted.key;
                let opened = open(trust, &offered.envelope, &wanted.key);
                assert_eq!(opened.is_some(), is_it, "{} for {}", offered.key, wanted.key);
                // By its digest too, which tells two states of one document apart.
                let listed = catalog.open::<Value>(trust, &offered.envelope, &wanted.key);
                assert_eq!(listed.is_ok(), is_it && offered.seq == wanted.seq);
                tried += 2;
                taken += usize::from(opened.is_some() && !is_it);
            }
        }
    }
    println!(
        "field substitution: {tried} documents in another's place or their own, {taken} taken"
    );
    assert_eq!((tried, taken), (3136, 0));
}

/// The envelope's members.
fn parts(it: &Document) -> Value {
    serde_json::from_slice(&it.envelope.to_json()).unwrap()
}

/// Whether the mixed envelope is taken for either of two documents.
fn is_taken_for_either(trusts: &[Trust; 2], mixed: &Value, either: [&Document; 2]) -> bool {
    let mixed = Envelope::from_json(mixed.to_string().as_bytes()).unwrap();
    either.iter().any(|wanted| {
        let trust = trusts.iter().find(|it| *it.org() == wanted.org).unwrap();
        open(trust, &mixed, &wanted.key).is_some()
    })
}

#[test]
fn no_part_of_a_document_moves_to_another() {
    let key = SigningKey::generate();
    let (trusts, documents) = (organizations(&key), documents(&key));
    let firsts: Vec<_> = documents.iter().filter(|it| it.seq == 1).collect();
    let mut tried = 0;
    for one in &firsts {
        for other in &firsts {
            let theirs = parts(other);
            for part in ["payload", "payloadType", "signatures"] {
                let mut mixed = parts(one);
                if mixed[part] != theirs[part] {
                    mixed[part] = theirs[part].clone();
                    assert!(!is_taken_for_either(&trusts, &mixed, [one, other]), "{part} moved");
                    tried += 1;
                }
            }
        }
    }
    println!("field substitution: {tried} parts moved to another envelope, 0 taken");
    assert_eq!(tried, 1992);
}

#[test]
fn no_field_of_a_signed_header_changes() {
    let key = SigningKey::generate();
    let (trusts, documents) = (organizations(&key), documents(&key));
    let mut tried = 0;
    for one in documents.iter().filter(|it| it.seq == 1) {
        let said: Value = serde_json::from_slice(one.envelope.payload()).unwrap();
        for other in &documents {
            let theirs: Value = serde_json::from_slice(other.envelope.payload()).unwrap();
            for field in ["org", "kind", "name", "version", "arch", "seq"] {
                let (mut changed, value) = (said.clone(), &theirs["header"][field]);
                if changed["header"][field] == *value || value.is_null() {
                    continue;
                }
                changed["header"][field] = value.clone();
                let mut mixed = parts(one);
                mixed["payload"] = STANDARD.encode(changed.to_string()).into();
                mixed["payloadType"] = parts(other)["payloadType"].clone();
                assert!(!is_taken_for_either(&trusts, &mixed, [one, other]), "{field}");
                tried += 1;
            }
        }
    }
    println!("field substitution: {tried} fields changed after signing, 0 taken");
    assert_eq!(tried, 4592);
}
