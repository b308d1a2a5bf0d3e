//! What is carried to a node on a stick, and what somebody on the way may do to it.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
    thread,
    time::Duration,
};

use edgepost::{
    sign::{Envelope, SigningKey},
    trust::Stamp,
};
use jiff::SignedDuration;
use serde_json::Value;

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_hello, publish_pattern, write},
    link::Link,
    node::Node,
    program::Outcome,
};

/// A hub with one service and its pattern, and a node that has joined and seen nothing.
fn site(folder: &Path) -> (Hub, Node) {
    let hub = Hub::start(folder);
    publish_hello(&hub, "1.0.0", 100_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    (hub, node)
}

fn hello(version: &str) -> [String; 1] {
    [format!("acme/hello_{version}_{}", edgepost::types::Arch::of_this_machine())]
}

#[track_caller]
fn export(hub: &Hub, file: &str, more: &[&str]) -> Value {
    let arguments = ["bundle", "export", file, "--trust-sha256", &hub.pin, "--json"];
    hub.publisher.run(&[&arguments, more].concat()).good().json()
}

fn import(node: &Node, file: &str, more: &[&str]) -> Outcome {
    node.program.run(&[&["bundle", "import", file], more].concat())
}

/// The files of a bundle.
fn files(bundle: &Path) -> Vec<(String, Vec<u8>)> {
    let mut tar = tar::Archive::new(File::open(bundle).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    };
    tar.entries().unwrap().map(read).collect()
}

/// What somebody does to a file of a bundle; none: leaves it out.
type Change<'a> = &'a dyn Fn(&str, Vec<u8>) -> Option<Vec<u8>>;

/// Writes the bundle `to` as `from` with something done to each file.
fn altered(from: &Path, to: &Path, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) {
    let mut tar = tar::Builder::new(File::create(to).unwrap());
    let mut changed = 0;
    for (name, bytes) in files(from) {
        let after = change(&name, bytes.clone());
        changed += usize::from(after.as_ref() != Some(&bytes));
        if let Some(bytes) = after {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &bytes[..]).unwrap();
        }
    }
    tar.finish().unwrap();
    assert_ne!(changed, 0, "nothing was altered");
}

#[test]
fn a_node_without_a_network_runs_what_is_carried_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut hub, node) = site(folder.path());
    let first = export(&hub, "first.tar", &[]);
    assert_eq!((&first["documents"], &first["images"]), (&2.into(), &1.into()), "{first}");
    hub.kill();

    import(&node, "first.tar", &[]).good();
    assert_eq!(node.services(), hello("1.0.0"));
    assert_eq!(node.status()["imported"]["stamp_seq"], first["stampSeq"]);

    // The next one brings what is new, and leaves out what the node said it has.
    hub.restart();
    let inventory = node.program.run(&["bundle", "inventory", "--json"]).good();
    fs::write(folder.path().join("inventory.json"), inventory.stdout).unwrap();
    publish_hello(&hub, "2.0.0", 100_000, &[]).good();
    publish_pattern(&hub, "2.0.0");
    let whole = export(&hub, "whole.tar", &[]);
    let second = export(&hub, "second.tar", &["--for", "inventory.json"]);
    assert_eq!((&whole["documents"], &second["documents"]), (&3.into(), &2.into()));
    let length = |it: &Value| it["bytes"].as_u64().unwrap();
    assert!(length(&second) < length(&whole) * 6 / 10, "{second} {whole}");
    hub.kill();
    import(&node, "second.tar", &[]).good();
    assert_eq!(node.services(), hello("2.0.0"));

    // Online again, it goes on from there.
    hub.restart();
    node.settle().good();
    assert_eq!(node.services(), hello("2.0.0"));
    publish_hello(&hub, "3.0.0", 1000, &[]).good();
    node.settle().good();
    assert_eq!(node.status()["imported"], Value::Null, "the exchange's stamp is newer");
}

