//! What a signer is handed may be anything; no exchange is there to ask.

use std::{fs, path::Path};

use edgepost::{
    sign::{Envelope, PayloadType, SigningKey},
    trust::{Draft, Rotation, Trust, TrustDocument, TrustPin, TrustRoot},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::program::{Outcome, Program};

/// Anna, who is one of two root keys of `acme`, on a machine of her own.
struct Anna {
    program: Program,
    folder: tempfile::TempDir,
    key: SigningKey,
    other: SigningKey,
    /// The versions in force.
    chain: Vec<Envelope>,
    trust: Trust,
}

impl Anna {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::at_home_in(folder.path());
        program.run(&["key", "create", "anna"]).good();
        program.run(&["key", "create", "stranger"]).good();
        let pem = fs::read_to_string(folder.path().join("home/keys/anna.key.pem")).unwrap();
        let (key, other) = (SigningKey::from_pem(&pem).unwrap(), SigningKey::generate());
        let first = document(&key, &other);
        let first = first.seal(&[&key, &other]).unwrap();
        let pin = TrustPin(first.digest());
        let trust = Trust::pinned(&first, &pin).unwrap();
        Self { program, folder, key, other, chain: vec![first], trust }
    }

    /// An honest draft of the next version.
    fn draft(&self) -> Draft {
        let next = self.trust.document().next(self.trust.document().issued);
        Draft::begin(self.chain.clone(), TrustRoot::FirstSeen, &next).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn sign(&self, file: &str) -> Outcome {
        let pin = self.trust.pin().to_string();
        self.program.run(&["trust", "sign", file, "--key", "anna", "--trust-sha256", &pin])
    }

    /// What becomes of a draft in which the next version is `document`, which the other root key has signed.
    fn handed(&self, document: &impl serde::Serialize) -> Outcome {
        let payload = serde_json::to_vec(document).unwrap();
        let next = Envelope::seal(PayloadType::Trust, payload, &[&self.other]);
        let mut draft: Value = serde_json::from_slice(&self.draft().to_json()).unwrap();
        draft["next"] = serde_json::from_slice(&next.to_json()).unwrap();
        self.write("handed.json", draft.to_string().as_bytes());
        self.sign("handed.json")
    }
}

/// The first version of `acme`, of which both keys must sign every change.
fn document(one: &SigningKey, other: &SigningKey) -> TrustDocument {
    let (org, now) =
        ("acme".parse().unwrap(), "2026-11-21T10:00:00Z".parse::<Timestamp>().unwrap());
    let stamp = SigningKey::generate().verifying_key();
    let mut document = TrustDocument::single_key(org, &one.verifying_key(), &stamp, now);
    let add = vec![other.verifying_key()];
    document.rotate(&Rotation { add, remove: Vec::new(), threshold: Some(2) }).unwrap();
    document
}

#[test]
fn what_is_no_draft_is_read_within_bounds_and_refused_by_name() {
    let anna = Anna::new();
    let huge = fs::File::create(anna.folder.path().join("huge.json")).unwrap();
    huge.set_len(1 << 30).unwrap();
    let outcome = anna.sign("huge.json").failed(1, "E0101");
    assert!(outcome.memory < 100_000, "{} KiB", outcome.memory);
    anna.sign("none.json").failed(1, "E0101");
    anna.sign(".").failed(1, "E0101");
    let deep = "[".repeat(1_000_000);
    for text in ["", "{}", "null", "\u{0}\u{1}", "-----BEGIN PUBLIC KEY-----", &deep] {
        anna.write("text.json", text.as_bytes());
        anna.sign("text.json").failed(3, "E0306");
    }
    anna.write("envelope.json", &anna.chain[0].to_json());
    anna.sign("envelope.json").failed(3, "E0306");
}

#[test]
fn a_draft_that_comments_on_itself_is_none() {
    let anna = Anna::new();
    let mut draft: Value = serde_json::from_slice(&anna.draft().to_json()).unwrap();
    draft["changes"] = json!(["nothing of note"]);
    anna.write("words.json", draft.to_string().as_bytes());
    anna.sign("words.json").failed(3, "E0306");
}

#[test]
fn what_does_not_follow_is_not_signed() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 6] = [
        ("relabel", |it| it["org"] = json!("others")),
        ("vanished", |it| it["version"] = json!(3)),
        ("malformed", |it| it["version"] = json!(0)),
        ("malformed", |it| it["root"]["threshold"] = json!(0)),
        ("malformed", |it| it["root"]["threshold"] = json!(3)),
        ("malformed", |it| it["rules"][0]["note"] = json!("harmless")),
    ];
    let anna = Anna::new();
    for (attack, edit) in edits {
        let mut next = serde_json::to_value(anna.draft().after()).unwrap();
        edit(&mut next);
        anna.handed(&next).failed(8, attack);
    }
    let next = serde_json::to_value(anna.draft().after()).unwrap();
    anna.handed(&next).good();
}

