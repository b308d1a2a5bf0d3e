//! Claims about users and their API keys.

use serde_json::json;

use crate::exchange::server::testing::{Lab, service};

fn user() -> serde_json::Value {
    json!({"password": "pw", "admin": false, "email": "x@example.org"})
}

#[tokio::test]
async fn administrators_make_users_once() {
    let lab = Lab::start().await;
    lab.post("A/ad", "/orgs/A/users/x", user()).await.is(201);
    lab.post("A/ad", "/orgs/A/users/x", user()).await.refuses(400, "invalid-input");
    lab.post("A/ad", "/orgs/A/users/apikey", user()).await.refuses(400, "invalid-input");
    lab.post("A/u1", "/orgs/A/users/y", user()).await.refuses(403, "access-denied");
    lab.post("root/root", "/orgs/none/users/y", user()).await.refuses(404, "not-found");
    let blank = json!({"password": " ", "admin": false, "email": ""});
    lab.post("A/ad", "/orgs/A/users/y", blank).await.is(400);
    let hub = json!({"password": "pw", "admin": false, "hubAdmin": true, "email": ""});
    lab.post("root/root", "/orgs/A/users/y", hub).await.is(400);
    lab.post("root/root", "/orgs/root/users/y", user()).await.is(400);
    lab.put("A/ad", "/orgs/A/users/z", user()).await.is(201);
    lab.put("A/ad", "/orgs/A/users/z", user()).await.is(201);
}

#[tokio::test]
async fn users_change_one_thing_about_themselves_at_a_time() {
    let lab = Lab::start().await;
    let both = json!({"email": "a", "password": "b"});
    lab.patch("A/u1", "/orgs/A/users/u1", both).await.is(400);
    lab.patch("A/u1", "/orgs/A/users/u1", json!({})).await.is(400);
    lab.patch("A/u1", "/orgs/A/users/u1", json!({"admin": true})).await.is(400);
    lab.patch("A/u2", "/orgs/A/users/u1", json!({"email": "a"})).await.is(403);
    lab.patch("B/bu", "/orgs/A/users/u1", json!({"email": "a"})).await.is(403);
    lab.patch("A/u1", "/orgs/A/users/u1", json!({"password": "new"})).await.is(201);
    lab.get("A/u1", "/orgs/A").await.is(401);
    lab.get("A/u1:new", "/orgs/A").await.is(200);
    let body = json!({"newPassword": "newer"});
    lab.post("A/u1:new", "/orgs/A/users/u1/changepw", body).await.is(201);
    lab.post("A/u1:newer", "/orgs/A/users/u1/confirm", json!({})).await.is(201);
    lab.patch("A/ad", "/orgs/A/users/u1", json!({"password": ""})).await.is(201);
    lab.get("A/u1:", "/orgs/A").await.is(401);
}

#[tokio::test]
async fn a_user_is_shown_with_stars_for_a_password() {
    let lab = Lab::start().await;
    let shown = lab.get("A/u1", "/orgs/A/users/u1").await.is(200);
    assert_eq!(shown["users"]["A/u1"]["password"], "***************");
    assert_eq!(shown, lab.get("A/u1", "/orgs/A/users/iamapikey").await.is(200));
    lab.get("A/u1", "/orgs/A/users").await.is(403);
    let all = lab.get("A/ad", "/orgs/A/users").await.is(200);
    assert_eq!(all["users"].as_object().unwrap().len(), 3);
    let none = lab.get("A/ad", "/orgs/A/users/none").await.is(404);
    assert_eq!(none, json!({"users": {}, "lastIndex": 0}));
}

