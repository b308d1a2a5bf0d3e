//! Passwords, API keys, limits and names of accounts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::exchange::{Session, TestExchange};

fn service(label: &str) -> Value {
    json!({
        "label": label, "public": false, "url": "svc", "version": "1.0.0", "arch": "arm",
        "sharable": "exclusive", "deployment": "{}", "deploymentSignature": "c2ln",
    })
}

fn node(token: &str) -> Value {
    json!({
        "token": token, "name": "n", "nodeType": "device", "pattern": "", "publicKey": "",
        "arch": "arm", "registeredServices": [],
    })
}

/// The client of an API key of `A/ann`, and the id of the key.
async fn api_key(exchange: &TestExchange, path: &str, request: &Value) -> (Session, String) {
    let key = exchange.session("A/ann").post(path, request).await.is(201);
    let value = key["value"].as_str().expect("the value of the key");
    let id = key["id"].as_str().expect("the id of the key").to_owned();
    (exchange.session_with("A/apikey", value), id)
}

const KEYS: &str = "/orgs/A/users/ann/apikeys";
const OUR_KEYS: &str = "/orgs/A/edgepost/users/ann/apikeys";

#[tokio::test]
async fn cleared_password_disables_api_keys() {
    let exchange = TestExchange::start().await;
    let (program, _) = api_key(&exchange, KEYS, &json!({"label": "ci"})).await;
    program.get("/orgs/A").await.is(200);
    let ada = exchange.session("A/ada");
    ada.patch("/orgs/A/users/ann", &json!({"password": ""})).await.is(201);
    program.get("/orgs/A").await.is(401);
    program.post("/orgs/A/services", &service("x")).await.is(401);
    ada.patch("/orgs/A/users/ann", &json!({"password": "other"})).await.is(201);
    program.get("/orgs/A").await.is(200);
}

#[tokio::test]
async fn password_change_removes_api_keys_if_asked() {
    let exchange = TestExchange::start().await;
    let (program, _) = api_key(&exchange, KEYS, &json!({"label": "ci"})).await;
    let (other, _) = api_key(&exchange, OUR_KEYS, &json!({"label": "cd"})).await;
    let ann = exchange.session("A/ann");
    let path = "/orgs/A/edgepost/users/ann/password";
    let change = json!({"password": "second"});
    exchange.session("A/mal").put(path, &change).await.is(403);
    assert_eq!(ann.put(path, &change).await.is(200)["revoked"], 0);
    program.get("/orgs/A").await.is(200);
    ann.get("/orgs/A").await.is(401);
    let change = json!({"password": "third", "revokeApiKeys": true});
    let ann = exchange.session_with("A/ann", "second");
    assert_eq!(ann.put(path, &change).await.is(200)["revoked"], 2);
    program.get("/orgs/A").await.is(401);
    other.get("/orgs/A").await.is(401);
    exchange.session_with("A/ann", "third").get("/orgs/A").await.is(200);
}

#[tokio::test]
async fn api_keys_expire_are_listed_and_are_revoked() {
    let exchange = TestExchange::start().await;
    let ann = exchange.session("A/ann");
    let request = json!({"label": "ci", "description": "builds", "expiresInDays": 30});
    let (program, id) = api_key(&exchange, OUR_KEYS, &request).await;
    ann.post(OUR_KEYS, &json!({"expiresInDays": 0})).await.is(400);
    ann.post(OUR_KEYS, &json!({"expiresInDays": 3651})).await.is(400);
    ann.post(OUR_KEYS, &json!({"label": "a\u{202e}b"})).await.is(400);
    // Horizon's request knows no end, and its answer shows none.
    ann.post(KEYS, &json!({"expiresInDays": 30})).await.is(400);
    let shown = ann.get(&format!("{KEYS}/{id}")).await.is(200);
    assert_eq!(shown.as_object().map(serde_json::Map::len), Some(4), "{shown}");
    // `apikey` is the caller, as in Horizon's API.
    let list = program.get("/orgs/A/edgepost/users/apikey/apikeys").await.is(200);
    assert_eq!((&list["owner"], &list["apikeys"][0]["id"]), (&json!("A/ann"), &json!(id)));
    let end: jiff::Timestamp =
        list["apikeys"][0]["expires"].as_str().expect("an end").parse().expect("a time");
    let days = end.duration_since(jiff::Timestamp::now()).as_hours() / 24;
    assert!((29..=30).contains(&days), "{days}");
    exchange.session("A/mal").get(OUR_KEYS).await.is(403);
    exchange.session("A/mal").delete(OUR_KEYS).await.is(403);
    exchange.session("A/ada").delete(&format!("{OUR_KEYS}/{id}")).await.is(204);
    program.get("/orgs/A").await.is(401);
}

