//! Point 7: one unreadable constraint does not end pull credentials, and a node that gets none still pulls public images.

use std::net::SocketAddr;

use edgepost::types::Arch;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{
    enemy::Enemy,
    hub::Hub,
    image::{definition, layout, publish_hello, publish_pattern, publish_policy, write},
    node::Node,
    peers::free_port,
};

const ADMINISTRATOR: (&str, &str) = ("acme/ann", "ann-secret");

fn hello() -> String {
    format!("hello_1.0.0_{}", Arch::of_this_machine())
}

/// A deployment policy of `hello` with one constraint.
fn deployment_policy(constraint: &str) -> Value {
    json!({"label": "p", "constraints": [constraint], "service": {
        "name": "hello", "org": "acme", "arch": "*", "serviceVersions": [{"version": "1.0.0"}]}})
}

/// Runs a statement in the database of the hub.
fn execute(hub: &Hub, sql: &str) {
    let options = SqliteConnectOptions::new().filename(hub.data().join("exchange.db"));
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let changed = runtime.block_on(async {
        let mut database = SqliteConnection::connect_with(&options).await?;
        Ok::<_, sqlx::Error>(sqlx::query(sql).execute(&mut database).await?.rows_affected())
    });
    assert_eq!(changed.unwrap(), 1);
}

#[test]
fn constraint_that_no_parser_reads_is_refused_when_it_is_posted() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let policies = "/v1/orgs/acme/business/policies";
    // Of a service without a signature: Horizon's API does not change what is signed.
    let plain = super::server_process::service("plain", 10);
    let (status, _) =
        hub.ask_as(ADMINISTRATOR, Method::POST, "/v1/orgs/acme/services", Some(&plain));
    assert_eq!(status, 201);
    let service_policy = "/v1/orgs/acme/services/plain_1.0.0_amd64/policy";
    let node_policy = "/v1/orgs/acme/nodes/n1/policy";
    let part = |name: &str, constraint: &str| {
        let mut policy = json!({"properties": [], "constraints": []});
        policy[name] = json!({"properties": [], "constraints": [constraint]});
        policy
    };
    let whole = |constraint: &str| json!({"properties": [], "constraints": [constraint]});
    let send = |method: &Method, path: &str, body: &Value| {
        let (status, text) = hub.ask_as(ADMINISTRATOR, method.clone(), path, Some(body));
        (status, String::from_utf8(text).unwrap())
    };
    let post = |constraint: &str| {
        let name = format!("{policies}/p{}", constraint.len());
        vec![
            send(&Method::POST, &name, &deployment_policy(constraint)),
            send(&Method::PUT, service_policy, &whole(constraint)),
            send(&Method::PUT, node_policy, &whole(constraint)),
            send(&Method::PUT, node_policy, &part("deployment", constraint)),
            send(&Method::PUT, node_policy, &part("management", constraint)),
        ]
    };

    for unreadable in ["a ==", "a == b c == d", "== b"] {
        for (status, text) in post(unreadable) {
            assert_eq!(status, 400, "{unreadable}: {text}");
            assert!(text.contains("constraints[0]"), "{text}");
        }
    }
    // What Horizon's parser may read is accepted, as Horizon's exchange accepts it.
    for readable in ["", "a == b", "(a == b OR c == d", "a == b AND "] {
        for (status, text) in post(readable) {
            assert_eq!(status, 201, "{readable}: {text}");
        }
    }
    let (status, _) =
        send(&Method::PATCH, &format!("{policies}/p6"), &json!({"constraints": ["a =="]}));
    assert_eq!(status, 400);
}

#[test]
fn unreadable_row_fits_no_node_and_ends_no_credentials_and_no_list() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_policy(&hub, "1.0.0");
    let policies = "/v1/orgs/acme/business/policies";
    let (status, _) = hub.post(&format!("{policies}/odd"), &deployment_policy("wants == odd"));
    assert_eq!(status, 201);
    execute(
        &hub,
        "UPDATE policies SET document = replace(document, 'wants == odd', 'wants ==') WHERE id = 'odd'",
    );
    let policy = json!({"properties": [{"name": "wants", "value": "hello"}]});
    let file = write(&hub, "node.json", &policy);
    let node = Node::register(&hub, "n1", &["--policy", &file]);

    let path = format!("/v1/orgs/acme/edgepost/services/{}/credentials", hello());
    let (status, text) = hub.get_as("acme/n1", "n1-token", &path);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&text));
    node.settle().good();
    assert_eq!(node.services(), [format!("acme/{}", hello())]);

    execute(&hub, "UPDATE policies SET document = '{' WHERE id = 'odd'");
    let (status, text) = hub.get(policies);
    let listed: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(status, 200, "{listed}");
    let names: Vec<_> = listed["businessPolicy"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["acme/where-wanted"]);
    let (status, _) = hub.get_as("acme/n1", "n1-token", &path);
    assert_eq!(status, 200);
}

#[test]
fn node_without_credentials_pulls_by_its_login_file() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let enemy = Enemy::before(hub.address());
    enemy.fails("/credentials", "400 Bad Request");
    let arguments = ["--pattern", "hello-everywhere"];
    let mut without = Node::register_at(&hub, enemy.address(), "n1", &arguments);
    without.program.unset("DOCKER_CONFIG");
    without.program.set("HOME", folder.path().join("nowhere").display());
    let with = Node::register_at(&hub, enemy.address(), "n2", &arguments);

    assert_ne!(without.settle().code, 0);
    let detail = without.status()["services"][0]["detail"].to_string();
    assert!(detail.contains("failed to fetch the credentials of"), "{detail}");
    with.settle().good();
    assert_eq!(with.services(), [format!("acme/{}", hello())]);
}

#[test]
fn node_without_credentials_pulls_a_public_image() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let data = folder.path().join("public").display().to_string();
    let listen = address.to_string();
    let arguments = ["registry", "--anonymous", "--data", &data, "--listen", &listen, "--json"];
    let mut registry = hub.publisher.start(&arguments, &folder.path().join("registry.log"));
    registry.first_line();
    layout(&folder.path().join("image"), 7, 1, 10_000);
    let image = format!("{address}/acme/hello:1.0.0");
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    hub.publisher.run(&["publish", &file, "--source", "oci:image"]).good();
    publish_pattern(&hub, "1.0.0");
    let enemy = Enemy::before(hub.address());
    enemy.fails("/credentials", "400 Bad Request");
    let node = Node::register_at(&hub, enemy.address(), "n1", &["--pattern", "hello-everywhere"]);

    node.settle().good();
    assert_eq!(node.services(), [format!("acme/{}", hello())]);
    registry.stop();
}
