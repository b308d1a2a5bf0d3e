//! What those can do who hold more than they should: a publisher's key, the exchange, a registry.

use std::{net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use edgepost::sign::Envelope;
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_hello, publish_pattern, write},
    liar::{Answer, Liar},
    node::Node,
    program::Outcome,
    thief,
};

fn id(version: &str) -> String {
    format!("hello_{version}_{}", edgepost::types::Arch::of_this_machine())
}

/// A service whose signed body speaks of something else than its header.
fn relabelled(hub: &Hub, pointer: &str, value: Value) -> Envelope {
    let key = format!("service/{}", id("1.0.0"));
    thief::signed_again(hub, &key, |body| {
        *body.pointer_mut(pointer).expect("the body has it") = value;
    })
}

#[test]
fn a_body_that_is_not_what_its_header_says_is_taken_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();

    let other = format!("{}/acme/hello@sha256:{}", hub.registry(), "1".repeat(64));
    for (pointer, value) in [
        ("/definition/version", json!("9.0.0")),
        ("/definition/url", json!("goodbye")),
        ("/definition/arch", json!("s390x")),
        ("/images/0/image", json!(other)),
    ] {
        let envelope = relabelled(&hub, pointer, value);
        let publication = json!({"envelope": envelope});
        let (status, said) = hub.post("/v1/orgs/acme/edgepost/publish", &publication);
        let said = String::from_utf8_lossy(&said);
        assert_eq!(status, 403, "{pointer}: {said}");
        assert!(said.contains("relabel"), "{pointer}: {said}");
    }

    // An exchange that was taken over lists it all the same.
    thief::list(&hub.data(), &relabelled(&hub, "/definition/version", json!("9.0.0")));
    node.settle().failed(8, "relabel");
    assert_eq!(node.services(), [format!("acme/{}", id("1.0.0"))], "what ran goes on");
    let verify = ["service", "verify", &id("1.0.0"), "--trust-sha256", &hub.pin];
    hub.publisher.run(&verify).failed(8, "relabel");
}

#[test]
fn a_definition_of_another_organization_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    layout(&folder.path().join("image"), 1, 1, 1000);
    let mut theirs = definition("1.0.0", &format!("{}/acme/hello:1", hub.registry()));
    theirs["org"] = json!("others");
    let file = write(&hub, "theirs.json", &theirs);

    let told = hub.publisher.run(&["publish", &file, "--source", "oci:image"]).failed(3, "E0301");

    assert!(told.stderr.contains("others"), "{}", told.stderr);
    assert_eq!(hub.pull("/v2/acme/hello/tags/list").0, 404);
}

/// A node of version 1, and what becomes of its next pass when its exchange was replaced by a liar.
fn settled_against(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();
    hub.kill();
    let _liar = Liar::at(hub.address(), answer);

    let outcome = node.settle();

    assert_eq!(node.services(), [format!("acme/{}", id("1.0.0"))], "what ran goes on");
    bounded(&outcome);
    let publish = publish_hello(&hub, "2.0.0", 1000, &[]);
    bounded(&publish);
    assert_eq!(publish.code, 5, "{}\n{}", publish.stdout, publish.stderr);
    outcome
}

/// It ended in time, within memory, and said an error with a code.
#[track_caller]
fn bounded(outcome: &Outcome) {
    let all = format!("{}\n{}", outcome.stdout, outcome.stderr);
    assert_ne!(outcome.code, 0, "{all}");
    assert!(all.contains("error[E") || all.contains("\"code\":\"E"), "{all}");
    assert!(!all.contains("panicked"), "{all}");
    assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
    assert!(outcome.memory < 300_000, "{} KiB", outcome.memory);
}

const OURS: &str = "content-type: application/json\r\nedgepost-version: 1\r\n";

#[test]
fn an_exchange_that_fails_is_away() {
    let outcome = settled_against(|_| Answer::of("500 Internal Server Error", OURS, "{}"));
    outcome.failed(5, "E0500");
}

