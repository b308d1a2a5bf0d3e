//! Claims about nodes.

use serde_json::{Value, json};

use crate::exchange::server::testing::{Lab, service};

const PATH: &str = "/orgs/A/nodes/n1";

fn node() -> Value {
    json!({"token": "tok", "name": "n", "pattern": "", "publicKey": ""})
}

fn with(name: &str, value: Value) -> Value {
    let mut body = node();
    body[name] = value;
    body
}

async fn held(lab: &Lab) -> Value {
    lab.get("A/u1", PATH).await.is(200)["nodes"]["A/n1"].clone()
}

#[tokio::test]
async fn a_node_that_is_not_sound_is_refused() {
    let lab = Lab::start().await;
    lab.put("A/u1", "/orgs/A/nodes/iamapikey", node()).await.refuses(400, "invalid-input");
    let odd = |kind: &str, value: &str| {
        let property = json!({"name": "p", "value": value, "propType": kind, "op": "="});
        json!([{"url": "A/s", "numAgreements": 1, "policy": "", "properties": [property]}])
    };
    for (name, value) in [
        ("pattern", json!("A/none")),
        ("pattern", Value::Null),
        ("token", json!("")),
        ("nodeType", json!("toaster")),
        ("name", Value::Null),
        ("colour", json!("red")),
        ("registeredServices", odd("int", "400MB")),
        ("registeredServices", odd("boolean", "perhaps")),
        ("registeredServices", odd("strange", "")),
        ("userInput", json!([{"serviceOrgid": "A", "serviceUrl": "none", "inputs": []}])),
    ] {
        lab.put("A/u1", PATH, with(name, value)).await.refuses(400, "invalid-input");
    }
    lab.put("A/u1", PATH, json!({"name": "n"})).await.is(400);
    lab.put("B/bu", PATH, node()).await.refuses(403, "access-denied");
    let fine = odd("int", "400");
    lab.put("A/u1", PATH, with("registeredServices", fine)).await.is(201);
    assert_eq!(held(&lab).await["registeredServices"][0]["configState"], "active");
    lab.put("A/u1", PATH, json!({"name": "other"})).await.is(201);
    assert_eq!(held(&lab).await["registeredServices"][0]["url"], "A/s");
}

#[tokio::test]
async fn a_node_that_was_only_made_was_not_heard_of() {
    let lab = Lab::start().await;
    lab.node("n1").await;
    let shown = held(&lab).await;
    assert_eq!((&shown["lastHeartbeat"], &shown["ha_group"]), (&Value::Null, &Value::Null));
    assert_eq!((&shown["token"], &shown["owner"]), (&json!("***************"), &json!("A/u1")));
    assert_eq!((&shown["nodeType"], &shown["arch"]), (&json!("device"), &json!("arm")));
    lab.put("A/u1", &format!("{PATH}?noheartbeat=maybe"), node()).await.is(400);
    lab.post("A/n1:tok", &format!("{PATH}/heartbeat"), json!({})).await.is(201);
    assert_eq!(held(&lab).await["lastHeartbeat"], "2026-01-21T10:00:00Z");
    lab.post("A/u1", "/orgs/A/nodes/none/heartbeat", json!({})).await.is(404);
}

#[tokio::test]
async fn a_node_is_seen_by_itself_its_owner_and_administrators() {
    let lab = Lab::start().await;
    lab.node("n1").await;
    lab.node("n2").await;
    let refused = lab.get("A/u2", PATH).await;
    refused.refuses(403, "access-denied");
    assert!(refused.text.contains("READ_ALL_NODES"));
    let none = json!({"nodes": {}, "lastIndex": 0});
    assert_eq!(lab.get("A/u2", "/orgs/A/nodes").await.is(404), none);
    assert_eq!(lab.get("A/u2", "/orgs/A/nodes/none").await.is(404), none);
    let count = |answer: Value| answer["nodes"].as_object().unwrap().len();
    assert_eq!(count(lab.get("A/u1", "/orgs/A/nodes").await.is(200)), 2);
    assert_eq!(count(lab.get("A/ad", "/orgs/A/nodes?idfilter=%252").await.is(200)), 1);
    assert_eq!(count(lab.get("A/n1:tok", "/orgs/A/nodes").await.is(200)), 1);
    lab.get("A/n1:tok", PATH).await.is(200);
    lab.get("A/n1:tok", "/orgs/A/nodes/n2").await.is(403);
    lab.get("B/bu", "/orgs/A/nodes").await.is(403);
    lab.get("A/ad", "/orgs/A/nodes?nodetype=toaster").await.is(400);
    let only = lab.get("A/u1", &format!("{PATH}?attribute=arch")).await.is(200);
    assert_eq!(only["value"], "arm");
}

