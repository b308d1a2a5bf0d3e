//! A node's policy that its operator publishes.

use edgepost::{
    document::NodePolicy,
    publish::{Existing, PublishError, Published},
    sign::SigningKey,
    trust::{Statement, TrustRoot},
    types::{DocumentKey, DocumentKind, NodeId},
};
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_policy, write},
    node::Node,
    publisher::{exchange, key, publisher, wait},
    thief,
};

fn id() -> String {
    format!("acme/hello_1.0.0_{}", edgepost::types::Arch::of_this_machine())
}

fn n1() -> NodeId {
    "n1".parse().unwrap()
}

fn wants(what: &str) -> Value {
    json!({"properties": [{"name": "wants", "value": what}], "constraints": []})
}

fn publish(hub: &Hub, policy: &Value) -> Result<Published, PublishError> {
    let policy: NodePolicy = serde_json::from_value(policy.clone()).unwrap();
    let publisher = publisher(hub, vec![key(hub)]);
    wait(publisher.publish_document(&n1(), &policy, Existing::Overwrite))
}

fn withdraw(hub: &Hub) {
    let publisher = publisher(hub, vec![key(hub)]);
    assert!(wait(publisher.withdraw(&DocumentKey::node_policy(&n1()))).unwrap());
}

/// A hub with a service for nodes that want it, and a node that does not.
fn quiet_node(folder: &std::path::Path) -> (Hub, Node) {
    let hub = Hub::start(folder);
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_policy(&hub, "1.0.0");
    let file = write(&hub, "quiet.json", &wants("quiet"));
    let node = Node::register(&hub, "n1", &["--policy", &file]);
    (hub, node)
}

#[test]
fn a_published_policy_brings_a_service_at_once_and_its_withdrawal_takes_it_away() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, node) = quiet_node(folder.path());
    let agent = node.start();
    node.wait_for(&[]);
    assert_eq!(node.status()["policy"]["from"], "registration");

    assert_eq!(publish(&hub, &wants("hello")).unwrap().seq, 1);
    node.wait_for(&[&id()]);
    assert_eq!(node.status()["policy"], json!({"from": "published", "seq": 1}));
    let told = node.program.run(&["agent", "status"]).good().stdout;
    assert!(told.contains("policy published for this node, seq 1"), "{told}");
    assert!(publish(&hub, &wants("hello")).unwrap().unchanged);

    withdraw(&hub);
    node.wait_for(&[]);
    for _ in 0..100 {
        if node.status()["policy"]["from"] == "registration" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(node.status()["policy"]["from"], "registration");
    assert_eq!(agent.stop(), 0);
}

#[test]
fn the_exchange_shows_the_published_policy_with_what_the_node_has_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, node) = quiet_node(folder.path());
    publish(&hub, &wants("hello")).unwrap();
    let agent = node.start();
    node.wait_for(&[&id()]);
    let shown = || {
        let (status, body) = hub.get("/v1/orgs/acme/nodes/n1/policy");
        assert_eq!(status, 200);
        let policy: NodePolicy = serde_json::from_slice(&body).unwrap();
        policy.for_deployment().properties
    };
    let value = |name: &str| shown().get(name).map(|it| it.value.clone());
    assert_eq!(value("wants"), Some("hello".into()));
    assert!(value("openhorizon.memory").is_some());

    // The node repeats itself when it hears of its policy; that is no news to it.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let newest =
        || wait(exchange(&format!("http://{}/v1", hub.address())).newest_change()).unwrap();
    let before = newest();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(newest(), before, "the node wakes itself up");
    withdraw(&hub);
    node.wait_for(&[]);
    assert_eq!(value("wants"), Some("quiet".into()));
    assert_eq!(agent.stop(), 0);
}

#[test]
fn a_policy_that_only_the_exchange_vouches_for_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, node) = quiet_node(folder.path());
    publish(&hub, &wants("hello")).unwrap();
    node.settle().good();
    assert_eq!(node.services(), [id()]);

    // Of somebody who has the exchange, its online key and its database, but no publisher's key.
    let honest = thief::newest(&hub, "node-policy/n1");
    let mut statement: Statement<Value> = serde_json::from_slice(honest.payload()).unwrap();
    statement.header.seq += 1;
    statement.body["properties"][0]["value"] = json!("quiet");
    let forged = statement.seal(&[&SigningKey::generate()]).unwrap();
    thief::list(&hub.data(), &forged);

    node.settle().failed(8, "stranger");
    assert_eq!(node.services(), [id()], "what ran goes on");
    let status = node.status();
    assert_eq!(status["refusals"][0]["document"], "node-policy/n1");
    assert_eq!(status["policy"]["seq"], 1);
}

#[test]
fn a_trust_from_before_there_were_node_policies_is_given_a_rule_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, node) = quiet_node(folder.path());
    let client = exchange(&format!("http://{}/v1", hub.address()));
    let trust = wait(client.walk_trust(TrustRoot::FirstSeen)).unwrap().unwrap();
    let mut older = trust.document().next("2026-01-01T00:00:00Z".parse().unwrap());
    (older.issued, older.expires) = (trust.document().issued, trust.document().expires);
    older.rules.retain(|rule| rule.kind != DocumentKind::NodePolicy);
    wait(client.put_trust(&older.seal(&[&key(&hub)]).unwrap())).unwrap();

    let refused = publish(&hub, &wants("hello")).unwrap_err();
    assert!(matches!(refused, PublishError::NoRule(_)), "{refused:?}");
    assert!(refused.to_string().contains("node-policy/n1"), "{refused}");

    let add = |kind: &str| {
        hub.publisher.run(&["trust", "add", kind, "--trust-sha256", &hub.pin, "--json"])
    };
    let zeros = "0".repeat(64);
    hub.publisher
        .run(&["trust", "add", "node-policy", "--trust-sha256", &zeros])
        .failed(8, "wrong-root");
    add("strange").failed(2, "strange");
    assert_eq!(add("node-policy").good().json()["version"], 3);
    assert_ne!(add("node-policy").code, 0);
    publish(&hub, &wants("hello")).unwrap();
    node.settle().good();
    assert_eq!(node.services(), [id()]);
}
