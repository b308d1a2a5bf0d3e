//! Would this service run on that node, and why not: from files, from the exchange, and from both.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, publish_hello, publish_pattern, publish_policy, write},
    node::Node,
    program::Program,
};

/// A deployment policy whose second line of constraints asks for memory.
const POLICY: &str = r#"{
  "label": "Hello on big machines of the site",
  "service": {
    "name": "hello", "org": "acme", "arch": "*",
    "serviceVersions": [{ "version": "1.2.3" }]
  },
  "properties": [{ "name": "level", "value": "gold" }],
  "constraints": [
    "site == lyon",
    /* Small machines swap. */
    "purpose == pos AND openhorizon.memory >= 512"
  ]
}
"#;

const NODE: &str = r#"{
  "properties": [
    { "name": "site", "value": "lyon" },
    { "name": "purpose", "value": "pos" },
    { "name": "openhorizon.memory", "value": 2048 }
  ],
  "constraints": ["level == gold"]
}
"#;

/// A folder with files, and the program at home there, without any exchange.
fn files(files: &[(&str, &str)]) -> (tempfile::TempDir, Program) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let program = Program::at_home_in(folder.path());
    (folder, program)
}

fn service(more: &Value) -> String {
    let mut service = definition("1.2.3", "registry.example/hello:1.2.3");
    service["arch"] = "amd64".into();
    service.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    serde_json::to_string_pretty(&service).unwrap()
}

const FROM_FILES: [&str; 7] =
    ["check", "--policy", "policy.json", "--service", "service.json", "--node-policy", "node.json"];

#[test]
fn files_alone_say_whether_a_service_fits() {
    let (_folder, program) = files(&[
        ("policy.json", POLICY),
        ("service.json", &service(&json!({}))),
        ("node.json", NODE),
    ]);

    let told = program.run(&FROM_FILES).good();

    assert_eq!(
        told.stdout.lines().next(),
        Some("acme/hello 1.2.3 would run on the node of node.json")
    );
    assert!(!told.stdout.contains("FAIL"), "{}", told.stdout);
    assert!(!told.stdout.contains("fix:"), "{}", told.stdout);
}

#[test]
fn a_clause_that_fails_is_shown_with_its_value_and_its_line() {
    let small = NODE.replace("2048", "480").replace("level == gold", "level == silver");
    let (_folder, program) = files(&[
        ("policy.json", POLICY),
        ("service.json", &service(&json!({"arch": "arm64"}))),
        ("node.json", &small),
    ]);

    let told = program.run(&[&FROM_FILES[..], &["--arch", "amd64"]].concat()).failed(9, "E0901");

    assert_eq!(
        told.stdout,
        "\
acme/hello 1.2.3 would NOT run on the node of node.json
 ok    policy.json offers it
 FAIL  arch arm64                              node is amd64  (service.json:5:12)
 ok    the service has a `deployment`
 ok    constraint site == lyon                 node has lyon
 FAIL  constraint purpose == pos AND openhorizon.memory >= 512  (policy.json:11:6)
 FAIL    openhorizon.memory >= 512             node has 480  (policy.json:11:25)
 FAIL  constraint of the node level == silver  service has gold  (node.json:7:20)
fix: publish the service for amd64 too; change policy.json:11:25, or choose a node with openhorizon.memory >= 512; give the policy or the service what satisfies level == silver, or change node.json:7:20
"
    );
    let every = program.run(&[&FROM_FILES[..], &["-v"]].concat()).failed(9, "E0901").stdout;
    assert!(every.contains("purpose == pos  "), "what holds is told too: {every}");
}

#[test]
fn machines_read_the_whole_verdict_with_its_places() {
    let small = NODE.replace("2048", "480");
    let (_folder, program) = files(&[
        ("policy.json", POLICY),
        ("service.json", &service(&json!({}))),
        ("node.json", &small),
    ]);

    let told = program.run(&[&FROM_FILES[..], &["--json"]].concat()).failed(9, "").json();

    assert_eq!((&told["format"], &told["fits"]), (&1.into(), &false.into()));
    let service = &told["services"][0];
    assert_eq!(service["id"], "acme/hello_1.2.3_amd64");
    let clauses = service["clauses"].as_array().unwrap();
    let failing: Vec<_> = clauses.iter().filter(|it| it["outcome"] == "fails").collect();
    assert_eq!(failing.len(), 1, "{told}");
    assert_eq!(failing[0]["origin"]["path"], "constraints[1]");
    let comparison = &failing[0]["parts"][0]["parts"][1];
    assert_eq!(comparison["text"], "openhorizon.memory >= 512");
    assert_eq!(comparison["seen"], "480");
    let place = |name: &str| &comparison[name];
    assert_eq!(
        (place("file"), place("line"), place("column")),
        (&"policy.json".into(), &11.into(), &25.into())
    );
}

