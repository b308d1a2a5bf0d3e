//! Keys and secrets of which copies broke: named by what is wrong with them, and never by their content.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use edgepost::sign::SigningKey;
use serde_json::json;

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_hello, publish_pattern, write},
    node::Node,
    program::{Outcome, Program},
};

const RSA_KEY: &str = include_str!("../../fixtures/horizon/pkcs8.pem");
const NO_LINE_BREAKS: &str = "has BEGIN PRIVATE KEY but no line breaks";

/// Writes a file that only its owner may read.
fn write_private(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A certificate that signs itself, and its key.
fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// The text does not have any part of the key: as text, or as the decimal numbers of its bytes.
#[track_caller]
fn assert_no_part(text: &str, pem: &str) {
    for line in pem.lines().filter(|line| !line.starts_with("-----")) {
        for part in line.as_bytes().chunks_exact(8) {
            let letters = std::str::from_utf8(part).unwrap();
            let numbers = part.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            assert!(!text.contains(letters) && !text.contains(&numbers), "{text}");
        }
    }
}

#[track_caller]
fn assert_named(outcome: &Outcome, pem: &str, reason: &str) {
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_ne!(outcome.code, 0, "{all}");
    assert!(all.contains(reason), "{all}");
    assert_no_part(&all, pem);
}

#[test]
fn import_names_what_broke_a_key_and_none_of_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let ed25519 = SigningKey::generate().to_pem();
    for key in [ed25519.as_str(), RSA_KEY] {
        let cut = &key[..key.len() / 2];
        for (broken, reason) in [
            (key.replace('\n', ""), NO_LINE_BREAKS),
            (key.replace('\n', " "), "with blanks in the place of its line breaks"),
            (key.replace('\n', r"\n"), r"the characters \n in the place of its line breaks"),
            (cut.to_owned(), "no END PRIVATE KEY"),
            (key.replacen('M', "M M", 1), "is not base64"),
            (key.replace("-----BEGIN PRIVATE KEY-----", ""), "has no -----BEGIN line"),
        ] {
            write_private(&folder.path().join("broken.pem"), &broken);
            let told = program.run(&["key", "import", "broken.pem", "k"]);
            assert_named(&told, key, reason);
            let told = program.run(&["key", "import", "broken.pem", "k", "--json"]);
            assert_named(&told, key, "E");
        }
    }
}

#[test]
fn editors_additions_to_a_key_are_passed_over_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let utf_16 = |text: &str| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let crlf = |text: &str| text.replace('\n', "\r\n");
    for (number, make) in [
        (|key: &str| format!("\u{feff}{key}").into_bytes()) as fn(&str) -> Vec<u8>,
        |key| key.replace('\n', "\r\n").into_bytes(),
        |key| format!("{key}\n\n").into_bytes(),
        |key| {
            key.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n").into_bytes()
        },
    ]
    .iter()
    .enumerate()
    {
        let key = SigningKey::generate();
        write_private(&folder.path().join("added.pem"), make(&key.to_pem()));
        let name = format!("k{number}");
        let told = program.run(&["key", "import", "added.pem", &name]).good();
        if number < 3 {
            assert!(told.stderr.contains("passed over"), "{}", told.stderr);
        }
        let shown = program.run(&["key", "show", &name, "--json"]).good().stdout;
        assert!(shown.contains(&key.key_id().to_string()), "{shown}");
    }
    write_private(&folder.path().join("wide.pem"), utf_16(&crlf(&SigningKey::generate().to_pem())));
    let told = program.run(&["key", "import", "wide.pem", "wide"]).good();
    assert!(told.stderr.contains("UTF-16"), "{}", told.stderr);
}

#[test]
fn servers_and_clients_name_what_broke_a_key_of_tls() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut program = Program::at_home_in(folder.path());
    let (certificate, key) = certificate();
    write_private(&at("t.crt"), &certificate);
    write_private(&at("t.key"), key.replace('\n', ""));
    let told = program.run(&[
        "hub",
        "--data",
        "hub",
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        "t.crt",
        "--tls-key",
        "t.key",
    ]);
    assert_named(&told, &key, NO_LINE_BREAKS);
    // The files were mistaken for each other.
    write_private(&at("whole.key"), &key);
    let told = program.run(&[
        "hub",
        "--data",
        "hub",
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        "whole.key",
        "--tls-key",
        "t.crt",
    ]);
    assert_named(&told, &key, "holds no certificate, but PRIVATE KEY");

    let folder_of_host = at("home/certs.d/127.0.0.1:9");
    write_private(&folder_of_host.join("ca.crt"), &certificate);
    write_private(&folder_of_host.join("client.cert"), &certificate);
    write_private(&folder_of_host.join("client.key"), key.replace('\n', ""));
    let told = program.run(&["image", "copy", "127.0.0.1:9/a/b:1", "oci:out", "-q"]);
    assert_named(&told, &key, NO_LINE_BREAKS);

    program.set("EDGEPOST_EXCHANGE_URL", "https://127.0.0.1:9/v1");
    program.set("EDGEPOST_ORG", "acme");
    program.set("EDGEPOST_USER_AUTH", "ann:secret");
    let told = program.run(&["service", "list", "--ca-file", "t.key"]);
    assert_named(&told, &key, NO_LINE_BREAKS);
}

