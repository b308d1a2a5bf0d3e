//! Publishing to Open Horizon's own exchange: the calls of `hzn`, in their order. The exchange here
//! is made from the documented one: it answers with its codes, and has never heard of envelopes.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
};
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, layout, pattern, write},
    program::Program,
};

/// What was asked of the exchange: the request line, and its body.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// What the exchange keeps, by its path.
type Kept = Arc<Mutex<BTreeMap<String, Value>>>;

/// Horizon's exchange with an empty organization.
struct HorizonExchange {
    address: SocketAddr,
    asked: Asked,
    kept: Kept,
    _runtime: tokio::runtime::Runtime,
}

impl HorizonExchange {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let asked = Asked::default();
        let kept = Kept::default();
        let state = (Arc::clone(&asked), Arc::clone(&kept));
        let router = Router::new().fallback(answer).with_state(state);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, asked, kept, _runtime: runtime }
    }

    /// The writing requests so far, in their order.
    fn written(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(line, _)| line.clone()).filter(|line| !line.starts_with("GET")).collect()
    }

    /// Forgets the rows whose paths end so, as if a publish had broken off before them.
    fn forget(&self, end: &str) {
        self.kept.lock().unwrap().retain(|path, _| !path.ends_with(end));
    }

    /// The users of a service's pull credentials.
    fn users(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        let logins = kept.iter().find(|(path, _)| path.ends_with("/dockauths")).unwrap().1;
        let user = |it: &Value| it["username"].as_str().unwrap().to_owned();
        logins.as_array().unwrap().iter().map(user).collect()
    }

    /// The body of the first request whose line begins so.
    fn body(&self, line: &str) -> String {
        let asked = self.asked.lock().unwrap();
        asked.iter().find(|(asked, _)| asked.starts_with(line)).unwrap().1.clone()
    }
}

async fn answer(
    State((asked, kept)): State<(Asked, Kept)>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, String) {
    let path = uri.path().to_owned();
    let line = format!("{method} {path}");
    asked.lock().unwrap().push((line, String::from_utf8_lossy(&body).into_owned()));
    let ok = json!({"code": "ok", "msg": ""}).to_string();
    let missing =
        (StatusCode::NOT_FOUND, json!({"code": "not-found", "msg": "not there"}).to_string());
    let mut kept = kept.lock().unwrap();
    if path.contains("/dockauths") {
        return logins(&mut kept, &method, &path, &body);
    }
    match method {
        Method::GET if path.ends_with("/admin/version") => (StatusCode::OK, "2.154.0\n".to_owned()),
        Method::GET => match found(&kept, &path) {
            Some(answer) => (StatusCode::OK, answer.to_string()),
            None => missing,
        },
        Method::POST if kept.contains_key(&path) => (
            StatusCode::FORBIDDEN,
            json!({"code": "already-exists", "msg": "it is there"}).to_string(),
        ),
        Method::POST | Method::PUT => {
            if let Ok(row) = serde_json::from_slice::<Value>(&body) {
                let (path, row) = completed(path, row);
                kept.insert(path, row);
            }
            (StatusCode::CREATED, ok)
        }
        _ => match kept.remove(&path) {
            Some(_) => (StatusCode::NO_CONTENT, String::new()),
            None => missing,
        },
    }
}

/// The pull credentials of a service: a list with numbers, in which the same one is there once.
fn logins(
    kept: &mut BTreeMap<String, Value>,
    method: &Method,
    path: &str,
    body: &Bytes,
) -> (StatusCode, String) {
    let (service, number) = path.split_once("/dockauths").unwrap();
    let held = kept.entry(format!("{service}/dockauths")).or_insert_with(|| json!([]));
    let held = held.as_array_mut().unwrap();
    match *method {
        Method::GET if held.is_empty() => (StatusCode::NOT_FOUND, "[]".to_owned()),
        Method::GET => (StatusCode::OK, Value::from(held.clone()).to_string()),
        Method::DELETE => {
            let number: u64 = number.trim_start_matches('/').parse().unwrap();
            held.retain(|it| it["dockAuthId"] != number);
            (StatusCode::NO_CONTENT, String::new())
        }
        _ => {
            let mut new: Value = serde_json::from_slice(body).unwrap();
            let same = |it: &&Value| {
                ["registry", "username", "token"].iter().all(|name| it[name] == new[name])
            };
            if !held.iter().any(|it| same(&it)) {
                let last = held.last().and_then(|it| it["dockAuthId"].as_u64()).unwrap_or_default();
                new["dockAuthId"] = json!(last + 1);
                new["lastUpdated"] = json!("2026-11-21T10:00:00.000Z[UTC]");
                held.push(new);
            }
            (StatusCode::CREATED, json!({"code": "ok", "msg": ""}).to_string())
        }
    }
}

