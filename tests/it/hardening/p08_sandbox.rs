//! Everything that leaves the default container sandbox needs the node owner's permission.

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::{Value, json};

use super::record_bound;
use crate::{
    containers::Site,
    support::{
        hub::Hub,
        image::{definition, layout, publish_pattern, write},
        node::Node,
        peers,
        program::Outcome,
    },
};

/// Publishes version `version` of `hello` with these fields of its container.
fn publish(hub: &Hub, version: &str, fields: &Value) -> Outcome {
    let folder = hub.folder().join("image");
    if !folder.exists() {
        layout(&folder, 1, 1, 1_000);
    }
    let image = format!("{}/acme/hello:1", hub.registry());
    let mut service = definition(version, &image);
    let container = service["deployment"]["services"]["hello"].as_object_mut().unwrap();
    container.extend(fields.as_object().unwrap().clone());
    let file = write(hub, &format!("hello-{version}.json"), &service);
    let source = format!("oci:{}", folder.display());
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let told = hub.publisher.run(&["publish", &file, "--source", &source, "-r", &login]).good();
    publish_pattern(hub, version);
    told
}

fn register(hub: &Hub, more: &[&str]) -> Node {
    Node::register(hub, "n1", &[&["--pattern", "hello-everywhere"], more].concat())
}

/// Allows `access` on the node, as its owner.
fn allow(node: &Node, access: &[&str]) {
    node.program.run(&[&["agent", "allow"], access].concat()).good();
}

/// The services of the node that run, or would, as their versions.
fn versions(node: &Node) -> Vec<String> {
    let services = node.services();
    services.iter().map(|it| it.split('_').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn each_kind_of_host_access_is_refused_until_the_owner_allows_it_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let fields = json!({
        "pid": "host",
        "ipc": "host",
        "cap_add": ["CAP_SYS_ADMIN"],
        "devices": ["/dev/null:/dev/null"],
        "security_opt": ["seccomp=unconfined", "apparmor=unconfined; reboot"],
        "sysctls": {"net.ipv4.ip_forward": "1"},
        "log_driver": "fluentd",
        "binds": ["/var/run/docker.sock:/engine.sock:ro", "/etc:/host:ro"],
    });
    let published = publish(&hub, "1.0.0", &fields);
    let mut kinds = vec![
        "pid=host",
        "ipc=host",
        "capability=SYS_ADMIN",
        "device=/dev/null",
        "security-option=seccomp=unconfined",
        "security-option=apparmor=unconfined; reboot",
        "sysctl=net.ipv4.ip_forward",
        "log-driver=fluentd",
        "engine-socket",
        "host-path=/etc:ro",
    ];
    for kind in &kinds {
        assert!(
            published.stderr.contains(kind),
            "publish does not name {kind}: {}",
            published.stderr
        );
    }
    let node = register(&hub, &[]);
    let count = kinds.len();
    while let Some(kind) = kinds.last().copied() {
        let refused = node.settle().failed(9, "E0900");
        for kind in &kinds {
            assert!(refused.stderr.contains(kind), "{kind} is not in {}", refused.stderr);
        }
        assert!(refused.stderr.contains("edgepost agent allow"), "{}", refused.stderr);
        assert!(refused.stderr.contains("deployment.services.hello."), "{}", refused.stderr);
        assert_eq!(node.services(), Vec::<String>::new());
        allow(&node, &[kind]);
        kinds.pop();
    }
    node.settle().good();
    assert_eq!(versions(&node), ["1.0.0"]);
    let listed = node.program.run(&["agent", "allow", "--json"]).good().json();
    assert_eq!(listed["allow"].as_array().unwrap().len(), count);

    // What the owner takes back stops what uses it.
    node.program.run(&["agent", "allow", "--remove", "pid=host"]).good();
    node.settle().failed(9, "E0900");
    assert_eq!(node.services(), Vec::<String>::new());
    record_bound(
        8,
        "kinds of host access that start without the owner",
        0,
        format!("0 of {count}"),
    );
}

#[test]
fn a_command_that_is_suggested_quotes_what_a_publisher_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish(&hub, "1.0.0", &json!({"security_opt": ["a'$(reboot)"]}));
    let node = register(&hub, &[]);
    let refused = node.settle().failed(9, "E0900");
    let quoted = r"edgepost agent allow 'security-option=a'\''$(reboot)'";
    assert!(refused.stderr.contains(quoted), "{}", refused.stderr);
}