#[test]
fn an_exchange_that_talks_nonsense_is_not_believed() {
    for nonsense in ["{\"newest\":\"many\"}", "[[[", "null", "{\"newest\":18446744073709551615}"] {
        let outcome = settled_against(move |_| Answer::of("200 OK", OURS, nonsense));
        assert!([1, 5, 8].contains(&outcome.code), "{nonsense}: {}", outcome.stderr);
    }
}

#[test]
fn an_exchange_that_never_ends_its_answer_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nedgepost-version: 1\r\n\r\n[";
    settled_against(|_| Answer::Endless(head.to_owned(), b"[1,2,3],".to_vec()));
}

#[test]
fn what_speaks_no_http_is_no_exchange() {
    settled_against(|_| Answer::Raw(b"\x16\x03\x01\x00\x00 220 ready\r\n\r\n\r\n".to_vec()))
        .failed(5, "E0500");
    settled_against(|_| Answer::Raw(Vec::new())).failed(5, "E0500");
}

/// Publishes by way of a registry that answers like this, with a login that nobody else may see.
fn publish_through(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (Outcome, Liar) {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    let registry = Liar::new(answer);
    let at = registry.address().to_string();
    hub.log_in(&at, "push", "canary-push");
    layout(&folder.path().join("image"), 1, 1, 1000);
    let file = write(&hub, "hello.json", &definition("1.0.0", &format!("{at}/acme/hello:1")));
    let login = format!("{at}:pull:canary-pull");
    let outcome = hub.publisher.run(&["publish", &file, "--source", "oci:image", "-r", &login]);
    assert_eq!(hub.publisher.run(&["service", "list", "--json"]).stdout.trim(), "{}");
    (outcome, registry)
}

#[test]
fn a_registry_cannot_send_credentials_elsewhere() {
    let thief = Liar::new(|_| Answer::of("200 OK", "", "{\"token\":\"t\"}"));
    // Not a loopback address by name, though it is heard here.
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let second = Liar::at(any, |_| Answer::of("200 OK", "", "{\"token\":\"t\"}"));
    let elsewhere = second.address();
    let realm =
        format!("www-authenticate: Bearer realm=\"http://{elsewhere}/token\",service=\"x\"\r\n");
    let to = format!("location: http://{}/v2/stolen\r\n", thief.address());
    let challenge = "www-authenticate: Basic realm=\"x\"\r\n";

    let (outcome, _) = publish_through(move |_| Answer::of("401 Unauthorized", &realm, "{}"));
    bounded(&outcome);
    let (outcome, registry) = publish_through(move |head| {
        if head.contains("authorization: Basic") {
            Answer::of("307 Temporary Redirect", &to, "")
        } else {
            Answer::of("401 Unauthorized", challenge, "{}")
        }
    });
    bounded(&outcome);

    let secrets = ["push:canary-push", "pull:canary-pull"].map(|it| STANDARD.encode(it));
    assert!(registry.heard().iter().any(|it| it.contains(&secrets[0])), "the registry itself may");
    for head in thief.heard().iter().chain(&second.heard()) {
        assert!(!head.to_lowercase().contains("authorization"), "{head}");
        assert!(!secrets.iter().any(|it| head.contains(it)), "{head}");
    }
}

#[test]
fn a_registry_that_keeps_something_else_is_found_out() {
    let digest = format!("docker-content-digest: sha256:{}\r\n", "0".repeat(64));
    let (outcome, _) = publish_through(move |head| match head.split(' ').next() {
        Some("HEAD") => Answer::of("404 Not Found", "", ""),
        Some("POST") => {
            Answer::of("202 Accepted", "location: /v2/acme/hello/blobs/uploads/1\r\n", "")
        }
        _ => Answer::of("201 Created", &digest, ""),
    });
    bounded(&outcome);
    assert_eq!(outcome.code, 8, "{}", outcome.stderr);
}