/// What `GET` answers: one row or all of a kind, under the kind's name; a policy as it is.
fn found(kept: &BTreeMap<String, Value>, path: &str) -> Option<Value> {
    if path.ends_with("/policy") {
        return kept.get(path).cloned();
    }
    let member = ["services", "patterns", "policies"]
        .into_iter()
        .find(|it| path.contains(&format!("/{it}")))?;
    let lists = path.ends_with(member);
    let is_asked =
        |it: &&String| *it == path || (lists && it.strip_prefix(path).is_some_and(is_name));
    let rows: serde_json::Map<_, _> = kept
        .keys()
        .filter(is_asked)
        .map(|it| (format!("acme/{}", it.rsplit('/').next().unwrap()), kept[it].clone()))
        .collect();
    let member = if member == "policies" { "businessPolicy" } else { member };
    (!rows.is_empty()).then(|| json!({member: rows, "lastIndex": 0}))
}

fn is_name(rest: &str) -> bool {
    rest.strip_prefix('/').is_some_and(|it| !it.contains('/'))
}

/// A row with what the exchange adds to it, under the path it gets.
fn completed(mut path: String, mut row: Value) -> (String, Value) {
    if path.ends_with("/services") {
        let text = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
        path = format!("{path}/{}_{}_{}", text("url"), text("version"), text("arch"));
    }
    row["lastUpdated"] = json!("2026-11-21T10:00:00.000Z[UTC]");
    if !path.ends_with("/policy") {
        row["owner"] = json!("acme/ann");
        if row["description"] == "" {
            row["description"] = row["label"].clone();
        }
    }
    if path.contains("/patterns/") {
        row["agreementProtocols"] = json!([{"name": "Basic"}]);
    }
    (path, row)
}

/// A publisher of that exchange, with an image in the hub's registry, and an RSA key.
fn publisher(hub: &Hub, exchange: &HorizonExchange) -> Program {
    let mut program = hub.publisher.clone();
    program.set("EDGEPOST_EXCHANGE_URL", format!("http://{}/v1", exchange.address));
    layout(&hub.folder().join("image"), 1, 1, 10_000);
    let key = hub.folder().join("rsa.pem");
    crate::support::peers::run(
        std::process::Command::new("openssl")
            .args(["genrsa", "-traditional", "-out"])
            .arg(&key)
            .arg("2048"),
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    program
}

#[test]
fn a_service_goes_to_horizons_exchange_by_the_calls_of_hzn() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let exchange = HorizonExchange::start();
    let publisher = publisher(&hub, &exchange);
    let file = write(
        &hub,
        "hello.json",
        &definition("1.0.0", &format!("{}/acme/hello:1.0.0", hub.registry())),
    );
    let policy = write(&hub, "policy.json", &json!({"properties": [], "constraints": ["a == b"]}));
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let arguments = [
        "publish",
        &file,
        "--source",
        "oci:image",
        "-r",
        &login,
        "--horizon-key",
        "rsa.pem",
        "--service-policy",
        &policy,
        "--json",
    ];

    let outcome = publisher.run(&arguments).good().json();

    assert_eq!(outcome["trust"], "horizon");
    let service =
        format!("/v1/orgs/acme/services/hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    assert_eq!(
        exchange.written(),
        [
            "POST /v1/orgs/acme/services".to_owned(),
            format!("PUT {service}/keys/edgepost.pem"),
            format!("POST {service}/dockauths"),
            format!("PUT {service}/policy"),
        ]
    );
    let sent: Value = serde_json::from_str(&exchange.body("POST /v1/orgs/acme/services")).unwrap();
    assert!(sent["deployment"].as_str().unwrap().contains("/acme/hello@sha256:"), "{sent}");
    assert!(
        sent.get("org").is_none() && sent.get("owner").is_none(),
        "Horizon refuses unknown fields"
    );
    verify_with_openssl(&hub, &sent, &exchange.body(&format!("PUT {service}/keys")));
}

