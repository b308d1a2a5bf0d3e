//! What decides about nodes, as those see it who ask where services fit.

use axum::http::StatusCode;

use super::*;
use crate::{
    document::PropertyValue,
    exchange::{
        api::{MOST_PROFILES, NodePolicyRequest, NodeProfile},
        client::NodePages,
    },
};

/// All pages, and how many nodes each has.
async fn all(mut pages: NodePages) -> (Vec<NodeProfile>, Vec<usize>) {
    let (mut nodes, mut lengths) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        lengths.push(page.len());
        nodes.extend(page);
    }
    (nodes, lengths)
}

fn names(nodes: &[NodeProfile]) -> Vec<&str> {
    nodes.iter().map(|it| it.id.as_str()).collect()
}

fn stated(value: Value) -> NodePolicyRequest {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn what_decides_about_a_node_is_told_whole() {
    let lab = Lab::start().await;
    lab.publish(lab.hello(1, "Hello")).await.unwrap();
    let (node, _) = lab.node("n1", "").await;
    let policy = json!({"properties": [{"name": "openhorizon.memory", "value": 512}],
        "constraints": ["a == b"], "deployment": {"properties": [{"name": "site", "value": "lab"}]},
        "nodePolicyVersion": "v2"});
    node.put_node_policy(&"n1".parse().unwrap(), &stated(policy)).await.unwrap();
    let input = json!([{"serviceOrgid": "acme", "serviceUrl": "hello",
        "inputs": [{"name": "A", "value": 1}]}]);
    let user_input = Some(serde_json::from_value(input).unwrap());
    let change = NodeRequest { user_input, ..NodeRequest::default() };
    node.change_node(&"n1".parse().unwrap(), &change).await.unwrap();
    lab.node("n2", "").await;

    let (nodes, _) = all(lab.ada.node_profiles()).await;

    assert_eq!(names(&nodes), ["n1", "n2"]);
    let told = nodes[0].policy().unwrap();
    assert_eq!(told.constraints[0].as_str(), "a == b");
    assert_eq!(
        told.for_deployment().properties.get("site").unwrap().value,
        PropertyValue::from("lab")
    );
    let facts = nodes[0].facts().unwrap();
    assert_eq!((facts.arch.as_str(), facts.user_input.len()), ("amd64", 1));
    assert_eq!(nodes[1].policy().unwrap(), crate::document::NodePolicy::default());
    let alone = lab.ada.node_profile(&"n1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((alone.policy().unwrap(), alone.facts().unwrap()), (told, facts));
    assert_eq!(lab.ada.node_profile(&"n9".parse().unwrap()).await.unwrap(), None);
}

/// Horizon's exchange with `count` nodes, of which every third has a policy.
fn horizon(count: usize) -> axum::Router {
    let node = |index: usize| {
        let node = json!({"token": "***", "name": "n", "owner": "acme/ada", "nodeType": "device",
            "pattern": "", "arch": "amd64", "registeredServices": [], "userInput": [],
            "msgEndPoint": "", "softwareVersions": {}, "publicKey": "", "lastHeartbeat": null,
            "heartbeatIntervals": {}, "ha_group": null, "lastUpdated": "2026-01-01T00:00:00Z",
            "clusterNamespace": "", "isNamespaceScoped": false});
        (format!("acme/n{index:03}"), node)
    };
    let nodes = (0..count).map(node).collect::<serde_json::Map<_, _>>();
    let nodes = json!({"nodes": nodes, "lastIndex": 0}).to_string();
    let policy = json!({"label": "", "description": "", "properties": [], "constraints": ["a == b"],
        "lastUpdated": "2026-01-01T00:00:00Z", "nodePolicyVersion": "v2"});
    axum::Router::new().fallback(move |uri: axum::http::Uri| async move {
        let path = uri.path().trim_end_matches("/policy");
        let number = path.rsplit_once("/n").and_then(|(_, it)| it.parse::<usize>().ok());
        match number {
            Some(number) if number % 3 == 0 => (StatusCode::OK, policy.to_string()),
            Some(_) => (StatusCode::NOT_FOUND, json!({"code": "not-found", "msg": ""}).to_string()),
            None if path.ends_with("/nodes") => (StatusCode::OK, nodes),
            None => (StatusCode::OK, "2.154.0\n".to_owned()),
        }
    })
}

#[tokio::test]
async fn horizons_exchange_is_asked_for_each_nodes_policy() {
    let client = broken::client_of(horizon(450)).await;

    let (nodes, lengths) = all(client.node_profiles()).await;

    assert_eq!(lengths, [200, 200, 50]);
    assert!(names(&nodes).is_sorted());
    let with_policy = nodes.iter().filter(|it| !it.policy().unwrap().constraints.is_empty());
    assert_eq!(with_policy.count(), 150);
}

#[tokio::test]
async fn everyone_sees_the_nodes_that_are_his() {
    let lab = Lab::start().await;
    let (node, _) = lab.node("n1", "").await;
    lab.node("n2", "").await;
    let bobs = NodeRequest {
        token: Some(WireSecret(Secret::new("tok"))),
        name: Some("n3".to_owned()),
        pattern: Some(String::new()),
        public_key: Some(String::new()),
        ..NodeRequest::default()
    };
    let bob = lab.as_user("bob");
    bob.put_node(&"n3".parse().unwrap(), &bobs).await.unwrap();

    let seen = async |client: ExchangeClient| {
        let (nodes, _) = all(client.node_profiles()).await;
        nodes.into_iter().map(|it| it.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(seen(lab.ada.clone()).await, ["n1", "n2", "n3"]);
    assert_eq!(seen(bob).await, ["n3"]);
    assert_eq!(seen(node).await, ["n1"]);
    let other = client(&lab.server, "root", "root", "pw").about("other".parse().unwrap());
    assert_eq!(seen(other).await, [""; 0]);
    let foreign = lab.ada.about("other".parse().unwrap()).node_profiles().next().await;
    assert!(matches!(foreign, Err(ExchangeError::Denied { .. })), "{foreign:?}");
    let odd = bob_profile(&lab).await;
    assert!(odd.facts().is_err(), "a node that never told its architecture is not judged");
}

async fn bob_profile(lab: &Lab) -> NodeProfile {
    lab.ada.node_profile(&"n3".parse().unwrap()).await.unwrap().unwrap()
}

/// Makes nodes beside the exchange, straight in its database: one by one would take minutes.
async fn make_nodes(lab: &Lab, count: usize) {
    let file = lab.folder.path().join("exchange.db");
    let database = sqlx::SqlitePool::connect_with(SqliteConnectOptions::new().filename(file));
    let database = database.await.unwrap();
    let numbers = format!(
        "WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers LIMIT {count})"
    );
    let description = json!({"name": "n", "arch": "amd64", "softwareVersions": {"edgepost": "1"}});
    let node = format!(
        "INSERT INTO nodes (org, id, owner, token_hash, pattern, public_key, document, last_heartbeat,
         last_updated) {numbers} SELECT 'acme', printf('pos-%05d', i), 'acme/ada', 'x', '', 'x',
         '{description}', NULL, 0 FROM numbers"
    );
    let properties = (0..12).map(|i| json!({"name": format!("property-{i}"), "value": i}));
    let policy = json!({"properties": properties.collect::<Vec<_>>(), "constraints": ["a == b"]});
    let policy = format!(
        "INSERT INTO node_parts {numbers} SELECT 'acme', printf('pos-%05d', i), 'policy', '{policy}', 0
         FROM numbers"
    );
    for sql in [node, policy] {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&database).await.unwrap();
    }
    database.close().await;
}

#[tokio::test]
async fn ten_thousand_nodes_are_listed_in_pages() {
    const NODES: usize = 10_000;
    let lab = Lab::start().await;
    make_nodes(&lab, NODES).await;

    let begun = std::time::Instant::now();
    let (nodes, lengths) = all(lab.ada.node_profiles()).await;
    let elapsed = begun.elapsed();

    println!("{NODES} nodes in {elapsed:?}");
    assert_eq!(nodes.len(), NODES);
    assert!(names(&nodes).is_sorted());
    assert!(lengths.iter().all(|it| *it <= MOST_PROFILES as usize), "{lengths:?}");
    // Twenty times what it takes, for machines that are busy or slow.
    assert!(elapsed.as_secs() < 20, "{elapsed:?}");
}

#[tokio::test]
async fn what_a_node_says_again_is_no_news() {
    let lab = Lab::start().await;
    let (node, _) = lab.node("n1", "").await;
    let id = "n1".parse().unwrap();
    let says = async |site: &str| {
        let policy = json!({"properties": [{"name": "site", "value": site}]});
        node.put_node_policy(&id, &stated(policy)).await.unwrap();
        lab.ada.newest_change().await.unwrap()
    };
    let first = says("lab").await;
    assert_eq!(says("lab").await, first);
    assert!(says("plant").await > first);
}
