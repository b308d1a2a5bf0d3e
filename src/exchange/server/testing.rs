//! An exchange for the tests of its paths: a real server, and people to ask it as.
use std::{sync::Arc, time::Duration};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{ExchangeConfig, ExchangeServer};
use crate::types::{Clock, ManualClock, Secret};

/// An exchange with organization `A` (users `u1`, `u2`, administrator `ad`), organization `B`
/// (user `bu`) and the hub administrator `root/hu`; every password is `pw`.
pub(super) struct Lab {
    server: ExchangeServer,
    client: Client,
    pub(super) clock: ManualClock,
    _folder: tempfile::TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    /// The body as JSON, `null` if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Expects this status, and gives the body as JSON.
    #[track_caller]
    pub(super) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// Expects this status and this code.
    #[track_caller]
    pub(super) fn refuses(&self, status: u16, code: &str) {
        assert_eq!(self.is(status)["code"], code, "{}", self.text);
    }
}

/// A service without requirements, as `hzn` sends it.
pub(super) fn service(url: &str, version: &str, arch: &str) -> Value {
    json!({
        "label": url, "public": false, "url": url, "version": version, "arch": arch,
        "sharable": "exclusive", "deployment": "{}", "deploymentSignature": "c2ln",
    })
}

impl Lab {
    /// A new exchange, without any organization of its own.
    pub(super) async fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::starting_at("2026-01-21T10:00:00Z".parse().unwrap());
        let config = ExchangeConfig::new(folder.path(), "127.0.0.1:0".parse().unwrap())
            .root_password(Secret::new("pw"))
            .clock(Arc::new(clock.clone()) as Arc<dyn Clock>);
        let server = ExchangeServer::bind(config).await.unwrap();
        let client = Client::builder().timeout(Duration::from_secs(30)).no_proxy();
        let client = client.tls_certs_only([]).build().unwrap();
        Self { server, client, clock, _folder: folder }
    }

    /// A new exchange with people in it.
    pub(super) async fn start() -> Self {
        let lab = Self::bare().await;
        for org in ["A", "B"] {
            let org_body = json!({"label": org, "description": org});
            lab.post("root/root", &format!("/orgs/{org}"), org_body).await.is(201);
        }
        for (user, admin, hub_admin) in [
            ("A/ad", true, false),
            ("A/u1", false, false),
            ("A/u2", false, false),
            ("B/bu", false, false),
            ("root/hu", false, true),
        ] {
            let (org, id) = user.split_once('/').unwrap();
            let body =
                json!({"password": "pw", "admin": admin, "hubAdmin": hub_admin, "email": ""});
            lab.post("root/root", &format!("/orgs/{org}/users/{id}"), body).await.is(201);
        }
        lab
    }

    /// Node `A/{id}` of user `u1`, whose token is `tok`.
    pub(super) async fn node(&self, id: &str) {
        self.node_of("A", "A/u1", id, "", "").await;
    }

    /// Node `{org}/{id}` of `user`, whose token is `tok`, with a pattern and a public key.
    pub(super) async fn node_of(&self, org: &str, user: &str, id: &str, pattern: &str, key: &str) {
        let body = json!({
            "token": "tok", "name": id, "nodeType": "device", "isNamespaceScoped": false,
            "pattern": pattern, "registeredServices": null, "msgEndPoint": "", "softwareVersions": {},
            "publicKey": key, "arch": "arm", "userInput": null,
        });
        self.put(user, &format!("/orgs/{org}/nodes/{id}?noheartbeat=true"), body).await.is(201);
    }

    /// A request as `who` (`org/name`, or `org/name:password`); as nobody if empty.
    pub(super) fn request(&self, who: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.server.url()));
        let (name, password) = who.split_once(':').unwrap_or((who, "pw"));
        if who.is_empty() { request } else { request.basic_auth(name, Some(password)) }
    }

    /// Sends the request.
    pub(super) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{:?}", response.text().await);
        Answer { status: status.as_u16(), headers, text: response.text().await.unwrap() }
    }

    pub(super) async fn get(&self, who: &str, path: &str) -> Answer {
        self.send(self.request(who, Method::GET, path)).await
    }

    pub(super) async fn post(&self, who: &str, path: &str, body: Value) -> Answer {
        self.send(self.request(who, Method::POST, path).json(&body)).await
    }

    pub(super) async fn put(&self, who: &str, path: &str, body: Value) -> Answer {
        self.send(self.request(who, Method::PUT, path).json(&body)).await
    }

    pub(super) async fn patch(&self, who: &str, path: &str, body: Value) -> Answer {
        self.send(self.request(who, Method::PATCH, path).json(&body)).await
    }

    pub(super) async fn delete(&self, who: &str, path: &str) -> Answer {
        self.send(self.request(who, Method::DELETE, path)).await
    }
}
