//! An exchange in this process, spoken to over HTTP.

use std::time::Duration;

use edgepost::{ExchangeServer, exchange::server::ExchangeConfig, types::Secret};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// An exchange with the organization `A`, its administrator `A/ada` and its plain users `A/ann` and `A/mal`, and the
/// hub administrator `root/hub`. Every password is `pw`.
pub struct TestExchange {
    server: ExchangeServer,
    root: Session,
    _folder: tempfile::TempDir,
}

/// One account at an exchange, with a connection of its own.
#[derive(Clone)]
pub struct Session {
    client: Client,
    url: String,
    name: String,
    secret: String,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
}

impl Answer {
    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Expects this status, and gives the body as JSON.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.json()
    }
}

impl TestExchange {
    /// Starts the exchange.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = ExchangeConfig::new(folder.path(), "127.0.0.1:0".parse().expect("an address"))
            .root_password(Secret::new("pw"));
        let server = ExchangeServer::bind(config).await.expect("the exchange starts");
        let root = Session::at(&server.url(), "root/root", "pw");
        root.post("/orgs/A", &json!({"label": "A", "description": ""})).await.is(201);
        for (name, admin, hub_admin) in [
            ("A/users/ada", true, false),
            ("A/users/ann", false, false),
            ("A/users/mal", false, false),
            ("root/users/hub", false, true),
        ] {
            let user =
                json!({"password": "pw", "admin": admin, "hubAdmin": hub_admin, "email": ""});
            root.post(&format!("/orgs/{name}"), &user).await.is(201);
        }
        Self { server, root, _folder: folder }
    }

    /// The account `root/root`.
    pub fn root(&self) -> &Session {
        &self.root
    }

    /// The account `org/name` whose password is `pw`, with a connection of its own.
    pub fn session(&self, name: &str) -> Session {
        self.session_with(name, "pw")
    }

    /// The account `org/name` with this secret.
    pub fn session_with(&self, name: &str, secret: &str) -> Session {
        Session::at(&self.server.url(), name, secret)
    }
}

impl Session {
    fn at(url: &str, name: &str, secret: &str) -> Self {
        let client = Client::builder().timeout(Duration::from_mins(1)).no_proxy();
        let client = client.tls_certs_only([]).build().expect("a client");
        Self { client, url: url.to_owned(), name: name.to_owned(), secret: secret.to_owned() }
    }

    /// Sends a request with a body of JSON, or of any text.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = request.basic_auth(&self.name, Some(&self.secret));
        let request = match body {
            Some(Value::String(text)) => request.body(text.clone()),
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await.expect("the exchange answers");
        let status = response.status();
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        Answer { status, body: response.text().await.expect("a whole answer") }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }
}
