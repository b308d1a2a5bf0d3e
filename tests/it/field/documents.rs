//! Documents as people write them: read as `hzn` and the agents of Horizon read them, with a warning.

use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, pattern, publish_hello, write},
    program::Outcome,
};

/// Publishes version 2.0.0 of `hello`, of an image that is there, with a definition that `change` has changed.
fn publish_changed(hub: &Hub, change: impl FnOnce(&mut Value)) -> Outcome {
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let mut service = definition("2.0.0", &image);
    change(&mut service);
    let file = write(hub, "changed.json", &service);
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    hub.publisher.run(&["publish", &file, "--source", "registry:", "-r", &login])
}

fn published(hub: &Hub) -> Value {
    let id = format!("hello_2.0.0_{}", edgepost::types::Arch::of_this_machine());
    hub.publisher.run(&["service", "show", &id, "--json"]).good().json()
}

#[test]
fn entries_without_a_name_and_documents_without_a_label_are_published() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let told = publish_changed(&hub, |service| {
        service["userInput"] = json!([
            {"name": "", "label": "", "type": "", "defaultValue": ""},
            {"name": "SPEED", "type": "int", "defaultValue": "1"},
            {},
        ]);
        service.as_object_mut().unwrap().remove("label");
    })
    .good();
    assert_eq!(told.stderr.matches("an entry without a name: it asks for nothing").count(), 2);
    assert!(told.stderr.contains("`label` is missing"), "{}", told.stderr);
    let input = published(&hub)["userInput"].clone();
    assert_eq!(input.as_array().map(Vec::len), Some(1), "{input}");
    assert_eq!(input[0]["name"], "SPEED");

    let mut everywhere = pattern("1.0.0");
    everywhere.as_object_mut().unwrap().remove("label");
    let file = write(&hub, "everywhere.json", &everywhere);
    let told = hub.publisher.run(&["pattern", "publish", &file]).good();
    assert!(told.stderr.contains("`label` is missing"), "{}", told.stderr);
}

#[test]
fn names_of_fields_are_read_without_regard_to_case() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let told = publish_changed(&hub, |service| {
        let mut container = service["deployment"]["services"]["hello"].clone();
        container["Environment"] = json!(["A=1"]);
        container["Privileged"] = json!(true);
        // The names of containers are the author's own.
        service["Deployment"] = json!({"Services": {"Hello": container}});
        service.as_object_mut().unwrap().remove("deployment");
    })
    .good();
    for name in ["deployment", "services", "environment", "privileged"] {
        assert!(told.stderr.contains(&format!("is read as `{name}`")), "{}", told.stderr);
    }
    let deployment = published(&hub)["deployment"].clone();
    let text = deployment.as_str().map_or_else(|| deployment.to_string(), str::to_owned);
    let deployment: Value = serde_json::from_str(&text).unwrap();
    let container = &deployment["services"]["Hello"];
    assert_eq!(
        (&container["privileged"], &container["environment"]),
        (&json!(true), &json!(["A=1"]))
    );

    let mut everywhere = pattern("1.0.0");
    everywhere["userInput"] = json!([{"serviceOrgId": "acme", "serviceUrl": "hello",
        "inputs": [{"Name": "N", "VALUE": "x"}]}]);
    let file = write(&hub, "everywhere.json", &everywhere);
    let told = hub.publisher.run(&["pattern", "publish", &file]).good();
    assert!(told.stderr.contains("`serviceOrgId` is read as `serviceOrgid`"), "{}", told.stderr);
    let shown = hub.publisher.run(&["pattern", "show", "everywhere", "--json"]).good().json();
    let input = &shown["userInput"][0];
    assert_eq!(
        (&input["serviceOrgid"], &input["inputs"][0]["name"]),
        (&json!("acme"), &json!("N"))
    );
}

#[test]
fn horizons_organization_is_that_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_changed(&hub, |service| service["org"] = json!("$HZN_ORG_ID")).good();
    let mut everywhere = pattern("2.0.0");
    everywhere["services"][0]["serviceOrgid"] = json!("$HZN_ORG_ID");
    let file = write(&hub, "everywhere.json", &everywhere);
    hub.publisher.run(&["pattern", "publish", &file]).good();
}

#[test]
fn an_undefined_variable_is_one_error_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let text = r#"{ "label": "s", "url": "$SERVICE_NAME", "version": "1.0.0", "arch": "amd64", "sharable": "multiple",
  "deployment": { "services": { "s": { "image": "${BASE}_amd64:1.0.0", "max_memory_mb": 5 } } } }"#;
    let file = folder.path().join("service.json");
    std::fs::write(&file, text).unwrap();
    let told = hub.publisher.run(&["publish", "service.json", "--dry-run"]).failed(3, "E0301");
    assert!(
        told.stderr.contains("1:24: url: `url` is empty: SERVICE_NAME is not defined"),
        "{}",
        told.stderr
    );
    assert!(
        told.stderr.contains("`image` becomes `_amd64:1.0.0`: BASE is not defined"),
        "{}",
        told.stderr
    );
    assert_eq!(told.stderr.matches("SERVICE_NAME is not defined").count(), 1, "{}", told.stderr);
    assert!(!told.stderr.contains("missing"), "{}", told.stderr);
    std::fs::write(&file, text.replace("\"max_memory_mb\": 5", "\"max_memory_mb\": $MEMORY"))
        .unwrap();
    let told = hub.publisher.run(&["publish", "service.json", "--dry-run"]).failed(3, "E0301");
    assert!(told.stderr.contains("the value is empty: MEMORY is not defined"), "{}", told.stderr);
}

#[test]
fn a_file_without_one_known_field_is_no_policy() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    for (text, is_policy) in
        [(r#"{"foo": 1}"#, false), ("{}", true), (r#"{"Properties": []}"#, true)]
    {
        std::fs::write(folder.path().join("policy.json"), text).unwrap();
        let told = hub.publisher.run(&[
            "agent",
            "register",
            "--node-auth",
            "n1:t",
            "--trust-sha256",
            &hub.pin,
            "--policy",
            "policy.json",
            "--data",
            "n1",
        ]);
        if is_policy {
            told.good();
        } else {
            let told = told.failed(3, "E0301");
            assert!(
                told.stderr.contains("no field of this file is one of a policy"),
                "{}",
                told.stderr
            );
        }
    }
}
