//! Log lines under a flood, and audit lines of security events.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

use super::record_bound;
use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern},
    peers::free_port,
    program::{Program, Running},
};

/// A hub of its own with the log that an operator gets without asking for more.
struct QuietHub {
    running: Option<Running>,
    url: String,
    root_password: String,
    log: std::path::PathBuf,
    client: Client,
}

impl QuietHub {
    fn start(folder: &Path) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (data, log) = (folder.join("hub").display().to_string(), folder.join("quiet.log"));
        let listen = address.to_string();
        let arguments = ["hub", "--json", "--data", &data, "--listen", &listen];
        let mut running = Program::at_home_in(folder).start(&arguments, &log);
        let first: Value = serde_json::from_str(&running.first_line()).unwrap();
        let root_password = first["rootPassword"].as_str().unwrap().to_owned();
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let url = format!("http://{address}");
        Self { running: Some(running), url, root_password, log, client }
    }

    /// How often the hub answers each of `count` requests at once with which status.
    async fn flood(&self, count: usize, path: &str, name: &str, secret: &str) -> Vec<u16> {
        let answers = (0..count).map(|_| async {
            let request = self.client.get(format!("{}{path}", self.url));
            let answer = request.basic_auth(name, Some(secret)).send().await.unwrap();
            answer.status().as_u16()
        });
        join_all(answers).await
    }

    async fn root(&self, method: Method, path: &str, body: Value) -> u16 {
        let request = self.client.request(method, format!("{}{path}", self.url)).json(&body);
        let request = request.basic_auth("root/root", Some(&self.root_password));
        request.send().await.unwrap().status().as_u16()
    }

    /// Ends the hub, and gives its whole log.
    fn stop(&mut self) -> String {
        self.running.take().unwrap().stop();
        fs::read_to_string(&self.log).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_refused_and_failing_requests_writes_a_bounded_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = QuietHub::start(folder.path());
    assert_eq!(
        hub.root(Method::POST, "/v1/orgs/acme", json!({"label": "a", "description": "a"})).await,
        201
    );
    let user = json!({"password": "plain-secret", "admin": false, "hubAdmin": false, "email": ""});
    assert_eq!(hub.root(Method::POST, "/v1/orgs/acme/users/bob", user).await, 201);
    // Wrong logins, refused rights, and requests that fail since a table is gone.
    for _ in 0..3 {
        hub.flood(200, "/v1/orgs/acme", "acme/ann", "wrong-secret").await;
    }
    for _ in 0..5 {
        let denied = hub.flood(200, "/v1/orgs/acme/users", "acme/bob", "plain-secret").await;
        assert!(denied.iter().all(|status| *status == 403), "{denied:?}");
    }
    let database = SqliteConnectOptions::new().filename(folder.path().join("hub/exchange.db"));
    let mut database = database.connect().await.unwrap();
    sqlx::query("ALTER TABLE patterns RENAME TO lost").execute(&mut database).await.unwrap();
    let mut failed = 0;
    for _ in 0..10 {
        let answers = hub.flood(200, "/v1/orgs/acme/patterns", "acme/bob", "plain-secret").await;
        failed += answers.iter().filter(|status| **status == 500).count();
    }
    assert_eq!(failed, 2000);
    let log = hub.stop();
    record_bound(17, "3,600 refused or failing requests: bytes of log", 64 << 10, log.len());
    assert!(log.len() < 64 << 10, "{} bytes\n{}", log.len(), &log[..4000]);
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).collect::<Vec<_>>();
    assert_eq!(lines("event=\"request.failed\"").len(), 30);
    let left_out = lines("log.suppressed");
    assert!(
        left_out.iter().any(|it| it.contains("request.failed") && it.contains("lines=1970")),
        "{left_out:?}"
    );
    // Each flood has its lines, and one with the rest.
    for event in ["login.refused", "right.refused"] {
        let lines = lines(&format!("event=\"{event}\""));
        assert!((2..=14).contains(&lines.len()), "{lines:#?}");
        assert!(lines.iter().any(|it| it.contains("repeated=")), "{lines:#?}");
    }
    for secret in ["wrong-secret", "plain-secret", &hub.root_password] {
        assert!(!log.contains(secret), "{secret} shows in\n{log}");
    }
}