#[test]
fn horizons_form_has_horizons_words() {
    let (_folder, program) = files(&[
        ("policy.json", POLICY),
        ("service.json", &service(&json!({}))),
        ("node.json", NODE),
        ("asking.json", &service(&json!({"userInput": [{"name": "A", "type": "string"}]}))),
        (
            "secret.json",
            &service(&json!({"deployment": {"services": {"a":
            {"image": "a.example/b:1", "secrets": {"key": {}}}}}})),
        ),
        ("other.json", &NODE.replace("lyon", "nice")),
    ]);
    let check = |service: &str, node: &str| {
        program.run(&[
            "check",
            "--horizon",
            "--policy",
            "policy.json",
            "--service",
            service,
            "--node-policy",
            node,
        ])
    };

    let fits = check("service.json", "node.json").good().json();
    assert_eq!(
        fits,
        json!({"compatible": true, "reason": {"acme/hello_1.2.3_amd64": "Compatible"}})
    );
    for (service, node, words) in [
        ("service.json", "other.json", "Policy Incompatible: "),
        ("asking.json", "node.json", "User Input Incompatible: "),
        ("secret.json", "node.json", "Secret Binding Incompatible: "),
    ] {
        let told = check(service, node).failed(9, "E0901").json();
        assert_eq!(told["compatible"], false);
        let reason = told["reason"]["acme/hello_1.2.3_amd64"].as_str().unwrap();
        assert!(reason.starts_with(words), "{reason}");
    }
}

#[test]
fn what_a_service_requires_is_asked_for_by_name() {
    let requires = json!({"requiredServices": [{"url": "base", "org": "acme", "arch": "amd64",
        "versionRange": "[1.0.0,2.0.0)"}]});
    let privileged = json!({"url": "base", "version": "1.1.0", "deployment": {"services": {"a":
        {"image": "a.example/b:1", "privileged": true}}}});
    let (_folder, program) = files(&[
        ("policy.json", POLICY),
        ("service.json", &service(&requires)),
        ("base.json", &service(&privileged)),
        ("new.json", &service(&json!({"url": "base", "version": "2.0.0"}))),
        ("node.json", NODE),
    ]);
    let with = |more: &[&str]| program.run(&[&FROM_FILES[..], more].concat());

    let missing = with(&[]).failed(3, "E0300").stderr;
    assert!(missing.contains("acme/base") && missing.contains("--service FILE"), "{missing}");
    let found = with(&["--service", "base.json"]).failed(9, "E0901").stdout;
    assert!(
        found.contains("ok    requires acme/base") && found.contains("version 1.1.0"),
        "{found}"
    );
    assert!(found.contains("FAIL  privileged"), "{found}");
    let newer = with(&["--service", "new.json"]).failed(9, "E0901").stdout;
    assert!(
        newer.contains("FAIL  requires") && newer.contains("publish what it requires"),
        "{newer}"
    );
}

#[test]
fn without_its_service_and_without_an_exchange_a_policy_says_what_to_give() {
    let (_folder, program) = files(&[("policy.json", POLICY), ("node.json", NODE)]);
    let told = program
        .run(&["check", "--policy", "policy.json", "--node-policy", "node.json"])
        .failed(3, "E0300")
        .stderr;
    assert!(told.contains("acme/hello") && told.contains("--service FILE"), "{told}");
    program.run(&["check", "--policy", "policy.json"]).failed(2, "--node");
    let gone = program.run(&["check", "--policy", "gone.json", "--node-policy", "node.json"]);
    gone.failed(1, "E0101");
}

#[test]
fn a_pattern_fits_if_all_of_its_services_do() {
    let services = |url: &str| {
        json!({"serviceUrl": url, "serviceOrgid": "acme", "serviceArch": "*",
            "serviceVersions": [{"version": "1.2.3"}]})
    };
    let pattern = json!({"label": "Tills", "services": [services("hello"), services("base")]});
    let privileged = json!({"url": "base", "deployment": {"services": {"a":
        {"image": "a.example/b:1", "privileged": true}}}});
    let (_folder, program) = files(&[
        ("pattern.yaml", &pattern.to_string()),
        ("service.json", &service(&json!({}))),
        ("base.json", &service(&privileged)),
        ("node.json", NODE),
        (
            "allowing.json",
            &NODE.replace(
                "\"openhorizon.memory\", \"value\": 2048",
                "\"openhorizon.allowPrivileged\", \"value\": true",
            ),
        ),
    ]);
    let check = |node: &str| {
        program.run(&[
            "check",
            "--pattern",
            "pattern.yaml",
            "--service",
            "service.json",
            "--service",
            "base.json",
            "--node-policy",
            node,
        ])
    };

    let told = check("node.json").failed(9, "E0901").stdout;
    assert!(told.starts_with("acme/hello 1.2.3 would run on"), "{told}");
    assert!(told.contains("acme/base 1.2.3 would NOT run on"), "{told}");
    assert!(told.contains("(base.json:"), "{told}");
    check("allowing.json").good();
}

