//! Point 6: who gets the pull credentials of a service, attacked over the HTTP API of a real hub.

use edgepost::{sign::sealed::NodeKey, types::Arch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern, publish_policy, write},
    node::Node,
};

/// The administrator, who publishes; a plain user; and the administrator of another organization.
const ANN: (&str, &str) = ("acme/ann", "ann-secret");
const EVE: (&str, &str) = ("acme/eve", "eve-secret");
const OZ: (&str, &str) = ("other/oz", "oz-secret");
/// The token of every node here.
const TOKEN: &str = "node-token";
/// The signed pattern of `hello` 1.0.0.
const SIGNED: &str = "acme/hello-everywhere";

fn hello(version: &str) -> String {
    format!("hello_{version}_{}", Arch::of_this_machine())
}

/// A hub on which two versions of `hello` are published with pull credentials, and a signed pattern and a signed
/// deployment policy offer the first of them.
struct Site {
    hub: Hub,
    _folder: tempfile::TempDir,
}

/// What a node gets of the credentials of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Got {
    plain: bool,
    sealed: bool,
}

const NOTHING: Got = Got { plain: false, sealed: false };
const BOTH: Got = Got { plain: true, sealed: true };

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::start(folder.path());
        for version in ["1.0.0", "2.0.0"] {
            publish_hello(&hub, version, 10_000, &[]).good();
        }
        publish_pattern(&hub, "1.0.0");
        publish_policy(&hub, "1.0.0");
        std::fs::write(folder.path().join("eve.password"), "eve-secret\n").unwrap();
        hub.publisher.run(&["user", "create", "eve", "--password-file", "eve.password"]).good();
        Self { hub, _folder: folder }
    }

    fn send(&self, who: (&str, &str), method: Method, path: &str, body: &Value) -> u16 {
        let path = format!("/v1/orgs/{path}");
        self.hub.ask_as(who, method, &path, Some(body)).0
    }

    #[track_caller]
    fn must(&self, who: (&str, &str), method: Method, path: &str, body: &Value) {
        let path = format!("/v1/orgs/{path}");
        let (status, text) = self.hub.ask_as(who, method, &path, Some(body));
        assert!(
            (200..300).contains(&status),
            "{path}: {status} {}",
            String::from_utf8_lossy(&text)
        );
    }

    /// Makes a node with a pattern, or without one.
    #[track_caller]
    fn make_node(&self, who: (&str, &str), name: &str, pattern: &str) {
        let node = json!({"token": TOKEN, "name": name, "nodeType": "device", "pattern": pattern,
            "publicKey": NodeKey::generate().public().to_string(), "arch": Arch::of_this_machine()});
        let org = who.0.split('/').next().unwrap();
        self.must(who, Method::PUT, &format!("{org}/nodes/{name}"), &node);
    }

    /// Chooses for the organization.
    fn choose(&self, plain: &str, node: &str, unsigned: &str) {
        let settings = json!({"plainCredentials": plain, "nodeCredentials": node,
            "unsignedDocuments": unsigned});
        self.must(ANN, Method::PUT, "acme/edgepost/settings", &settings);
    }

    /// Runs `check` under every choice of the organization, with the choice for messages.
    fn under_every_choice(&self, check: impl Fn(&str)) {
        for plain in ["served", "refused"] {
            for node in ["admins", "members"] {
                for unsigned in ["ignored", "counted"] {
                    self.choose(plain, node, unsigned);
                    check(&format!("{plain}, {node}, {unsigned}"));
                }
            }
        }
        self.choose("served", "admins", "ignored");
    }

    /// What node `name` (`org/node`) gets of the credentials of `hello` in a version.
    fn got(&self, name: &str, version: &str) -> Got {
        let id = hello(version);
        let ask = |path: String| {
            let (status, text) = self.hub.get_as(name, TOKEN, &path);
            (status, String::from_utf8(text).unwrap())
        };
        let (_, plain) = ask(format!("/v1/orgs/acme/services/{id}/dockauths"));
        let (status, sealed) = ask(format!("/v1/orgs/acme/edgepost/services/{id}/credentials"));
        assert!(!sealed.contains(&self.hub.pull_password));
        Got {
            plain: plain.contains(&self.hub.pull_password),
            sealed: status == 200 && sealed.contains("sealed"),
        }
    }
}

