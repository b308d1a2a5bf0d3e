//! Services of another organization, vouched for by its own keys alone.

use std::{fs, path::Path};

use serde_json::json;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_hello, write},
    node::Node,
    program::Program,
};

/// Another organization of the same exchange, which publishes `gps`.
struct Partner {
    program: Program,
    pin: String,
}

impl Partner {
    fn joins(hub: &Hub) -> Self {
        let folder = hub.folder();
        hub.root.run(&["org", "create", "partner"]).good();
        fs::write(folder.join("pat"), "pat-secret\n").unwrap();
        let pat = ["user", "create", "pat", "--admin", "--password-file", "pat"];
        hub.root.with("EDGEPOST_ORG", "partner").run(&pat).good();
        let mut program = hub.publisher.with("EDGEPOST_ORG", "partner");
        program.set("EDGEPOST_USER_AUTH", "pat:pat-secret");
        program.set("EDGEPOST_HOME", folder.join("partners-home").display());
        program.run(&["key", "create"]).good();
        let trust = program.run(&["trust", "init", "--json"]).good().json();
        Self { program, pin: trust["pin"].as_str().unwrap().to_owned() }
    }

    fn publish(&self, hub: &Hub, version: &str, public: bool) {
        self.publish_as(hub, "gps", version, public);
    }

    fn publish_as(&self, hub: &Hub, url: &str, version: &str, public: bool) {
        let folder = hub.folder().join(format!("gps-{version}"));
        layout(&folder, version.bytes().map(u64::from).sum(), 1, 1000);
        let image = format!("{}/partner/gps:{version}", hub.registry());
        let mut gps = definition(version, &image);
        (gps["url"], gps["label"], gps["public"]) = (json!(url), json!("GPS"), json!(public));
        let file = write(hub, "gps.json", &gps);
        let source = format!("oci:{}", folder.display());
        let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
        self.program.run(&["publish", &file, "--source", &source, "-r", &login]).good();
    }
}

/// Publishes version 1.0.0 of `hello`, which requires the partner's `gps`, and a pattern of it.
fn publish_hello_with_gps(hub: &Hub) {
    layout(&hub.folder().join("hello"), 1, 1, 1000);
    let mut hello = definition("1.0.0", &format!("{}/acme/hello:1", hub.registry()));
    hello["requiredServices"] = json!([{"url": "gps", "org": "partner", "arch": hello["arch"],
        "versionRange": "[1.0.0,INFINITY)"}]);
    let file = write(hub, "hello.json", &hello);
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    hub.publisher.run(&["publish", &file, "--source", "oci:hello", "-r", &login]).good();
    crate::support::image::publish_pattern(hub, "1.0.0");
}

fn named(org: &str, url: &str, version: &str) -> String {
    format!("{org}/{url}_{version}_{}", edgepost::types::Arch::of_this_machine())
}

fn services(node: &Node) -> Vec<String> {
    let mut services = node.services();
    services.sort();
    services
}

fn change_trust(hub: &Hub, arguments: &[&str]) {
    hub.publisher.run(&[arguments, &["--trust-sha256", &hub.pin]].concat()).good();
}

/// Runs SQL in the exchange's database.
fn steal(data: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(data.join("exchange.db"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done: Result<_, sqlx::Error> = runtime.block_on(async {
        let mut database = SqliteConnection::connect_with(&options).await?;
        sqlx::raw_sql(sql).execute(&mut database).await
    });
    assert_ne!(done.expect("the theft goes well").rows_affected(), 0);
}

#[test]
fn a_node_runs_services_of_another_organization_that_its_own_imports() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let partner = Partner::joins(&hub);
    partner.publish(&hub, "1.0.0", true);
    publish_hello_with_gps(&hub);
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);

    node.settle().failed(9, "whose trust this node has not been given");
    change_trust(&hub, &["trust", "import", "partner", "--pin", &partner.pin, "--prefix", "maps"]);
    node.settle().failed(9, "lets nobody use gps of organization partner");
    change_trust(&hub, &["trust", "import", "partner", "--pin", &partner.pin, "--prefix", "gp"]);
    node.settle().good();
    let both = [named("acme", "hello", "1.0.0"), named("partner", "gps", "1.0.0")];
    assert_eq!(services(&node), both);

    // Its releases come as they are published there, private ones too, and survive a restart.
    partner.publish(&hub, "2.0.0", false);
    node.settle().good();
    assert_eq!(services(&node)[1], named("partner", "gps", "2.0.0"));
    partner
        .program
        .run(&["service", "remove", &named("partner", "gps", "2.0.0"), "--force"])
        .good();
    node.settle().good();
    assert_eq!(services(&node), both, "what is withdrawn there is not taken here");

    change_trust(&hub, &["trust", "remove-import", "partner"]);
    node.settle().failed(9, "whose trust this node has not been given");
    assert!(node.services().is_empty(), "{:?}", node.services());
}

