//! No secret in any output, at the most verbose level.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::support::{
    hub::Hub,
    image::{definition, layout, publish_hello, publish_pattern, write},
    node::Node,
    program::Outcome,
};

#[test]
fn no_secret_shows_in_any_output_log_or_database() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let secrets =
        ["ann-secret", "n1-token", &hub.push_password.clone(), &hub.pull_password.clone()]
            .map(str::to_owned);
    let mut said = Vec::new();
    layout(&folder.path().join("image"), 1, 1, 10_000);
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    let pattern = write(&hub, "p.json", &crate::support::image::pattern("1.0.0"));
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let run = |said: &mut Vec<String>, arguments: &[&str]| {
        let outcome = hub.publisher.run(&[&["-vvv"], arguments].concat());
        said.push(format!("{arguments:?}\n{}\n{}", outcome.stdout, outcome.stderr));
    };
    run(&mut said, &["publish", &file, "--source", "oci:image", "-r", &login]);
    run(&mut said, &["publish", &file, "--source", "oci:image", "-r", &login, "--json"]);
    run(&mut said, &["publish", &file, "-r", &login.replace(':', ";")]);
    run(&mut said, &["pattern", "publish", &pattern, "--name", "hello-everywhere"]);
    run(&mut said, &["service", "list", "--json"]);
    run(&mut said, &["service", "show", "hello_1.0.0_amd64"]);
    run(&mut said, &["user", "list", "--json"]);
    run(&mut said, &["node", "list", "--json"]);
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let settled = node.settle().good();
    said.push(format!("{}\n{}", settled.stdout, settled.stderr));
    said.push(node.status().to_string());
    run(&mut said, &["node", "show", "n1"]);
    said.push(fs::read_to_string(folder.path().join("hub.log")).unwrap());

    for text in &said {
        let stripped = text.replace(&login, "").replace(&login.replace(':', ";"), "");
        for secret in &secrets {
            assert!(!stripped.contains(secret), "{secret} shows in\n{text}");
        }
    }
    for file in fs::read_dir(hub.data()).unwrap().flatten().filter(|it| it.path().is_file()) {
        let bytes = fs::read(file.path()).unwrap();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in {}", file.path().display());
        }
    }
}

/// Tokens of the flows below: each of them goes in by one way, and comes out only sealed, or to the node that pulls.
const CANARIES: [&str; 6] = [
    "canary-by-argument",
    "canary-by-file",
    "canary-by-stdin",
    "canary-refused",
    "canary-of-horizon",
    "canary-in-a-mistake",
];