#[tokio::test]
async fn only_the_node_gives_itself_a_key_and_keeps_it() {
    let lab = Lab::start().await;
    lab.node("n1").await;
    let key = |key: &str| json!({"publicKey": key});
    lab.patch("A/u1", PATH, key("K")).await.refuses(403, "access-denied");
    lab.patch("A/n1:tok", PATH, key("K")).await.is(201);
    lab.patch("A/n1:tok", PATH, key("other")).await.is(400);
    lab.patch("A/u1", PATH, json!({"token": "new"})).await.is(400);
    lab.put("A/u1", PATH, node()).await.is(400);
    lab.patch("A/n1:tok", PATH, key("")).await.is(201);
    lab.patch("A/u1", PATH, json!({"token": "new"})).await.is(201);
    lab.get("A/n1:tok", PATH).await.refuses(401, "invalid-credentials");
    lab.get("A/n1:new", PATH).await.is(200);
}

#[tokio::test]
async fn a_node_changes_one_thing_at_a_time() {
    let lab = Lab::start().await;
    lab.node("n1").await;
    lab.patch("A/n1:tok", PATH, json!({})).await.is(400);
    lab.patch("A/n1:tok", PATH, json!({"arch": "amd64", "name": "x"})).await.is(400);
    lab.patch("A/n1:tok", PATH, json!({"arch": "amd64", "softwareVersions": null})).await.is(201);
    assert_eq!(held(&lab).await["arch"], "amd64");
    lab.patch("A/u1", "/orgs/A/nodes/none", json!({"arch": "arm"})).await.is(404);
    lab.patch("A/n1:tok", PATH, json!({"pattern": "A/none"})).await.is(400);
    lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
    let pattern = json!({"label": "p", "services": [{
        "serviceUrl": "svc", "serviceOrgid": "A", "serviceArch": "arm",
        "serviceVersions": [{"version": "1.0.0"}],
    }]});
    lab.post("A/u1", "/orgs/A/patterns/p", pattern).await.is(201);
    lab.patch("A/n1:tok", PATH, json!({"pattern": "A/p"})).await.is(201);
    lab.patch("A/n1:tok", PATH, json!({"publicKey": "K"})).await.is(201);
    lab.patch("A/n1:tok", PATH, json!({"pattern": ""})).await.is(201);
    lab.patch("A/n1:tok", PATH, json!({"pattern": "A/p"})).await.is(400);
}

#[tokio::test]
async fn services_of_a_node_are_suspended() {
    let lab = Lab::start().await;
    let offered = json!([{"url": "A/s", "numAgreements": 1, "policy": "", "properties": []}]);
    lab.put("A/u1", PATH, with("registeredServices", offered)).await.is(201);
    let path = format!("{PATH}/services_configstate");
    let request = |url: &str, state: &str| json!({"org": "A", "url": url, "configState": state});
    lab.post("A/n1:tok", &path, request("s", "foo")).await.is(400);
    lab.post("A/n1:tok", &path, request("unknown", "suspended")).await.is(404);
    lab.post("A/n1:tok", &path, request("", "suspended")).await.is(201);
    assert_eq!(held(&lab).await["registeredServices"][0]["configState"], "suspended");
}

#[tokio::test]
async fn an_organization_has_no_more_nodes_than_it_may() {
    let lab = Lab::start().await;
    lab.patch("root/root", "/orgs/A", json!({"limits": {"maxNodes": 2}})).await.is(201);
    lab.node("n1").await;
    let last = lab.put("A/u1", "/orgs/A/nodes/n2", node()).await;
    assert!(last.is(201)["msg"].as_str().unwrap().contains("95%"));
    let refused = lab.put("A/u1", "/orgs/A/nodes/n3", node()).await;
    refused.refuses(403, "access-denied");
    assert!(refused.text.contains("Your current total number of nodes"));
    lab.put("A/u1", "/orgs/A/nodes/n2", node()).await.is(201);
    lab.patch("root/root", "/orgs/A", json!({"limits": {"maxNodes": 0}})).await.is(201);
    lab.put("A/u1", "/orgs/A/nodes/n3", node()).await.is(201);
}

#[tokio::test]
async fn a_node_that_is_gone_is_told_so() {
    let lab = Lab::start().await;
    lab.node("n1").await;
    let none = lab.get("A/n1:tok", &format!("{PATH}/msgs")).await.is(404);
    assert_eq!(none, json!({"messages": [], "lastIndex": 0}));
    lab.get("A/n1:tok", &format!("{PATH}/msgs?maxmsgs=bad")).await.is(400);
    lab.delete("A/u2", PATH).await.is(403);
    lab.delete("root/root", PATH).await.is(204);
    lab.delete("root/root", PATH).await.is(404);
    lab.post("A/n1:tok", "/orgs/A/changes", json!({})).await.is(401);
}
