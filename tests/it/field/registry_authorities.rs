//! The certificate authority of a private registry reaches nodes with the service.

use std::{fs, path::Path};

use crate::support::{
    authority::Authority,
    fake_registry::{FakeRegistry, Peculiarities},
    hub::Hub,
    image::{definition, layout, publish_pattern, write},
    node::Node,
    peers::DockerRegistry,
    program::Outcome,
    web::Door,
};

/// Lets the publisher, and nobody else, trust `ca` as the authority of `host`.
fn trust(hub: &Hub, host: &str, ca: &str) {
    let folder = hub.folder().join("home/certs.d").join(host);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ca.crt"), ca).unwrap();
}

fn publish(hub: &Hub, host: &str, login: &str, more: &[&str]) -> Outcome {
    if !hub.folder().join("image").exists() {
        layout(&hub.folder().join("image"), 3, 2, 20_000);
    }
    let file = write(hub, "hello.json", &definition("1.0.0", &format!("{host}/site/hello:1.0.0")));
    let login = format!("{host}:{login}");
    let arguments = ["publish", &file, "--source", "oci:image", "-r", &login];
    hub.publisher.run(&[&arguments, more].concat())
}

/// A node that knows no certificate authority of its own.
fn pulls(hub: &Hub, name: &str, folder: &Path) -> Vec<String> {
    publish_pattern(hub, "1.0.0");
    let mut node = Node::register(hub, name, &["--pattern", "hello-everywhere"]);
    node.program.set("EDGEPOST_HOME", folder.join("empty-home").display());
    let _ = node.settle();
    node.services()
}

#[test]
fn the_authority_that_the_publisher_trusts_goes_along_and_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let Some(registry) = DockerRegistry::start(&folder.path().join("docker-registry")) else {
        return;
    };
    let mut hub = Hub::start(folder.path());
    let host = registry.address().to_string();
    hub.log_in(&host, "pusher", "push-secret");
    trust(&hub, &host, &fs::read_to_string(registry.ca()).unwrap());

    let left_out =
        publish(&hub, &host, "puller:pull-secret", &["--no-registry-ca", "--dry-run"]).good();
    assert!(left_out.stderr.contains("warning: nodes need the certificate authority of"));

    let outcome = publish(&hub, &host, "puller:pull-secret", &[]).good();
    let shown = format!("note: nodes get the certificate authority of {host} (");
    assert!(outcome.stderr.contains(&shown), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("SHA-256 "), "{}", outcome.stderr);
    assert_eq!(pulls(&hub, "n1", folder.path()).len(), 1);
}

#[test]
fn an_authority_for_a_registry_that_no_image_is_in_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, Authority::new().pem()).unwrap();
    let named = format!("typo.example:5000={}", ca.display());
    let login = format!("pull:{}", hub.pull_password);
    let outcome = publish(&hub, &hub.registry(), &login, &["--registry-ca", &named]);
    let outcome = outcome.failed(2, "E0200");
    assert!(outcome.stderr.contains("typo.example:5000"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&hub.registry()), "{}", outcome.stderr);
}

#[test]
fn the_host_that_keeps_the_blobs_is_named_and_trusted_by_what_the_service_carries() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let authority = Authority::new();
    let storage =
        FakeRegistry::start(Peculiarities::default(), Door::Tls(&authority, &["127.0.0.1"]));
    let at = format!("https://{}", storage.host());
    let peculiarities = Peculiarities { blobs_at: Some(at), ..Peculiarities::default() };
    let registry = FakeRegistry::start(peculiarities, Door::Plain);
    let ca = folder.path().join("storage-ca.crt");
    fs::write(&ca, authority.pem()).unwrap();
    trust(&hub, &storage.host(), &authority.pem());

    // The storage has the same blobs, by whatever way they came there.
    layout(&folder.path().join("image"), 3, 2, 20_000);
    let copy = format!("{}/site/hello:1.0.0", storage.host());
    hub.publisher.run(&["image", "copy", "oci:image", &copy]).good();

    let refused = publish(&hub, &registry.host(), "ann:secret", &[]).failed(5, "E0502");
    let stderr = &refused.stderr;
    assert!(stderr.contains(&format!("points to {}", storage.host())), "{stderr}");
    assert!(stderr.contains("--storage-ca"), "{stderr}");
    let carried = format!("{}={}", storage.host(), ca.display());
    publish(&hub, &registry.host(), "ann:secret", &["--storage-ca", &carried]).good();
    assert_eq!(pulls(&hub, "n1", folder.path()).len(), 1);
}

#[test]
fn a_node_sends_its_login_to_a_registry_that_hides() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    let peculiarities =
        Peculiarities { scheme: Some("Bearer"), anonymous: Some(404), ..Peculiarities::default() };
    let registry = FakeRegistry::start(peculiarities, Door::Plain);
    hub.log_in(&registry.host(), "ann", "secret");
    publish(&hub, &registry.host(), "ann:secret", &[]).good();
    assert_eq!(pulls(&hub, "n1", folder.path()).len(), 1);
}

#[test]
fn publishing_waits_for_a_right_that_takes_time() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let start = |denied| {
        FakeRegistry::start(Peculiarities { denied, ..Peculiarities::default() }, Door::Plain)
    };
    let registry = start(1);
    publish(&hub, &registry.host(), "ann:secret", &[]).failed(4, "E0403");
    let registry = start(2);
    let outcome = publish(&hub, &registry.host(), "ann:secret", &["--wait", "1m"]).good();
    assert_eq!(outcome.stderr.matches("publish.waiting").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("a right that was just given"), "{}", outcome.stderr);
}
