//! Files and names that are not what they should be.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_hello, publish_pattern, write},
    node::Node,
    program::{Outcome, Program},
};

/// It is over soon, in little memory, and never by a panic.
#[track_caller]
fn soon(outcome: Outcome) -> Outcome {
    assert!(outcome.took < Duration::from_secs(10), "{:?}", outcome.took);
    assert!(outcome.memory < 300_000, "{} KiB", outcome.memory);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    outcome
}

/// What nodes pull with.
fn login(hub: &Hub) -> String {
    format!("{}:pull:{}", hub.registry(), hub.pull_password)
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A program that has a key and an exchange to speak to, which is not there.
fn program(folder: &Path) -> Program {
    let mut program = Program::at_home_in(folder);
    program.set("EDGEPOST_EXCHANGE_URL", "http://127.0.0.1:9/v1");
    program.set("EDGEPOST_ORG", "acme");
    program.set("EDGEPOST_USER_AUTH", "ann:ann-secret");
    program.run(&["key", "create"]).good();
    program
}

#[test]
fn a_definition_that_is_none_is_told_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let deep = format!("{{\"deployment\": {}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let closed = "]}".repeat(300_000);
    let huge_number = format!("{{\"version\": {}}}", "9".repeat(500_000));
    for (name, bytes, said) in [
        ("long", " ".repeat(2 << 20).as_bytes(), "1 MiB"),
        ("deep", deep.as_bytes(), "deep"),
        ("closed", closed.as_bytes(), "closed:1:1"),
        ("number", huge_number.as_bytes(), "number:1:"),
        ("latin", b"{\n\"label\": \"caf\xe9\"}", "latin:2"),
        ("utf16", b"\xff\xfe{\0}\0", "UTF-8"),
        ("empty", b"", "empty:1:1"),
        ("comment", b"/* never closed {}", "comment:1:1"),
    ] {
        let told = soon(program.run(&["publish", &file(name, bytes)])).failed(3, "E0301");
        assert!(told.stderr.contains(said), "{name}: {}", told.stderr);
        assert!(told.stderr.len() < 10_000, "{name}: {} bytes of error", told.stderr.len());
    }
}

#[test]
fn nothing_waits_for_a_pipe_or_reads_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    pipe(&folder.path().join("pipe"));
    for file in ["pipe", ".", "/dev/zero", "none"] {
        let exit = if file == "/dev/zero" { (3, "E0301") } else { (1, "E0101") };
        soon(program.run(&["publish", file])).failed(exit.0, exit.1);
        soon(program.run(&["pattern", "publish", file, "--name", "p"])).failed(exit.0, exit.1);
        soon(program.run(&["org", "list", "--ca-file", file])).failed(1, "E0101");
        let arguments = ["user", "create", "bob", "--password-file", file];
        soon(program.run(&arguments)).failed(1, "E0101");
    }
    fs::write(folder.path().join("d.json"), "{}").unwrap();
    pipe(&folder.path().join("hzn.json"));
    soon(program.run(&["publish", "d.json"])).failed(1, "E0101");
    let project = folder.path().join("project");
    fs::create_dir_all(project.join("edgepost.toml")).unwrap();
    pipe(&folder.path().join("home/config.toml"));
    soon(program.run(&["org", "list"])).failed(1, "E0101");
}

#[test]
fn variables_cannot_swell_a_definition_or_carry_credentials_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let label = "$BIG".repeat(200);
    let mut swollen = definition("1.0.0", "127.0.0.1:9/a/b:1");
    swollen["label"] = json!(label);
    let file = write(&hub, "swollen.json", &swollen);
    let big = hub.publisher.with("BIG", "x".repeat(100_000));
    let told = soon(big.run(&["publish", &file])).failed(3, "E0301");
    assert!(told.stderr.contains("4 MiB"), "{}", &told.stderr[..told.stderr.len().min(2000)]);

    layout(&folder.path().join("image"), 1, 1, 1000);
    let mut leaky = definition("1.0.0", &format!("{}/acme/hello:1", hub.registry()));
    leaky["label"] = json!("by $EDGEPOST_USER_AUTH ${HZN_EXCHANGE_USER_AUTH}.");
    let file = write(&hub, "leaky.json", &leaky);
    let both = hub.publisher.with("HZN_EXCHANGE_USER_AUTH", "ann:ann-secret");
    both.run(&["publish", &file, "--source", "oci:image", "-r", &login(&hub)]).good();
    let shown = hub.publisher.run(&["service", "list", "--json"]).good().stdout;
    assert!(!shown.contains("ann-secret"), "{shown}");
}

