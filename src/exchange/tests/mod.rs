//! Both ends of the exchange together: a real server, the real client, and signed documents. It
//! stands here because neither end may know the other.

mod assigned;
mod broken;
mod node_policies;
mod node_profiles;
mod one_truth;
mod publishing;
mod rekeying;
mod stamps;
mod waiting;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    document::ServiceBody,
    exchange::{
        api::{
            Credential, NodeRequest, OrgRequest, Publication, Published, UserRequest, WireSecret,
        },
        client::{Auth, ExchangeClient, ExchangeConfig, ExchangeError},
        server::{self, ExchangeServer},
    },
    sign::{Envelope, PayloadType, SigningKey, sealed::NodeKey},
    trust::{Header, State, Statement, TrustDocument},
    types::{Clock, ManualClock, NodeRef, OrgId, Secret, ServiceId, Subject},
};

/// An exchange with the organization `acme`: its administrator `ada`, the user `bob`, and the key
/// of its publisher.
struct Lab {
    server: ExchangeServer,
    folder: tempfile::TempDir,
    clock: ManualClock,
    ada: ExchangeClient,
    publisher: SigningKey,
}

impl Lab {
    /// An exchange whose organization trusts its publisher.
    async fn start() -> Self {
        let lab = Self::distrustful().await;
        let trust = lab.first_trust().await;
        assert!(lab.ada.put_trust(&trust).await.unwrap());
        lab
    }

    /// An exchange whose organization trusts nobody yet.
    async fn distrustful() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::starting_at("2026-11-21T10:00:00Z".parse().unwrap());
        let config = server::ExchangeConfig::new(folder.path(), "127.0.0.1:0".parse().unwrap())
            .root_password(Secret::new("pw"))
            .clock(Arc::new(clock.clone()) as Arc<dyn Clock>);
        let server = ExchangeServer::bind(config).await.unwrap();
        let root = client(&server, "root", "root", "pw").about(acme());
        root.create_org(&acme(), &OrgRequest::new("Acme", "Acme")).await.unwrap();
        for (name, admin) in [("ada", true), ("bob", false)] {
            let password = WireSecret(Secret::new("pw"));
            let (hub_admin, email) = (false, String::new());
            let user = UserRequest { password, admin, hub_admin, email };
            root.create_user(&name.parse().unwrap(), &user).await.unwrap();
        }
        let ada = client(&server, "acme", "ada", "pw");
        Self { server, folder, clock, ada, publisher: SigningKey::generate() }
    }

    /// The same, seen by another user.
    fn as_user(&self, name: &str) -> ExchangeClient {
        client(&self.server, "acme", name, "pw")
    }

    /// The smallest trust document: one key for everything but stamps.
    async fn first_trust(&self) -> Envelope {
        let stamp_key = self.ada.stamp_key().await.unwrap();
        let owner = self.publisher.verifying_key();
        let trust = TrustDocument::single_key(acme(), &owner, &stamp_key, self.clock.now());
        let payload = serde_json::to_vec(&trust).unwrap();
        Envelope::seal(PayloadType::Trust, payload, &[&self.publisher])
    }

    /// A document, signed by the publisher.
    fn sealed(&self, subject: Subject, seq: u64, state: State, body: &Value) -> Envelope {
        self.sealed_by(&self.publisher, subject, seq, state, body)
    }

    fn sealed_by(
        &self,
        key: &SigningKey,
        subject: Subject,
        seq: u64,
        state: State,
        body: &Value,
    ) -> Envelope {
        let (org, issued) = (acme(), self.clock.now());
        let header = Header { org, subject, epoch: 0, seq, issued, state };
        Statement { header, body }.seal(&[key]).unwrap()
    }

    /// The service `hello` 1.0.0, whose label is `label`.
    fn hello(&self, seq: u64, label: &str) -> Envelope {
        let body = service_body(&hello(), label, &json!([]));
        self.sealed((&hello()).into(), seq, State::Active, &body)
    }

    /// Publishes as `ada`, without credentials.
    async fn publish(&self, envelope: Envelope) -> Result<Published, ExchangeError> {
        self.ada.publish(&Publication { envelope, credentials: Vec::new() }).await
    }

    /// A node, its client, and the key by which it opens what is sealed to it.
    async fn node(&self, name: &str, pattern: &str) -> (ExchangeClient, NodeKey) {
        let key = NodeKey::generate();
        let node = NodeRequest {
            token: Some(WireSecret(Secret::new("tok"))),
            name: Some(name.to_owned()),
            pattern: Some(pattern.to_owned()),
            public_key: Some(String::new()),
            arch: Some("amd64".to_owned()),
            ..NodeRequest::default()
        };
        let id = name.parse().unwrap();
        self.ada.put_node(&id, &node).await.unwrap();
        let auth = Auth::Node { org: acme(), id: id.clone(), token: Secret::new("tok") };
        let node = speak(&self.server, auth);
        let public_key = Some(key.public().to_string());
        let registration = NodeRequest { public_key, ..NodeRequest::default() };
        node.change_node(&id, &registration).await.unwrap();
        (node, key)
    }

    /// Changes the database behind the exchange's back, as an older exchange may have left it.
    async fn sql(&self, sql: &'static str) {
        let file = self.folder.path().join("exchange.db");
        let options = SqliteConnectOptions::new().filename(file).foreign_keys(true);
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
    }

    /// Whether any file of the exchange holds these bytes.
    fn keeps_on_disk(&self, needle: &str) -> bool {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let paths = files.map(|file| file.unwrap().path()).collect::<Vec<PathBuf>>();
        assert!(paths.iter().any(|path| path.ends_with("exchange.db-wal")), "{paths:?}");
        let holds = |path: &PathBuf| {
            let content = std::fs::read(path).unwrap();
            content.windows(needle.len()).any(|window| window == needle.as_bytes())
        };
        paths.iter().any(holds)
    }
}

