//! What the keeper of a hub sees.

use std::{fs, path::Path};

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern},
    node::Node,
    peers::make_certificates,
    program::{Program, Running},
};

#[test]
fn what_was_published_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");

    hub.kill();
    let told = hub.restart();

    assert!(told["rootPassword"].is_null(), "a password is told once");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();
    assert_eq!(node.services().len(), 1);
}

#[test]
fn a_hub_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_taken_address_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let program = Program::at_home_in(folder.path());
    let listen = hub.registry();

    let told = program.run(&["hub", "--data", "other", "--listen", &listen]).failed(1, "E0104");

    assert!(told.stderr.contains(&listen), "{}", told.stderr);
}

#[test]
fn a_first_start_that_fails_costs_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let program = Program::at_home_in(folder.path());
    let listen = hub.registry();
    program.run(&["hub", "--data", "other", "--listen", &listen]).failed(1, "E0104");

    let arguments = ["hub", "--json", "--data", "other", "--listen", "127.0.0.1:0"];
    let mut running = program.start(&arguments, &folder.path().join("log"));
    let told: serde_json::Value = serde_json::from_str(&running.first_line()).unwrap();

    assert!(told["rootPassword"].is_string() && told["registryAccounts"].is_object(), "{told}");
}

#[test]
fn the_root_password_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();

    let (_running, program) = exchange(folder.path(), "http://", &[]);

    program.with("EDGEPOST_USER_AUTH", "root:root-secret").run(&["org", "list"]).good();
    program.with("EDGEPOST_USER_AUTH", "root:wrong").run(&["org", "list"]).failed(4, "E0400");
}

#[test]
fn an_exchange_serves_tls_to_those_who_trust_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let tls = ["--tls-cert", "server.crt", "--tls-key", "server.key"];

    let (running, program) = exchange(folder.path(), "https://", &tls);

    program.run(&["org", "list"]).failed(5, "E0502");
    program.run(&["org", "list", "--ca-file", "ca.crt"]).good();
    assert_eq!(running.stop(), 0);
}

/// An exchange alone, whose root password is in a file, and the program as root uses it.
fn exchange(folder: &Path, scheme: &str, more: &[&str]) -> (Running, Program) {
    fs::write(folder.join("root"), "root-secret\n").unwrap();
    let mut program = Program::at_home_in(folder);
    let own = ["exchange", "--json", "--data", "data", "--listen", "127.0.0.1:0"];
    let arguments = [&own, ["--root-password-file", "root"].as_slice(), more].concat();
    let mut running = program.start(&arguments, &folder.join("log"));
    let told: serde_json::Value = serde_json::from_str(&running.first_line()).unwrap();
    assert!(told["rootPassword"].is_null(), "nobody needs to be told what they wrote");
    let url = told["exchange"].as_str().unwrap();
    assert!(url.starts_with(scheme), "{url}");
    program.set("EDGEPOST_EXCHANGE_URL", url);
    program.set("EDGEPOST_ORG", "root");
    program.set("EDGEPOST_USER_AUTH", "root:root-secret");
    (running, program)
}

#[test]
fn two_hubs_do_not_work_on_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    let data = hub.data().display().to_string();
    let program = Program::at_home_in(folder.path());
    let second = |verb: &str| [verb.to_owned(), "--data".to_owned(), data.clone()];
    for verb in ["hub", "exchange", "registry"] {
        let arguments = second(verb);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let arguments = [&arguments[..], &["--listen", "localhost:0"]].concat();
        let told = program.run(&arguments).failed(7, "E0701");
        assert!(told.stderr.contains(&data), "{}", told.stderr);
    }

    // Whoever is killed gives up the folder.
    hub.kill();
    hub.restart();
}