#[test]
fn no_publisher_and_no_exchange_allows_anything() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish(&hub, "1.0.0", &json!({"privileged": true}));
    let node = register(&hub, &[]);
    let allows = json!({"name": "openhorizon.allowPrivileged", "value": true});
    let policy = json!({"properties": [allows], "constraints": []});
    let file = write(&hub, "node.policy.json", &policy);
    hub.publisher.run(&["policy", "publish", "--node", "n1", &file]).good();

    let refused = node.settle().failed(9, "E0900");
    assert!(refused.stderr.contains("edgepost agent allow privileged"), "{}", refused.stderr);
    let report = hub.publisher.run(&["node", "show", "n1", "--json"]).good().json();
    let refusal = &report["report"]["refusals"][0];
    assert_eq!(refusal["attack"], "host-access", "{report}");
    assert!(refusal["detail"].as_str().unwrap().contains("deployment.services.hello.privileged"));

    allow(&node, &["privileged"]);
    node.settle().good();
}

#[test]
fn a_policy_that_the_owner_registers_allows_privileged_services_as_in_horizon() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish(&hub, "1.0.0", &json!({"privileged": true, "network": "host"}));
    let allows = json!({"name": "openhorizon.allowPrivileged", "value": true});
    let policy = json!({"properties": [allows], "constraints": []});
    let file = write(&hub, "node.policy.json", &policy);
    let node = register(&hub, &["--policy", &file]);
    node.settle().good();
    publish(&hub, "2.0.0", &json!({"privileged": true, "pid": "host"}));
    let told = node.settle();
    assert_eq!(versions(&node), ["1.0.0"], "{}", told.stderr);
}

#[test]
fn a_folder_that_is_allowed_opens_nothing_outside_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("inner")).unwrap();
    fs::create_dir(folder.path().join("database")).unwrap();
    symlink("/etc", data.join("etc")).unwrap();
    symlink("/nowhere/yet", data.join("nowhere")).unwrap();
    symlink("inner", data.join("inside")).unwrap();
    let at = |path: &str| format!("{}/{path}", folder.path().display());
    let read_only = format!("host-path={}:ro", at("data"));
    let node = register_after(&hub, &read_only);
    let escapes = [
        format!("{}:/x:ro", at("data/etc")),
        format!("{}:/x:ro", at("data/etc/ssh")),
        format!("{}:/x:ro", at("data/nowhere")),
        format!("{}:/x:ro", at("data/../database")),
        format!("{}:/x:ro", at("database")),
        format!("{}:/x:ro", at("data/..")),
        format!("{}:/x", at("data/inner")),
        format!("{}:/x:ro,z", at("data/inner")),
        "/:/x:ro".to_owned(),
    ];
    for (number, bind) in escapes.iter().enumerate() {
        publish(&hub, &format!("1.0.{number}"), &json!({"binds": [bind]}));
        let refused = node.settle().failed(9, "E0900");
        assert!(refused.stderr.contains("host-path="), "{bind}: {}", refused.stderr);
        assert_eq!(node.services(), Vec::<String>::new(), "{bind}");
    }
    let inside = ["data", "data/inner", "data/inside", "data/missing", "data/./inner//"];
    for (number, path) in inside.iter().enumerate() {
        let version = format!("2.0.{number}");
        publish(&hub, &version, &json!({"binds": [format!("{}:/x:ro", at(path))]}));
        node.settle().good();
        assert_eq!(versions(&node), [version], "{path}");
    }
    // A link that changes under a running service is seen in the next pass.
    fs::remove_file(data.join("inside")).unwrap();
    publish(&hub, "3.0.0", &json!({"binds": [format!("{}:/x:ro", at("data/inside"))]}));
    node.settle().good();
    symlink("/etc", data.join("inside")).unwrap();
    node.settle().failed(9, "E0900");
    assert_eq!(node.services(), Vec::<String>::new());
    record_bound(
        8,
        "paths outside an allowed folder that are mounted",
        0,
        format!("0 of {}", escapes.len() + 1),
    );
}

/// A node with a pattern that is published before it, and one allowance from its registration on.
fn register_after(hub: &Hub, allowed: &str) -> Node {
    publish(hub, "0.1.0", &json!({"pid": "host"}));
    register(hub, &["--allow", allowed])
}

