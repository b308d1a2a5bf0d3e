//! That every field of every document survives reading and writing: those that Horizon knows, and
//! those that nobody knows, wherever they stand.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    DeploymentPolicy, NodePolicy, Pattern, ServiceBody, ServiceDefinition, ServicePolicy,
    UserInputValue,
};

fn container() -> Value {
    let mut container = json!({
        "image": "r.example/web:1", "command": ["a"], "entrypoint": ["b"],
        "environment": ["A=b"], "cap_add": ["NET_ADMIN"], "security_opt": ["label=disable"],
        "privileged": true, "network": "host", "pid": "host", "ipc": "host", "user": "1000",
        "log_driver": "none", "devices": ["/dev/a:/dev/b:rwm"], "binds": ["/a:/b:ro"],
        "tmpfs": {"/t": "size=1m"},
    });
    let more = json!({
        "ports": [{"HostPort": "80:8080/tcp", "HostIP": "127.0.0.1"}],
        "ephemeral_ports": [{"localhost_only": true, "port_and_protocol": "80/tcp"}],
        "specific_ports": [{"HostPort": "81:8081/udp", "HostIP": ""}],
        "max_memory_mb": 64, "max_cpus": 0.5, "sysctls": {"a": "1"},
        "secrets": {"s": {"description": "d", "format": "f", "more": 1}},
        "variation_label": "v",
        "network_isolation": {"outbound_permit_only": [1], "outbound_permit_only_ignore": "x"}
    });
    container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    container
}

fn service() -> Value {
    json!({
        "org": "acme", "label": "l", "description": "d", "documentation": "https://d.example",
        "public": true, "url": "u", "version": "1.2.3", "arch": "amd64", "sharable": "singleton",
        "matchHardware": {"usb": "1"},
        "requiredServices": [{"url": "r", "org": "o", "version": "1.0.0",
            "versionRange": "[1.0.0,2.0.0)", "arch": "amd64"}],
        "userInput": [{"name": "N", "label": "n", "type": "list of strings", "defaultValue": "a b"}],
        "deployment": {"services": {"web": container()}},
        "deploymentSignature": "",
        "clusterDeployment": {"operatorYamlArchive": "o.tar.gz", "secrets": {"s": {"description": "d"}},
            "mmsPVC": {"enable": true, "pvcSizeGB": 4}},
        "clusterDeploymentSignature": "",
    })
}

fn versions() -> Value {
    json!([{"version": "1.0.0",
        "priority": {"priority_value": 1, "retries": 2, "retry_durations": 3, "verified_durations": 4},
        "upgradePolicy": {"lifecycle": "immediate", "time": "01:00AM"},
        "deployment_overrides": {"services": {"web": {"environment": ["A=b"]}}},
        "deployment_overrides_signature": "sig"}])
}

fn user_input() -> Value {
    json!([{"serviceOrgid": "acme", "serviceUrl": "u", "serviceArch": "arm64",
        "serviceVersionRange": "[1.0.0,2.0.0)", "inputs": [{"name": "A", "value": ["x"]}]}])
}

fn secret_binding() -> Value {
    json!([{"serviceOrgid": "acme", "serviceUrl": "u", "serviceArch": "arm64",
        "serviceVersionRange": "1.0.0", "enableNodeLevelSecrets": true, "secrets": [{"s": "t"}]}])
}

fn pattern() -> Value {
    json!({
        "name": "p", "org": "acme", "label": "l", "description": "d", "public": true,
        "clusterNamespace": "n",
        "services": [{"serviceUrl": "u", "serviceOrgid": "acme", "serviceArch": "arm64",
            "agreementLess": true, "serviceVersions": versions(),
            "dataVerification": {"enabled": true, "URL": "x", "user": "u", "password": "p",
                "interval": 1, "check_rate": 2,
                "metering": {"tokens": 1, "per_time_unit": "min", "notification_interval": 3}},
            "nodeHealth": {"missing_heartbeat_interval": 5, "check_agreement_status": 6}}],
        "agreementProtocols": [{"name": "Basic", "protocolVersion": 2, "blockchains": []}],
        "userInput": user_input(), "secretBinding": secret_binding(),
    })
}

fn properties() -> Value {
    json!([{"name": "a", "value": "1.0.0", "type": "version"}, {"name": "b", "value": 1.5},
        {"name": "c", "value": true}])
}