fn client(server: &ExchangeServer, org: &str, name: &str, password: &str) -> ExchangeClient {
    let (org, name) = (org.parse().unwrap(), name.parse().unwrap());
    speak(server, Auth::User { org, name, password: Secret::new(password) })
}

fn speak(server: &ExchangeServer, auth: Auth) -> ExchangeClient {
    let org = match &auth {
        Auth::User { org, .. } | Auth::Node { org, .. } => org.clone(),
    };
    ExchangeClient::new(&ExchangeConfig::new(server.url(), org, auth)).unwrap()
}

fn acme() -> OrgId {
    "acme".parse().unwrap()
}

fn service(url: &str) -> ServiceId {
    ServiceId {
        org: acme(),
        url: url.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
    }
}

fn hello() -> ServiceId {
    service("hello")
}

fn node(name: &str) -> NodeRef {
    NodeRef { org: acme(), id: name.parse().unwrap() }
}

/// What a publisher signs about a service of one container.
fn service_body(id: &ServiceId, label: &str, required: &Value) -> Value {
    let image = format!("registry.example/{}@sha256:{}", id.url, "1".repeat(64));
    let deployment = json!({"services": {"main": {"image": image}}}).to_string();
    let definition = serde_json::from_value(json!({
        "label": label, "url": id.url, "version": id.version, "arch": id.arch, "public": false,
        "sharable": "multiple", "requiredServices": required, "deployment": deployment,
    }))
    .unwrap();
    let (images, registry_ca) = (Vec::new(), BTreeMap::new());
    serde_json::to_value(ServiceBody { definition, images, policy: None, registry_ca }).unwrap()
}

/// A pattern of these services.
fn pattern_body(services: &[&str]) -> Value {
    let named = |url: &&str| {
        json!({"serviceUrl": url, "serviceOrgid": "acme", "serviceArch": "*",
            "serviceVersions": [{"version": "1.0.0"}]})
    };
    json!({"label": "p", "services": services.iter().map(named).collect::<Vec<_>>()})
}

fn login(token: &str) -> Credential {
    let registry = "registry.example".parse().unwrap();
    Credential::new(registry, Some("puller".to_owned()), Secret::new(token)).unwrap()
}
