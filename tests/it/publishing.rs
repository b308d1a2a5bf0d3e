//! What a developer sees who publishes.

use std::{fs, path::Path};

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_hello, publish_pattern, publish_policy, write},
};

#[test]
fn a_service_is_published_from_an_oci_layout_and_can_be_verified() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());

    let published = publish_hello(&hub, "1.0.0", 50_000, &[]).good().json();

    assert_eq!(
        (published["seq"].as_u64(), published["unchanged"].as_bool()),
        (Some(1), Some(false))
    );
    let image = published["images"][0]["image"].as_str().unwrap();
    assert!(image.starts_with(&format!("{}/acme/hello@sha256:", hub.registry())), "{image}");
    let id = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    hub.publisher.run(&["service", "verify", &id, "--trust-sha256", &hub.pin]).good();
    let list = hub.publisher.run(&["service", "list"]).good().stdout;
    assert!(list.contains(&id), "{list}");
    let shown = hub.publisher.run(&["service", "show", &id]).good().stdout;
    assert!(shown.contains(image.split('@').nth(1).unwrap()), "{shown}");
}

#[test]
fn publishing_the_same_again_changes_nothing_and_sends_no_blob() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 50_000, &[]).good();

    let again = publish_hello(&hub, "1.0.0", 50_000, &[]).good().json();

    assert_eq!((again["seq"].as_u64(), again["unchanged"].as_bool()), (Some(1), Some(true)));
    assert_eq!(again["images"][0]["sentBytes"], 0);
}

#[test]
fn other_content_under_the_same_version_is_refused_until_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 50_000, &[]).good();
    fs::remove_dir_all(folder.path().join("image-1.0.0")).unwrap();
    layout(&folder.path().join("image-1.0.0"), 99, 1, 20_000);

    publish_hello(&hub, "1.0.0", 50_000, &[]).failed(7, "E0700");
    let replaced = publish_hello(&hub, "1.0.0", 50_000, &["--overwrite"]).good().json();

    assert_eq!(replaced["seq"], 2);
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let before = files(&hub.data().join("registry"));

    let plan = publish_hello(&hub, "1.0.0", 50_000, &["--dry-run"]).good().json();

    assert_eq!(plan["document"], "new");
    assert_eq!(plan["images"][0]["inRegistry"], false);
    assert_eq!(files(&hub.data().join("registry")), before);
    let list = hub.publisher.run(&["service", "list", "--json"]).good().stdout;
    assert_eq!(list.trim(), "{}");
}

#[test]
fn every_problem_of_a_definition_is_told_at_once_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let text = "{\n  /* no label */\n  \"url\": \"hello\",\n  \"version\": \"one\",\n  \"arch\": \"amd64\",\n  \"sharable\": \"sometimes\",\n  \"deployment\": {\"services\": {\"a\": {\"image\": \"UPPER//x\"}}}\n}\n";
    fs::write(folder.path().join("bad.json"), text).unwrap();

    let told = hub.publisher.run(&["publish", "bad.json"]).failed(3, "E0301").stderr;

    for place in ["bad.json:4:14", "bad.json:6:15", "bad.json:7:"] {
        assert!(told.contains(place), "{place} is missing in\n{told}");
    }
    assert!(told.contains("label"), "{told}");
}

#[test]
fn a_login_that_cannot_be_read_is_an_error_that_does_not_repeat_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let file = write(&hub, "hello.json", &definition("1.0.0", "127.0.0.1:9/hello:1"));

    let told = hub.publisher.run(&["publish", &file, "-r", "no-colons-but-s3cret"]);

    let told = told.failed(2, "E0201");
    assert!(!told.stderr.contains("s3cret"), "{}", told.stderr);
}

#[test]
fn a_stranger_to_the_trust_cannot_publish() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    hub.publisher.run(&["key", "create", "mallory"]).good();

    publish_hello(&hub, "1.0.0", 10_000, &["-k", "mallory"]).failed(8, "E0800");
}

#[test]
fn a_withdrawn_service_is_gone_and_stays_known() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    let id = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());

    hub.publisher.run(&["service", "remove", &id]).failed(2, "E0200");
    hub.publisher.run(&["service", "remove", &id, "--force"]).good();

    hub.publisher.run(&["service", "show", &id]).failed(6, "E0600");
    hub.publisher.run(&["service", "verify", &id]).failed(8, "withdrawn");
}

#[test]
fn patterns_and_policies_are_published_listed_verified_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    publish_policy(&hub, "1.0.0");

    for (noun, name) in [("pattern", "hello-everywhere"), ("policy", "where-wanted")] {
        let list = hub.publisher.run(&[noun, "list"]).good().stdout;
        assert!(list.contains(name), "{list}");
        hub.publisher.run(&[noun, "show", name]).good();
        hub.publisher.run(&[noun, "verify", name, "--trust-sha256", &hub.pin]).good();
        hub.publisher.run(&[noun, "remove", name, "--force"]).good();
        hub.publisher.run(&[noun, "verify", name]).failed(8, "withdrawn");
    }
}

#[test]
fn a_real_horizon_project_publishes_unchanged() {
    let Some(data) = crate::horizon_data::folder() else { return };
    let project = data.join("examples/edge/services/helloworld/horizon");
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    layout(&folder.path().join("image"), 1, 1, 10_000);
    let copy = folder.path().join("horizon");
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(&project).unwrap().flatten() {
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    // The project's organization and its image's home are said where its users say them: in the environment.
    let publisher = hub
        .publisher
        .with("HZN_ORG_ID", "acme")
        .with("DOCKER_IMAGE_BASE", format!("{}/openhorizon/ibm.helloworld", hub.registry()));

    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let file = "horizon/service.definition.json";

    let outcome = publisher
        .run(&["publish", file, "--source", "oci:image", "-r", &login, "--json"])
        .good()
        .json();

    let arch = edgepost::types::Arch::of_this_machine();
    assert_eq!(outcome["key"], format!("service/ibm.helloworld_1.0.0_{arch}"));
}

/// Every file below a folder, with its size.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            let size = entry.metadata().map(|it| it.len()).unwrap_or_default();
            all.push((entry.path().display().to_string(), size));
        }
    }
    all.sort();
    all
}
