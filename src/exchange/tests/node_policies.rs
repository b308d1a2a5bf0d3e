//! Which policy of a node counts: its own, or one that is published for it.

use super::*;
use crate::{
    exchange::api::{NodePolicyRequest, Resource},
    trust::Catalog,
    types::{DocumentKey, NodeId},
};

fn n1() -> NodeId {
    "n1".parse().unwrap()
}

fn key() -> DocumentKey {
    DocumentKey::node_policy(&n1())
}

/// The policy of `n1`, signed by the publisher.
fn signed(lab: &Lab, seq: u64, site: &str) -> Envelope {
    let body = json!({"properties": [{"name": "site", "value": site},
        {"name": "openhorizon.memory", "value": 1_000_000}], "constraints": ["a == b"], "x": 1});
    lab.sealed(Subject::NodePolicy(n1()), seq, State::Active, &body)
}

fn withdrawn(lab: &Lab, seq: u64) -> Envelope {
    lab.sealed(Subject::NodePolicy(n1()), seq, State::Withdrawn, &Value::Null)
}

/// What the node says itself.
fn own(site: &str) -> NodePolicyRequest {
    let properties = json!([{"name": "site", "value": site},
        {"name": "openhorizon.memory", "value": 512}]);
    serde_json::from_value(json!({"properties": properties, "constraints": ["own == own"]}))
        .unwrap()
}

/// The values of `site` and of the memory that others see, and the constraints.
async fn seen(lab: &Lab) -> Option<(String, u64, Vec<String>)> {
    let policy = lab.ada.node_policy(&n1()).await.unwrap()?.value;
    let value = |name: &str| {
        let found = policy.properties.iter().filter(|it| it.name == name).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{policy:?}");
        found[0].value.clone()
    };
    let (site, memory) = (value("site"), value("openhorizon.memory"));
    Some((site.as_str()?.to_owned(), memory.as_u64()?, policy.constraints))
}

fn told(site: &str, memory: u64, constraint: &str) -> (String, u64, Vec<String>) {
    (site.to_owned(), memory, vec![constraint.to_owned()])
}

#[tokio::test]
async fn a_published_policy_counts_until_it_is_withdrawn() {
    let lab = Lab::start().await;
    let (node, _) = lab.node("n1", "").await;
    node.put_node_policy(&n1(), &own("lab")).await.unwrap();
    assert_eq!(seen(&lab).await, Some(told("lab", 512, "own == own")));

    let published = lab.publish(signed(&lab, 1, "plant")).await.unwrap();
    assert_eq!(seen(&lab).await, Some(told("plant", 512, "a == b")));
    let row = lab.ada.node_policy(&n1()).await.unwrap().unwrap().value;
    assert_eq!(row.node_policy_version, "v2");
    let catalog = lab.ada.catalog(published.catalog_version).await.unwrap();
    assert!(Catalog::from_bytes(&catalog).unwrap().entries.contains_key(&key()));

    // What the node says now shows only in what it has measured.
    let mut moved = own("elsewhere");
    moved.properties[1].value = json!(256);
    node.put_node_policy(&n1(), &moved).await.unwrap();
    assert_eq!(seen(&lab).await, Some(told("plant", 256, "a == b")));

    lab.publish(withdrawn(&lab, 2)).await.unwrap();
    assert_eq!(seen(&lab).await, Some(told("elsewhere", 256, "own == own")));
    lab.publish(signed(&lab, 3, "plant")).await.unwrap();
    assert_eq!(seen(&lab).await, Some(told("plant", 256, "a == b")));
}

#[tokio::test]
async fn a_node_that_says_nothing_has_what_is_published_for_it_and_keeps_nothing_else() {
    let lab = Lab::start().await;
    let (node, _) = lab.node("n1", "").await;
    lab.publish(signed(&lab, 1, "plant")).await.unwrap();
    assert_eq!(seen(&lab).await, Some(told("plant", 1_000_000, "a == b")));
    assert!(!node.remove_row(&key()).await.unwrap(), "it never said anything");
    assert!(seen(&lab).await.is_some());
    lab.publish(withdrawn(&lab, 2)).await.unwrap();
    assert_eq!(seen(&lab).await, None);
}

