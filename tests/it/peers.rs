//! Stories with the real peers: Debian's docker-registry, a Docker engine, skopeo.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_pattern, write},
    link::Link,
    node::Node,
    peers::{self, DockerRegistry},
    program::Outcome,
};

/// A hub for the documents, and a docker-registry for the images.
struct Site {
    hub: Hub,
    registry: DockerRegistry,
}

impl Site {
    fn start(folder: &Path) -> Option<Self> {
        let registry = DockerRegistry::start(&folder.join("docker-registry"))?;
        let mut hub = Hub::start(folder);
        let address = registry.address().to_string();
        hub.log_in(&address, "pusher", "push-secret");
        Some(Self { hub, registry })
    }

    /// Publishes `hello` with the registry at `host`, from `source`.
    fn publish(&self, version: &str, host: &str, source: &str, more: &[&str]) -> Outcome {
        let image = format!("{host}/site/hello:{version}");
        let file = write(&self.hub, "hello.json", &definition(version, &image));
        let login = format!("{host}:puller:pull-secret");
        let ca = format!("{host}={}", self.registry.ca().display());
        let arguments =
            ["publish", &file, "--source", source, "-r", &login, "--registry-ca", &ca, "--json"];
        self.hub.publisher.run(&[&arguments, more].concat())
    }
}

fn id(version: &str) -> String {
    format!("acme/hello_{version}_{}", edgepost::types::Arch::of_this_machine())
}

fn docker(engine: &str, arguments: &[&str]) -> String {
    peers::run(Command::new("docker").args(["--host", engine]).args(arguments))
}

/// Builds an image in the engine: one static shell that sleeps.
fn build(engine: &str, folder: &Path, tag: &str) {
    let context = folder.join("context");
    fs::create_dir_all(&context).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.iter().find(|it| it.is_file()).expect("busybox-static is installed");
    fs::copy(busybox, context.join("busybox")).unwrap();
    fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT [\"/bin/busybox\", \"sleep\", \"3600\"]\n",
    )
    .unwrap();
    peers::run(
        Command::new("docker")
            .env("DOCKER_BUILDKIT", "0")
            .args(["--host", engine, "build", "--quiet", "--tag", tag])
            .arg(&context)
            .stderr(Stdio::null()),
    );
}

#[test]
fn an_image_built_in_docker_runs_on_a_node_by_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) = peers::docker() else { return };
    let Some(site) = Site::start(folder.path()) else { return };
    let host = site.registry.address().to_string();
    build(&engine, folder.path(), &format!("{host}/site/hello:1.0.0"));

    let source = format!("docker:{engine}");
    let published = site.publish("1.0.0", &host, &source, &[]).good().json();
    publish_pattern(&site.hub, "1.0.0");
    let node =
        Node::register(&site.hub, "n1", &["--pattern", "hello-everywhere"]).on_docker(&engine);
    node.settle().good();

    let image = published["images"][0]["image"].as_str().unwrap().to_owned();
    let digest = image.split('@').nth(1).unwrap();
    assert_eq!(node.services(), [id("1.0.0")]);
    let container = docker(&engine, &["ps", "--quiet", "--filter", "label=edgepost.node=acme/n1"]);
    let id = docker(&engine, &["inspect", "--format", "{{.Image}}", &container]);
    let names = docker(&engine, &["image", "inspect", "--format", "{{.RepoDigests}}", &id]);
    assert!(names.contains(digest), "{names}");
    if peers::has("skopeo") {
        let certificates = folder.path().join("certificates");
        fs::create_dir(&certificates).unwrap();
        fs::copy(site.registry.ca(), certificates.join("ca.crt")).unwrap();
        let seen = peers::run(
            Command::new("skopeo")
                .args([
                    "inspect",
                    "--creds",
                    "puller:pull-secret",
                    "--format",
                    "{{.Digest}}",
                    "--cert-dir",
                ])
                .arg(&certificates)
                .arg(format!("docker://{host}/site/hello:1.0.0")),
        );
        assert_eq!(seen, digest);
    }
    node.program.run(&["agent", "unregister"]).good();
    assert_eq!(
        docker(&engine, &["ps", "--all", "--quiet", "--filter", "label=edgepost.node=acme/n1"]),
        ""
    );
}

