//! What nodes pull with, as people write it: everything that can be refused is refused before anything is sent.

use std::{fs, os::unix::fs::PermissionsExt as _};

use edgepost::sign::SigningKey;
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, layout, write},
    program::{Outcome, Program},
};

/// Publishes `hello` from a layout with these more arguments.
fn publish(hub: &Hub, more: &[&str]) -> Outcome {
    let folder = hub.folder().join("image");
    if !folder.exists() {
        layout(&folder, 1, 1, 1000);
    }
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let file = write(hub, "hello.json", &definition("1.0.0", &image));
    hub.publisher.run(&[&["publish", &file, "--source", "oci:image"], more].concat())
}

/// Nothing is in the hub's registry.
#[track_caller]
fn assert_nothing_pushed(hub: &Hub) {
    let login = ("push", hub.push_password.as_str());
    let (status, body) = hub.ask_as(login, reqwest::Method::GET, "/v2/_catalog", None);
    let catalog: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &catalog["repositories"]), (200, &json!([])), "{catalog}");
}

#[test]
fn a_pull_login_of_another_form_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::at_home_in(folder.path());
    program.set("EDGEPOST_EXCHANGE_URL", "http://127.0.0.1:9/v1");
    program.set("EDGEPOST_ORG", "acme");
    program.set("EDGEPOST_USER_AUTH", "ann:secret");
    let service = definition("1.0.0", "r.example/acme/hello:1.0.0").to_string();
    fs::write(folder.path().join("hello.json"), service).unwrap();
    for (login, reason) in [
        ("https://r.example:ann:canary", "begins with a scheme"),
        ("r.example/team:ann:canary", "has a path behind the host"),
        ("r.example:70000:ann:canary", "from 1 to 65535"),
        ("r.example::canary", "the user is empty"),
        ("ann:canary@r.example", "user:password@host"),
        ("r.example:ann: canary", "begins with a blank"),
    ] {
        let told = program.run(&["publish", "hello.json", "-r", login]).failed(2, "E0201");
        assert!(told.stderr.contains(reason), "{login}: {}", told.stderr);
        assert!(!told.stderr.contains("canary"), "{}", told.stderr);
        let file = folder.path().join("logins");
        fs::write(&file, format!("\n{login}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if !reason.contains("blank") {
            let told = program
                .run(&["publish", "hello.json", "--registry-token-file", "logins"])
                .failed(2, "E0201");
            assert!(told.stderr.contains("logins:2"), "{}", told.stderr);
        }
    }
    let two = ["-r", "r.example:ann:canary", "-r", "r.example:bob:canary"];
    let told = program.run(&[&["publish", "hello.json"], &two[..]].concat()).failed(2, "E0200");
    assert!(told.stderr.contains("two logins for r.example"), "{}", told.stderr);
}

#[test]
fn refusals_leave_nothing_in_the_registry_and_a_dry_run_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let good = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let wrong = format!("{}:pull:canary", hub.registry());
    let unused = "r.example:pull:canary".to_owned();
    fs::write(folder.path().join("other.pem"), SigningKey::generate().to_pem().as_bytes()).unwrap();
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.path().join("other.pem"), private).unwrap();
    for dry_run in [&["--dry-run"][..], &[]] {
        let told = publish(&hub, &[&["-r", &wrong], dry_run].concat());
        let told = told.failed(4, "refuses the login that nodes would get");
        assert!(!told.stderr.contains("canary"), "{}", told.stderr);
        let told = publish(&hub, &[&["-r", &good, "-r", &unused], dry_run].concat());
        told.failed(2, "no image of the service is in r.example");
        let told = publish(&hub, &[&["-r", &good, "-k", "other.pem"], dry_run].concat());
        told.failed(8, "no key that was given may sign");
        assert_nothing_pushed(&hub);
    }
    publish(&hub, &["-r", &good, "--dry-run"]).good();
    assert_nothing_pushed(&hub);
    publish(&hub, &["-r", &good]).good();
}

/// The exchange refuses a document that the publisher's own checks know nothing of: what belongs to somebody else.
#[test]
fn what_the_exchange_refuses_is_refused_before_the_push() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let good = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    fs::write(folder.path().join("bobs"), "bobs-secret-word\n").unwrap();
    hub.publisher.run(&["user", "create", "bob", "--password-file", "bobs"]).good();
    // An administrator has put an unsigned row there by Horizon's path.
    let row = json!({"label": "", "public": false, "url": "hello", "version": "1.0.0",
        "arch": edgepost::types::Arch::of_this_machine(), "sharable": "multiple",
        "deployment": "", "deploymentSignature": ""});
    let (status, body) = hub.post("/v1/orgs/acme/services", &row);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    let mut bob = hub.publisher.clone();
    bob.set("EDGEPOST_USER_AUTH", "bob:bobs-secret-word");
    layout(&folder.path().join("image"), 1, 1, 1000);
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    for dry_run in [&["--dry-run"][..], &[]] {
        let arguments = ["publish", &file, "--source", "oci:image", "-r", &good];
        let told = bob.run(&[&arguments[..], dry_run].concat()).failed(4, "belongs to acme/ann");
        assert!(!told.stderr.contains("pushed"), "{}", told.stderr);
        assert_nothing_pushed(&hub);
    }
}