/// A pattern as `hzn` sends it, of `hello` in these versions.
fn unsigned_pattern(versions: &[&str]) -> Value {
    let versions: Vec<_> = versions.iter().map(|it| json!({"version": it})).collect();
    json!({"label": "p", "services": [{"serviceUrl": "hello", "serviceOrgid": "acme",
        "serviceArch": "*", "serviceVersions": versions}]})
}

/// A deployment policy as `hzn` sends it, of `hello` in these versions, for every node.
fn unsigned_policy(versions: &[&str]) -> Value {
    let versions: Vec<_> = versions.iter().map(|it| json!({"version": it})).collect();
    json!({"label": "p", "service": {"name": "hello", "org": "acme", "arch": "*",
        "serviceVersions": versions}})
}

#[test]
fn user_without_rights_gets_no_tokens_by_nodes_patterns_and_policies_of_their_own() {
    let site = Site::start();
    site.must(EVE, Method::POST, "acme/patterns/grab", &unsigned_pattern(&["1.0.0"]));
    site.must(EVE, Method::POST, "acme/business/policies/grab", &unsigned_policy(&["1.0.0"]));
    site.make_node(EVE, "by-pattern", "acme/grab");
    site.make_node(EVE, "by-policy", "");
    let root = &site.hub.root;
    root.run(&["org", "create", "other"]).good();
    std::fs::write(site.hub.folder().join("oz.password"), "oz-secret\n").unwrap();
    let create = ["user", "create", "oz", "--org", "other", "--admin", "--password-file"];
    root.run(&[&create[..], &["oz.password"]].concat()).good();
    site.make_node(OZ, "elsewhere", SIGNED);

    site.under_every_choice(|choice| {
        for node in ["acme/by-pattern", "acme/by-policy", "other/elsewhere"] {
            assert_eq!(site.got(node, "1.0.0"), NOTHING, "{node}: {choice}");
        }
    });

    // A signed pattern names the service, and still nobody who may stands for the node.
    site.make_node(EVE, "signed", SIGNED);
    assert_eq!(site.got("acme/signed", "1.0.0"), NOTHING);
    site.make_node(ANN, "honest", SIGNED);
    assert_eq!(site.got("acme/honest", "1.0.0"), BOTH);
    site.choose("served", "members", "ignored");
    assert_eq!(site.got("acme/signed", "1.0.0"), BOTH);
    site.choose("refused", "admins", "ignored");
    assert_eq!(site.got("acme/honest", "1.0.0"), Got { plain: false, sealed: true });
}

#[test]
fn stolen_node_token_opens_nothing_beyond_what_the_node_was_registered_for() {
    let site = Site::start();
    let file = write(&site.hub, "second.json", &crate::support::image::pattern("2.0.0"));
    let publisher = &site.hub.publisher;
    publisher.run(&["pattern", "publish", &file, "--name", "second"]).good();
    site.make_node(ANN, "n1", SIGNED);
    let thief = ("acme/n1", TOKEN);
    let change = |body: Value| site.send(thief, Method::PATCH, "acme/nodes/n1", &body);

    assert_eq!(change(json!({"pattern": "acme/second"})), 201);
    site.under_every_choice(|choice| {
        assert_eq!(site.got("acme/n1", "2.0.0"), NOTHING, "{choice}");
    });
    // What the node was registered for stays open to its token, in the way that the organization serves.
    assert_eq!(site.got("acme/n1", "1.0.0"), BOTH);

    // Without the private key of the node, no sealed credential opens: another key is not sealed to.
    assert_eq!(change(json!({"publicKey": ""})), 201);
    let key = NodeKey::generate().public().to_string();
    assert_eq!(change(json!({"publicKey": key})), 201);
    assert_eq!(site.got("acme/n1", "1.0.0"), Got { plain: true, sealed: false });
    site.choose("refused", "members", "counted");
    assert_eq!(site.got("acme/n1", "1.0.0"), NOTHING);
    site.choose("served", "admins", "ignored");

    publisher.run(&["node", "approve", "n1"]).good();
    assert_eq!(site.got("acme/n1", "1.0.0"), NOTHING);
    assert_eq!(site.got("acme/n1", "2.0.0"), BOTH);
}