#[tokio::test]
async fn an_api_key_stands_for_its_user() {
    let lab = Lab::start().await;
    let keys = "/orgs/A/users/u1/apikeys";
    let key = lab.post("A/u1", keys, json!({"label": "ci"})).await.is(201);
    let value = key["value"].as_str().unwrap();
    assert_eq!((value.len(), &key["owner"]), (64, &json!("A/u1")));
    let who = format!("A/apikey:{value}");
    let own = lab.get(&who, "/orgs/A/users/apikey").await.is(200);
    assert_eq!(own["users"]["A/u1"]["apikeys"][0]["label"], "ci");
    assert!(own["users"]["A/u1"]["apikeys"][0]["value"].is_null());
    lab.get(&format!("B/apikey:{value}"), "/orgs/B").await.is(401);
    let path = format!("{keys}/{}", key["id"].as_str().unwrap());
    assert_eq!(lab.get("A/u1", &path).await.is(200)["label"], "ci");
    lab.get("A/u1", &format!("{keys}/nonsense")).await.is(400);
    lab.delete("A/u2", &path).await.is(403);
    lab.delete("A/u1", &path).await.is(204);
    lab.get(&who, "/orgs/A").await.is(401);
}

#[tokio::test]
async fn nobody_raises_itself_or_takes_over_root() {
    let lab = Lab::start().await;
    let root = "/orgs/root/users/root";
    for (who, path, body) in [
        ("root/hu", root, json!({"password": "mine"})),
        ("root/hu", "/orgs/A/users/u1", json!({"password": "mine"})),
        ("A/ad", root, json!({"password": "mine"})),
        ("A/ad", "/orgs/B/users/bu", json!({"admin": true})),
    ] {
        lab.patch(who, path, body).await.refuses(403, "access-denied");
    }
    lab.post("root/hu", &format!("{root}/apikeys"), json!({})).await.is(403);
    lab.patch("A/ad", "/orgs/A/users/u1", json!({"hubAdmin": true})).await.is(400);
    let raised = json!({"password": "pw", "admin": true, "email": ""});
    lab.put("A/u1", "/orgs/A/users/u1", raised.clone()).await.is(400);
    lab.put("A/ad", "/orgs/A/users/u1", raised).await.is(201);
    lab.patch("root/root", root, json!({"password": "new"})).await.is(201);
    lab.get("root/root:new", "/orgs").await.is(200);
}

#[tokio::test]
async fn what_goes_with_a_user_is_told() {
    let lab = Lab::start().await;
    lab.node("n1").await;
    lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
    lab.delete("A/ad", "/orgs/A/users/u1").await.is(204);
    let ask = json!({"changeId": 1, "maxRecords": 1000});
    let told = lab.post("A/ad", "/orgs/A/changes", ask).await.is(201);
    for resource in ["service", "node"] {
        let mut changes = told["changes"].as_array().unwrap().iter();
        let gone = changes.find(|it| it["resource"] == resource).unwrap();
        assert_eq!(gone["operation"], "deleted");
    }
}

#[tokio::test]
async fn root_cannot_be_removed_others_can() {
    let lab = Lab::start().await;
    lab.delete("root/root", "/orgs/root/users/root").await.is(400);
    lab.delete("A/ad", "/orgs/A/users/u2").await.is(204);
    lab.delete("A/ad", "/orgs/A/users/u2").await.is(404);
    lab.get("A/u2", "/orgs/A").await.is(401);
}

#[tokio::test]
async fn expired_api_key_is_refused() {
    let lab = Lab::start().await;
    let keys = "/orgs/A/edgepost/users/u1/apikeys";
    let key = lab.post("A/u1", keys, json!({"label": "ci", "expiresInDays": 1})).await.is(201);
    assert_eq!(key["expires"], "2026-01-22T10:00:00Z");
    let who = format!("A/apikey:{}", key["value"].as_str().unwrap());
    lab.get(&who, "/orgs/A").await.is(200);
    lab.clock.advance(jiff::SignedDuration::from_hours(24));
    lab.get(&who, "/orgs/A").await.refuses(401, "invalid-credentials");
    lab.post(&who, "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(401);
    // It is listed until it is removed.
    let listed = lab.get("A/u1", keys).await.is(200);
    assert_eq!(listed["apikeys"][0]["expires"], "2026-01-22T10:00:00Z");
}
