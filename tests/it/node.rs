//! What the keeper of a node sees.

use std::time::Duration;

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern, publish_policy, write},
    node::Node,
};

fn id(version: &str) -> String {
    format!("acme/hello_{version}_{}", edgepost::types::Arch::of_this_machine())
}

#[test]
fn a_node_with_a_pattern_gets_its_service_and_then_the_next_version() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 50_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);

    node.settle().good();
    assert_eq!(node.services(), [id("1.0.0")]);

    publish_hello(&hub, "2.0.0", 50_000, &[]).good();
    publish_pattern(&hub, "2.0.0");
    node.settle().good();
    assert_eq!(node.services(), [id("2.0.0")]);
    hub.publisher.run(&["node", "verify", "n1", "--trust-sha256", &hub.pin]).good();
    let shown = hub.publisher.run(&["node", "show", "n1", "--json"]).good().json();
    assert_eq!(shown["report"]["services"][0]["service"]["version"], "2.0.0");
}

#[test]
fn a_node_with_a_policy_gets_what_fits_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_policy(&hub, "1.0.0");
    let property = |value: &str| serde_json::json!({"properties": [{"name": "wants", "value": value}], "constraints": []});
    let fits = write(&hub, "fits.json", &property("hello"));
    let other = write(&hub, "other.json", &property("quiet"));

    let node = Node::register(&hub, "n1", &["--policy", &fits]);
    node.settle().good();
    assert_eq!(node.services(), [id("1.0.0")]);

    let node = Node::register(&hub, "n2", &["--policy", &other]);
    node.settle().failed(9, "E0900");
    assert!(node.services().is_empty());
}

#[test]
fn a_publish_reaches_a_waiting_node_without_being_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let agent = node.start();
    node.wait_for(&[&id("1.0.0")]);

    publish_hello(&hub, "2.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "2.0.0");

    node.wait_for(&[&id("2.0.0")]);
    assert_eq!(agent.stop(), 0);
}

#[test]
fn a_node_that_was_away_during_an_update_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let agent = node.start();
    node.wait_for(&[&id("1.0.0")]);

    hub.kill();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(node.services(), [id("1.0.0")], "what runs keeps running without an exchange");
    agent.kill();
    hub.restart();
    publish_hello(&hub, "2.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "2.0.0");

    let agent = node.start();
    node.wait_for(&[&id("2.0.0")]);
    assert_eq!(agent.stop(), 0);
}

#[test]
fn a_node_without_its_exchange_says_so_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();

    hub.kill();
    node.settle().failed(5, "E0500");

    assert_eq!(node.services(), [id("1.0.0")]);
}

#[test]
fn a_node_registers_only_with_the_trust_that_its_keeper_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let mut program = hub.publisher.clone();
    program.set("EDGEPOST_NODE_AUTH", "n1:n1-token");
    program.set("EDGEPOST_NODE_DATA", folder.path().join("n1").display());
    let wrong = "0".repeat(64);

    let arguments =
        ["agent", "register", "--pattern", "hello-everywhere", "--trust-sha256", &wrong];
    program.run(&arguments).failed(8, "wrong-root");
}

#[test]
fn a_registration_that_is_refused_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();

    let again = ["agent", "register", "--trust-sha256", &hub.pin, "--pattern", "no-such-pattern"];
    assert_ne!(node.program.run(&again).code, 0);

    node.settle().good();
    assert_eq!(node.services(), [id("1.0.0")]);
}

#[test]
fn a_service_nobody_assigned_gives_no_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let other =
        write(&hub, "other.json", &serde_json::json!({"properties": [], "constraints": []}));
    Node::register(&hub, "n2", &["--policy", &other]);
    let ask = |node: &str| {
        let url = format!(
            "http://{}/v1/orgs/acme/edgepost/services/hello_1.0.0_{}/credentials",
            hub.registry(),
            edgepost::types::Arch::of_this_machine()
        );
        get(&url, &format!("acme/{node}"), &format!("{node}-token"))
    };

    assert_eq!(ask("n1").0, 200);
    assert_eq!(ask("n2").0, 404);
    assert!(!ask("n1").1.contains(&hub.pull_password), "credentials travel sealed");
}

/// What a URL answers.
fn get(url: &str, user: &str, password: &str) -> (u16, String) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().build().unwrap();
        let answer = client.get(url).basic_auth(user, Some(password)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

#[test]
fn two_agents_do_not_work_on_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let agent = node.start();
    node.wait_for(&[&id("1.0.0")]);

    node.settle().failed(7, "E0701");
    node.program.run(&["agent", "unregister"]).failed(7, "E0701");

    agent.kill();
    node.settle().good();
}

#[test]
fn a_folder_without_a_node_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let nowhere = folder.path().join("typo");
    let program = hub.publisher.with("EDGEPOST_NODE_DATA", nowhere.display());
    program.run(&["agent", "run"]).failed(3, "E0304");
    assert!(!nowhere.exists());
}