#[test]
fn a_wrong_password_is_told_before_anything_is_visible() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut site) = Site::start(folder.path()) else { return };
    let host = site.registry.address().to_string();
    layout(&folder.path().join("image"), 1, 1, 10_000);
    site.hub.log_in(&host, "pusher", "wrong-secret");

    let told = site.publish("1.0.0", &host, "oci:image", &[]).failed(4, "E0402");

    assert!(!told.stdout.contains("wrong-secret") && !told.stderr.contains("wrong-secret"));
    assert_eq!(site.hub.publisher.run(&["service", "list", "--json"]).good().stdout.trim(), "{}");
}

#[test]
fn credentials_that_cannot_pull_are_told_at_publishing_and_not_on_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    let host = site.registry.address().to_string();
    layout(&folder.path().join("image"), 1, 1, 10_000);
    let file =
        write(&site.hub, "hello.json", &definition("1.0.0", &format!("{host}/site/hello:1.0.0")));
    let ca = format!("{host}={}", site.registry.ca().display());
    let login = format!("{host}:puller:wrong-secret");

    let arguments = ["publish", &file, "--source", "oci:image", "-r", &login, "--registry-ca", &ca];
    site.hub.publisher.run(&arguments).failed(4, "E0402");

    assert_eq!(site.hub.publisher.run(&["service", "list", "--json"]).good().stdout.trim(), "{}");
}

#[test]
fn a_registry_that_goes_in_the_middle_of_a_push_loses_nothing_but_time() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut site) = Site::start(folder.path()) else { return };
    let link = Link::to(site.registry.address());
    let host = link.address().to_string();
    site.hub.log_in(&host, "pusher", "push-secret");
    layout(&folder.path().join("image"), 1, 4, 4_000_000);
    link.slow_to(2_000_000);

    let outcome = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| site.publish("1.0.0", &host, "oci:image", &[]));
        link.wait_for(Link::up, 3_000_000);
        link.cut();
        publishing.join().unwrap()
    });
    outcome.failed(5, "E0501");
    assert_eq!(site.hub.publisher.run(&["service", "list", "--json"]).good().stdout.trim(), "{}");

    site.registry.kill();
    site.registry.restart();
    link.mend(site.registry.address());
    link.slow_to(0);
    site.publish("1.0.0", &host, "oci:image", &[]).good();
    assert!(site.hub.publisher.run(&["service", "list"]).good().stdout.contains("hello_1.0.0"));
}

#[test]
fn an_agent_killed_while_pulling_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut site) = Site::start(folder.path()) else { return };
    let link = Link::to(site.registry.address());
    let host = link.address().to_string();
    site.hub.log_in(&host, "pusher", "push-secret");
    let (layers, bytes) = (3, 8_000_000);
    layout(&folder.path().join("image"), 1, layers, bytes);
    site.publish("1.0.0", &host, "oci:image", &[]).good();
    publish_pattern(&site.hub, "1.0.0");
    let node = Node::register(&site.hub, "n1", &["--pattern", "hello-everywhere"]);
    link.slow_to(6_000_000);
    let before = link.down();

    for part in 1..=2 {
        let agent = node.start();
        link.wait_for(Link::down, before + part * 6_000_000);
        agent.kill();
    }
    link.slow_to(0);
    node.settle().good();

    assert_eq!(node.services(), [id("1.0.0")]);
    let whole = layers as u64 * bytes;
    let fetched = link.down() - before;
    // Beside the layers there are TLS, headers and manifests, and what was in flight at each kill.
    assert!(fetched < whole + whole / 20 + 2 * 1_500_000, "{fetched} bytes for {whole}");
}
