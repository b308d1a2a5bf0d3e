//! Stories of lists, deletion and what no service needs, on our registry and on Debian's.

use std::{thread, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_hello, write},
    link::Link,
    peers::DockerRegistry,
    program::Outcome,
};

/// Publishes version `version` of `hello` with the image of `seed`, in the place of another.
fn publish_other(hub: &Hub, version: &str, seed: u64) -> Outcome {
    let folder = hub.folder().join(format!("other-{seed}"));
    if !folder.exists() {
        layout(&folder, seed, 2, 10_000);
    }
    let image = format!("{}/acme/hello:{version}", hub.registry());
    let file = write(hub, &format!("other-{seed}.json"), &definition(version, &image));
    let source = format!("oci:{}", folder.display());
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let arguments = ["publish", &file, "--source", &source, "-r", &login, "--overwrite", "--json"];
    hub.publisher.run(&arguments)
}

fn digest(published: &Outcome) -> String {
    let image = published.json()["images"][0]["image"].as_str().unwrap().to_owned();
    image.split_once('@').unwrap().1.to_owned()
}

/// What a gc lists of its first repository.
fn leftovers(told: &Value) -> Vec<String> {
    let all = told["repositories"][0]["leftovers"].as_array().unwrap();
    all.iter().map(|it| it["digest"].as_str().unwrap().to_owned()).collect()
}

fn is_there(hub: &Hub, digest: &str) -> bool {
    hub.pull(&format!("/v2/acme/hello/manifests/{digest}")).0 == 200
}

#[test]
fn only_what_no_service_ever_named_is_left_over_and_only_that_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let repository = format!("{}/acme/hello", hub.registry());
    let kept = digest(&publish_hello(&hub, "1.0.0", 10_000, &[]).good());
    let old = digest(&publish_hello(&hub, "2.0.0", 20_000, &[]).good());
    let new = digest(&publish_other(&hub, "2.0.0", 77).good());
    let gc = |more: &[&str]| {
        hub.publisher.run(&[&["registry", "gc", &repository, "--json"], more].concat())
    };

    // Others may need it, and this user does not see the others.
    gc(&["--dry-run"]).failed(4, "E0401");
    // A node that was away may still run what was replaced.
    let told = gc(&["--alone"]).good().json();
    assert!(leftovers(&told).is_empty(), "{told}");
    let told = gc(&["--alone", "--forget-withdrawn", "--dry-run"]).good().json();
    assert_eq!(leftovers(&told), [old.as_str()], "{told}");
    let leftover = &told["repositories"][0]["leftovers"][0];
    assert!(leftover["uniqueBytes"].as_u64().unwrap() > 40_000, "{told}");
    assert_eq!(leftover["parts"].as_array().unwrap().len(), 1, "its signature: {told}");
    assert!(is_there(&hub, &old), "a dry run deletes nothing");
    gc(&["--alone", "--forget-withdrawn", "--delete"]).failed(2, "E0200");

    let told = gc(&["--alone", "--forget-withdrawn", "--delete", "--yes"]).good().json();
    assert_eq!(told["deleted"], json!([old]), "{told}");
    assert!(!is_there(&hub, &old));
    assert!(is_there(&hub, &kept) && is_there(&hub, &new));
    let told = gc(&["--alone", "--forget-withdrawn"]).good().json();
    assert!(leftovers(&told).is_empty(), "{told}");
}

#[test]
fn nothing_is_listed_when_the_exchange_cannot_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    let repository = format!("{}/acme/hello", hub.registry());
    hub.kill();
    let outcome = hub.publisher.run(&["registry", "gc", &repository, "--alone", "--json"]);
    outcome.failed(5, "E0500");
}

/// Logs the publisher in at several registries.
fn log_in(hub: &Hub, logins: &[(&str, &str, &str)]) {
    let auths: serde_json::Map<String, Value> = logins
        .iter()
        .map(|(host, user, password)| {
            ((*host).to_owned(), json!({"auth": STANDARD.encode(format!("{user}:{password}"))}))
        })
        .collect();
    let file = hub.folder().join("docker/config.json");
    std::fs::write(file, json!({"auths": auths}).to_string()).unwrap();
}

#[test]
fn a_service_published_while_a_clean_up_runs_keeps_its_image() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let link = Link::to(hub.address());
    let through = link.address().to_string();
    let password = hub.push_password.clone();
    log_in(&hub, &[(&hub.registry(), "push", &password), (&through, "push", &password)]);
    publish_other(&hub, "1.0.0", 1).good();
    let wanted = digest(&publish_other(&hub, "1.0.0", 2).good());
    publish_other(&hub, "1.0.0", 1).good();
    link.slow_to(20_000);

    // The image of seed 2 is left over; while the clean-up looks and deletes, it is published again.
    for wait in [100, 400, 800, 1500] {
        let repository = format!("{through}/acme/hello");
        let outcome = thread::scope(|scope| {
            let cleaning = scope.spawn(|| {
                let arguments = ["--alone", "--forget-withdrawn", "--delete", "--yes", "--json"];
                hub.publisher.run(&[&["registry", "gc", &repository], &arguments[..]].concat())
            });
            thread::sleep(Duration::from_millis(wait));
            let published = publish_other(&hub, "1.0.0", 2).good();
            assert_eq!(digest(&published), wanted);
            cleaning.join().unwrap()
        });
        let told = outcome.good().json();
        assert!(is_there(&hub, &wanted), "after {wait} ms: {told}");
        let id = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
        hub.publisher.run(&["service", "verify", &id]).good();
        publish_other(&hub, "1.0.0", 1).good();
    }
}