#[tokio::test]
async fn user_has_at_most_100_api_keys() {
    let exchange = TestExchange::start().await;
    let ann = exchange.session("A/ann");
    for _ in 0..100 {
        ann.post(KEYS, &json!({})).await.is(201);
    }
    ann.post(KEYS, &json!({})).await.is(403);
    assert_eq!(ann.delete(OUR_KEYS).await.is(200)["revoked"], 100);
    ann.post(KEYS, &json!({})).await.is(201);
}

#[tokio::test]
async fn administrator_cannot_lift_limits_that_root_set() {
    let exchange = TestExchange::start().await;
    let (root, ada) = (exchange.root(), exchange.session("A/ada"));
    root.patch("/orgs/A", &json!({"limits": {"maxNodes": 5}})).await.is(201);
    let most = async || {
        let held = root.get("/orgs/A").await.is(200);
        held["orgs"]["A"]["limits"]["maxNodes"].clone()
    };
    for lifted in [0, 6, 1000] {
        let limits = json!({"maxNodes": lifted});
        ada.patch("/orgs/A", &json!({"limits": limits})).await.is(403);
        let whole = json!({"label": "A", "description": "", "limits": limits});
        ada.put("/orgs/A", &whole).await.is(403);
    }
    ada.put("/orgs/A", &json!({"label": "B", "description": ""})).await.is(201);
    assert_eq!(most().await, 5);
    ada.patch("/orgs/A", &json!({"limits": {"maxNodes": 4}})).await.is(201);
    ada.patch("/orgs/A", &json!({"limits": {"maxNodes": 5}})).await.is(403);
    exchange
        .session("root/hub")
        .patch("/orgs/A", &json!({"limits": {"maxNodes": 6}}))
        .await
        .is(201);
    assert_eq!(most().await, 6);
}

#[tokio::test]
async fn nothing_new_has_a_name_that_hides_or_cannot_log_in() {
    let exchange = TestExchange::start().await;
    let (root, ada) = (exchange.root(), exchange.session("A/ada"));
    let user = json!({"password": "pw", "admin": false, "hubAdmin": false, "email": ""});
    let org = json!({"label": "", "description": ""});
    let pattern = json!({"label": "p", "services": [
        {"serviceUrl": "svc", "serviceOrgid": "A", "serviceArch": "*",
            "serviceVersions": [{"version": "1.0.0"}]}]});
    root.post("/orgs/A/services", &service("x")).await.is(201);
    // A right-to-left override, a zero-width space, a byte order mark, a tag, a soft hyphen, a wide blank.
    let hidden =
        ["a%E2%80%AEb", "a%E2%80%8Bb", "a%EF%BB%BFb", "a%F3%A0%81%81b", "a%C2%ADb", "a%E3%80%80b"];
    for name in hidden {
        root.post(&format!("/orgs/{name}"), &org).await.is(400);
        ada.post(&format!("/orgs/A/users/{name}"), &user).await.is(400);
        ada.put(&format!("/orgs/A/users/{name}"), &user).await.is(400);
        ada.put(&format!("/orgs/A/nodes/{name}"), &node("tok")).await.is(400);
        ada.post(&format!("/orgs/A/patterns/{name}"), &pattern).await.is(400);
        let key = format!("/orgs/A/services/svc_1.0.0_arm/keys/{name}");
        ada.put(&key, &json!("key")).await.is(400);
    }
    let hidden_url = json!({"url": "a\u{202e}b"});
    let mut named = service("x");
    named["url"] = hidden_url["url"].clone();
    ada.post("/orgs/A/services", &named).await.is(400);
    for name in ["a:b", "apikey", "iamapikey", "iamtoken", "ApiKey"] {
        root.post(&format!("/orgs/{name}"), &org).await.is(400);
        ada.post(&format!("/orgs/A/users/{name}"), &user).await.is(400);
        ada.put(&format!("/orgs/A/nodes/{name}"), &node("tok")).await.is(400);
    }
    // Names of Horizon's own projects.
    root.post("/orgs/e2edev@somecomp.com", &org).await.is(201);
    ada.post("/orgs/A/users/ann.b@example.com", &user).await.is(201);
    ada.post("/orgs/A/patterns/pattern-ibm.helloworld:arm64", &pattern).await.is(201);
}