#[test]
fn no_login_for_nodes_shows_in_what_is_said_or_kept_while_it_is_set_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let at_home = hub.publisher.with("TMPDIR", temporary.display());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let id = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    let mut said = Vec::new();
    let mut flow = |name: &str, outcome: Outcome| {
        said.push((name.to_owned(), outcome.stdout));
        said.push((name.to_owned(), outcome.stderr));
    };
    let service = |verb: &str, more: &[&str]| {
        at_home.run(&[&["-vvv", "service", "credentials", verb, &id], more].concat())
    };
    let file = folder.path().join("logins");
    fs::write(&file, "b.example:u:canary-by-file\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let by_file = file.display().to_string();
    let refused = format!("{}:pull:canary-refused", hub.registry());

    flow("set", service("set", &["-r", "a.example:u:canary-by-argument"]).good());
    flow("set by a file", service("set", &["--registry-token-file", &by_file, "--json"]).good());
    let set = ["-vvv", "service", "credentials", "set", &id, "--registry-token-file", "-"];
    flow("set by stdin", at_home.run_told(&set, "c.example:u:canary-by-stdin\n").good());
    flow("refused", service("set", &["-r", &refused]).failed(4, "E0402"));
    flow("refused, as JSON", service("set", &["-r", &refused, "--json"]).failed(4, "E0402"));
    flow("forced", service("set", &["-r", &refused, "--force"]).good());
    flow("misread", service("set", &["-r", "d.example;u;canary-in-a-mistake"]).failed(2, "E0201"));
    flow("twice", service("set", &["-r", &refused, "-r", &refused]).failed(2, "E0200"));
    flow("list", service("list", &[]).good());
    flow("list as JSON", service("list", &["--json"]).good());
    flow("show", at_home.run(&["-vvv", "service", "show", &id, "--format", "yaml"]).good());
    let choose = ["-vvv", "org", "set", "acme", "--plain-credentials", "served"];
    flow("choose", at_home.run(&choose).good());
    flow("rekey", hub.root.run(&["-vvv", "exchange", "rekey"]).good());
    flow("rekey, not as root", at_home.run(&["-vvv", "exchange", "rekey"]).failed(4, "E0401"));
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    flow("a node that is refused", node.settle());
    flow("its status", node.program.run(&["agent", "status", "--json"]).good());
    flow("remove", service("remove", &["--registry", "a.example", "--force"]).good());

    let requests = ask_with_mistakes(&hub, &id, &mut said);
    said.push(("hub.log".to_owned(), fs::read_to_string(folder.path().join("hub.log")).unwrap()));
    for (flow, text) in &said {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} shows in {flow}:\n{text}");
        }
    }
    // What the story itself wrote holds them; nothing else does: database, write-ahead log, temporary files, the node.
    let mut files = BTreeSet::new();
    files_below(folder.path(), &mut files);
    files.remove(&file);
    assert!(files.iter().any(|it| it.ends_with("exchange.db-wal")));
    for path in &files {
        let bytes = fs::read(path).unwrap();
        for canary in CANARIES {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} stands in {}", path.display());
        }
    }
    println!(
        "{} canaries in {} texts (of {requests} broken requests, too) and {} files: 0 hits",
        CANARIES.len(),
        said.len(),
        files.len()
    );
}

/// Sends requests with a mistake somewhere near the token, by each way that a token goes in, and keeps the answers.
fn ask_with_mistakes(hub: &Hub, id: &str, said: &mut Vec<(String, String)>) -> usize {
    let horizon = format!("/v1/orgs/acme/services/{id}/dockauths");
    let ours = format!("/v1/orgs/acme/edgepost/services/{id}/credentials");
    let canary = "canary-in-a-mistake";
    let good = json!({"registry": "h.example", "token": "canary-of-horizon"});
    assert_eq!(hub.post(&horizon, &good).0, 201);
    let mistakes = [
        json!(canary),
        json!([canary]),
        json!({"credentials": canary}),
        json!({"credentials": [canary]}),
        json!({"credentials": {"token": canary}}),
        json!({"registry": "r.example", "token": [canary]}),
        json!({"registry": "r.example", "token": {"is": canary}}),
        json!({"registry": "r.example", "token": format!("{canary}\n")}),
        json!({"registry": format!("{canary}/:@"), "token": canary}),
        json!({"registry": "r.example", "token": canary, canary: canary}),
        json!({"registry": "r.example", "username": [canary], "token": canary}),
        json!({"credentials": [{"registry": "r.example", "token": canary, "more": canary}]}),
        json!({"credentials": [{"registry": "r.example", "token": 1}], "toward": canary}),
        json!({"envelope": canary, "credentials": [{"token": canary}]}),
    ];
    for (number, body) in mistakes.iter().enumerate() {
        for (status, answer) in [
            hub.post(&horizon, body),
            hub.put(&format!("{horizon}/1"), body),
            hub.put(&ours, body),
            hub.post("/v1/orgs/acme/edgepost/publish", body),
        ] {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert_eq!(status, 400, "{body} {answer}");
            said.push((format!("the answer to mistake {number}"), answer));
        }
    }
    mistakes.len() * 4
}

/// Every plain file below a folder.
fn files_below(folder: &Path, all: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            files_below(&entry.path(), all);
        } else if entry.path().is_file() {
            all.insert(entry.path());
        }
    }
}