#[test]
fn node_that_changes_its_own_policy_gains_nothing() {
    let site = Site::start();
    site.make_node(ANN, "n1", "");
    let policy =
        |wants: &str| json!({"properties": [{"name": "wants", "value": wants}], "constraints": []});
    site.must(ANN, Method::PUT, "acme/nodes/n1/policy", &policy("nothing"));
    assert_eq!(site.got("acme/n1", "1.0.0"), NOTHING);

    site.must(("acme/n1", TOKEN), Method::PUT, "acme/nodes/n1/policy", &policy("hello"));
    site.under_every_choice(|choice| {
        assert_eq!(site.got("acme/n1", "1.0.0"), NOTHING, "{choice}");
    });

    site.must(ANN, Method::PUT, "acme/nodes/n1/policy", &policy("hello"));
    assert_eq!(site.got("acme/n1", "1.0.0"), BOTH);
}

#[test]
fn row_of_a_signed_document_cannot_be_rewritten_and_gives_nothing_else() {
    let site = Site::start();
    site.make_node(ANN, "by-pattern", SIGNED);
    site.make_node(ANN, "by-policy", "");
    let both = ["1.0.0", "2.0.0"];
    for (path, body) in [
        ("acme/patterns/hello-everywhere", unsigned_pattern(&both)),
        ("acme/business/policies/where-wanted", unsigned_policy(&both)),
    ] {
        assert_eq!(site.send(ANN, Method::PUT, path, &body), 403, "{path}");
    }

    site.under_every_choice(|choice| {
        assert_eq!(site.got("acme/by-pattern", "2.0.0"), NOTHING, "{choice}");
        assert_eq!(site.got("acme/by-policy", "1.0.0"), NOTHING, "{choice}");
    });
    assert_eq!(site.got("acme/by-pattern", "1.0.0"), BOTH);
}

#[test]
fn unsigned_documents_give_tokens_only_where_the_organization_chose_so() {
    let site = Site::start();
    site.must(ANN, Method::POST, "acme/patterns/plain", &unsigned_pattern(&["2.0.0"]));
    site.must(ANN, Method::POST, "acme/business/policies/plain", &unsigned_policy(&["2.0.0"]));
    site.make_node(ANN, "by-pattern", "acme/plain");
    site.make_node(ANN, "by-policy", "");
    for node in ["acme/by-pattern", "acme/by-policy"] {
        site.choose("served", "admins", "ignored");
        assert_eq!(site.got(node, "2.0.0"), NOTHING, "{node}");
        site.choose("served", "admins", "counted");
        assert_eq!(site.got(node, "2.0.0"), BOTH, "{node}");
    }
    // One policy that cannot be read does not end what the others give.
    site.must(ANN, Method::POST, "acme/business/policies/half", &{
        let mut policy = unsigned_policy(&["2.0.0"]);
        policy["constraints"] = json!(["(a == b"]);
        policy
    });
    assert_eq!(site.got("acme/by-policy", "2.0.0"), BOTH);
}

