//! What fits and what does not, rule by rule.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn service(more: &Value) -> ServiceDefinition {
    let mut value = json!({"url": "cam", "version": "1.0.0", "arch": "amd64",
        "sharable": "multiple", "deployment": {"services": {"a": {"image": "a.b/c:1"}}}});
    value.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    read(value)
}

fn policy(more: &Value) -> DeploymentPolicy {
    let mut value = json!({"service": {"name": "cam", "org": "acme", "arch": "*",
        "serviceVersions": [{"version": "1.0"}]}});
    value.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    read(value)
}

fn reasons(policy: &Value, service_more: &Value, node: &Value) -> Vec<String> {
    let org = "acme".parse().unwrap();
    let definition = service(service_more);
    let candidate = Candidate::new(&org, &definition, None);
    let facts = NodeFacts { memory_mb: Some(512), ..NodeFacts::device("x86_64".parse().unwrap()) };
    let verdict = fits(&self::policy(policy), &candidate, &read(node.clone()), &facts);
    assert_eq!(verdict.fits(), verdict.reasons().is_empty());
    verdict.reasons()
}

#[test]
fn a_service_fits_when_both_sides_are_satisfied() {
    let node = json!({"properties": [{"name": "purpose", "value": "camera"}],
        "constraints": ["level == gold AND openhorizon.service.name == cam"]});
    let fitting = json!({"constraints": ["purpose == camera", "openhorizon.memory >= 100"],
        "properties": [{"name": "level", "value": "gold"},
            {"name": "openhorizon.service.name", "value": "other"}]});
    assert_eq!(reasons(&fitting, &json!({}), &node), [""; 0]);
    assert_eq!(
        reasons(&json!({"constraints": ["purpose == door OR size > 3"]}), &json!({}), &node),
        [
            "the node does not fit: `purpose == door OR size > 3` does not hold: \
             purpose == door but it is camera, size > 3 but there is no such property",
            "the node refuses: `level == gold AND openhorizon.service.name == cam` does not \
             hold: level == gold but there is no such property",
        ]
    );
}

#[test]
fn what_a_node_is_cannot_be_stated_otherwise() {
    let node = json!({"properties": [{"name": "openhorizon.memory", "value": 9999}]});
    let policy = json!({"constraints": ["openhorizon.memory > 512"]});
    assert_eq!(reasons(&policy, &json!({}), &node).len(), 1);
}

#[test]
fn a_privileged_service_needs_a_node_that_allows_it() {
    let privileged = |field: &str, value: Value| json!({"deployment": {"services": {"a": {"image": "a.b/c:1", field: value}}}});
    let allows = json!({"properties": [{"name": "openhorizon.allowPrivileged", "value": true}]});
    for more in [privileged("privileged", true.into()), privileged("network", "host".into())] {
        assert_eq!(
            reasons(&json!({}), &more, &json!({})),
            ["the service is privileged: the node must have openhorizon.allowPrivileged = true"]
        );
        assert_eq!(reasons(&json!({}), &more, &allows), [""; 0]);
    }
    // A service that was signed elsewhere is looked into as well.
    let text = r#"{"services":{"a":{"image":"a.b/c:1","privileged":true}}}"#;
    assert_eq!(reasons(&json!({}), &json!({"deployment": text}), &json!({})).len(), 1);
}

#[test]
fn every_variable_without_a_default_gets_a_value() {
    let asks = json!({"userInput": [{"name": "A", "type": "int"}, {"name": "B", "type": "string"},
        {"name": "C", "defaultValue": "c"}]});
    let gives = |value: Value| {
        json!({"userInput": [{"serviceOrgid": "acme", "serviceUrl": "cam", "inputs":
            [{"name": "A", "value": value}, {"name": "B", "value": "b"}]}]})
    };
    assert_eq!(reasons(&json!({}), &asks, &json!({})).len(), 2);
    assert_eq!(reasons(&gives(1.into()), &asks, &json!({})), [""; 0]);
    assert_eq!(
        reasons(&gives("x".into()), &asks, &json!({})),
        ["the value of `A` (int) of acme/cam_1.0.0_amd64 is a string"]
    );
}

#[test]
fn another_service_or_architecture_does_not_fit() {
    let other = json!({"arch": "arm", "version": "2.0.0", "deployment": null});
    let told = reasons(&json!({}), &other, &json!({}));
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn secrets_need_a_binding() {
    let more =
        json!({"deployment": {"services": {"a": {"image": "a.b/c:1", "secrets": {"key": {}}}}}});
    let binds = json!({"secretBinding": [{"serviceOrgid": "acme", "serviceUrl": "cam",
        "secrets": [{"key": "vault"}]}]});
    assert_eq!(reasons(&json!({}), &more, &json!({})).len(), 1);
    assert_eq!(reasons(&binds, &more, &json!({})), [""; 0]);
}

#[test]
fn a_service_of_a_pattern_needs_no_policy() {
    let org = "acme".parse().unwrap();
    let pattern: Pattern = read(json!({"services": [{"serviceUrl": "cam", "serviceOrgid": "acme",
        "serviceArch": "*", "serviceVersions": [{"version": "1.0.0"}]}]}));
    let node = NodeFacts::device("amd64".parse().unwrap());
    let stated = NodePolicy::default();
    let definition = service(&json!({}));
    let candidate = Candidate::new(&org, &definition, None);
    assert!(fits_pattern(&pattern, &candidate, &stated, &node).fits());
    let other = service(&json!({"version": "3.0.0"}));
    let verdict = fits_pattern(&pattern, &Candidate::new(&org, &other, None), &stated, &node);
    assert_eq!(verdict.reasons(), ["acme/cam_3.0.0_amd64 is not offered"]);
}
