//! Publishing to Open Horizon's own exchange: the calls of `hzn`, in their order. The exchange here
//! is made from the documented one: it answers with its codes, and has never heard of envelopes.

use std::{
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
    image::{definition, layout, write},
    program::Program,
};

/// What was asked of the exchange: the request line, and its body.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// Horizon's exchange with an empty organization.
struct HorizonExchange {
    address: SocketAddr,
    asked: Asked,
    _runtime: tokio::runtime::Runtime,
}

impl HorizonExchange {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let asked = Asked::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&asked));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, asked, _runtime: runtime }
    }

    /// The writing requests so far, in their order.
    fn written(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(line, _)| line.clone()).filter(|line| !line.starts_with("GET")).collect()
    }

    /// The body of the first request whose line begins so.
    fn body(&self, line: &str) -> String {
        let asked = self.asked.lock().unwrap();
        asked.iter().find(|(asked, _)| asked.starts_with(line)).unwrap().1.clone()
    }
}

async fn answer(
    State(asked): State<Asked>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, String) {
    let line = format!("{method} {}", uri.path());
    asked.lock().unwrap().push((line, String::from_utf8_lossy(&body).into_owned()));
    let ok = json!({"code": "ok", "msg": ""}).to_string();
    match method {
        Method::GET if uri.path().ends_with("/admin/version") => {
            (StatusCode::OK, "2.154.0\n".to_owned())
        }
        Method::GET => {
            (StatusCode::NOT_FOUND, json!({"code": "not-found", "msg": "not there"}).to_string())
        }
        Method::POST | Method::PUT => (StatusCode::CREATED, ok),
        _ => (StatusCode::NO_CONTENT, String::new()),
    }
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
