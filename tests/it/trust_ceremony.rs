//! Several people who decide together whom their organization trusts.

use std::fs;

use edgepost::{
    sign::SigningKey,
    trust::{RevocationReason, Rotation, Statement, TrustDocument, TrustRoot},
    types::DocumentKind,
};
use serde_json::Value;

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern, write},
    node::Node,
    program::{Outcome, Program},
    publisher::{exchange, wait},
    thief,
};

fn id(version: &str) -> String {
    format!("acme/hello_{version}_{}", edgepost::types::Arch::of_this_machine())
}

/// Somebody with a home and a key of their own, on a machine that knows no exchange. Their public key lies
/// in the story's folder, as if they had mailed it.
fn person(hub: &Hub, name: &str) -> Program {
    let home = hub.folder().join(name);
    fs::create_dir_all(&home).unwrap();
    let program = Program::at_home_in(&home);
    program.run(&["key", "create", name]).good();
    let pem = program.run(&["key", "show", name]).good().stdout;
    fs::write(hub.folder().join(format!("{name}.pem")), pem).unwrap();
    program
}

/// The private key of such a person.
fn key_of(hub: &Hub, name: &str) -> SigningKey {
    let file = hub.folder().join(name).join(format!("home/keys/{name}.key.pem"));
    SigningKey::from_pem(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Carries a file to somebody, who signs it.
#[track_caller]
fn signs(hub: &Hub, program: &Program, name: &str, file: &str) -> Outcome {
    let carried = hub.folder().join(name).join(file);
    fs::copy(hub.folder().join(file), &carried).unwrap();
    program.run(&["trust", "sign", file, "--key", name, "--trust-sha256", &hub.pin, "--json"])
}

fn version(hub: &Hub) -> Value {
    let shown = hub.publisher.run(&["trust", "show", "--trust-sha256", &hub.pin, "--json"]);
    shown.good().json()["trust"]["version"].clone()
}

/// Anna, Bob and Carl take the place of the one key that the organization began with; two of them decide.
fn taken_over(hub: &Hub) -> [Program; 3] {
    let people = ["anna", "bob", "carl"].map(|name| person(hub, name));
    let pin = hub.pin.as_str();
    let rotate = [
        "trust",
        "rotate",
        "--add-root",
        "anna.pem",
        "--add-root",
        "bob.pem",
        "--add-root",
        "carl.pem",
        "--remove-root",
        "default",
        "--threshold",
        "2",
        "--trust-sha256",
        pin,
        "--draft",
        "two.json",
        "--json",
    ];
    let made = hub.publisher.run(&rotate).good().json();
    assert_eq!(made["published"], false);
    assert_eq!(made["changes"].as_array().unwrap().len(), 5, "{made}");
    assert_eq!(made["signatures"][0]["signed"].as_array().unwrap().len(), 1, "the key before");
    assert_eq!(made["signatures"][1]["signed"].as_array().unwrap().len(), 0);

    let half = signs(hub, &people[0], "anna", "two.json").good().json();
    assert_eq!(half["complete"], false);
    let again = ["trust", "sign", "two.json", "--key", "anna"];
    people[0].run(&again).failed(7, "E0704");
    signs(hub, &people[1], "bob", "two.json").good();
    let told = hub.publisher.run(&["trust", "publish", "anna/two.json"]).failed(8, "E0803");
    assert!(told.stderr.contains("1 of 2 needed have signed; 1 more of"), "{}", told.stderr);

    let merge = ["trust", "merge", "anna/two.json", "bob/two.json", "--output", "all.json"];
    let merged = hub.publisher.run(&[&merge[..], &["--json"]].concat()).good().json();
    assert_eq!(merged["complete"], true);
    hub.publisher.run(&["trust", "publish", "all.json"]).good();
    assert_eq!(version(hub), 2);
    people
}

#[test]
fn three_people_take_over_and_a_node_follows_them() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();

    taken_over(&hub);

    // The first key may still publish, and no longer decide who may.
    publish_hello(&hub, "2.0.0", 1000, &[]).good();
    publish_pattern(&hub, "2.0.0");
    node.settle().good();
    assert_eq!(node.services(), [id("2.0.0")]);
    let renew = ["trust", "renew", "--trust-sha256", &hub.pin, "--key", "default"];
    hub.publisher.run(&renew).failed(8, "E0802");
    hub.publisher.run(&["key", "import", "bob.pem", "bob"]).good();
    let shown = hub.publisher.run(&["trust", "show"]).good().stdout;
    assert!(shown.contains("Who changes this: 2 of these 3 keys together"), "{shown}");
    assert!(shown.contains("(here `bob`)"), "{shown}");
    assert!(shown.contains("services of any name: this key"), "{shown}");
    assert!(shown.contains("(here `default`)"), "{shown}");
}

/// What would let Carl sign every service, as the version after `before`.
fn power_for(carl: &SigningKey, before: &TrustDocument) -> TrustDocument {
    let mut next = before.next(before.issued);
    next.grant(DocumentKind::Service, "", &[carl.verifying_key()], None).unwrap();
    next
}

#[test]
fn a_stolen_root_key_can_do_nothing_once_it_is_revoked_nor_alone_before() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let [anna, bob, carl] = taken_over(&hub);
    node.settle().good();
    let client = exchange(&format!("http://{}/v1", hub.address()));
    let trust = || wait(client.walk_trust(TrustRoot::FirstSeen)).unwrap().unwrap();
    let stolen = key_of(&hub, "carl");

    // Alone, before anybody has noticed: not enough for the exchange.
    let alone = power_for(&stolen, trust().document()).seal(&[&stolen]).unwrap();
    let refused = wait(client.put_trust(&alone)).unwrap_err();
    assert!(refused.to_string().contains("stranger"), "{refused}");

    person(&hub, "dora");
    let rotate = [
        "trust",
        "rotate",
        "--remove-root",
        "carl.pem",
        "--add-root",
        "dora.pem",
        "--reason",
        "compromised",
        "--trust-sha256",
        &hub.pin,
    ];
    // Nobody who must sign has a key here: a draft is written without being asked for.
    hub.publisher.run(&rotate).good();
    let file = "trust-acme-3.draft.json";
    hub.publisher.run(&rotate).failed(7, "E0703");
    signs(&hub, &anna, "anna", file).good();
    fs::copy(hub.folder().join("anna").join(file), hub.folder().join(file)).unwrap();
    let signed = signs(&hub, &bob, "bob", file).good().json();
    assert_eq!(signed["complete"], true);
    hub.publisher.run(&["trust", "publish", &format!("bob/{file}")]).good();
    node.settle().good();
    let shown = hub.publisher.run(&["trust", "show"]).good().stdout;
    assert!(shown.contains(&format!("{}: compromised", stolen.key_id())), "{shown}");

    // With the program, and an administrator's login that was stolen as well.
    let mut thief = hub.publisher.clone();
    thief.set("EDGEPOST_HOME", hub.folder().join("carl/home").display());
    let grab = ["trust", "add", "service", "--key", "carl", "--trust-sha256", &hub.pin];
    thief.run(&grab).failed(8, "E0800");
    let renew = ["trust", "renew", "--key", "carl", "--trust-sha256", &hub.pin];
    thief.run(&renew).failed(8, "E0802");
    hub.publisher
        .run(&["trust", "renew", "--trust-sha256", &hub.pin, "--draft", "four.json"])
        .good();
    signs(&hub, &carl, "carl", "four.json").failed(8, "E0802");

    // By hand, with the help of another person's key, and in an exchange that was taken over.
    let mut next = trust().document().next(trust().document().issued);
    next.revoked.clear();
    let rotation =
        Rotation { add: vec![stolen.verifying_key()], remove: Vec::new(), threshold: None };
    next.rotate(&rotation).unwrap();
    let forged = next.seal(&[&stolen, &key_of(&hub, "anna")]).unwrap();
    let refused = wait(client.put_trust(&forged)).unwrap_err();
    assert!(refused.to_string().contains("stranger"), "{refused}");
    thief::follow(&hub.data(), 4, &forged);
    node.settle().failed(8, "stranger");
    assert_eq!(node.services(), [id("1.0.0")], "what ran goes on");
}

