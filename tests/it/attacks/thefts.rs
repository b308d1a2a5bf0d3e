//! What somebody can do with a stolen key: the exchange's online key, a publisher's, or both.

use std::fs;

use edgepost::{
    sign::{Envelope, PayloadType, SigningKey},
    trust::{Catalog, CatalogEntry, State, Statement},
    types::Subject,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    Attack,
    scene::{PATTERN, Scene, catalog, service_key},
};
use crate::support::{
    image::{pattern, write},
    thief,
};

pub const ATTACKS: &[Attack] = &[
    Attack::on_its_own("stolen-stamp-key", stolen_stamp_key, the_root_replaces_the_stamp_key),
    Attack::on_its_own("exhausted-numbers", exhausted_numbers, the_root_ends_the_epoch),
    Attack::on_its_own("revoked-key", revoked_key, |scene| scene.enemy.repents()),
    Attack::on_its_own("swapped-layer", swap_a_layer, swap_a_layer),
    Attack::new("arbitrary-install", arbitrary_install),
    Attack::new("extraneous-dependency", extraneous_dependency),
    Attack::new("relabel", relabel),
    Attack::new("wrong-software", wrong_software),
    Attack::new("older-document", older_document),
    Attack::new("freeze", freeze),
    Attack::new("fast-forward", fast_forward),
    Attack::new("false-number", false_number),
    Attack::new("equivocation", equivocation),
    Attack::new("two-contents", two_contents),
    Attack::new("vanished", vanished),
    Attack::new("two-readings", two_readings),
    Attack::new("eternal-stamp", eternal_stamp),
];

/// As far ahead as numbers go that nodes read.
const FAR: u64 = (1 << 53) - 1;

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// The newest state of a service, changed and signed by nobody whom anybody trusts.
fn forged(scene: &Scene, change: impl FnOnce(&mut Value)) {
    let key = service_key("2.0.0");
    let newest = thief::newest(scene.hub, &key);
    let mut said: Statement<Value> = serde_json::from_slice(newest.payload()).unwrap();
    said.header.seq += 1;
    change(&mut said.body);
    scene.lists_as(&key, &said.seal(&[&SigningKey::generate()]).unwrap());
}

fn arbitrary_install(scene: &Scene) {
    let evil = format!("{}/acme/evil@sha256:{}", scene.hub.registry(), "1".repeat(64));
    forged(scene, |body| body["images"][0]["image"] = json!(evil));
}

fn extraneous_dependency(scene: &Scene) {
    let evil = json!([{"url": "evil", "org": "acme", "versionRange": "1.0.0", "arch": "*"}]);
    forged(scene, |body| body["definition"]["requiredServices"] = evil);
}

/// Another pattern, honestly signed, in the place of the node's.
fn relabel(scene: &Scene) {
    let other = scene.pattern(&scene.key(), |it| {
        it.header.seq += 1;
        it.header.subject = Subject::Pattern("another".parse().unwrap());
    });
    scene.lists_as(PATTERN, &other);
}

/// A body that speaks of another version than its header.
fn wrong_software(scene: &Scene) {
    let key = service_key("2.0.0");
    let other = thief::signed_again(scene.hub, &key, |body| {
        body["definition"]["version"] = json!("9.0.0");
    });
    scene.lists_as(&key, &other);
}

/// What was honestly signed in its time, listed as the newest.
fn older_document(scene: &Scene) {
    scene.settle().good();
    let before = fs::read(scene.hub.folder().join("catalog.before")).unwrap();
    let before = Catalog::from_bytes(&before).unwrap();
    let sha256 = before.entries[&PATTERN.parse().unwrap()].sha256.hex();
    let (_, older) = scene.hub.get(&format!("/v1/orgs/acme/edgepost/documents/{sha256}"));
    scene.lists_as(PATTERN, &Envelope::from_json(&older).unwrap());
}

fn freeze(scene: &Scene) {
    scene.stamps(|stamp| {
        stamp.seq += 1;
        stamp.expires = stamp.issued - hours(24);
        stamp.issued -= hours(48);
    });
}

fn fast_forward(scene: &Scene) {
    let ahead = scene.pattern(&scene.key(), |it| it.header.epoch = FAR);
    scene.lists_as(PATTERN, &ahead);
}

/// An entry that runs ahead of what its document says of itself.
fn false_number(scene: &Scene) {
    let newest = thief::newest(scene.hub, PATTERN);
    let entry = &catalog(scene.hub).entries[&PATTERN.parse().unwrap()];
    scene.lists_entry(PATTERN, &newest, CatalogEntry { seq: FAR, ..entry.clone() });
}

fn equivocation(scene: &Scene) {
    scene.settle().good();
    scene.stamps(|stamp| stamp.expires += hours(1));
}

fn two_contents(scene: &Scene) {
    scene.settle().good();
    let other = scene.pattern(&scene.key(), |it| it.body["label"] = json!("another"));
    scene.lists_as(PATTERN, &other);
}