/// Waits until the hub's log has a line with all of these parts.
fn wait_for(log: &Path, parts: &[&str]) {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap();
        let mut lines = text.lines().filter(|it| it.contains("audit"));
        if lines.any(|line| parts.iter().all(|part| line.contains(part))) {
            return;
        }
        let lines: Vec<_> = text.lines().filter(|it| it.contains(" audit")).collect();
        assert!(start.elapsed() < Duration::from_secs(20), "no {parts:?} in {lines:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn security_events_leave_one_audit_line_with_actor_address_and_object() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let log = folder.path().join("hub.log");
    let line = |event: &str, actor: &str, object: &str| {
        let (event, actor) = (format!("event=\"{event}\""), format!("actor={actor} "));
        wait_for(&log, &[&event, &actor, "address=127.0.0.1", object]);
    };
    let ask = |method: Method, path: &str, name: &str, secret: &str, body: Option<Value>| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
            let request = client.request(method, format!("http://{}{path}", hub.address()));
            let request = request.basic_auth(name, Some(secret));
            let request = if let Some(body) = body { request.json(&body) } else { request };
            request.send().await.unwrap().status().as_u16()
        })
    };
    let ann = |method: Method, path: &str, body: Option<Value>| {
        ask(method, path, "acme/ann", "ann-secret", body)
    };

    assert_eq!(ask(Method::GET, "/v1/orgs/acme", "acme/mallory", "guess", None), 401);
    line("login.refused", "acme/mallory", "/v1/orgs/acme");
    assert_eq!(ask(Method::GET, "/v2/", "mallory\nx", "guess", None), 401);
    line("login.refused", "mallory\\nx", "object=/v2/");

    let user = json!({"password": "bob-secret", "admin": false, "hubAdmin": false, "email": ""});
    assert_eq!(ann(Method::POST, "/v1/orgs/acme/users/bob", Some(user)), 201);
    let users = "/v1/orgs/acme/users";
    assert_eq!(ask(Method::GET, users, "acme/bob", "bob-secret", None), 403);
    line("right.refused", "acme/bob", users);
    let change = json!({"newPassword": "bob-secret-2"});
    let path = "/v1/orgs/acme/users/bob/changepw";
    assert_eq!(ask(Method::POST, path, "acme/bob", "bob-secret", Some(change)), 201);
    line("password.changed", "acme/bob", path);
    let reset = Some(json!({"password": "bob-secret-3"}));
    assert_eq!(ann(Method::PATCH, "/v1/orgs/acme/users/bob", reset), 201);
    line("password.changed", "acme/ann", "/v1/orgs/acme/users/bob");
    let node = json!({"token": "n-secret", "name": "n", "nodeType": "device", "pattern": "", "publicKey": "", "arch": "amd64"});
    assert_eq!(ann(Method::PUT, "/v1/orgs/acme/nodes/n", Some(node)), 201);
    line("token.changed", "acme/ann", "/v1/orgs/acme/nodes/n");
    assert_eq!(ann(Method::DELETE, "/v1/orgs/acme/nodes/n", None), 204);
    line("node.deleted", "acme/ann", "/v1/orgs/acme/nodes/n");
    assert_eq!(ann(Method::DELETE, "/v1/orgs/acme/users/bob", None), 204);
    line("user.deleted", "acme/ann", "/v1/orgs/acme/users/bob");

    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    hub.publisher.run(&["pattern", "remove", "hello-everywhere", "--force"]).good();
    line("document.withdrawn", "acme/ann", "orgs/acme/pattern/hello-everywhere");
    let service = json!({
        "label": "s", "public": false, "url": "s", "version": "1.0.0", "arch": "amd64",
        "sharable": "multiple", "deployment": "{}", "deploymentSignature": "c2ln",
    });
    assert_eq!(ann(Method::POST, "/v1/orgs/acme/services", Some(service)), 201);
    let path = "/v1/orgs/acme/services/s_1.0.0_amd64";
    assert_eq!(ann(Method::DELETE, path, None), 204);
    line("document.deleted", "acme/ann", path);

    let manifests = "/v2/acme/hello/manifests";
    let tag = format!("{manifests}/1.0.0");
    assert_eq!(ask(Method::DELETE, &tag, "pull", &hub.pull_password, None), 403);
    line("right.refused", "pull", manifests);
    let tags = hub.pull("/v2/acme/hello/tags/list").1;
    let tags: Value = serde_json::from_slice(&tags).unwrap();
    let tag = format!("{manifests}/{}", tags["tags"][0].as_str().unwrap());
    assert_eq!(ask(Method::DELETE, &tag, "push", &hub.push_password, None), 202);
    line("manifest.deleted", "push", &tag);

    let text = fs::read_to_string(&log).unwrap();
    let deleted = text.lines().filter(|it| it.contains("event=\"node.deleted\""));
    assert_eq!(deleted.count(), 1, "one line for each event");
    for secret in ["bob-secret", "n-secret", "guess"] {
        let shows = text.lines().any(|it| it.contains("event=") && it.contains(secret));
        assert!(!shows, "{secret} shows in an event");
    }
}

#[test]
fn audit_events_are_listed_in_the_reference() {
    let reference = fs::read_to_string("docs/reference/events.md").unwrap();
    let source = fs::read_to_string("src/audit/mod.rs").unwrap();
    let names = source.split("=> \"").skip(1).filter_map(|it| it.split('"').next());
    let names: Vec<_> = names.filter(|it| it.contains('.')).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(reference.contains(&format!("`{name}`")), "{name} is missing");
    }
}
