//! Policies of nodes and services at Open Horizon's own exchange: `hzn`'s calls, with the built-in
//! properties that stand there.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
};
use edgepost::{
    document::{NodePolicy, ServicePolicy},
    publish::{Existing, TrustGrade},
    types::{DocumentKey, NodeId, ServiceId},
};
use serde_json::{Value, json};

use crate::support::publisher::{publisher_at, wait};

/// What stands in the exchange by path, and what was written.
#[derive(Default)]
struct Kept {
    rows: BTreeMap<String, Value>,
    written: Vec<String>,
}

type Shared = Arc<Mutex<Kept>>;

async fn answer(
    State(kept): State<Shared>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, String) {
    let mut kept = kept.lock().unwrap();
    let path = uri.path().to_owned();
    let said = json!({"code": "ok", "msg": ""}).to_string();
    if method != Method::GET {
        kept.written.push(format!("{method} {path}"));
    }
    match method {
        Method::GET if path.ends_with("/admin/version") => (StatusCode::OK, "2.154.0\n".to_owned()),
        Method::GET => match kept.rows.get(&path) {
            Some(row) => (StatusCode::OK, row.to_string()),
            None => (StatusCode::NOT_FOUND, said),
        },
        Method::DELETE => match kept.rows.remove(&path) {
            Some(_) => (StatusCode::NO_CONTENT, String::new()),
            None => (StatusCode::NOT_FOUND, said),
        },
        _ => {
            kept.rows.insert(path, serde_json::from_slice(&body).unwrap());
            (StatusCode::CREATED, said)
        }
    }
}

/// Horizon's exchange with these rows.
fn exchange(rows: &[(&str, Value)]) -> (SocketAddr, Shared, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rows = rows.iter().map(|(path, row)| ((*path).to_owned(), row.clone())).collect();
    let kept = Arc::new(Mutex::new(Kept { rows, written: Vec::new() }));
    let router = Router::new().fallback(answer).with_state(Arc::clone(&kept));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    (address, kept, runtime)
}

#[test]
fn a_node_policy_is_put_in_the_second_format_with_what_the_node_has_measured() {
    let path = "/v1/orgs/acme/nodes/n1/policy";
    let standing = json!({"label": "", "description": "", "lastUpdated": "2026-01-01T00:00:00Z[UTC]",
        "properties": [{"name": "openhorizon.memory", "value": 512},
            {"name": "openhorizon.allowPrivileged", "value": false}, {"name": "site", "value": "lab"}],
        "constraints": ["a == b"], "deployment": {"properties": [], "constraints": []},
        "management": {"properties": [], "constraints": []}, "nodePolicyVersion": "v2"});
    let (address, kept, _runtime) = exchange(&[(path, standing)]);
    let publisher = publisher_at(&format!("http://{address}/v1"), Vec::new());
    let node: NodeId = "n1".parse().unwrap();
    let policy: NodePolicy = serde_json::from_value(json!({"properties": [
        {"name": "openhorizon.allowPrivileged", "value": true}, {"name": "site", "value": "plant"}],
        "x": 1}))
    .unwrap();

    let outcome = wait(publisher.publish_document(&node, &policy, Existing::Overwrite)).unwrap();

    assert_eq!(outcome.trust, TrustGrade::Horizon);
    let put = kept.lock().unwrap().rows[path].clone();
    assert_eq!(put["nodePolicyVersion"], "v2");
    assert_eq!(
        put["properties"],
        json!([{"name": "openhorizon.memory", "value": 512},
            {"name": "openhorizon.allowPrivileged", "value": true}, {"name": "site", "value": "plant"}])
    );
    assert!(put["constraints"].as_array().unwrap().is_empty() && put.get("x").is_none());
    assert!(put["deployment"].is_object() && put["management"].is_object());
    assert!(wait(publisher.withdraw(&DocumentKey::node_policy(&node))).unwrap());
    assert_eq!(kept.lock().unwrap().written, [format!("PUT {path}"), format!("DELETE {path}")]);
}

#[test]
fn a_service_policy_is_put_with_the_built_in_properties_of_its_service() {
    let service = "/v1/orgs/acme/services/hello_1.0.0_amd64";
    let path = format!("{service}/policy");
    let row = json!({"services": {"acme/hello_1.0.0_amd64": {"owner": "acme/ann", "label": "Hello",
        "description": "", "public": false, "documentation": "", "url": "hello", "version": "1.0.0",
        "arch": "amd64", "sharable": "multiple", "matchHardware": {}, "requiredServices": [],
        "userInput": [], "deployment": "{\"services\":{}}", "deploymentSignature": "x",
        "clusterDeployment": "", "clusterDeploymentSignature": "", "imageStore": {},
        "lastUpdated": "2026-01-01T00:00:00Z[UTC]"}}, "lastIndex": 0});
    let (address, kept, _runtime) = exchange(&[(service, row)]);
    let publisher = publisher_at(&format!("http://{address}/v1"), Vec::new());
    let (org, url) = ("acme".parse().unwrap(), "hello".parse().unwrap());
    let (version, arch) = ("1.0.0".parse().unwrap(), "amd64".parse().unwrap());
    let id = ServiceId { org, url, version, arch };
    let policy: ServicePolicy = serde_json::from_value(json!({"properties": [
        {"name": "tier", "value": "gold"}, {"name": "openhorizon.service.name", "value": "other"}],
        "constraints": ["a == b"]}))
    .unwrap();

    wait(publisher.publish_service_policy(&id, Some(&policy))).unwrap();

    let put = kept.lock().unwrap().rows[&path].clone();
    let values = |name: &str| {
        let properties = put["properties"].as_array().unwrap();
        let found = properties.iter().filter(|it| it["name"] == name);
        found.map(|it| it["value"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(values("openhorizon.service.name"), ["hello"]);
    assert_eq!(values("openhorizon.service.version"), ["1.0.0"]);
    assert_eq!(values("tier"), ["gold"]);
    assert!(!wait(publisher.publish_service_policy(&id, None)).unwrap().unchanged);
    assert!(wait(publisher.publish_service_policy(&id, None)).unwrap().unchanged);
    assert_eq!(
        kept.lock().unwrap().written[..2],
        [format!("PUT {path}"), format!("DELETE {path}")]
    );
}
