//! What a developer sees of patterns, policies and services: listed, shown, compared, removed.

use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, pattern, publish_hello, publish_pattern, publish_policy, write},
    node::Node,
};

/// A hub with service, pattern and policy.
fn hub(folder: &std::path::Path) -> Hub {
    let hub = Hub::start(folder);
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    publish_policy(&hub, "1.0.0");
    hub
}

fn hello() -> String {
    format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine())
}

#[test]
fn what_is_published_is_listed_and_shown_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path());
    let yaml = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();

    for (noun, name, said) in [
        ("pattern", "hello-everywhere", ["service    acme/hello for *", "  version  1.0.0"]),
        ("policy", "where-wanted", ["  version    1.0.0", "constraints  wants == hello"]),
        ("service", &hello(), ["container    hello", "@sha256:"]),
    ] {
        let list =
            |form: &[&str]| hub.publisher.run(&[&[noun, "list"], form].concat()).good().stdout;
        let line: Value = serde_json::from_str(&list(&["--json"])).unwrap();
        assert_eq!(list(&["--json"]).lines().count(), 1);
        assert!(line.get(format!("acme/{name}")).is_some(), "{line}");
        assert_eq!(yaml(&list(&["--format", "yaml"])), line);
        assert!(list(&["--format", "text"]).contains(name));

        let show = |form: &[&str]| {
            hub.publisher.run(&[&[noun, "show", name], form].concat()).good().stdout
        };
        let json: Value = serde_json::from_str(&show(&["--format", "json"])).unwrap();
        assert!(show(&["--format", "json"]).lines().count() > 5, "it is indented");
        assert_eq!(serde_json::from_str::<Value>(&show(&["--json"])).unwrap(), json);
        assert_eq!(yaml(&show(&["--format", "yaml"])), json);
        assert_eq!(json["owner"], "acme/ann");
        let text = show(&[]);
        for said in said {
            assert!(text.contains(said), "no {said:?} in\n{text}");
        }
    }
    hub.publisher.run(&["pattern", "show", "none"]).failed(6, "E0600");
}

#[test]
fn a_list_of_nothing_says_so_beside_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    for noun in ["service", "pattern", "policy"] {
        let list = hub.publisher.run(&[noun, "list"]).good();
        assert_eq!(list.stdout, "");
        assert_eq!(list.stderr.trim(), format!("there is no {noun}"));
        let list = hub.publisher.run(&[noun, "list", "--json", "--quiet"]).good();
        assert_eq!((list.stdout.trim(), list.stderr.as_str()), ("{}", ""));
    }
}

#[test]
fn a_file_is_compared_with_what_is_live() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path());
    let diff = |arguments: &[&str]| hub.publisher.run(arguments);
    let same = ["pattern", "diff", "hello-everywhere.json"];
    assert_eq!(diff(&same).good().stdout, "");
    assert_eq!(diff(&[&same[..], &["--json"]].concat()).good().json()["same"], true);
    diff(&["policy", "diff", "where-wanted", "policy.json"]).good();

    let changed = write(&hub, "changed.json", &pattern("2.0.0"));
    let arguments = ["pattern", "diff", &changed, "--name", "hello-everywhere"];
    let told = diff(&arguments).failed(7, "E0702");
    for line in [
        "--- pattern hello-everywhere (live, seq 1)",
        "-          \"version\": \"1.0.0\"",
        "+          \"version\": \"2.0.0\"",
    ] {
        assert!(
            told.stdout.lines().any(|it| it.trim_end().starts_with(line)),
            "{line}\n{}",
            told.stdout
        );
    }
    assert!(!told.stdout.contains('\u{1b}'), "no terminal, no colours");
    let told = diff(&[&arguments[..], &["--json"]].concat()).failed(7, "changes").json();
    let change =
        json!([{"path": "services[0].serviceVersions[0].version", "old": "1.0.0", "new": "2.0.0"}]);
    assert_eq!((&told["changes"], &told["against"]), (&change, &json!("document")));
    // What a diff has shown is what publishing changes.
    publish_hello(&hub, "2.0.0", 10_000, &[]).good();
    hub.publisher.run(&["pattern", "publish", &changed, "--name", "hello-everywhere"]).good();
    diff(&arguments).good();

    diff(&["pattern", "diff", &changed, "--name", "none"]).failed(6, "E0600");
    hub.publisher.run(&["pattern", "remove", "hello-everywhere", "--force"]).good();
    diff(&arguments).failed(6, "E0600");
}