#[test]
fn an_organization_that_shares_nothing_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let partner = Partner::joins(&hub);
    partner.publish(&hub, "1.0.0", false);
    for path in ["trust", "trust/1", "stamp", "catalog/1", "catalog/2/since/1"] {
        let (status, _) = hub.get(&format!("/v1/orgs/partner/edgepost/{path}"));
        assert_eq!(status, 403, "{path}");
    }
    let id = named("partner", "gps", "1.0.0").replace("partner/", "");
    let document = format!("/v1/orgs/partner/edgepost/documents?key=service/{id}");
    assert_eq!(hub.get(&document).0, 403);

    partner.publish(&hub, "1.1.0", true);
    assert_eq!(hub.get("/v1/orgs/partner/edgepost/stamp").0, 200);
    assert_eq!(hub.get(&document).0, 200, "all versions of what is public");
    // Its id could be that of version 2 of `gps`, and it is another service.
    partner.publish_as(&hub, "gps_2", "1.0.0", false);
    let other = document.replace("key=service/gps_1.0.0", "key=service/gps_2_1.0.0");
    assert_eq!(hub.get(&other).0, 403, "{other}");
    let pattern = "/v1/orgs/partner/edgepost/documents?key=pattern/all";
    assert_eq!(hub.get(pattern).0, 403);
    let credentials = format!("/v1/orgs/partner/edgepost/services/{id}/credentials");
    assert_eq!(hub.get(&credentials).0, 404);
}

#[test]
fn whoever_holds_the_exchange_cannot_speak_for_the_other_organization() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let partner = Partner::joins(&hub);
    partner.publish(&hub, "1.0.0", true);
    publish_hello_with_gps(&hub);
    change_trust(&hub, &["trust", "import", "partner", "--pin", &partner.pin]);
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    steal(
        &hub.data(),
        "CREATE TABLE old AS SELECT * FROM stamps WHERE org = 'partner'; UPDATE old SET seq = 0",
    );
    partner.publish(&hub, "2.0.0", true);
    node.settle().good();
    let both = [named("acme", "hello", "1.0.0"), named("partner", "gps", "2.0.0")];
    assert_eq!(services(&node), both);

    // It leads the partner back: refused by name, while the own organization goes on.
    steal(
        &hub.data(),
        "UPDATE stamps SET envelope = (SELECT envelope FROM old) WHERE org = 'partner'",
    );
    publish_hello(&hub, "3.0.0", 1000, &[]).good();
    let refused = node.settle().failed(8, "rollback");
    assert!(refused.stderr.contains("of partner"), "{}", refused.stderr);
    assert_eq!(services(&node), both, "what ran goes on");
    let status = node.status();
    assert_eq!(status["refusals"][0]["attack"], "rollback", "{status}");
    assert_eq!(status["stale_since"], serde_json::Value::Null);

    // It puts another trust in the place of the partner's: a new node does not begin with that.
    steal(
        &hub.data(),
        "UPDATE trusts SET envelope = (SELECT envelope FROM trusts WHERE org = 'acme' AND version = 1) \
        WHERE org = 'partner'",
    );
    let other = Node::register(&hub, "n2", &["--pattern", "hello-everywhere"]);
    let refused = other.settle().failed(8, "of partner");
    assert!(refused.stderr.contains("wrong-root"), "{}", refused.stderr);
    assert!(other.services().is_empty());
    node.settle().failed(8, "rollback");
    assert_eq!(services(&node), both, "what ran goes on");
}