fn deployment_policy() -> Value {
    json!({
        "label": "l", "description": "d",
        "service": {"name": "u", "org": "acme", "arch": "arm64", "clusterNamespace": "n",
            "serviceVersions": versions(),
            "nodeHealth": {"missing_heartbeat_interval": 5, "check_agreement_status": 6}},
        "properties": properties(), "constraints": ["a == b"],
        "userInput": user_input(), "secretBinding": secret_binding(),
    })
}

fn service_policy() -> Value {
    json!({"label": "l", "description": "d", "properties": properties(), "constraints": ["a == b"]})
}

fn node_policy() -> Value {
    let part = json!({"properties": properties(), "constraints": ["a == b"]});
    let mut policy = service_policy();
    policy["deployment"] = part.clone();
    policy["management"] = part;
    policy["nodePolicyVersion"] = json!("v2");
    policy
}

/// Objects whose field names are the author's own, or values of one type: nothing unknown can be
/// among them.
const CLOSED: [&str; 5] = ["/tmpfs", "/sysctls", "/secrets", "/services", "/secrets/0"];

/// Every object of a document, by its path.
fn objects(value: &Value, path: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if !CLOSED.iter().any(|it| path.ends_with(it)) {
                all.push(path.to_owned());
            }
            for (name, value) in members {
                objects(value, &format!("{path}/{name}"), all);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, &format!("{path}/{index}"), all);
            }
        }
        _ => (),
    }
}

#[track_caller]
fn survives<T: DeserializeOwned + Serialize>(document: &Value) {
    let written = |document: &Value| {
        let read: T = serde_json::from_value(document.clone()).unwrap();
        serde_json::to_value(read).unwrap()
    };
    assert_eq!(written(document), *document);
    let mut paths = Vec::new();
    objects(document, "", &mut paths);
    for path in paths {
        let mut with_unknown = document.clone();
        let object = with_unknown.pointer_mut(&path).unwrap().as_object_mut().unwrap();
        object.insert("x-unknown".to_owned(), json!({"deep": [1, "<", null, 1.5]}));
        assert_eq!(written(&with_unknown), with_unknown, "at {path}");
    }
}

#[test]
fn every_field_of_a_service_survives() {
    survives::<ServiceDefinition>(&service());
}

#[test]
fn every_field_of_a_pattern_survives() {
    survives::<Pattern>(&pattern());
}

#[test]
fn every_field_of_the_policies_survives() {
    survives::<DeploymentPolicy>(&deployment_policy());
    survives::<ServicePolicy>(&service_policy());
    survives::<NodePolicy>(&node_policy());
}

#[test]
fn every_field_of_user_input_survives() {
    survives::<Vec<UserInputValue>>(&user_input());
}

#[test]
fn every_field_of_a_signed_service_survives() {
    let body = json!({"definition": service(), "images": [], "policy": service_policy()});
    let read: ServiceBody = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), body);
}

#[test]
fn no_field_that_horizon_does_not_have_is_sent_to_it() {
    fn has_unknown(value: &Value) -> bool {
        match value {
            Value::Object(it) => it.iter().any(|(name, it)| name == "x-unknown" || has_unknown(it)),
            Value::Array(it) => it.iter().any(has_unknown),
            _ => false,
        }
    }
    fn check<T: DeserializeOwned>(document: &Value, sent: impl Fn(&T) -> Value) {
        let mut paths = Vec::new();
        objects(document, "", &mut paths);
        // What is signed as a text is kept whole; so are objects that Horizon keeps as they are.
        let whole = ["eployment", "matchHardware", "dataVerification", "agreementProtocols"];
        paths.retain(|path| !whole.iter().any(|it| path.contains(it)));
        for path in paths {
            let mut with_unknown = document.clone();
            let object = with_unknown.pointer_mut(&path).unwrap().as_object_mut().unwrap();
            object.insert("x-unknown".to_owned(), json!(1));
            let read: T = serde_json::from_value(with_unknown).unwrap();
            assert!(!has_unknown(&sent(&read)), "at {path}");
        }
    }
    check::<ServiceDefinition>(&service(), ServiceDefinition::to_horizon);
    check::<Pattern>(&pattern(), Pattern::to_horizon);
    check::<DeploymentPolicy>(&deployment_policy(), DeploymentPolicy::to_horizon);
    check::<ServicePolicy>(&service_policy(), ServicePolicy::to_horizon);
}