#[test]
fn an_organization_begins_with_three_people() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let root = hub.root.with("EDGEPOST_ORG", "site");
    root.run(&["org", "create", "site"]).good();
    root.run(&["user", "create", "sue", "--admin", "--password-file", "password"]).good();
    let site =
        hub.publisher.with("EDGEPOST_ORG", "site").with("EDGEPOST_USER_AUTH", "sue:ann-secret");
    let people = ["anna", "bob", "carl"].map(|name| person(&hub, name));
    let init = [
        "trust",
        "init",
        "--root",
        "anna.pem",
        "--root",
        "bob.pem",
        "--root",
        "carl.pem",
        "--signer",
        "default",
        "--expires",
        "90",
    ];
    site.run(&init).failed(2, "E0200");
    site.run(&[&init[..], &["--threshold", "0"]].concat()).failed(2, "0 is not in 1..=8");
    site.run(&[&init[..], &["--threshold", "4"]].concat()).failed(8, "E0800");
    site.run(&[&init[..], &["--threshold", "2"]].concat()).good();

    let file = hub.folder().join("trust-site-1.draft.json");
    let file = file.to_str().unwrap();
    let sign = |person: &Program, name: &str| person.run(&["trust", "sign", file, "--key", name]);
    let told = sign(&people[2], "carl").good();
    assert!(
        told.stderr.contains("Who changes this: 2 of these 3 keys together"),
        "{}",
        told.stderr
    );
    site.run(&["trust", "publish", file]).failed(8, "E0803");
    sign(&people[0], "anna").good();
    hub.publisher.run(&["trust", "publish", file]).failed(8, "E0800");
    let pin = site.run(&["trust", "publish", file]).good().stdout;
    let shown = site.run(&["trust", "show", "--trust-sha256", pin.trim(), "--json"]).good().json();
    assert_eq!(shown["pin"], pin.trim());
    assert_eq!(shown["expiresInDays"], 89, "a part of the first day is over");
    site.run(&init[..2]).failed(7, "E0700");
}