#[test]
fn the_version_whose_turn_it_is_decides() {
    let policy = POLICY.replace(
        r#"[{ "version": "1.2.3" }]"#,
        r#"[{ "version": "1.2.3", "priority": { "priority_value": 2, "retries": 1, "retry_durations": 60 } },
            { "version": "2.0.0", "priority": { "priority_value": 1, "retries": 1, "retry_durations": 60 } }]"#,
    );
    let asking = json!({"version": "2.0.0", "userInput": [{"name": "A", "type": "string"}]});
    let (_folder, program) = files(&[
        ("policy.json", &policy),
        ("service.json", &service(&json!({}))),
        ("two.json", &service(&asking)),
        ("node.json", NODE),
    ]);
    let with =
        |more: &[&str]| program.run(&[&FROM_FILES[..], &["--service", "two.json"], more].concat());

    let told = with(&[]).failed(9, "E0901").stdout;
    assert!(told.starts_with("acme/hello 2.0.0 would NOT run"), "{told}");
    assert!(told.contains("nobody gives one") && !told.contains("1.2.3"), "{told}");
    let told = with(&["--all-versions"]).failed(9, "E0901").stdout;
    assert!(told.contains("acme/hello 1.2.3 would run"), "{told}");
    // Horizon is content with the first version that fits.
    let told = with(&["--horizon"]).good().json();
    assert_eq!(told["reason"], json!({"acme/hello_1.2.3_amd64": "Compatible"}));
}

#[test]
fn this_machine_is_measured() {
    let arch = edgepost::types::Arch::of_this_machine();
    let asks = |constraint: &str| {
        json!({"service": {"name": "hello", "org": "acme", "arch": "*",
            "serviceVersions": [{"version": "1.2.3"}]}, "constraints": [constraint]})
        .to_string()
    };
    let (_folder, program) = files(&[
        ("small.json", &asks("openhorizon.memory >= 1 AND openhorizon.cpu >= 1")),
        ("huge.json", &asks("openhorizon.memory >= 999999999")),
        ("service.json", &service(&json!({"arch": arch}))),
    ]);
    let check = |policy: &str| {
        program.run(&["check", "--policy", policy, "--service", "service.json", "--this-machine"])
    };

    assert!(check("small.json").good().stdout.contains("would run on this machine"));
    let told = check("huge.json").failed(9, "E0901").stdout;
    assert!(told.contains("choose a node with openhorizon.memory"), "{told}");
}

#[test]
fn live_documents_and_files_are_asked_together() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_policy(&hub, "1.0.0");
    publish_pattern(&hub, "1.0.0");
    let wants = |what: &str| json!({"properties": [{"name": "wants", "value": what}]});
    for (node, what) in [("n1", "hello"), ("n2", "nothing")] {
        let file = write(&hub, &format!("{node}.json"), &wants(what));
        Node::register(&hub, node, &["--policy", &file]);
    }
    Node::register(&hub, "n3", &["--pattern", "hello-everywhere"]);
    let check = |arguments: &[&str]| hub.publisher.run(&[&["check"], arguments].concat());

    let fits = check(&["--policy", "where-wanted", "--node", "n1"]).good().stdout;
    assert!(fits.starts_with("acme/hello 1.0.0 would run on n1\n"), "{fits}");
    let unfit = check(&["--policy", "acme/where-wanted", "--node", "n2"]).failed(9, "E0901").stdout;
    assert!(unfit.contains("node has nothing"), "{unfit}");
    assert!(unfit.contains("(policy acme/where-wanted, constraints[0])"), "{unfit}");
    check(&["--pattern", "hello-everywhere", "--node", "n2"]).good();
    let barred = check(&["--policy", "where-wanted", "--node", "n3"]).failed(9, "E0901").stdout;
    assert!(barred.contains("it takes the pattern acme/hello-everywhere"), "{barred}");
    check(&["--policy", "no-such", "--node", "n1"]).failed(6, "E0600");
    check(&["--policy", "where-wanted", "--node", "no-such"]).failed(6, "E0600");

    // A new policy against the live service and the live node, which has measured itself.
    let new = json!({"service": {"name": "hello", "org": "acme", "arch": "*",
        "serviceVersions": [{"version": "1.0.0"}]},
        "constraints": ["openhorizon.memory >= 999999999"]});
    let file = write(&hub, "new.json", &new);
    let measured = check(&["--policy", &file, "--node", "n1"]).failed(9, "E0901").stdout;
    assert!(measured.contains("node has ") && measured.contains("new.json:"), "{measured}");
    // A new node policy on the live node.
    let wanting = write(&hub, "wanting.json", &wants("hello"));
    check(&["--policy", "where-wanted", "--node", "n2", "--node-policy", &wanting]).good();
    // A service as it is, by its id.
    let id = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    check(&["--service", &id, "--node", "n2"]).good();
}

