//! Services for clusters, and what must be there before something is published.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, layout, pattern, publish_hello, write},
    node::Node,
    peers::run,
};

/// Packs an operator into `operator.tar.gz` of the hub's folder.
fn pack_operator(hub: &Hub) {
    let yaml = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n---\n\
                apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop-operator\n";
    fs::write(hub.folder().join("operator.yaml"), yaml).unwrap();
    run(Command::new("tar")
        .args(["-czf", "operator.tar.gz", "operator.yaml"])
        .current_dir(hub.folder()));
}

/// A service for clusters alone, whose archive lies beside its definition.
fn cluster_service() -> Value {
    let mut service = definition("1.0.0", "unused");
    service.as_object_mut().unwrap().remove("deployment");
    service["clusterDeployment"] = json!({"operatorYamlArchive": "operator.tar.gz",
        "mmsPVC": {"enable": false, "pvcSizeGB": 3}, "secrets": {"api": {"description": "a key"}}});
    service
}

fn rsa_key(hub: &Hub) {
    let key = hub.folder().join("rsa.pem");
    run(Command::new("openssl").args(["genrsa", "-traditional", "-out"]).arg(&key).arg("2048"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    run(Command::new("openssl")
        .args(["rsa", "-in", "rsa.pem", "-pubout", "-out", "public.pem"])
        .current_dir(hub.folder()));
}

/// Horizon's signature over `text`, by the judgement of OpenSSL.
fn verify_with_openssl(hub: &Hub, text: &str, signature: &str) {
    fs::write(hub.folder().join("signature"), STANDARD.decode(signature).unwrap()).unwrap();
    fs::write(hub.folder().join("text"), text).unwrap();
    run(Command::new("openssl")
        .args(["dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-verify", "public.pem"])
        .args(["-signature", "signature", "text"])
        .current_dir(hub.folder()));
}

fn service_id() -> String {
    format!("hello_1.0.0_{}", edgepost::types::Arch::of_this_machine())
}

#[test]
fn a_cluster_service_is_published_signed_and_served_and_no_device_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    pack_operator(&hub);
    rsa_key(&hub);
    let file = write(&hub, "service.json", &cluster_service());
    let publish = ["publish", &file, "--horizon-key", "rsa.pem", "--json"];

    let published = hub.publisher.run(&publish).good();
    assert!(published.stderr.contains("2 objects"), "{}", published.stderr);
    assert!(published.stderr.contains("name space shop"), "{}", published.stderr);
    assert_eq!(hub.publisher.run(&publish).good().json()["unchanged"], true);

    let (_, body) = hub.get(&format!("/v1/orgs/acme/services/{}", service_id()));
    let served: Value = serde_json::from_slice(&body).unwrap();
    let served = &served["services"][format!("acme/{}", service_id())];
    let text = served["clusterDeployment"].as_str().unwrap();
    verify_with_openssl(&hub, text, served["clusterDeploymentSignature"].as_str().unwrap());
    let operator: Value = serde_json::from_str(text).unwrap();
    assert_eq!(operator["metadata"], json!({"namespace": "shop"}));
    assert!(operator.get("mmsPVC").is_none(), "a volume that is not enabled is left away");
    let archive = STANDARD.decode(operator["operatorYamlArchive"].as_str().unwrap()).unwrap();
    assert_eq!(archive, fs::read(hub.folder().join("operator.tar.gz")).unwrap());
    assert_eq!(served["deployment"], "");

    let verify = ["service", "verify", &service_id(), "--trust-sha256", &hub.pin];
    let told = hub.publisher.run(&[&verify[..], &["--horizon-key", "public.pem"]].concat()).good();
    assert!(told.stdout.contains("signature over the cluster deployment holds"), "{}", told.stdout);
    assert!(told.stdout.contains("an operator of 2 objects, name space shop"), "{}", told.stdout);

    let file = write(&hub, "hello-everywhere.json", &pattern("1.0.0"));
    hub.publisher.run(&["pattern", "publish", &file]).good();
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let told = node.settle().failed(9, "E0900");
    assert!(node.services().is_empty());
    let status = node.status().to_string() + &told.stderr;
    assert!(status.contains("no `deployment`") || status.contains("clusters alone"), "{status}");
}

#[test]
fn a_cluster_deployment_that_was_signed_elsewhere_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let mut service = cluster_service();
    let text = "{\"operatorYamlArchive\": \"H4sI\",  \"odd\": 1.0}";
    service["clusterDeployment"] = json!(text);
    service["clusterDeploymentSignature"] = json!("bm90IG91cnM=");
    let file = write(&hub, "service.json", &service);

    hub.publisher.run(&["publish", &file]).good();

    let (_, body) = hub.get(&format!("/v1/orgs/acme/services/{}", service_id()));
    let served: Value = serde_json::from_slice(&body).unwrap();
    let served = &served["services"][format!("acme/{}", service_id())];
    assert_eq!(served["clusterDeployment"], text);
    assert_eq!(served["clusterDeploymentSignature"], "bm90IG91cnM=");
    let told = hub.publisher.run(&["service", "verify", &service_id()]).good().stdout;
    assert!(told.contains("a text that is not read here"), "{told}");
}

#[test]
fn an_archive_that_no_cluster_could_read_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let file = write(&hub, "service.json", &cluster_service());

    let told = hub.publisher.run(&["publish", &file]).failed(1, "E0101").stderr;
    assert!(told.contains("operator.tar.gz"), "{told}");
    fs::write(hub.folder().join("operator.tar.gz"), "no archive").unwrap();
    let told = hub.publisher.run(&["publish", &file]).failed(3, "E0301").stderr;
    assert!(told.contains("gzip"), "{told}");
    fs::write(hub.folder().join("operator.tar.gz"), vec![0x1f; 600_000]).unwrap();
    let told = hub.publisher.run(&["publish", &file]).failed(3, "E0301").stderr;
    assert!(told.contains("524288"), "{told}");

    let list = hub.publisher.run(&["service", "list", "--json"]).good().stdout;
    assert_eq!(list.trim(), "{}");
}