#[test]
fn a_bundle_for_one_architecture_or_service_has_its_images_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, node) = site(folder.path());
    publish_hello(&hub, "2.0.0", 100_000, &[]).good();
    let arch = edgepost::types::Arch::of_this_machine();

    let one = export(&hub, "one.tar", &["--service", &format!("hello_1.0.0_{arch}")]);
    assert_eq!((&one["images"], &one["documents"]), (&1.into(), &3.into()), "{one}");
    assert_eq!(export(&hub, "all.tar", &["--arch", arch.as_str()])["images"], 2);
    assert_eq!(export(&hub, "other.tar", &["--arch", "s390x"])["images"], 0);
    let missing = ["bundle", "export", "none.tar", "--service", "bye_1.0.0_amd64"];
    hub.publisher.run(&missing).failed(6, "E0600");

    import(&node, "other.tar", &[]).failed(1, "the bundle has no sha256:");
    import(&node, "one.tar", &[]).good();
    assert_eq!(node.services(), hello("1.0.0"));
}

#[test]
fn a_service_that_no_node_would_take_does_not_keep_others_from_their_way() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, node) = site(folder.path());
    let arch = edgepost::types::Arch::of_this_machine();
    hub.publisher.run(&["key", "create", "second"]).good();
    let change = |arguments: &[&str]| {
        hub.publisher.run(&[arguments, &["--trust-sha256", &hub.pin]].concat()).good();
    };
    change(&["trust", "add", "service", "--signer", "second"]);
    publish_hello(&hub, "2.0.0", 1000, &["-k", "second"]).good();
    change(&["trust", "revoke", "second", "--reason", "retired"]);

    let exported = export(&hub, "site.tar", &[]);
    assert_eq!((&exported["images"], &exported["documents"]), (&1.into(), &3.into()), "{exported}");
    let second = format!("service/hello_2.0.0_{arch}");
    assert!(exported["refused"][&second].is_string(), "{exported}");
    let named = ["bundle", "export", "one.tar", "--service", &format!("hello_2.0.0_{arch}")];
    hub.publisher.run(&named).failed(8, "E0800");
    import(&node, "site.tar", &[]).good();
    assert_eq!(node.services(), hello("1.0.0"));
}

#[test]
fn whoever_carries_a_bundle_cannot_change_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (mut hub, node) = site(folder.path());
    let path = |name: &str| folder.path().join(name);
    export(&hub, "first.tar", &[]);
    publish_hello(&hub, "2.0.0", 100_000, &[]).good();
    publish_pattern(&hub, "2.0.0");
    export(&hub, "second.tar", &[]);
    hub.kill();
    import(&node, "first.tar", &[]).good();

    let older = files(&path("first.tar"));
    let of_first = |name: &str| older.iter().find(|it| it.0 == name).map(|it| it.1.clone());
    let document = |name: &str| name.starts_with("documents/");
    let attacks: [(&str, Change<'_>); 5] = [
        ("mix-and-match", &|name, bytes| {
            if name == "catalog.json" { of_first(name) } else { Some(bytes) }
        }),
        ("altered", &|name, bytes| {
            if name == "catalog.json" { Some([&bytes[..], b" "].concat()) } else { Some(bytes) }
        }),
        ("altered", &|name, bytes| {
            if document(name) {
                older.iter().find(|it| document(&it.0)).map(|it| it.1.clone())
            } else {
                Some(bytes)
            }
        }),
        ("stranger", &|name, bytes| {
            if name != "stamp.json" {
                return Some(bytes);
            }
            let stamp = Envelope::from_json(&bytes).unwrap();
            let stamp: Stamp = serde_json::from_slice(stamp.payload()).unwrap();
            Some(stamp.seal(&SigningKey::generate()).to_json())
        }),
        ("swapped-layer", &|name, mut bytes| {
            if name.starts_with("blobs/") && bytes.len() > 90_000 {
                bytes[500] ^= 1;
            }
            Some(bytes)
        }),
    ];
    altered(&path("second.tar"), &path("less.tar"), |name, bytes| {
        (!document(name)).then_some(bytes)
    });
    import(&node, "less.tar", &[]).failed(1, "documents/");
    for (attack, change) in attacks {
        altered(&path("second.tar"), &path("attack.tar"), change);
        let refused = import(&node, "attack.tar", &[]).failed(8, attack);
        assert!(refused.stderr.contains("E0800"), "{attack}: {}", refused.stderr);
        assert_eq!(node.services(), hello("1.0.0"), "{attack}: what ran goes on");
    }

    altered(&path("second.tar"), &path("other.tar"), |name, bytes| {
        let text = String::from_utf8(bytes.clone()).ok();
        let text = text.filter(|_| name == "edgepost-bundle.json");
        Some(text.map_or(bytes, |it| it.replace("acme", "rival").into_bytes()))
    });
    import(&node, "other.tar", &[]).failed(3, "E0307");
    fs::write(path("nonsense.tar"), "nonsense").unwrap();
    import(&node, "nonsense.tar", &[]).failed(3, "E0307");
    import(&node, "nowhere.tar", &[]).failed(3, "E0307");
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe.tar"), 0o600.into()).unwrap();
    import(&node, "pipe.tar", &[]).failed(3, "E0307");

    import(&node, "second.tar", &[]).good();
    assert_eq!(node.services(), hello("2.0.0"));
    import(&node, "first.tar", &[]).failed(8, "rollback");
    let waived = import(&node, "first.tar", &["--accept-stale"]);
    assert!([4, 8].contains(&waived.code), "{}", waived.stderr);
    assert_eq!(node.services(), hello("2.0.0"));
}

