//! Who may have the logins of a service.

use super::*;
use crate::exchange::api::NodePolicyRequest;

/// Publishes `hello` with its logins.
async fn publish_with(lab: &Lab, credentials: Vec<Credential>) {
    let envelope = lab.hello(1, "Hello");
    lab.ada.publish(&Publication { envelope, credentials }).await.unwrap();
}

/// Publishes a pattern of these services under the name `p`.
async fn publish_pattern(lab: &Lab, services: &[&str]) {
    let pattern = Subject::Pattern("p".parse().unwrap());
    let pattern = lab.sealed(pattern, 1, State::Active, &pattern_body(services));
    lab.publish(pattern).await.unwrap();
}

#[tokio::test]
async fn only_the_node_of_the_pattern_opens_the_logins() {
    let lab = Lab::start().await;
    publish_with(&lab, vec![login("canary-1")]).await;
    publish_pattern(&lab, &["hello"]).await;
    let (assigned, key) = lab.node("n1", "acme/p").await;
    let (other, other_key) = lab.node("n2", "").await;

    let sealed = assigned.sealed_credentials(&hello()).await.unwrap();
    let opened = sealed[0].open(&hello(), &node("n1"), &key).unwrap();
    assert_eq!((opened.username.as_str(), opened.token.expose()), ("puller", "canary-1"));
    assert!(sealed[0].open(&hello(), &node("n1"), &other_key).is_err());
    assert!(other.sealed_credentials(&hello()).await.unwrap_err().is_not_found());
    assert!(assigned.sealed_credentials(&service("none")).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_required_service_is_assigned_with_the_one_that_requires_it() {
    let lab = Lab::start().await;
    publish_with(&lab, vec![login("canary-1")]).await;
    let requires = |range: &str| json!([{"url": "hello", "org": "acme", "arch": "amd64", "versionRange": range}]);
    let top = service("top");
    let body = service_body(&top, "Top", &requires("[1.0.0,2.0.0)"));
    lab.publish(lab.sealed((&top).into(), 1, State::Active, &body)).await.unwrap();
    publish_pattern(&lab, &["top"]).await;
    let (assigned, key) = lab.node("n1", "acme/p").await;
    let sealed = assigned.sealed_credentials(&hello()).await.unwrap();
    assert!(sealed[0].open(&hello(), &node("n1"), &key).is_ok());
    assert!(assigned.sealed_credentials(&top).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_policy_assigns_to_the_nodes_that_fit() {
    let lab = Lab::start().await;
    publish_with(&lab, vec![login("canary-1")]).await;
    let policy = json!({"label": "d", "service": {"name": "hello", "org": "acme", "arch": "*",
            "serviceVersions": [{"version": "1.0.0"}]},
        "constraints": ["site == lab AND openhorizon.memory >= 256"]});
    let policy = lab.sealed(Subject::Policy("d".parse().unwrap()), 1, State::Active, &policy);
    lab.publish(policy).await.unwrap();
    let stated = |properties: Value| -> NodePolicyRequest {
        serde_json::from_value(json!({"properties": properties, "constraints": []})).unwrap()
    };
    let site = |site: &str| json!({"name": "site", "value": site});
    let memory = |mb: u64| json!({"name": "openhorizon.memory", "value": mb});
    for (name, properties, fits) in [
        ("n1", json!([site("lab")]), true),
        ("n2", json!([site("lab"), memory(512)]), true),
        ("n3", json!([site("lab"), memory(128)]), false),
        ("n4", json!([site("plant"), memory(512)]), false),
        ("n5", json!([]), false),
    ] {
        let (node, _) = lab.node(name, "").await;
        let id = name.parse().unwrap();
        node.put_node_policy(&id, &stated(properties.clone())).await.unwrap();
        let got = node.sealed_credentials(&hello()).await;
        assert!(got.is_err(), "{name} states its policy itself: {got:?}");
        lab.ada.put_node_policy(&id, &stated(properties)).await.unwrap();
        let got = node.sealed_credentials(&hello()).await;
        assert_eq!(got.is_ok(), fits, "{name}: {got:?}");
    }
}

#[tokio::test]
async fn a_token_is_shown_to_nobody_and_stands_nowhere_on_the_disk() {
    let lab = Lab::start().await;
    publish_with(&lab, vec![login("canary-token-1")]).await;
    let seen = lab.ada.masked_credentials(&hello().exchange_id()).await.unwrap();
    assert_eq!((seen[0].username.as_str(), seen[0].version), ("puller", 1));
    assert!(
        lab.as_user("bob")
            .masked_credentials(&hello().exchange_id())
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(lab.keeps_on_disk("puller"), "the search would not find anything");
    assert!(!lab.keeps_on_disk("canary-token-1"));
}

#[tokio::test]
async fn new_logins_replace_the_old_and_none_leave_them() {
    let lab = Lab::start().await;
    publish_with(&lab, vec![login("canary-1")]).await;
    publish_pattern(&lab, &["hello"]).await;
    let (assigned, key) = lab.node("n1", "acme/p").await;
    let token = async || {
        let sealed = assigned.sealed_credentials(&hello()).await.unwrap();
        assert_eq!(sealed.len(), 1);
        let opened = sealed[0].open(&hello(), &node("n1"), &key).unwrap();
        opened.token.expose().to_owned()
    };
    publish_with(&lab, vec![login("canary-2")]).await;
    assert_eq!(token().await, "canary-2");
    publish_with(&lab, Vec::new()).await;
    assert_eq!(token().await, "canary-2");
    lab.publish(lab.hello(2, "Hello again")).await.unwrap();
    assert_eq!(token().await, "canary-2");
}