#[test]
fn a_newer_version_that_needs_more_does_not_stop_the_one_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish(&hub, "1.0.0", &json!({}));
    let node = register(&hub, &[]);
    node.settle().good();
    publish(&hub, "2.0.0", &json!({"ipc": "host"}));
    let refused = node.settle().failed(9, "E0900");
    assert!(refused.stderr.contains("ipc=host"), "{}", refused.stderr);
    assert_eq!(versions(&node), ["1.0.0"]);
    let status = node.program.run(&["agent", "status"]).good().stdout;
    assert!(status.contains("edgepost agent allow ipc=host"), "{status}");
    allow(&node, &["ipc=host"]);
    node.settle().good();
    assert_eq!(versions(&node), ["2.0.0"]);
}

/// Makes the node's folder as an agent without the sandbox rule leaves it.
fn downgrade(node: &Node) {
    fs::remove_file(node.data().join("allowed.json")).unwrap();
    let file = node.data().join("would-run.json");
    let mut containers: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for container in containers.as_array_mut().unwrap() {
        let labels = container["labels"].as_object_mut().unwrap();
        labels.remove("edgepost.host-access").expect("the agent labels what it starts");
    }
    fs::write(&file, containers.to_string()).unwrap();
}

#[test]
fn an_upgrade_stops_nothing_and_names_what_it_carries_over() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish(&hub, "1.0.0", &json!({"pid": "host", "cap_add": ["NET_ADMIN"]}));
    let node = register(&hub, &["--allow", "pid=host", "--allow", "capability=NET_ADMIN"]);
    node.settle().good();
    downgrade(&node);

    let told = node.settle().good();
    assert!(told.stderr.contains("sandbox.carried_over"), "{}", told.stderr);
    assert_eq!(versions(&node), ["1.0.0"]);
    let carried = &node.status()["carried_over"];
    assert_eq!(*carried, json!(["pid=host", "capability=NET_ADMIN"]));

    // It was done once: what comes later is judged.
    publish(&hub, "2.0.0", &json!({"pid": "host", "ipc": "host"}));
    node.settle().failed(9, "E0900");
    assert_eq!(versions(&node), ["1.0.0"]);
    node.program.run(&["agent", "allow", "--remove", "pid=host"]).good();
    node.settle().failed(9, "E0900");
    assert_eq!(node.services(), Vec::<String>::new(), "the owner has taken it back");
}

#[test]
fn damaged_allowances_start_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish(&hub, "1.0.0", &json!({"pid": "host"}));
    let node = register(&hub, &["--allow", "pid=host"]);
    node.settle().good();
    fs::write(node.data().join("allowed.json"), "{").unwrap();
    let failed = node.settle().failed(1, "E0100");
    assert!(failed.stderr.contains("allowed.json"), "{}", failed.stderr);
    assert_eq!(versions(&node), ["1.0.0"]);
}

#[test]
fn check_names_what_the_owner_of_the_node_has_to_allow() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish(&hub, "1.0.0", &json!({"devices": ["/dev/video0:/dev/video0"]}));
    let service = format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine());
    let check = ["check", "--service", &service, "--this-machine"];
    let told = hub.publisher.run(&check).good().stdout;
    assert!(told.contains("edgepost agent allow device=/dev/video0"), "{told}");
    assert!(told.contains("deployment.services.hello.devices"), "{told}");
    let told = hub.publisher.run(&[&check[..], &["--json"]].concat()).good().json();
    assert_eq!(told["services"][0]["hostAccess"][0]["access"], "device=/dev/video0", "{told}");
}

#[test]
fn a_service_that_mounts_the_host_does_not_start_in_a_real_engine() {
    let Some(engine) = peers::docker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path(), &engine, "sandbox");
    let marker = Path::new("/etc/passwd");
    let root = json!({"root": {
        "image": site.image(), "command": ["root", "7000"], "binds": ["/:/host"],
    }});
    site.publish("root", "1.0.0", &root, &json!({})).good();
    site.publish_pattern("root", "1.0.0", &json!([]));
    let node = site.register(&[]);
    let refused = node.settle().failed(9, "E0900");
    assert!(refused.stderr.contains("host-path=/"), "{}", refused.stderr);
    site.is_clear();

    // The attack works where the owner allows it: the refusal above is what holds it off.
    allow(&node, &["host-path=/", "engine-socket"]);
    node.settle().good();
    let path = format!("/host{}", marker.display());
    site.docker(&["exec", &site.container("root"), "test", "-e", &path]);
    node.program.run(&["agent", "allow", "--remove", "host-path=/"]).good();
    node.settle().failed(9, "E0900");
    site.is_clear();
    node.program.run(&["agent", "unregister"]).good();
}