#[test]
fn all_nodes_are_counted_and_the_misses_grouped_by_cause() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_policy(&hub, "1.0.0");
    let arch = edgepost::types::Arch::of_this_machine().to_string();
    for number in 0..30 {
        let arch = if number < 4 { "s390x" } else { &arch };
        let wants = if number < 14 { "nothing" } else { "hello" };
        let node =
            json!({"token": "t", "name": "n", "pattern": "", "publicKey": "k", "arch": arch});
        let path = format!("/v1/orgs/acme/nodes/pos-{number:02}");
        put(&hub, &path, &node);
        let policy = json!({"properties": [{"name": "wants", "value": wants}], "constraints": []});
        put(&hub, &format!("{path}/policy"), &policy);
    }

    let check = ["check", "--policy", "where-wanted", "--all-nodes"];
    let told = hub.publisher.run(&check).good().stdout;
    assert_eq!(
        told,
        format!(
            "16 of 30 nodes match\n     14  constraint wants == hello (policy acme/where-wanted, \
             constraints[0]): pos-00, pos-01, pos-02, …\n      4  arch {arch}, and the node is s390x \
             (service acme/hello_1.0.0_{arch}, arch): pos-00, pos-01, pos-02, …\n"
        )
    );
    let told = hub.publisher.run(&[&check[..], &["--json"]].concat()).good().json();
    assert_eq!((&told["nodes"], &told["matching"]), (&30.into(), &16.into()));
    assert_eq!(told["misses"][0]["nodes"], 14);
    assert_eq!(told["misses"][0]["examples"], json!(["pos-00", "pos-01", "pos-02"]));
    let plan = ["policy", "publish", "where-wanted", "policy.json", "--dry-run"];
    let told = hub.publisher.run(&plan).good().stdout;
    assert_eq!(told, "policy where-wanted is published already, unchanged; 16 of 30 nodes match\n");
}

#[test]
fn an_exchange_is_told_what_a_node_measures() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let policy = json!({"properties": [{"name": "site", "value": "lyon"},
        {"name": "openhorizon.memory", "value": 999_999_999}], "constraints": ["level == gold"]});
    let policy = write(&hub, "node.json", &policy);
    let input = json!([{"serviceOrgid": "acme", "serviceUrl": "hello",
        "inputs": [{"name": "A", "value": "a"}]}]);
    let input = write(&hub, "input.json", &input);
    let node = Node::register(&hub, "n1", &["--policy", &policy, "--user-input", &input]);
    let ask = |path: &str| -> Value {
        serde_json::from_slice(&hub.get(&format!("/v1/orgs/acme/nodes/n1{path}")).1).unwrap()
    };

    let told = ask("/policy");
    assert_eq!(told["nodePolicyVersion"], "v2");
    let property = |name: &str| {
        let properties = told["properties"].as_array().unwrap();
        properties.iter().find(|it| it["name"] == name).map(|it| it["value"].clone())
    };
    let memory = property("openhorizon.memory").unwrap().as_u64().unwrap();
    assert!(memory > 0 && memory < 999_999_999, "{told}");
    assert!(property("openhorizon.arch").is_some() && property("site").is_none(), "{told}");
    assert_eq!(told["deployment"]["properties"], json!([{"name": "site", "value": "lyon"}]));
    assert_eq!(told["deployment"]["constraints"], json!(["level == gold"]));

    // Values are told once the service that they are for is there.
    assert_eq!(ask("")["nodes"]["acme/n1"]["userInput"], json!([]));
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_policy(&hub, "1.0.0");
    let _ = node.settle();
    let told = ask("");
    assert_eq!(told["nodes"]["acme/n1"]["userInput"][0]["inputs"][0]["value"], "a", "{told}");
}

fn put(hub: &Hub, path: &str, body: &Value) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("http://{}{path}", hub.address());
    let status = runtime.block_on(async {
        let client = reqwest::Client::builder().build().unwrap();
        let request = client.put(url).basic_auth("acme/ann", Some("ann-secret"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        request.send().await.unwrap().status().as_u16()
    });
    assert_eq!(status, 201, "{path}");
}
