//! What a node says of itself: in its log, in `agent status`, and to those who list nodes.

use std::{fs, path::Path, thread, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern, publish_policy},
    node::Node,
    program::Program,
};

/// Asks until the answer is there, for as long as a loaded machine may need.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("{what} did not come");
}

fn listed(hub: &Hub, node: &str) -> Value {
    let nodes = hub.publisher.run(&["node", "list", "--json"]).good().json();
    nodes[format!("acme/{node}")].clone()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn status_tells_a_node_that_never_ran_from_a_folder_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let nobody = program.run(&["agent", "status", "--data", "nothing"]).failed(3, "E0304").stderr;
    assert!(
        nobody.contains("no node is registered") && nobody.contains("agent register"),
        "{nobody}"
    );

    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let idle = node.program.run(&["agent", "status"]).failed(3, "E0304").stderr;
    assert!(idle.contains("acme/n1 has never run") && idle.contains("agent run"), "{idle}");
    assert_eq!(listed(&hub, "n1")["state"], "registered");
}

#[test]
fn list_of_nodes_says_how_each_does() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    publish_policy(&hub, "1.0.0");
    let running = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    running.settle().good();
    let unfit = Node::register(&hub, "n2", &[]);
    unfit.settle().failed(9, "E0900");

    assert_eq!(listed(&hub, "n1")["state"], "running");
    assert_eq!(listed(&hub, "n2")["state"], "unfit");
    let table = hub.publisher.run(&["node", "list"]).good().stdout;
    let heading: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading[..2], ["NODE", "STATE"]);
    assert!(!table.contains("never"), "both have reported: {table}");
    let status = unfit.program.run(&["agent", "status"]).good().stdout;
    assert!(
        status.contains("unfit    policy/where-wanted") && status.contains("wants == hello"),
        "{status}"
    );

    // An image that is gone from the registry.
    publish_hello(&hub, "2.0.0", 1000, &[]).good();
    publish_pattern(&hub, "2.0.0");
    remove_blobs(&hub.data());
    let failed = running.settle();
    assert_ne!(failed.code, 0, "{}", failed.stderr);
    assert_eq!(listed(&hub, "n1")["state"], "failing");
    let status = running.program.run(&["agent", "status"]).good().stdout;
    assert!(status.contains("2.0.0 failed, 1.0.0 runs"), "{status}");
}

/// Empties every blob that the registry has.
fn remove_blobs(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let is_blob = path.file_name().is_some_and(|name| name.len() == 64);
        if path.is_dir() {
            remove_blobs(&path);
        } else if is_blob && fs::metadata(&path).unwrap().len() >= 1000 {
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn status_says_how_far_a_pull_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    // Two layers of 15 MB, of which 1 MB comes in a second.
    publish_hello(&hub, "1.0.0", 15_000_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let agent = node.program.start(&["agent", "run", "--limit-rate", "1M"], &node.log());

    let detail = until("the progress of the pull", || {
        let outcome = node.program.run(&["agent", "status", "--json"]);
        let status = (outcome.code == 0).then(|| outcome.json())?;
        let service = &status["services"][0];
        (service["state"] == "pulling").then(|| service["detail"].as_str().unwrap().to_owned())
    });
    assert!(detail.contains(" of 30.0 MB ("), "{detail}");
    until("the state in the list", || (listed(&hub, "n1")["state"] == "pulling").then_some(()));
    drop(agent);
    let log = text(&node.log());
    assert!(log.contains("pull.started"), "{log}");
}

#[test]
fn agent_logs_every_change_and_failed_pull_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let agent = node.program.start(&["agent", "run"], &node.log());
    let id = format!("acme/hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    node.wait_for(&[&id]);
    let log = until("the change in the log", || {
        Some(text(&node.log())).filter(|it| it.contains("service.state_changed"))
    });
    assert!(log.contains(r#"to="running""#) || log.contains("to=\"starting\""), "{log}");

    publish_hello(&hub, "2.0.0", 1000, &[]).good();
    remove_blobs(&hub.data());
    publish_pattern(&hub, "2.0.0");
    until("the failed pull in the log", || text(&node.log()).contains("pull.failed").then_some(()));
    drop(agent);
}

#[test]
fn own_new_epoch_is_no_attack_and_stops_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();

    hub.publisher.run(&["trust", "new-epoch", "service", "--trust-sha256", &hub.pin]).good();
    // The same process and the next ones, and a node that has never seen the epoch before.
    let newcomer = Node::register(&hub, "n2", &["--pattern", "hello-everywhere"]);
    for node in [&node, &node, &newcomer, &newcomer] {
        let settled = node.program.run(&["agent", "run", "--once"]).failed(9, "E0900");
        assert!(settled.stderr.contains("epoch"), "{}", settled.stderr);
        for word in ["attack", "rollback", "refused"] {
            assert!(!settled.stderr.contains(word), "{word}: {}", settled.stderr);
        }
        assert_eq!(node.status()["refusals"], json!([]));
        assert!(node.services().is_empty());
    }
    assert_eq!(listed(&hub, "n1")["refuses"], Value::Null);

    // Other documents go on being accepted, and the service runs once it is published again.
    publish_policy(&hub, "1.0.0");
    let before = node.status()["stamp_seq"].as_u64().unwrap();
    let _ = node.settle();
    assert!(node.status()["stamp_seq"].as_u64().unwrap() > before);
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    for node in [&node, &newcomer] {
        node.settle().good();
        assert_eq!(node.services().len(), 1);
    }
}