#[test]
fn a_horizon_key_on_one_line_is_named_at_publish() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    write_private(&folder.path().join("one.pem"), RSA_KEY.replace('\n', ""));
    layout(&folder.path().join("image"), 1, 1, 1000);
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    let told = hub.publisher.run(&[
        "publish",
        &file,
        "--source",
        "oci:image",
        "--dry-run",
        "--horizon-key",
        "one.pem",
    ]);
    assert_named(&told, RSA_KEY, NO_LINE_BREAKS);
}

/// The certs.d of a node has a client key on one line: its reports reach the exchange, its key does not.
#[test]
fn a_nodes_report_names_what_broke_a_key_and_none_of_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let (certificate, key) = certificate();
    let certs = folder.path().join("home/certs.d").join(hub.registry());
    write_private(&certs.join("client.cert"), &certificate);
    write_private(&certs.join("client.key"), key.replace('\n', ""));
    let settled = node.settle();
    assert_ne!(settled.code, 0);
    assert_no_part(&format!("{}{}", settled.stdout, settled.stderr), &key);
    fs::remove_dir_all(&certs).unwrap();
    let shown = hub.publisher.run(&["node", "show", "n1", "--json"]).good().stdout;
    assert!(shown.contains(NO_LINE_BREAKS), "{shown}");
    assert_no_part(&shown, &key);
    assert_no_part(&fs::read_to_string(node.data().join("status.json")).unwrap(), &key);
}

#[test]
fn logins_and_passwords_that_broke_are_named_before_a_server_refuses_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = Program::at_home_in(folder.path());
    known.set("EDGEPOST_EXCHANGE_URL", "http://127.0.0.1:9/v1");
    known.set("EDGEPOST_ORG", "acme");
    for (auth, reason) in [
        (" ann:canary-word", "begins with a blank"),
        ("ann:canary-word\n", "ends with a line break"),
        ("ann:canary-\nword", "has a line break inside"),
        ("\"ann:canary-word\"", "in quotes"),
    ] {
        let told =
            known.with("EDGEPOST_USER_AUTH", auth).run(&["service", "list"]).failed(3, "E0300");
        assert!(told.stderr.contains(reason), "{}", told.stderr);
        assert!(!told.stderr.contains("canary"), "{}", told.stderr);
    }
}

/// In a login file: `echo` has added a line break, and a terminal has wrapped a long line.
#[test]
fn a_login_file_that_broke_is_named_before_the_registry_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let (registry, file) = (hub.registry(), folder.path().join("docker/config.json"));
    let repository = format!("{registry}/acme/hello");
    let broken = base64("push:canary-word\n");
    write_private(&file, json!({"auths": {&registry: {"auth": broken}}}).to_string());
    let told = hub.publisher.run(&["registry", "tags", &repository]);
    assert_named(&told, &broken, "ends with a line break, as `echo` adds one");
    let (start, end) = broken.split_at(8);
    write_private(
        &file,
        format!("{{\"auths\": {{\"{registry}\": {{\"auth\": \"{start}\n{end}\"}}}}}}"),
    );
    let told = hub.publisher.run(&["registry", "tags", &repository]);
    assert_named(&told, &broken, "was a long `auth` wrapped as it was copied?");
    // Docker's reader passes over a line break that is escaped.
    let whole = base64(&format!("push:{}", hub.push_password));
    let (start, end) = whole.split_at(8);
    let auth = format!("{start}\n{end}\n");
    write_private(&file, json!({"auths": {&registry: {"auth": auth}}}).to_string());
    hub.publisher.run(&["registry", "repos", &registry]).good();
}

fn base64(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}

#[test]
fn a_pin_that_broke_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let pin = "0123456789abcdef".repeat(4);
    for (pin, reason) in [
        (format!(" {pin}"), "begins with a blank"),
        (format!("{} {}", &pin[..32], &pin[32..]), "has a blank inside"),
        (pin[..60].to_owned(), "received 60 characters"),
    ] {
        let told = program.run(&["agent", "register", "--trust-sha256", &pin]).failed(2, "");
        assert!(told.stderr.contains(reason), "{}", told.stderr);
    }
}