fn vanished(scene: &Scene) {
    scene.shows(|catalog| {
        catalog.entries.remove(&PATTERN.parse().unwrap()).expect("it is listed");
    });
}

/// Signed by the publisher's key, and read in one way by some and in another by others.
fn two_readings(scene: &Scene) {
    let newest = thief::newest(scene.hub, PATTERN);
    let payload = String::from_utf8(newest.payload().to_vec()).unwrap();
    let twice = payload.replacen("\"seq\":2", "\"seq\":3,\"seq\":2", 1);
    assert_ne!(twice, payload);
    let twice = Envelope::seal(PayloadType::Pattern, twice.into_bytes(), &[&scene.key()]);
    let (epoch, seq, state) = (0, 3, State::Active);
    scene.lists_entry(PATTERN, &twice, CatalogEntry { epoch, seq, sha256: twice.digest(), state });
}

fn eternal_stamp(scene: &Scene) {
    scene.stamps(|stamp| {
        stamp.seq += 1;
        stamp.expires = stamp.issued + hours(30 * 24);
    });
}

/// The node has followed a stamp of the thief's so far ahead that no honest one can follow it.
fn stolen_stamp_key(scene: &Scene) {
    scene.stamps(|stamp| stamp.seq = FAR);
    scene.settle().good();
    scene.enemy.repents();
}

fn the_root_replaces_the_stamp_key(scene: &Scene) {
    let key = scene.hub.data().join("stamp-key.pem");
    let create = ["--create-missing", "timestamp-key"];
    scene.restart_hub(|| fs::remove_file(key).unwrap(), &create);
    trust(scene, &["stamp-key"]);
}

fn trust(scene: &Scene, change: &[&str]) {
    let all = [&["trust"], change, &["--trust-sha256", &scene.hub.pin]].concat();
    scene.hub.publisher.run(&all).good();
}

/// Lets the key `name` alone sign the node's pattern, and signs it.
fn let_sign(scene: &Scene, name: &str) {
    scene.hub.publisher.run(&["key", "create", name]).good();
    trust(scene, &["add", "pattern", "--prefix", "hello", "--signer", name]);
    let file = write(scene.hub, "hello-everywhere.json", &pattern("2.0.0"));
    scene.hub.publisher.run(&["pattern", "publish", &file, "-k", name]).good();
}

/// The key `name`, which was stolen.
fn stolen(scene: &Scene, name: &str) -> SigningKey {
    let file = scene.hub.folder().join(format!("home/keys/{name}.key.pem"));
    SigningKey::from_pem(&fs::read_to_string(file).unwrap()).unwrap()
}

/// The node has followed the last number that there is in an epoch.
fn exhausted_numbers(scene: &Scene) {
    let_sign(scene, "team");
    let last = scene.pattern(&stolen(scene, "team"), |it| it.header.seq = FAR);
    scene.lists_as(PATTERN, &last);
    scene.settle().good();
    scene.enemy.repents();
    // Stamps and catalogs have gone on since, so that it is the document that does not follow.
    for name in ["another.json", "one-more.json"] {
        let file = write(scene.hub, name, &pattern("1.0.0"));
        scene.hub.publisher.run(&["pattern", "publish", &file]).good();
    }
}

fn the_root_ends_the_epoch(scene: &Scene) {
    trust(scene, &["revoke", "team", "--reason", "compromised", "--new-epoch"]);
    let_sign(scene, "other-team");
}

/// What is signed by a key that the root keys have revoked, and that was put in the place of what its successor
/// has signed.
fn revoked_key(scene: &Scene) {
    let_sign(scene, "team");
    the_root_ends_the_epoch(scene);
    scene.settle().good();
    let theirs = scene.pattern(&stolen(scene, "team"), |it| it.header.seq += 1);
    scene.lists_as(PATTERN, &theirs);
}

/// Turns the bytes of a layer round in the registry's folder; doing it again puts it right.
fn swap_a_layer(scene: &Scene) {
    let key = service_key("2.0.0");
    let said: Statement<Value> =
        serde_json::from_slice(thief::newest(scene.hub, &key).payload()).unwrap();
    let digest = said.body["images"][0]["image"].as_str().unwrap().split_once('@').unwrap().1;
    let (_, manifest) = scene.hub.pull(&format!("/v2/acme/hello/manifests/{digest}"));
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let hex = manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let mut folders = vec![scene.hub.data()];
    let mut swapped = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| *name == *hex) {
                let mut bytes = fs::read(&path).unwrap();
                if bytes.is_empty() {
                    // That the repository has the blob, which lies elsewhere.
                    continue;
                }
                bytes.reverse();
                fs::write(&path, bytes).unwrap();
                swapped += 1;
            }
        }
    }
    assert_eq!(swapped, 1, "the registry has one file of the layer");
}