#[tokio::test]
async fn what_is_published_for_a_node_waits_for_its_return() {
    let lab = Lab::start().await;
    lab.node("n1", "").await;
    lab.publish(signed(&lab, 1, "plant")).await.unwrap();
    assert!(lab.ada.remove_node(&n1()).await.unwrap());
    lab.node("n1", "").await;
    assert_eq!(seen(&lab).await, Some(told("plant", 1_000_000, "a == b")));
    assert!(lab.ada.remove_node(&n1()).await.unwrap());
    lab.publish(withdrawn(&lab, 2)).await.unwrap();
    lab.node("n1", "").await;
    assert_eq!(seen(&lab).await, None);
}

#[tokio::test]
async fn the_node_hears_of_its_policy_at_once() {
    let lab = Lab::start().await;
    let (node, _) = lab.node("n1", "").await;
    let (other, _) = lab.node("n2", "").await;
    for envelope in [signed(&lab, 1, "plant"), withdrawn(&lab, 2)] {
        let from = lab.ada.newest_change().await.unwrap() + 1;
        lab.publish(envelope).await.unwrap();
        let concerns = async |client: &ExchangeClient| {
            let answer = client.changes(from, std::time::Duration::from_secs(1)).await.unwrap();
            let is_new = |it: &crate::exchange::api::ResourceChange| it.change_id >= from;
            answer.changes.iter().any(|it| {
                it.resource == Resource::NodePolicy && it.resource_changes.iter().any(is_new)
            })
        };
        assert!(concerns(&node).await);
        assert!(!concerns(&other).await);
    }
}