#[test]
fn administrator_approves_a_node_until_a_user_changes_it() {
    let site = Site::start();
    let publisher = &site.hub.publisher;
    site.make_node(EVE, "n1", SIGNED);
    assert_eq!(site.got("acme/n1", "1.0.0"), NOTHING);
    let eve = publisher.with("EDGEPOST_USER_AUTH", "eve:eve-secret");
    eve.run(&["node", "approve", "n1"]).failed(4, "E0401");
    eve.run(&["node", "unapprove", "n1"]).failed(4, "E0401");
    publisher.run(&["node", "approve", "n1"]).good();
    assert_eq!(site.got("acme/n1", "1.0.0"), BOTH);
    let shown = publisher.run(&["node", "show", "n1", "--json"]).good().json();
    assert_eq!(shown["approval"]["patternBy"], "acme/ann");

    let pattern = |pattern: &str| json!({"pattern": pattern});
    site.must(EVE, Method::PATCH, "acme/nodes/n1", &pattern(SIGNED));
    assert_eq!(site.got("acme/n1", "1.0.0"), BOTH, "to repeat the pattern is no change");
    site.must(EVE, Method::PATCH, "acme/nodes/n1", &pattern(""));
    assert_eq!(site.got("acme/n1", "1.0.0"), NOTHING);

    // An approval is worth what its author may do now.
    site.make_node(EVE, "n2", SIGNED);
    std::fs::write(site.hub.folder().join("al.password"), "al-secret\n").unwrap();
    let create = ["user", "create", "al", "--admin", "--password-file", "al.password"];
    publisher.run(&create).good();
    publisher.with("EDGEPOST_USER_AUTH", "al:al-secret").run(&["node", "approve", "n2"]).good();
    assert_eq!(site.got("acme/n2", "1.0.0"), BOTH);
    site.must(ANN, Method::PATCH, "acme/users/al", &json!({"admin": false}));
    assert_eq!(site.got("acme/n2", "1.0.0"), NOTHING);
    publisher.run(&["node", "approve", "n2"]).good();
    assert_eq!(site.got("acme/n2", "1.0.0"), BOTH);
    publisher.run(&["node", "unapprove", "n2"]).good();
    assert_eq!(site.got("acme/n2", "1.0.0"), NOTHING);
}

#[test]
fn signed_node_policy_vouches_for_the_node_that_it_was_published_for() {
    let site = Site::start();
    let publisher = &site.hub.publisher;
    site.make_node(EVE, "n1", "");
    let policy = json!({"properties": [{"name": "wants", "value": "hello"}]});
    let file = write(&site.hub, "node.json", &policy);
    publisher.run(&["policy", "publish", "--node", "n1", &file]).good();
    assert_eq!(site.got("acme/n1", "1.0.0"), BOTH);

    // Another machine that takes the name later is not the node that the policy was signed for.
    site.must(EVE, Method::DELETE, "acme/nodes/n1", &Value::Null);
    site.make_node(EVE, "n1", "");
    assert_eq!(site.got("acme/n1", "1.0.0"), NOTHING);
    publisher.run(&["node", "approve", "n1"]).good();
    assert_eq!(site.got("acme/n1", "1.0.0"), BOTH);
}

#[test]
fn node_of_a_plain_user_reports_that_an_administrator_has_to_approve_it() {
    let mut site = Site::start();
    let ann = site.hub.publisher.clone();
    site.hub.publisher.set("EDGEPOST_USER_AUTH", "eve:eve-secret");
    let mut node = Node::register(&site.hub, "n1", &["--pattern", "hello-everywhere"]);
    node.program.unset("DOCKER_CONFIG");
    node.program.set("HOME", site.hub.folder().join("nowhere").display());
    assert_eq!(node.settle().code, 4);
    let detail = node.status()["services"][0]["detail"].to_string();
    assert!(detail.contains("an administrator has to approve the node"), "{detail}");

    ann.run(&["node", "approve", "n1"]).good();
    node.settle().good();
    assert_eq!(node.services(), [format!("acme/{}", hello("1.0.0"))]);
}