/// Pushes an image into Debian's registry by publishing, and gives its digest.
fn site(hub: &mut Hub, registry: &DockerRegistry) -> String {
    let host = registry.address().to_string();
    hub.log_in(&host, "pusher", "push-secret");
    let certificates = hub.folder().join("home/certs.d").join(&host);
    std::fs::create_dir_all(&certificates).unwrap();
    std::fs::copy(registry.ca(), certificates.join("ca.crt")).unwrap();
    layout(&hub.folder().join("image"), 1, 1, 10_000);
    let file = write(hub, "hello.json", &definition("1.0.0", &format!("{host}/site/hello:1.0.0")));
    let login = format!("{host}:puller:pull-secret");
    let ca = format!("{host}={}", registry.ca().display());
    let arguments = ["publish", &file, "--source", "oci:image", "-r", &login, "--registry-ca", &ca];
    let published = hub.publisher.run(&[&arguments[..], &["--json"]].concat()).good();
    digest(&published)
}

#[test]
fn debians_registry_is_listed_and_deletes_manifests_but_no_tags() {
    let folder = tempfile::tempdir().unwrap();
    let Some(registry) = DockerRegistry::start(&folder.path().join("docker-registry")) else {
        return;
    };
    let mut hub = Hub::start(folder.path());
    let digest = site(&mut hub, &registry);
    let host = registry.address().to_string();
    let repository = format!("{host}/site/hello");
    let run = |arguments: &[&str]| hub.publisher.run(&[&["registry"], arguments].concat());

    let repositories = run(&["repos", &host, "--json"]).good().json();
    assert_eq!(repositories, json!([repository]));
    let tags = run(&["tags", &repository, "--digests", "--json"]).good().json();
    let named = |tag: &str| {
        let all = tags.as_array().unwrap();
        all.iter().find(|it| it["tag"] == tag).map(|it| it["digest"].clone())
    };
    assert_eq!(named("1.0.0"), Some(json!(digest)), "{tags}");
    let protecting = format!("edgepost-{}", &digest["sha256:".len()..][..32]);
    assert_eq!(named(&protecting), Some(json!(digest)), "{tags}");

    let tag = format!("{repository}:1.0.0");
    run(&["delete", &tag]).failed(2, "E0200");
    let told = run(&["delete", &tag, "--yes"]).failed(4, "E0405");
    assert!(told.stderr.contains(&protecting) && told.stderr.contains(&digest), "{}", told.stderr);
    let whole = format!("{repository}@{digest}");
    let told = run(&["delete", &whole]).failed(2, "E0200");
    assert!(told.stderr.contains("1.0.0") && told.stderr.contains(&protecting), "{}", told.stderr);
    let told = run(&["referrers", &whole, "--json"]).good();
    assert_eq!(told.json(), json!([]));
    assert!(told.stderr.contains("keeps no list of referrers"), "{}", told.stderr);

    let told = run(&["gc", &repository, "--alone", "--json"]).good().json();
    assert!(leftovers(&told).is_empty(), "{told}");
    let id = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    hub.publisher.run(&["service", "remove", &id, "--force"]).good();
    let gc = ["gc", &host, "--alone", "--forget-withdrawn"];
    let told = run(&[&gc[..], &["--json"]].concat()).good().json();
    assert!(leftovers(&told).is_empty(), "its version's tag protects it: {told}");
    let told = run(&[&gc[..], &["--with-tags", "--delete", "--yes", "--json"]].concat()).good();
    assert_eq!(told.json()["deleted"], json!([digest]), "{}", told.stdout);
    let tags = run(&["tags", &repository, "--json"]).good().json();
    assert_eq!(tags, json!([]), "with the manifest went its tags");
}

#[test]
fn our_registry_lists_repositories_and_deletes_a_tag_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let digest = digest(&publish_hello(&hub, "1.0.0", 10_000, &[]).good());
    let host = hub.registry();
    let repository = format!("{host}/acme/hello");
    let run = |arguments: &[&str]| hub.publisher.run(&[&["registry"], arguments].concat());
    assert_eq!(run(&["repos", &host, "--json"]).good().json(), json!([repository]));
    run(&["delete", &format!("{repository}:1.0.0"), "--yes"]).good();
    let tags = run(&["tags", &repository]).good().stdout;
    assert!(!tags.contains("1.0.0") && tags.contains("edgepost-"), "{tags}");
    assert!(is_there(&hub, &digest));
    run(&["referrers", &format!("{repository}:1.0.0")]).failed(6, "E0601");
    assert_eq!(
        run(&["referrers", &format!("{repository}@{digest}"), "--json"]).good().json(),
        json!([])
    );
}