#[tokio::test]
async fn refused_bodies_of_users_and_nodes_quote_no_value() {
    let exchange = TestExchange::start().await;
    let ada = exchange.session("A/ada");
    let secret = "correct-horse-battery";
    let requests = [
        (Method::POST, "users/new", json!({"password": "x", "admin": secret, "email": ""})),
        (Method::PUT, "users/new", json!({"password": [secret], "admin": false, "email": ""})),
        (Method::PATCH, "users/ann", json!({"admin": secret})),
        (Method::POST, "users/ann/changepw", json!({"newPassword": {"is": secret}})),
        (Method::POST, "users/ann/changepw", json!([[secret]])),
        (
            Method::PUT,
            "edgepost/users/ann/password",
            json!({"password": "x", "revokeApiKeys": secret}),
        ),
        (Method::PUT, "nodes/n", json!({"token": "x", "name": "n", "nodeType": secret})),
        (Method::PATCH, "nodes/n", json!({"heartbeatIntervals": secret})),
        (
            Method::POST,
            "services/svc_1.0.0_arm/dockauths",
            json!({"registry": [secret], "token": 1}),
        ),
    ];
    for (method, path, body) in requests {
        let answer = ada.send(method, &format!("/orgs/A/{path}"), Some(&body)).await;
        answer.is(400);
        assert!(!answer.body.contains(secret), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn organization_sets_the_least_length_of_passwords_and_tokens() {
    let exchange = TestExchange::start().await;
    let ada = exchange.session("A/ada");
    let settings = "/orgs/A/edgepost/settings";
    let user = |password: &str| json!({"password": password, "admin": false, "hubAdmin": false, "email": ""});
    // None by default, as in Horizon.
    ada.post("/orgs/A/users/short", &user("p")).await.is(201);
    ada.put("/orgs/A/nodes/short", &node("t")).await.is(201);
    exchange.session("A/ann").put(settings, &json!({"minTokenLength": 1})).await.is(403);
    ada.put(settings, &json!({"minPasswordLength": 129})).await.is(400);
    ada.put(settings, &json!({"minPasswordLength": 12})).await.is(200);
    let held = ada.put(settings, &json!({"minTokenLength": 20})).await.is(200);
    let expected = json!({"plainCredentials": "served", "nodeCredentials": "admins",
            "unsignedDocuments": "ignored", "minPasswordLength": 12, "minTokenLength": 20});
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&held[name], value, "{name}");
    }
    assert_eq!(ada.get(settings).await.is(200), held);

    ada.post("/orgs/A/users/new", &user("eleven-char")).await.is(400);
    ada.post("/orgs/A/users/new", &user("twelve-chars")).await.is(201);
    ada.put("/orgs/A/users/new", &user("eleven-char")).await.is(400);
    ada.patch("/orgs/A/users/new", &json!({"password": "eleven-char"})).await.is(400);
    ada.post("/orgs/A/users/new/changepw", &json!({"newPassword": "eleven-char"})).await.is(400);
    ada.put("/orgs/A/edgepost/users/new/password", &json!({"password": "short"})).await.is(400);
    ada.put("/orgs/A/nodes/new", &node("nineteen-characters")).await.is(400);
    ada.put("/orgs/A/nodes/new", &node("twenty--characters--")).await.is(201);
    ada.patch("/orgs/A/nodes/new", &json!({"token": "t"})).await.is(400);
    // What is there stays valid, and a password can still be cleared.
    exchange.session_with("A/short", "p").get("/orgs/A").await.is(200);
    exchange.session_with("A/short", "t").get("/orgs/A/nodes/short").await.is(200);
    ada.patch("/orgs/A/users/new", &json!({"password": ""})).await.is(201);
}