#[test]
fn a_definition_is_compared_with_the_service_that_was_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path());
    let image = format!("{}/acme/hello:1.0.0", hub.registry());

    let told = hub.publisher.run(&["service", "diff", "hello-1.0.0.json", "--json"]).good();

    assert!(told.stderr.contains("is not compared"), "{}", told.stderr);
    let told = told.json();
    assert_eq!((&told["same"], &told["pinned"][0]["file"]), (&json!(true), &json!(image)));
    let mut other = definition("1.0.0", &image);
    other["deployment"]["services"]["hello"]["environment"] = json!(["A=b"]);
    let other = write(&hub, "other.json", &other);
    let told = hub.publisher.run(&["service", "diff", &other]).failed(7, "E0702").stdout;
    assert!(told.contains("+        \"environment\": ["), "{told}");
    assert!(told.contains("(pinned)"), "{told}");
    let missing = write(&hub, "missing.json", &definition("9.9.9", &image));
    hub.publisher.run(&["service", "diff", &missing]).failed(6, "E0600");
}

#[test]
fn the_policies_of_nodes_and_services_are_documents_too() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path());
    let _node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let service = hello();
    let terms = |value: u32, constraint: &str| json!({"properties": [{"name": "site", "value": value, "type": "int"}], "constraints": [constraint]});
    let file = write(&hub, "terms.json", &terms(7, "a == b OR c == d"));
    let other = write(&hub, "other.json", &terms(8, "a == b OR c == d"));

    for (of, name) in [("--node", "n1"), ("--service", service.as_str())] {
        let run = |verb: &str, more: &[&str]| {
            hub.publisher.run(&[&["policy", verb, of, name], more].concat())
        };
        // A node tells the exchange what it is; a service says nothing of itself before it is made to.
        let before = if of == "--node" { (7, "E0702") } else { (6, "E0600") };
        run("diff", &[&file]).failed(before.0, before.1);
        run("verify", &[]).failed(if of == "--node" { 8 } else { 6 }, "error[");
        let plan = run("publish", &[&file, "--dry-run", "--json"]).good().json();
        assert_eq!(plan["document"], "new", "{plan}");
        run("publish", &[&file]).good();
        run("diff", &[&file]).good();
        assert_eq!(run("publish", &[&file, "--json"]).good().json()["unchanged"], true);
        let list = run("list", &[]).good().stdout;
        let line: Vec<_> = list.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!((line[0], line[2]), (name, "1"), "the name, properties, constraints");
        let shown = run("show", &[]).good().stdout;
        for said in ["properties   ", "site = 7 (int)", "constraints  ", "a == b OR c == d"] {
            assert!(shown.contains(said), "{shown}");
        }
        let json = run("show", &["--json"]).good().json();
        let yaml = run("show", &["--format", "yaml"]).good().stdout;
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json);
        let told = run("diff", &[&other, "--json"]).failed(7, "changes").json();
        assert_eq!(told["changes"], json!([{"path": "properties[0].value", "old": 7, "new": 8}]));
        run("verify", &["--trust-sha256", &hub.pin]).good();
        run("remove", &[]).failed(2, "E0200");
        run("remove", &["--force"]).good();
        run("remove", &["--force"]).failed(6, "E0600");
        run("diff", &[&file]).failed(before.0, before.1);
    }
    hub.publisher.run(&["policy", "show", "--service", "none_1_amd64"]).failed(6, "E0600");
    hub.publisher.run(&["policy", "publish", &file]).failed(2, "NAME");
    hub.publisher.run(&["policy", "publish", "name", &file, "--node", "n1"]).failed(2, "--node");
}

#[test]
fn service_publish_is_publish() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path());
    let source = format!("oci:{}", folder.path().join("image-1.0.0").display());
    let arguments =
        ["service", "publish", "hello-1.0.0.json", "--source", &source, "--dry-run", "--json"];
    assert_eq!(hub.publisher.run(&arguments).good().json()["document"], "unchanged");
}

#[test]
fn a_command_that_cannot_be_understood_is_an_error_object_under_json() {
    let folder = tempfile::tempdir().unwrap();
    let program = crate::support::program::Program::at_home_in(folder.path());
    let told = program.run(&["patern", "list", "--json"]).failed(2, "E0200").json();
    assert!(told["error"]["try"].as_str().unwrap().contains("'pattern'"), "{told}");
    let told = program.run(&["patern", "list"]).failed(2, "'pattern'");
    assert_eq!(told.stdout, "");
    program.run(&["pattern", "--help", "--json"]).good();
    let told = program.run(&["pattern", "show", "p", "--format", "json", "--json"]);
    told.failed(2, "E0200");
}