#[test]
fn a_service_is_published_only_after_those_that_it_requires() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    layout(&hub.folder().join("image"), 7, 1, 10_000);
    let arch = edgepost::types::Arch::of_this_machine();
    let requiring = |range: &str, url: &str| {
        let mut service = definition("1.0.0", &format!("{}/acme/top:1.0.0", hub.registry()));
        service["url"] = json!("top");
        service["requiredServices"] =
            json!([{"url": url, "org": "acme", "versionRange": range, "arch": arch}]);
        let file = write(&hub, "top.json", &service);
        let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
        hub.publisher.run(&["publish", &file, "--source", "oci:image", "-r", &login])
    };

    let told = requiring("[2.0.0,3.0.0)", "hello").failed(6, "E0600").stderr;
    assert!(told.contains("acme/hello [2.0.0,3.0.0)"), "{told}");
    assert!(told.contains(&format!("there is 1.0.0 for {arch}")), "{told}");
    let told = requiring("[1.0.0,2.0.0)", "nobody").failed(6, "E0600").stderr;
    assert!(told.contains("no version of it at all"), "{told}");
    let told = requiring("[1.0.0,2.0.0)", "top").failed(3, "E0301").stderr;
    assert!(told.contains("top → top"), "{told}");
    requiring("[1.0.0,2.0.0)", "hello").good();
}

#[test]
fn a_service_on_devices_cannot_require_one_for_clusters() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    pack_operator(&hub);
    let file = write(&hub, "service.json", &cluster_service());
    hub.publisher.run(&["publish", &file]).good();
    layout(&hub.folder().join("image"), 7, 1, 10_000);
    let arch = edgepost::types::Arch::of_this_machine();
    let mut service = definition("1.0.0", &format!("{}/acme/top:1.0.0", hub.registry()));
    service["url"] = json!("top");
    service["requiredServices"] =
        json!([{"url": "hello", "org": "acme", "versionRange": "1.0.0", "arch": arch}]);
    let file = write(&hub, "top.json", &service);

    let told = hub.publisher.run(&["publish", &file, "--source", "oci:image"]).failed(3, "E0301");

    assert!(told.stderr.contains("runs in clusters alone"), "{}", told.stderr);
}

#[test]
fn what_a_pattern_or_policy_offers_must_be_published() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    let arch = edgepost::types::Arch::of_this_machine();

    let file = write(&hub, "p.json", &pattern("2.0.0"));
    let told = hub.publisher.run(&["pattern", "publish", &file]).failed(6, "E0600").stderr;
    assert!(told.contains("missing: acme/hello 2.0.0 for *"), "{told}");
    assert!(told.contains(&format!("there is 1.0.0 for {arch}")), "{told}");

    let policy = json!({"label": "l", "service": {"name": "hello", "org": "acme", "arch": "riscv64",
        "serviceVersions": [{"version": "1.0.0"}]}, "constraints": ["a == b"]});
    let file = write(&hub, "policy.json", &policy);
    let told = hub.publisher.run(&["policy", "publish", "here", &file]).failed(6, "E0600").stderr;
    assert!(told.contains("missing: acme/hello 1.0.0 for riscv64"), "{told}");
}

#[test]
fn every_deployment_override_of_a_pattern_is_signed_by_the_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    rsa_key(&hub);
    for version in ["1.0.0", "2.0.0"] {
        publish_hello(&hub, version, 10_000, &[]).good();
    }
    let mut overridden = pattern("1.0.0");
    let version = |version: &str, turn: u64| {
        json!({"version": version,
            "priority": {"priority_value": turn, "retries": 2, "retry_durations": 60},
            "deployment_overrides": {"services": {"hello": {"environment": [format!("V={turn}")]}}}})
    };
    overridden["services"][0]["serviceVersions"] =
        json!([version("2.0.0", 1), version("1.0.0", 2)]);
    let file = write(&hub, "hello-everywhere.json", &overridden);
    let publish = ["pattern", "publish", &file, "--horizon-key", "rsa.pem", "--json"];

    hub.publisher.run(&publish).good();
    assert_eq!(hub.publisher.run(&publish).good().json()["unchanged"], true);

    let (_, body) = hub.get("/v1/orgs/acme/patterns/hello-everywhere");
    let served: Value = serde_json::from_slice(&body).unwrap();
    let versions = &served["patterns"]["acme/hello-everywhere"]["services"][0]["serviceVersions"];
    for (version, turn) in versions.as_array().unwrap().iter().zip(1..) {
        let text = version["deployment_overrides"].as_str().unwrap();
        assert_eq!(
            text,
            format!("{{\"services\":{{\"hello\":{{\"environment\":[\"V={turn}\"]}}}}}}")
        );
        verify_with_openssl(
            &hub,
            text,
            version["deployment_overrides_signature"].as_str().unwrap(),
        );
    }
    let (status, _) = hub.get("/v1/orgs/acme/patterns/hello-everywhere/keys/edgepost.pem");
    assert_eq!(status, 200);
}

#[test]
fn a_definition_of_another_organization_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    pack_operator(&hub);
    let mut service = cluster_service();
    service["org"] = json!("umbrella");
    let file = write(&hub, "service.json", &service);

    let told = hub.publisher.run(&["publish", &file]).failed(3, "E0301").stderr;

    assert!(told.contains("umbrella"), "{told}");
}