/// The pattern that runs everywhere, as a team would like to have it, signed by the team's own key.
fn signed_by_the_team(hub: &Hub, team: &SigningKey) -> edgepost::sign::Envelope {
    let honest = thief::newest(hub, "pattern/hello-everywhere");
    let mut statement: Statement<Value> = serde_json::from_slice(honest.payload()).unwrap();
    statement.header.seq += 1;
    statement.body["label"] = "taken over".into();
    statement.seal(&[team]).unwrap()
}

#[test]
fn a_team_publishes_its_own_names_and_no_others_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    hub.publisher.run(&["key", "create", "team"]).good();
    let add = [
        "trust",
        "add",
        "service",
        "--prefix",
        "hello",
        "--signer",
        "team",
        "--trust-sha256",
        &hub.pin,
    ];
    let told = hub.publisher.run(&add).good().stdout;
    assert!(told.contains("services whose names begin with `hello` may be signed"), "{told}");
    hub.publisher.run(&add).failed(7, "E0700");

    publish_hello(&hub, "1.0.0", 1000, &[]).failed(8, "E0800");
    publish_hello(&hub, "1.0.0", 1000, &["-k", "team"]).good();
    let pattern = write(&hub, "p.json", &crate::support::image::pattern("1.0.0"));
    let publish = ["pattern", "publish", &pattern, "--name", "hello-everywhere"];
    hub.publisher.run(&[&publish[..], &["-k", "team"]].concat()).failed(8, "E0800");
    hub.publisher.run(&publish).good();
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();
    assert_eq!(node.services(), [id("1.0.0")]);

    let pem = fs::read_to_string(folder.path().join("home/keys/team.key.pem")).unwrap();
    let team = SigningKey::from_pem(&pem).unwrap();
    thief::list(&hub.data(), &signed_by_the_team(&hub, &team));
    node.settle().failed(8, "stranger");
    assert_eq!(node.services(), [id("1.0.0")], "what ran goes on");
}

/// What the node has after a change of the trust document.
fn after(hub: &Hub, node: &Node, change: &[&str]) -> Vec<String> {
    let all = [&["trust"], change, &["--trust-sha256", &hub.pin]].concat();
    hub.publisher.run(&all).good();
    let _ = node.settle();
    node.services()
}

#[test]
fn a_team_whose_key_is_stolen_begins_a_new_epoch_with_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    hub.publisher.run(&["key", "create", "team"]).good();
    hub.publisher.run(&["key", "create", "new-team"]).good();
    let rule = ["--prefix", "hello", "--signer"];
    hub.publisher
        .run(
            &[&["trust", "add", "service", "--trust-sha256", &hub.pin][..], &rule, &["team"]]
                .concat(),
        )
        .good();
    publish_hello(&hub, "1.0.0", 1000, &["-k", "team"]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();

    let revoke = ["revoke", "team", "--reason", "compromised", "--new-epoch"];
    assert!(after(&hub, &node, &revoke).is_empty(), "what the thief could have signed stops");
    let add = [&["add", "service"][..], &rule, &["new-team"]].concat();
    assert!(after(&hub, &node, &add).is_empty());
    publish_hello(&hub, "1.0.1", 1000, &["-k", "team"]).failed(8, "E0800");
    publish_hello(&hub, "1.0.1", 1000, &["-k", "new-team"]).good();
    publish_pattern(&hub, "1.0.1");
    node.settle().good();
    assert_eq!(node.services(), [id("1.0.1")]);
    let reason = RevocationReason::Compromised;
    let client = exchange(&format!("http://{}/v1", hub.address()));
    let trust = wait(client.walk_trust(TrustRoot::FirstSeen)).unwrap().unwrap();
    let rule = trust.document().rules.last().unwrap();
    assert_eq!(rule.epoch, 1);
    assert!(trust.document().revoked.iter().all(|it| it.reason == reason));
    let remove = ["remove", "service", "--prefix", "hello", "--signer", "team"];
    assert_eq!(after(&hub, &node, &remove), [id("1.0.1")]);
}

#[test]
fn a_change_on_the_exchanges_word_alone_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let zeros = "0".repeat(64);
    for change in [
        &["renew"][..],
        &["rotate", "--threshold", "1"],
        &["remove", "policy"],
        &["new-epoch", "policy"],
        &["revoke", "default", "--reason", "retired"],
    ] {
        let change = [&["trust"], change].concat();
        hub.publisher.run(&change).failed(2, "--trust-sha256");
        let wrong = [&change[..], &["--trust-sha256", &zeros]].concat();
        hub.publisher.run(&wrong).failed(8, "wrong-root");
    }
    assert_eq!(version(&hub), 1);
    assert!(!hub.folder().join("trust-acme-2.draft.json").exists());
}