#[test]
fn a_key_that_is_not_a_private_plain_file_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    fs::write(folder.path().join("d.json"), definition("1.0.0", "127.0.0.1:9/a/b:1").to_string())
        .unwrap();
    let keys = folder.path().join("home/keys");
    let good = fs::read(keys.join("default.key.pem")).unwrap();
    let key = |name: &str, mode: u32, bytes: &[u8]| {
        let path = keys.join(format!("{name}.key.pem"));
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    key("open", 0o644, &good);
    key("group", 0o660, &good);
    key("empty", 0o600, b"");
    key("long", 0o600, &vec![b'A'; 3 << 20]);
    key("binary", 0o600, &[0xff; 200]);
    std::os::unix::fs::symlink(keys.join("default.key.pem"), keys.join("link.key.pem")).unwrap();
    fs::create_dir(keys.join("folder.key.pem")).unwrap();
    pipe(&keys.join("pipe.key.pem"));

    for name in ["open", "group", "empty", "long", "binary", "link", "folder", "pipe", "none"] {
        let told = soon(program.run(&["publish", "d.json", "-k", name])).failed(3, "E0302");
        let secret = String::from_utf8_lossy(&good).lines().nth(1).unwrap_or_default().to_owned();
        assert!(!told.stderr.contains(&secret), "{}", told.stderr);
    }
    for name in ["../up", "a\nb", "\u{1b}[2J", ".hidden", "", &"n".repeat(300)] {
        program.run(&["key", "create", name]).failed(3, "E0302");
    }
    program.run(&["key", "create"]).failed(7, "E0700");
    assert_eq!(fs::read(keys.join("default.key.pem")).unwrap(), good);
}

#[test]
fn names_cannot_break_lines_leave_paths_or_command_terminals() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    layout(&folder.path().join("image"), 1, 1, 1000);
    let image = format!("{}/acme/hello:1", hub.registry());
    let publish = |change: &dyn Fn(&mut Value)| {
        let mut written = definition("2.0.0", &image);
        change(&mut written);
        let file = write(&hub, "named.json", &written);
        hub.publisher.run(&["publish", &file, "--source", "oci:image", "-r", &login(&hub)])
    };
    let before = files(folder.path());

    // What is a name is refused.
    for name in ["a\nb", "\u{1b}[2J", "a\u{9b}b", " a", "..", ""] {
        publish(&|it| it["url"] = json!(name)).failed(3, "E0301");
        let refused = hub.publisher.run(&["org", "create", name]);
        assert!([2, 4].contains(&refused.code), "{name:?}: {}", refused.stderr);
    }
    publish(&|it| it["version"] = json!("1.0\n")).failed(3, "E0301");
    publish(&|it| it["arch"] = json!("../../etc")).failed(3, "E0301");
    assert_eq!(files(folder.path()), before, "nothing was written elsewhere");

    // What is free text is shown, and obeyed by nobody.
    let evil = "one\n2.0.0   two\u{1b}[2J\u{9b}31m\u{202e}";
    publish(&|it| it["label"] = json!(evil)).good();
    let table = hub.publisher.run(&["service", "list"]).good().stdout;
    assert_eq!(table.lines().count(), 3, "a heading and two services:\n{table}");
    let pretty = hub.publisher.run(&["service", "list", "--json"]).good();
    for text in [&table, &pretty.stdout] {
        let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(obeyed), "{text:?}");
    }
    let arch = edgepost::types::Arch::of_this_machine();
    assert!(
        pretty.json()[format!("acme/hello_2.0.0_{arch}")]["label"] == evil,
        "{}",
        pretty.stdout
    );

    // A node's folder knows no names of others.
    let node = Node::register(&hub, "n 1@site", &["--pattern", "hello-everywhere"]);
    node.settle().good();
    let told = hub.publisher.run(&["service", "show", "x\nerror[E0000]: fine\u{1b}[2J"]);
    assert_ne!(told.code, 0);
    assert!(!told.stderr.contains('\u{1b}'), "{:?}", told.stderr);
    assert!(!told.stderr.lines().any(|it| it.starts_with("error[E0000]")), "{}", told.stderr);
}

/// Every file directly in a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .filter(|it| it != "named.json")
        .collect();
    all.sort();
    all
}

#[test]
fn machines_find_the_problems_of_a_file_in_fields() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    fs::write(folder.path().join("p.json"), "{\"constraints\": 3,\n \"propertys\": []}").unwrap();

    let told = program.run(&["policy", "publish", "p", "p.json", "--json"]);

    assert_eq!(told.code, 3);
    let error = told.json()["error"].clone();
    let places: Vec<_> = error["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| json!([it["file"], it["line"], it["column"], it["path"], it["severity"]]))
        .collect();
    assert_eq!(
        places,
        [
            json!(["p.json", 1, 1, "", "error"]),
            json!(["p.json", 1, 17, "constraints", "error"]),
            json!(["p.json", 2, 2, "propertys", "warning"]),
        ],
        "{error}"
    );
    assert!(error["problems"][2]["help"].as_str().unwrap().contains("`properties`"), "{error}");
}
