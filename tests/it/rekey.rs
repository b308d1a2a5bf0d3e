//! The key by which logins are encrypted at rest is changed in a hub that runs, and is killed.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, thread, time::Duration};

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern},
    node::Node,
};

/// Logins of each service: rewriting those of all services takes several requests.
const LOGINS: usize = 900;
const VERSIONS: [&str; 4] = ["1.0.0", "1.0.1", "1.0.2", "1.0.3"];

fn id(version: &str) -> String {
    format!("hello_{version}_{}", edgepost::types::Arch::of_this_machine())
}

/// A hub with thousands of logins, and a node that needs one of them.
fn loaded(folder: &std::path::Path) -> (Hub, Node) {
    let hub = Hub::start(folder);
    for version in VERSIONS {
        publish_hello(&hub, version, 5_000, &[]).good();
        let login = |number: usize| format!("r{number}.example:u:canary-{version}-{number}\n");
        let logins: String = (0..LOGINS).map(login).collect();
        let set = [
            "service",
            "credentials",
            "set",
            &id(version),
            "--registry-token-file",
            "-",
            "--quiet",
        ];
        hub.publisher.run_told(&set, &logins).good();
    }
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    (hub, node)
}

fn key_file(hub: &Hub) -> PathBuf {
    hub.data().join("vault.key")
}

/// Waits until a change is begun: there are two keys in the file.
fn wait_until_begun(hub: &Hub) {
    for _ in 0..4000 {
        if fs::metadata(key_file(hub)).unwrap().len() == 80 {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("no change of the key has begun");
}

/// All tokens that the node is given, which is all of one service.
fn tokens(hub: &Hub) -> usize {
    let path = format!("/v1/orgs/acme/services/{}/dockauths", id("1.0.0"));
    let (status, body) = hub.get_as("acme/n1", "n1-token", &path);
    assert_eq!(status, 200);
    let body = String::from_utf8(body).unwrap();
    let all = (0..LOGINS).filter(|it| body.contains(&format!("\"canary-1.0.0-{it}\""))).count();
    all + body.matches(&hub.pull_password).count()
}

#[test]
fn a_change_of_the_key_survives_every_kill_and_is_finished_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    let (mut hub, node) = loaded(folder.path());
    let first = fs::read(key_file(&hub)).unwrap();
    let (mut kills, mut broken_off) = (0, 0);
    // The hub is killed ever later in the change, and the command once beside it.
    for delay in [0, 30, 60, 90, 120, 160, 200, 250] {
        let log = folder.path().join("rekey.log");
        let command = hub.root.start(&["exchange", "rekey"], &log);
        wait_until_begun(&hub);
        thread::sleep(Duration::from_millis(delay));
        if kills % 2 == 0 {
            command.kill();
            hub.kill();
        } else {
            hub.kill();
            drop(command);
        }
        kills += 1;
        let length = fs::metadata(key_file(&hub)).unwrap().len();
        broken_off += usize::from(length == 80);
        let mode = fs::metadata(key_file(&hub)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        hub.restart();
        assert_eq!(tokens(&hub), LOGINS + 1, "after kill {kills}, {delay} ms into the change");
    }

    let finished = hub.root.run(&["exchange", "rekey", "--json"]).good().json();
    let finished = if finished["rewritten"] == 0 {
        // What was broken off was finished but for the old key.
        hub.root.run(&["exchange", "rekey", "--json"]).good().json()
    } else {
        finished
    };

    println!(
        "{kills} kills, {broken_off} of them in the middle of a change: 0 logins lost; then {finished}"
    );
    assert!(broken_off > 0, "no kill hit a change");
    let left = fs::read(key_file(&hub)).unwrap();
    assert_eq!(left.len(), 40);
    assert!(!left.windows(32).any(|it| it == first), "the first key is gone");
    assert_eq!(tokens(&hub), LOGINS + 1);
    node.settle().good();
    let beside = fs::read_dir(hub.data()).unwrap().flatten();
    let keys = beside.filter(|it| it.file_name().to_string_lossy().starts_with("vault.key"));
    assert_eq!(keys.count(), 1, "a kill has left a copy of the keys");
}

#[test]
fn the_key_is_changed_by_the_root_user_alone_and_each_time_anew() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 5_000, &[]).good();
    hub.publisher.run(&["exchange", "rekey"]).failed(4, "E0401");
    for version in 2..5 {
        let told = hub.root.run(&["exchange", "rekey", "--json"]).good().json();
        assert_eq!(told, serde_json::json!({"ok": true, "keyVersion": version, "rewritten": 1}));
    }
    let told = hub.root.run(&["exchange", "rekey"]).good().stdout;
    assert_eq!(told.trim(), "key 5: 1 logins rewritten, the older key is gone");
}
