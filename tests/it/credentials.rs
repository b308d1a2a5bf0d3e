//! What nodes pull with: changed while everything runs, and told from afar.

use std::{fs, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{
    enemy::Enemy,
    hub::Hub,
    image::{definition, layout, publish_hello, publish_pattern, write},
    node::Node,
    peers::DockerRegistry,
    program::Outcome,
};

fn id(version: &str) -> String {
    format!("hello_{version}_{}", edgepost::types::Arch::of_this_machine())
}

/// `edgepost service credentials VERB` of `hello` in a version.
fn credentials(hub: &Hub, verb: &str, version: &str, more: &[&str]) -> Outcome {
    let id = id(version);
    hub.publisher.run(&[&["service", "credentials", verb, &id], more].concat())
}

/// The logins of `hello` as the list tells them.
fn listed(hub: &Hub, version: &str) -> Vec<Value> {
    let list = credentials(hub, "list", version, &["--json"]).good().json();
    list.as_array().unwrap().clone()
}

/// A JSON Web Token, as far as anybody looks who does not verify it.
fn token_that_ends(in_seconds: i64) -> String {
    let ends = Timestamp::now() + SignedDuration::from_secs(in_seconds);
    let claims = json!({"exp": ends.as_second()}).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

/// A hub for the documents, and Debian's registry, known to the publisher by its CA, for the images.
fn site(folder: &std::path::Path) -> Option<(Hub, DockerRegistry)> {
    let registry = DockerRegistry::start(&folder.join("docker-registry"))?;
    let mut hub = Hub::start(folder);
    let host = registry.address().to_string();
    hub.log_in(&host, "pusher", "push-secret");
    let certificates = hub.folder().join("home/certs.d").join(&host);
    fs::create_dir_all(&certificates).unwrap();
    fs::copy(registry.ca(), certificates.join("ca.crt")).unwrap();
    Some((hub, registry))
}

fn publish_at_site(hub: &Hub, registry: &DockerRegistry, version: &str) -> Outcome {
    let host = registry.address().to_string();
    let image = format!("{host}/site/hello:{version}");
    let seed = version.bytes().map(u64::from).sum();
    layout(&hub.folder().join(format!("image-{version}")), seed, 1, 20_000);
    let file = write(hub, "hello.json", &definition(version, &image));
    let source = format!("oci:image-{version}");
    let login = format!("{host}:puller:pull-secret");
    let ca = format!("{host}={}", registry.ca().display());
    let arguments = ["publish", &file, "--source", &source, "-r", &login, "--registry-ca", &ca];
    hub.publisher.run(&arguments).good()
}

/// Waits until what the node says of itself has `wanted` in it.
#[track_caller]
fn wait_until_it_says(node: &Node, wanted: &str) -> String {
    for _ in 0..600 {
        let said = node.program.run(&["agent", "status", "--json"]).stdout;
        if said.contains(wanted) {
            return said;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("no {wanted} in {}", node.status());
}

#[test]
fn a_password_is_changed_and_nodes_pull_on_without_anything_published_anew() {
    let folder = tempfile::tempdir().unwrap();
    let Some((hub, registry)) = site(folder.path()) else { return };
    let host = registry.address().to_string();
    publish_at_site(&hub, &registry, "1.0.0");
    publish_at_site(&hub, &registry, "2.0.0");
    publish_pattern(&hub, "1.0.0");
    let enemy = Enemy::before(hub.address());
    let node = Node::register_at(&hub, enemy.address(), "n1", &["--pattern", "hello-everywhere"]);
    let running = node.start();
    node.wait_for(&[&format!("acme/{}", id("1.0.0"))]);

    registry.rotate();
    publish_pattern(&hub, "2.0.0");
    let said = wait_until_it_says(&node, "\"failed\"");
    assert!(said.contains("unauthorized") || said.contains("not accept"), "{said}");
    assert_eq!(node.services(), [format!("acme/{}", id("1.0.0"))], "what runs goes on");

    // It asks for newer credentials once in each pass, and passes become rarer: on a slow machine, too, three pauses
    // take their time.
    let asked = || enemy.requests_for(&format!("/services/{}/credentials", id("2.0.0")));
    for _ in 0..1200 {
        if asked().len() >= 4 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(asked().len() >= 4, "{:?}", asked());
    let took = asked()[3] - asked()[0];
    assert!(took > Duration::from_millis(1500), "{took:?}");

    // The old password is refused before it is set again, and the new one is set without being shown to anybody.
    let old = format!("{host}:puller:pull-secret");
    credentials(&hub, "set", "2.0.0", &["-r", &old]).failed(4, "E0402");
    let file = folder.path().join("login");
    fs::write(&file, format!("{host}:puller:rotated-secret\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, mode).unwrap();
    let set = ["--registry-token-file", &file.display().to_string(), "--json"];
    let begun = std::time::Instant::now();
    let told = credentials(&hub, "set", "2.0.0", &set).good();
    assert_eq!(told.json()["changed"], true);
    node.wait_for(&[&format!("acme/{}", id("2.0.0"))]);
    println!("the node pulled {:?} after the new login was set", begun.elapsed());

    let login = &listed(&hub, "2.0.0")[0];
    assert_eq!((&login["version"], &login["username"]), (&json!(2), &json!("puller")));
    let verified = hub.publisher.run(&["service", "verify", &id("2.0.0"), "--json"]).good();
    assert_eq!(verified.json()["seq"], 1, "nothing was published anew");
    assert_eq!(running.stop(), 0);
}

#[test]
fn logins_are_replaced_by_registry_and_removed_by_registry_number_or_all() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    let host = hub.registry();
    let [first] = &listed(&hub, "1.0.0")[..] else { panic!("one login") };
    assert_eq!((&first["registry"], &first["version"]), (&json!(host), &json!(1)));
    assert_eq!((&first["expires"], &first["daysLeft"]), (&Value::Null, &Value::Null));
    let number = first["number"].as_i64().unwrap();

    // Another user, the same registry: the one takes the place of the other.
    let push = format!("{host}:push:{}", hub.push_password);
    let told = credentials(&hub, "set", "1.0.0", &["-r", &push, "--json"]).good();
    assert!(told.stderr.contains("can push to"), "{}", told.stderr);
    assert_eq!(told.json()["pushable"], json!([format!("{host}/acme/hello")]));
    let [second] = &listed(&hub, "1.0.0")[..] else { panic!("one login") };
    assert_eq!(
        (&second["username"], &second["version"], &second["number"]),
        (&json!("push"), &json!(2), &json!(number))
    );
    let again = credentials(&hub, "set", "1.0.0", &["-r", &push, "--json"]).good().json();
    assert_eq!(
        (&again["changed"], &again["credentials"][0]["version"]),
        (&json!(false), &json!(2))
    );

    // Registries that none of its images is in are told, and set all the same.
    let more =
        format!("a.example:u:{}\nb.example:443:u:t:2\n", token_that_ends(3 * 24 * 3600 + 60));
    let arguments = ["service", "credentials", "set", &id("1.0.0"), "--registry-token-file", "-"];
    let told = hub.publisher.run_told(&arguments, &more).good();
    assert!(told.stderr.contains("no image of the service is in a.example"), "{}", told.stderr);
    assert!(
        told.stderr.contains("warning: the login of `u` for a.example ends on"),
        "{}",
        told.stderr
    );
    let table = credentials(&hub, "list", "1.0.0", &[]).good();
    assert!(
        table.stdout.contains("in 3 days") && table.stdout.contains("unknown"),
        "{}",
        table.stdout
    );
    assert!(table.stderr.contains("a.example ends on"), "{}", table.stderr);
    let listed_now = listed(&hub, "1.0.0");
    assert_eq!((listed_now.len(), &listed_now[1]["daysLeft"]), (3, &json!(3)));

    let remove = |which: &[&str]| credentials(&hub, "remove", "1.0.0", which);
    remove(&[]).failed(2, "required");
    remove(&["--registry", "a.example"]).failed(2, "E0200");
    remove(&["--registry", "a.example", "--all", "--force"]).failed(2, "cannot be used");
    remove(&["--registry", "c.example", "--force"]).failed(6, "E0600");
    remove(&["--number", "999", "--force"]).failed(6, "E0600");
    remove(&["--registry", "a.example", "--force"]).good();
    remove(&["--number", &number.to_string(), "--force"]).good();
    assert_eq!(listed(&hub, "1.0.0").len(), 1);
    remove(&["--all", "--force"]).good();
    remove(&["--all", "--force"]).failed(6, "E0600");
    assert_eq!(listed(&hub, "1.0.0"), [Value::Null; 0]);
}

#[test]
fn what_cannot_be_meant_is_refused_and_strangers_see_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    let host = hub.registry();
    let wrong = format!("{host}:pull:wr0ng-s3cret");

    let told = credentials(&hub, "set", "1.0.0", &["-r", &wrong]).failed(4, "E0402");
    assert!(!told.stderr.contains("wr0ng-s3cret"), "{}", told.stderr);
    let told = credentials(&hub, "set", "1.0.0", &["-r", &wrong, "--force"]).good();
    assert!(
        told.stderr.contains("warning") && !told.stderr.contains("wr0ng-s3cret"),
        "{}",
        told.stderr
    );
    credentials(&hub, "set", "1.0.0", &[]).failed(2, "E0200");
    let twice = ["-r", "a.example:u:1", "-r", "a.example:v:2"];
    credentials(&hub, "set", "1.0.0", &twice).failed(2, "E0200");
    credentials(&hub, "set", "1.0.0", &["-r", "nonsense"]).failed(2, "E0201");
    for verb in ["list", "set"] {
        let more: &[&str] = if verb == "set" { &["-r", "a.example:u:1"] } else { &[] };
        credentials(&hub, verb, "9.9.9", more).failed(6, "E0600");
    }
    fs::write(folder.path().join("bob.password"), "bob-secret\n").unwrap();
    hub.publisher.run(&["user", "create", "bob", "--password-file", "bob.password"]).good();
    let bob = hub.publisher.with("EDGEPOST_USER_AUTH", "bob:bob-secret");
    let id = id("1.0.0");
    bob.run(&["service", "credentials", "list", &id]).failed(6, "E0600");
    bob.run(&["service", "credentials", "set", &id, "-r", "a.example:u:1"]).failed(6, "E0600");
    bob.run(&["service", "credentials", "remove", &id, "--all", "--force"]).failed(6, "E0600");
    assert_eq!(listed(&hub, "1.0.0").len(), 1);
}

#[test]
fn a_node_says_that_its_login_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let ended = format!("{}:pull:{}", hub.registry(), token_that_ends(-3600));
    let told = credentials(&hub, "set", "1.0.0", &["-r", &ended]).failed(4, "E0402");
    assert!(told.stderr.contains("has ended on"), "{}", told.stderr);
    credentials(&hub, "set", "1.0.0", &["-r", &ended, "--force"]).good();
    let table = credentials(&hub, "list", "1.0.0", &[]).good();
    assert!(table.stdout.contains("ended on"), "{}", table.stdout);

    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let settled = node.settle();
    assert_eq!(settled.code, 4, "{}", settled.stderr);
    let detail = node.status()["services"][0]["detail"].to_string();
    let login = format!("the login of pull for {} ended on ", hub.registry());
    assert!(detail.contains(&login), "{detail}");
    let seen = hub.publisher.run(&["node", "show", "n1", "--json"]).good().stdout;
    assert!(seen.contains(&login), "{seen}");
}

#[test]
fn a_login_that_can_push_is_warned_about_and_leaves_no_upload_behind() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let told = publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    assert!(told.json().get("pushable").is_none() && !told.stderr.contains("can push"), "{told:?}");
    let push = format!("{}:push:{}", hub.registry(), hub.push_password);
    let uploads_asked = || {
        let log = fs::read_to_string(hub.folder().join("hub.log")).unwrap();
        log.matches("/blobs/uploads").count()
    };
    let before = uploads_asked();
    let file = folder.path().join("hello-1.0.0.json").display().to_string();
    let publish = |more: &[&str]| {
        let arguments = ["publish", &file, "--source", "oci:image-1.0.0", "-r", &push, "--json"];
        hub.publisher.run(&[&arguments, more].concat()).good()
    };
    let planned = publish(&["--dry-run"]);
    assert_eq!(uploads_asked(), before, "a dry run begins no upload: {}", planned.stderr);

    let told = publish(&[]);

    assert!(told.stderr.contains("the login that nodes get can push to"), "{}", told.stderr);
    let repository = format!("{}/acme/hello", hub.registry());
    assert_eq!(told.json()["pushable"], json!([repository]));
    assert_eq!(uploads_left(&hub.data().join("registry")), 0);
}

/// How many uploads were begun and neither finished nor given up.
fn uploads_left(folder: &std::path::Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |entry: fs::DirEntry| {
        let path = entry.path();
        if !path.is_dir() {
            return 0;
        }
        let own = if path.file_name().is_some_and(|it| it.to_string_lossy().contains("upload")) {
            fs::read_dir(&path).unwrap().count()
        } else {
            0
        };
        own + uploads_left(&path)
    };
    entries.map(count).sum()
}

#[test]
fn an_organization_refuses_plain_tokens_and_its_own_nodes_pull_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let path = format!("/v1/orgs/acme/services/{}/dockauths", id("1.0.0"));
    let plain = || {
        let (status, body) = hub.get_as("acme/n1", "n1-token", &path);
        (status, String::from_utf8(body).unwrap())
    };
    let (status, body) = plain();
    assert!(status == 200 && body.contains(&hub.pull_password));

    let shown = hub.publisher.run(&["org", "show", "acme"]).good().stdout;
    assert!(shown.contains("served"), "{shown}");
    let set = ["org", "set", "acme", "--plain-credentials", "refused"];
    let told = hub.publisher.run(&[&set[..], &["--json"]].concat()).good().json();
    assert_eq!((&told["org"], &told["plainCredentials"]), (&json!("acme"), &json!("refused")));
    assert_eq!(
        (&told["nodeCredentials"], &told["unsignedDocuments"]),
        (&json!("admins"), &json!("ignored"))
    );

    assert_eq!(plain(), (404, "[]".to_owned()));
    node.settle().good();
    assert_eq!(node.services(), [format!("acme/{}", id("1.0.0"))]);
}