#[test]
fn a_history_that_was_made_up_is_not_signed() {
    let anna = Anna::new();
    let thief = SigningKey::generate();
    let false_first = document(&anna.key, &thief);
    let chain = vec![false_first.seal(&[&anna.key, &thief]).unwrap()];
    let next = anna.draft().after().clone();
    let draft = Draft::begin(chain, TrustRoot::FirstSeen, &next).unwrap();
    anna.write("false.json", &draft.to_json());
    anna.sign("false.json").failed(8, "wrong-root");

    // A version 2 that claims to be the first, so that nothing is said of what it changes.
    let mut alone: Value = serde_json::from_slice(&anna.draft().to_json()).unwrap();
    alone["chain"] = json!([]);
    anna.write("alone.json", alone.to_string().as_bytes());
    anna.program.run(&["trust", "sign", "alone.json", "--key", "anna"]).failed(8, "vanished");

    // A version between that nobody has signed.
    let unsigned = next.seal(&[&thief]).unwrap();
    let mut draft: Value = serde_json::from_slice(&anna.draft().to_json()).unwrap();
    draft["chain"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::from_slice(&unsigned.to_json()).unwrap());
    let third = next.next(next.issued).seal(&[]).unwrap();
    draft["next"] = serde_json::from_slice(&third.to_json()).unwrap();
    anna.write("unsigned.json", draft.to_string().as_bytes());
    anna.sign("unsigned.json").failed(8, "stranger");
}

#[test]
fn only_who_may_signs_and_only_once_and_the_file_stays_as_it_was() {
    let anna = Anna::new();
    anna.write("draft.json", &anna.draft().to_json());
    let before = fs::read(anna.folder.path().join("draft.json")).unwrap();
    let sign = ["trust", "sign", "draft.json", "--key", "stranger"];
    anna.program.run(&sign).failed(8, "E0802");
    anna.program.run(&["trust", "sign", "draft.json", "--key", "nobody"]).failed(3, "E0302");
    assert_eq!(fs::read(anna.folder.path().join("draft.json")).unwrap(), before);

    let told = anna.program.run(&["trust", "sign", "draft.json", "--key", "anna"]).good();
    assert!(told.stderr.contains(&anna.trust.pin().to_string()), "{}", told.stderr);
    assert!(told.stderr.contains("Who may publish what"), "without a pin, all of it is told");
    assert!(told.stdout.contains("nothing but its number and its times"), "{}", told.stdout);
    assert!(told.stdout.contains("1 of 2 needed have signed; 1 more of"), "{}", told.stdout);
    anna.sign("draft.json").failed(7, "E0704");
    let shown = anna.program.run(&["trust", "show", "draft.json", "--json"]).good().json();
    assert_eq!(shown["draft"]["complete"], false);
    assert_eq!(shown["draft"]["signatures"][1]["signed"], json!([anna.key.key_id()]));
    for file in fs::read_dir(anna.folder.path()).unwrap().flatten() {
        assert!(is_ours(&file.path()), "{} was left behind", file.path().display());
    }
}

#[test]
fn a_draft_is_also_read_from_the_standard_input_and_written_elsewhere() {
    let anna = Anna::new();
    let draft = String::from_utf8(anna.draft().to_json()).unwrap();
    let sign = ["trust", "sign", "/dev/stdin", "--key", "anna"];
    anna.program.run_told(&sign, &draft).failed(2, "E0200");
    let elsewhere = [&sign[..], &["--output", "signed.json"]].concat();
    anna.program.run_told(&elsewhere, &draft).good();
    anna.sign("signed.json").failed(7, "E0704");
}

fn is_ours(path: &Path) -> bool {
    path.ends_with("draft.json") || path.ends_with("home")
}

#[test]
fn only_copies_of_one_draft_are_merged() {
    let anna = Anna::new();
    let mut draft = anna.draft();
    anna.write("one.json", &draft.to_json());
    anna.sign("one.json").good();
    draft.sign(&anna.other).unwrap();
    anna.write("two.json", &draft.to_json());
    let mut next = anna.trust.document().next(anna.trust.document().issued);
    next.raise_epoch(edgepost::types::DocumentKind::Service, "").unwrap();
    let other = Draft::begin(anna.chain.clone(), TrustRoot::FirstSeen, &next).unwrap();
    anna.write("other.json", &other.to_json());

    let merge = |files: &[&str]| {
        anna.program.run(&[&["trust", "merge", "--output", "all.json", "--json"], files].concat())
    };
    merge(&["one.json", "other.json"]).failed(7, "E0705");
    assert_eq!(merge(&["one.json", "two.json", "one.json"]).good().json()["complete"], true);
    merge(&["one.json", "two.json"]).failed(7, "E0703");
    let all = fs::read(anna.folder.path().join("all.json")).unwrap();
    let all = Draft::from_json(&all, TrustRoot::Pinned(anna.trust.pin())).unwrap();
    assert_eq!(all.finish().unwrap().version(), 2);
}