#[test]
fn a_bundle_that_was_long_on_its_way_is_for_root_to_accept() {
    let folder = tempfile::tempdir().unwrap();
    let (mut hub, node) = site(folder.path());
    let path = |name: &str| folder.path().join(name);
    export(&hub, "fresh.tar", &[]);
    let pem = fs::read_to_string(hub.data().join("stamp-key.pem")).unwrap();
    let stamp_key = SigningKey::from_pem(&pem).unwrap();
    hub.kill();
    altered(&path("fresh.tar"), &path("old.tar"), |name, bytes| {
        if name != "stamp.json" {
            return Some(bytes);
        }
        let stamp = Envelope::from_json(&bytes).unwrap();
        let mut stamp: Stamp = serde_json::from_slice(stamp.payload()).unwrap();
        stamp.issued -= SignedDuration::from_hours(48);
        stamp.expires -= SignedDuration::from_hours(48);
        Some(stamp.seal(&stamp_key).to_json())
    });

    import(&node, "old.tar", &[]).failed(8, "freeze");
    assert!(node.services().is_empty());
    let accepted = import(&node, "old.tar", &["--accept-stale"]);
    if accepted.code == 4 {
        // Whoever runs this story is not root.
        accepted.failed(4, "E0406");
        return;
    }
    accepted.good();
    assert_eq!(node.services(), hello("1.0.0"));
    assert_eq!(node.status()["imported"]["expiry_waived"], true);
    let told = node.program.run(&["agent", "status"]).good();
    assert!(told.stdout.contains("though it had expired"), "{}", told.stdout);
}

#[test]
fn an_export_that_is_killed_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    let link = Link::to(hub.address());
    hub.log_in(&link.address().to_string(), "push", &hub.push_password.clone());
    layout(&folder.path().join("image"), 1, 2, 4_000_000);
    let image = format!("{}/acme/hello:1", link.address());
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    let login = format!("{}:pull:{}", link.address(), hub.pull_password);
    hub.publisher.run(&["publish", &file, "--source", "oci:image", "-r", &login]).good();

    link.slow_to(2_000_000);
    let before = link.down();
    let arguments = ["bundle", "export", "site.tar"];
    let running = hub.publisher.start(&arguments, &folder.path().join("export.log"));
    link.wait_for(Link::down, before + 5_000_000);
    running.kill();
    assert!(!folder.path().join("site.tar").exists(), "a bundle is there whole or not at all");
    link.slow_to(0);
    export(&hub, "site.tar", &[]);
    let moved = link.down() - before;
    assert!(moved < 10_000_000, "{moved} bytes for 8 MB");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    let left = names.iter().any(|it| it.file_name().to_string_lossy().contains(".partial"));
    assert!(!left, "nothing lies beside it: {names:?}");
}

#[test]
fn an_import_that_is_killed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 20_000_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    export(&hub, "site.tar", &[]);
    for moment in [20, 60, 120, 250, 400] {
        let running = node.program.start(&["bundle", "import", "site.tar"], &node.log());
        thread::sleep(Duration::from_millis(moment));
        running.kill();
    }
    import(&node, "site.tar", &[]).good();
    assert_eq!(node.services(), hello("1.0.0"));
}