#[tokio::test]
async fn only_those_who_may_change_a_node_publish_its_policy() {
    let lab = Lab::start().await;
    let refused = lab.publish(signed(&lab, 1, "plant")).await.unwrap_err();
    assert!(refused.is_not_found(), "there is no such node: {refused:?}");
    let bob = lab.as_user("bob");
    let id = n1();
    let request = NodeRequest {
        token: Some(WireSecret(Secret::new("tok"))),
        name: Some("n1".to_owned()),
        pattern: Some(String::new()),
        public_key: Some(String::new()),
        arch: Some("amd64".to_owned()),
        ..NodeRequest::default()
    };
    bob.put_node(&id, &request).await.unwrap();
    let publication =
        |seq| Publication { envelope: signed(&lab, seq, "plant"), credentials: Vec::new() };
    // The administrator first: the node stays its owner's all the same.
    lab.ada.publish(&publication(1)).await.unwrap();
    bob.publish(&publication(2)).await.unwrap();

    let auth = Auth::Node { org: acme(), id, token: Secret::new("tok") };
    let itself = speak(&lab.server, auth);
    let (adas, _) = lab.node("n2", "").await;
    for stranger in [&itself, &adas] {
        let refused = stranger.publish(&publication(3)).await.unwrap_err();
        assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");
    }
    let n2 = lab.sealed(Subject::NodePolicy("n2".parse().unwrap()), 1, State::Active, &json!({}));
    let refused =
        bob.publish(&Publication { envelope: n2, credentials: Vec::new() }).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_policy_that_is_forged_or_that_nobody_could_read_is_refused() {
    let lab = Lab::start().await;
    lab.node("n1", "").await;
    let subject = || Subject::NodePolicy(n1());
    let stranger = SigningKey::generate();
    let forged = lab.sealed_by(&stranger, subject(), 1, State::Active, &json!({}));
    let refused = lab.publish(forged).await.unwrap_err();
    assert!(
        matches!(&refused, ExchangeError::SignatureRefused { attack, .. } if attack == "stranger")
    );
    for body in [
        json!({"properties": [{"name": "a", "type": "strange", "value": 1}]}),
        json!({"constraints": ["a =="]}),
    ] {
        let envelope = lab.sealed(subject(), 1, State::Active, &body);
        assert!(lab.publish(envelope).await.is_err(), "{body}");
    }
    let envelope = signed(&lab, 1, "plant");
    let refused = lab.ada.publish(&Publication { envelope, credentials: vec![login("t")] }).await;
    assert!(matches!(refused, Err(ExchangeError::Invalid { .. })), "{refused:?}");
    assert_eq!(seen(&lab).await, None);
}

#[tokio::test]
async fn a_trust_from_before_there_were_node_policies_says_that_no_rule_covers_them() {
    let lab = Lab::distrustful().await;
    let stamp_key = lab.ada.stamp_key().await.unwrap();
    let owner = lab.publisher.verifying_key();
    let mut trust = TrustDocument::single_key(acme(), &owner, &stamp_key, lab.clock.now());
    trust.rules.retain(|rule| rule.kind.as_str() != "node-policy");
    lab.ada.put_trust(&trust.seal(&[&lab.publisher]).unwrap()).await.unwrap();
    lab.node("n1", "").await;

    let refused = lab.publish(signed(&lab, 1, "plant")).await.unwrap_err();
    let ExchangeError::SignatureRefused { attack, msg, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(attack, "stranger");
    assert!(msg.contains("no rule") && msg.contains("node-policy"), "{msg}");
    assert_eq!(seen(&lab).await, None);

    let mut next = trust.next(lab.clock.now());
    next.rules.push(crate::trust::Rule { kind: key().kind(), ..trust.rules[0].clone() });
    lab.ada.put_trust(&next.seal(&[&lab.publisher]).unwrap()).await.unwrap();
    lab.publish(signed(&lab, 1, "plant")).await.unwrap();
    assert_eq!(seen(&lab).await, Some(told("plant", 1_000_000, "a == b")));
}

#[tokio::test]
async fn the_published_policy_decides_what_a_node_is_assigned() {
    let lab = Lab::start().await;
    let envelope = lab.hello(1, "Hello");
    lab.ada.publish(&Publication { envelope, credentials: vec![login("t")] }).await.unwrap();
    let policy = json!({"label": "d", "constraints": ["site == plant"], "service": {
        "name": "hello", "org": "acme", "arch": "*", "serviceVersions": [{"version": "1.0.0"}]}});
    let policy = lab.sealed(Subject::Policy("d".parse().unwrap()), 1, State::Active, &policy);
    lab.publish(policy).await.unwrap();
    let (node, _) = lab.node("n1", "").await;
    let mut own = own("lab");
    own.constraints.clear();
    node.put_node_policy(&n1(), &own).await.unwrap();
    assert!(node.sealed_credentials(&hello()).await.unwrap_err().is_not_found());
    let body = json!({"properties": [{"name": "site", "value": "plant"}]});
    let body = lab.sealed(Subject::NodePolicy(n1()), 1, State::Active, &body);
    lab.publish(body).await.unwrap();
    assert_eq!(node.sealed_credentials(&hello()).await.unwrap().len(), 1);
    lab.publish(withdrawn(&lab, 2)).await.unwrap();
    assert!(node.sealed_credentials(&hello()).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_node_that_repeats_itself_does_not_wake_itself_up() {
    let lab = Lab::start().await;
    let (node, _) = lab.node("n1", "").await;
    lab.publish(signed(&lab, 1, "plant")).await.unwrap();
    node.put_node_policy(&n1(), &own("lab")).await.unwrap();
    let newest = lab.ada.newest_change().await.unwrap();
    node.put_node_policy(&n1(), &own("lab")).await.unwrap();
    assert_eq!(lab.ada.newest_change().await.unwrap(), newest);
    let mut smaller = own("lab");
    smaller.properties[1].value = json!(256);
    node.put_node_policy(&n1(), &smaller).await.unwrap();
    assert!(lab.ada.newest_change().await.unwrap() > newest);
}