#[test]
fn publishing_again_to_horizons_exchange_completes_what_broke_off_and_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let exchange = HorizonExchange::start();
    let publisher = publisher(&hub, &exchange);
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    let policy = write(&hub, "policy.json", &json!({"properties": [], "constraints": ["a == b"]}));
    let publish = |user: &str, password: &str, more: &[&str]| {
        let login = format!("{}:{user}:{password}", hub.registry());
        let arguments = ["publish", &file, "--source", "oci:image", "-r", &login];
        let key = ["--horizon-key", "rsa.pem", "--service-policy", &policy];
        publisher.run(&[&arguments[..], &key, more].concat())
    };
    let (pull, push) = (hub.pull_password.clone(), hub.push_password.clone());
    publish("pull", &pull, &[]).good();
    let service =
        format!("/v1/orgs/acme/services/hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    let key = format!("PUT {service}/keys/edgepost.pem");

    // The same again.
    let before = exchange.written().len();
    assert!(publish("pull", &pull, &[]).good().stdout.contains("unchanged"));
    assert_eq!(exchange.written()[before..], *std::slice::from_ref(&key));
    let plan = publish("pull", &pull, &["--dry-run", "--json"]).good().json();
    assert_eq!(plan["document"], "unchanged");

    // After a break behind the service itself.
    for end in ["/dockauths", "/policy"] {
        exchange.forget(end);
    }
    let before = exchange.written().len();
    publish("pull", &pull, &[]).good();
    assert_eq!(
        exchange.written()[before..],
        [key.clone(), format!("POST {service}/dockauths"), format!("PUT {service}/policy")]
    );

    // With another login.
    let said = publish("push", &push, &[]).good().stdout;
    assert!(said.contains("unchanged; pull credentials replaced"), "{said}");
    assert_eq!(exchange.users(), ["push"]);

    // With another content.
    let mut other = definition("1.0.0", &image);
    other["label"] = json!("Bonjour");
    fs::write(&file, other.to_string()).unwrap();
    let refused = publish("pull", &pull, &[]).failed(7, "E0700").stderr;
    assert!(refused.contains(r#"differs: label: live "Hello", now "Bonjour""#), "{refused}");
    publish("pull", &pull, &["--overwrite"]).good();
    assert!(exchange.written().contains(&format!("PUT {service}")));
}

#[test]
fn hints_at_horizons_exchange_name_commands_that_work_there() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let exchange = HorizonExchange::start();
    let publisher = publisher(&hub, &exchange);
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let arguments = ["publish", &file, "--source", "oci:image", "-r", &login];
    publisher.run(&[&arguments[..], &["--horizon-key", "rsa.pem"]].concat()).good();
    let pattern_file = write(&hub, "pattern.json", &pattern("1.0.0"));

    let said = publisher.run(&["pattern", "publish", &pattern_file]).good().stderr;
    assert!(said.contains("hzn register --pattern pattern"), "{said}");
    for command in [
        &["trust", "show"][..],
        &["agent", "register", "--node-auth", "n1:t", "--trust-first-seen", "--data", "node"],
    ] {
        let said = publisher.run(command).stderr;
        assert!(said.contains("Horizon") && !said.contains("trust init"), "{said}");
    }
    let service = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    let said = publisher.run(&["service", "credentials", "list", &service]).stderr;
    assert!(said.contains("listauth") && !said.contains("addauth"), "{said}");
}

/// Horizon's signature, by the judgement of OpenSSL.
fn verify_with_openssl(hub: &Hub, service: &Value, key: &str) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let at = |name: &str| hub.folder().join(name);
    let signature = STANDARD.decode(service["deploymentSignature"].as_str().unwrap()).unwrap();
    fs::write(at("signature"), signature).unwrap();
    fs::write(at("deployment"), service["deployment"].as_str().unwrap()).unwrap();
    fs::write(at("public.pem"), key).unwrap();
    crate::support::peers::run(
        std::process::Command::new("openssl")
            .args(["dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-verify"])
            .arg(at("public.pem"))
            .arg("-signature")
            .arg(at("signature"))
            .arg(at("deployment")),
    );
}

