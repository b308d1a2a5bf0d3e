//! What somebody can do who has no key: replay, withhold, alter, and keep a node waiting.

use std::time::Duration;

use edgepost::{
    sign::{Envelope, SigningKey},
    trust::{TrustDocument, TrustPin},
};
use serde_json::{Value, json};

use super::{
    Attack,
    scene::{PATTERN, Scene, catalog, service_key},
};
use crate::support::{enemy::OURS, liar::Answer, node::Node, thief};

pub const ATTACKS: &[Attack] = &[
    Attack::new("slow-retrieval", slow_retrieval),
    Attack::new("altered", altered),
    Attack::new("rollback", rollback),
    Attack::new("older-trust", |scene| scene.enemy.says("/edgepost/trust", r#"{"newest":0}"#)),
    Attack::new("missing-trust", |scene| scene.enemy.says("/edgepost/trust", r#"{"newest":2}"#)),
    Attack::new("forged-trust", forged_trust),
    Attack::new("mix-and-match", mix_and_match),
    Attack::new("partial-state", partial_state),
    Attack::new("missing-stamp", |scene| scene.enemy.fails("/edgepost/stamp", "404 Not Found")),
    Attack::new("missing-catalog", |scene| {
        answers_for_the_catalog(scene, Answer::of("404 Not Found", OURS, "{}"));
    }),
    Attack::new("nonsense", |scene| scene.enemy.says("/edgepost/trust", r#"{"newest":"many"}"#)),
    Attack::new("endless-data", endless_data),
    Attack::new("denial", |scene| scene.enemy.fails("", "500 Internal Server Error")),
    Attack::at_the_door("wrong-root", wrong_root, registers),
    Attack::at_the_door("eavesdrop", eavesdrop, registers_in_clear),
];

/// The enemy answers whoever asks for the newest catalog; what changed since another one he does not know.
fn answers_for_the_catalog(scene: &Scene, answer: Answer) {
    let newest = format!("/edgepost/catalog/{}", catalog(scene.hub).version);
    for since in 0..catalog(scene.hub).version {
        scene.enemy.fails(&format!("{newest}/since/{since}"), "404 Not Found");
    }
    scene.enemy.answers(&newest, answer);
}

fn altered(scene: &Scene) {
    let honest = thief::newest(scene.hub, PATTERN);
    let mut payload = honest.payload().to_vec();
    let middle = payload.len() / 2;
    payload[middle] ^= 1;
    let altered = Envelope::seal(honest.payload_type(), payload, &[]);
    let mut json: Value = serde_json::from_slice(&honest.to_json()).unwrap();
    let other: Value = serde_json::from_slice(&altered.to_json()).unwrap();
    json["payload"] = other["payload"].clone();
    scene.hands_out(&honest.digest(), json.to_string().as_bytes());
}

fn rollback(scene: &Scene) {
    scene.settle().good();
    scene.goes_back();
}

fn forged_trust(scene: &Scene) {
    let first = scene.hub.get("/v1/orgs/acme/edgepost/trust/1").1;
    let first = Envelope::from_json(&first).unwrap();
    let document: TrustDocument = serde_json::from_slice(first.payload()).unwrap();
    let forged = document.next(document.issued).seal(&[&SigningKey::generate()]).unwrap();
    scene.enemy.says("/edgepost/trust", r#"{"newest":2}"#);
    scene.enemy.says("/edgepost/trust/2", forged.to_json());
}

fn mix_and_match(scene: &Scene) {
    let mut other = catalog(scene.hub);
    other.version -= 1;
    answers_for_the_catalog(scene, Answer::of("200 OK", OURS, other.to_bytes()));
}

fn partial_state(scene: &Scene) {
    let entry = &catalog(scene.hub).entries[&service_key("2.0.0").parse().unwrap()];
    let end = format!("/edgepost/documents/{}", entry.sha256.hex());
    scene.enemy.fails(&end, "404 Not Found");
}

fn endless_data(scene: &Scene) {
    let endless = Answer::Endless(Answer::head("200 OK", OURS), br#"{"org":"acme","#.to_vec());
    answers_for_the_catalog(scene, endless);
}

fn slow_retrieval(scene: &Scene) {
    let stamp = scene.hub.get("/v1/orgs/acme/edgepost/stamp").1;
    let honest = Answer::of("200 OK", OURS, stamp);
    scene.enemy.answers("/edgepost/stamp", honest.trickled(Duration::from_secs(1)));
}

/// The trust of somebody else, under the organization's name.
fn wrong_root(scene: &Scene) {
    let (key, org) = (SigningKey::generate(), "acme".parse().unwrap());
    let now = thief::stamp(scene.hub).issued;
    let theirs = TrustDocument::single_key(org, &key.verifying_key(), &key.verifying_key(), now);
    let theirs = theirs.seal(&[&key]).unwrap();
    assert_ne!(TrustPin(theirs.digest()).to_string(), scene.hub.pin);
    scene.enemy.says("/edgepost/trust/1", theirs.to_json());
}

fn registers(scene: &Scene) -> crate::support::program::Outcome {
    let pattern = ["--pattern", "hello-everywhere"];
    Node::try_to_register_at(scene.hub, scene.enemy.address(), "latecomer", &pattern).1
}

/// What was said in clear between the node and the exchange holds no password of a registry; and nothing at all
/// is said in clear beyond this machine.
fn eavesdrop(scene: &Scene) {
    scene.settle().good();
    let kept = String::from_utf8_lossy(&scene.enemy.kept()).into_owned();
    assert!(kept.contains("ciphertext"), "the node was given credentials");
    assert!(!kept.contains(&scene.hub.pull_password), "they can be read on the way");
    assert!(!kept.contains(&json!(scene.hub.push_password).to_string()));
}

fn registers_in_clear(scene: &Scene) -> crate::support::program::Outcome {
    // An address of nobody (RFC 5737).
    let elsewhere = "192.0.2.1:80".parse().unwrap();
    Node::try_to_register_at(scene.hub, elsewhere, "talker", &[]).1
}