#[test]
fn without_an_rsa_key_nothing_is_pushed_for_horizons_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let exchange = HorizonExchange::start();
    let publisher = publisher(&hub, &exchange);
    let file = write(
        &hub,
        "hello.json",
        &definition("1.0.0", &format!("{}/acme/hello:1.0.0", hub.registry())),
    );

    publisher.run(&["publish", &file, "--source", "oci:image"]).failed(3, "E0302");

    assert!(exchange.written().is_empty());
}

#[test]
fn documents_of_horizons_exchange_are_shown_compared_and_removed_by_its_own_calls() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let exchange = HorizonExchange::start();
    let publisher = publisher(&hub, &exchange);
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let arguments = ["publish", &file, "--source", "oci:image", "-r", &login];
    publisher.run(&[&arguments[..], &["--horizon-key", "rsa.pem"]].concat()).good();
    let service = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    let pattern_file = write(&hub, "pattern.json", &pattern("1.0.0"));
    let other_pattern = write(&hub, "other-pattern.json", &pattern("2.0.0"));
    let policy = json!({"label": "P", "service": {"name": "hello", "org": "acme", "arch": "*",
        "serviceVersions": [{"version": "1.0.0"}]}, "constraints": ["a == b"]});
    let policy_file = write(&hub, "policy.json", &policy);
    let terms = json!({"properties": [{"name": "x", "value": 1}], "constraints": ["c == d"]});
    let terms_file = write(&hub, "terms.json", &terms);
    let other_terms =
        write(&hub, "other-terms.json", &json!({"properties": [], "constraints": []}));
    publisher.run(&["pattern", "publish", &pattern_file]).good();
    publisher.run(&["policy", "publish", "p", &policy_file]).good();
    publisher.run(&["policy", "publish", "--service", &service, &terms_file]).good();

    publisher.run(&["service", "diff", &file]).good();
    let told = publisher.run(&["pattern", "diff", &pattern_file, "--json"]).good().json();
    assert_eq!((&told["same"], &told["against"]), (&json!(true), &json!("row")));
    publisher.run(&["policy", "diff", "p", &policy_file]).good();
    publisher.run(&["policy", "diff", "--service", &service, &terms_file]).good();
    publisher.run(&["pattern", "diff", &other_pattern, "-n", "pattern"]).failed(7, "E0702");
    publisher.run(&["policy", "diff", "--service", &service, &other_terms]).failed(7, "E0702");

    let of_service = ["--service", service.as_str()];
    for (noun, which) in [
        ("pattern", &["pattern"][..]),
        ("policy", &["p"]),
        ("policy", &of_service),
        ("service", &[&service]),
    ] {
        let run = |verb: &str, more: &[&str]| publisher.run(&[&[noun, verb], which, more].concat());
        let name = which.last().unwrap();
        let listed =
            if which.len() == 1 { publisher.run(&[noun, "list"]) } else { run("list", &[]) };
        assert!(listed.good().stdout.contains(name), "{name}");
        assert!(run("show", &[]).good().stdout.contains("2026-11-21T10:00:00.000Z[UTC]"));
        let told = run("verify", &[]).failed(8, "E0800").stderr;
        assert!(told.contains("Horizon"), "{told}");
        if noun == "service" {
            let key = exchange.body(&format!("PUT /v1/orgs/acme/services/{service}/keys"));
            fs::write(folder.path().join("public.pem"), key).unwrap();
            let held = run("verify", &["--horizon-key", "public.pem", "--json"]).good().json();
            assert_eq!(held["horizonSigned"], json!(["deployment"]));
        }
        run("remove", &["--force"]).good();
        run("show", &[]).failed(6, "E0600");
    }
    let removed: Vec<_> =
        exchange.written().into_iter().filter(|it| it.starts_with("DELETE")).collect();
    let paths = [
        "patterns/pattern".to_owned(),
        "business/policies/p".to_owned(),
        format!("services/{service}/policy"),
        format!("services/{service}"),
    ];
    assert_eq!(removed, paths.map(|it| format!("DELETE /v1/orgs/acme/{it}")));
}
