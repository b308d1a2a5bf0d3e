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

/// Each clause as `rule outcome document path+offset: text (seen)`, the inner ones too.
fn told(clauses: &[Clause]) -> Vec<String> {
    let word = |value: Value| value.as_str().map(str::to_owned).unwrap();
    let one = |clause: &Clause| {
        let (rule, outcome) =
            (serde_json::to_value(clause.rule), serde_json::to_value(clause.outcome));
        let place = clause.origin.as_ref().map_or(String::new(), |it| {
            let document = word(serde_json::to_value(it.document).unwrap());
            format!(" {document} {}+{}", it.path, it.offset)
        });
        let seen = clause.seen.as_ref().map_or(String::new(), |it| format!(" ({it})"));
        format!("{} {}{place}: {}{seen}", word(rule.unwrap()), word(outcome.unwrap()), clause.text)
    };
    clauses.iter().flat_map(|it| [vec![one(it)], told(&it.parts)].concat()).collect()
}

#[test]
fn the_tree_tells_what_holds_and_where_it_is_asked() {
    let org = "acme".parse().unwrap();
    let definition = service(&json!({"userInput": [{"name": "A", "type": "int"}],
        "requiredServices": [{"url": "gps", "org": "acme", "arch": "amd64"}],
        "deployment": {"services": {"a": {"image": "a.b/c:1", "network": "host",
            "secrets": {"key": {}}}}}}));
    let of_service: ServicePolicy =
        read(json!({"constraints": ["size == 1 OR purpose == camera"]}));
    let offer = policy(&json!({"constraints": ["purpose == camera AND (size > 3)"],
        "userInput": [{"serviceOrgid": "acme", "serviceUrl": "cam",
            "inputs": [{"name": "A", "value": 1}]}]}));
    let node: NodePolicy = read(json!({"properties": [{"name": "purpose", "value": "camera"},
        {"name": "size", "value": 1}], "deployment": {"constraints": ["level == gold"]}}));
    let facts = NodeFacts {
        user_input: read(json!([{"serviceOrgid": "acme", "serviceUrl": "cam",
            "inputs": [{"name": "A", "value": "x"}]}])),
        ..NodeFacts::device("amd64".parse().unwrap())
    };
    let candidate = Candidate::new(&org, &definition, Some(&of_service));
    let verdict = fits(&offer, &candidate, &node, &facts);
    assert_eq!(
        told(&verdict.clauses),
        [
            "offered holds deployment-policy service.serviceVersions[0]+0: acme/cam_1.0.0_amd64",
            "arch holds service arch+0: amd64 (amd64)",
            "deployment holds service deployment+0: deployment",
            "required not-asked service requiredServices[0]+0: acme/gps [0.0.0,INFINITY) for amd64",
            "node-satisfies fails deployment-policy constraints[0]+0: purpose == camera AND (size > 3)",
            "all fails deployment-policy constraints[0]+0: purpose == camera AND (size > 3)",
            "comparison holds deployment-policy constraints[0]+0: purpose == camera (camera)",
            "comparison fails deployment-policy constraints[0]+23: size > 3 (1)",
            "node-satisfies holds service-policy constraints[0]+0: size == 1 OR purpose == camera",
            "any holds service-policy constraints[0]+0: size == 1 OR purpose == camera",
            "comparison holds service-policy constraints[0]+0: size == 1 (1)",
            "comparison not-asked service-policy constraints[0]+13: purpose == camera (camera)",
            "privileged fails service deployment.services.a.network+0: openhorizon.allowPrivileged = true (false)",
            "service-satisfies fails node-policy deployment.constraints[0]+0: level == gold",
            "comparison fails node-policy deployment.constraints[0]+0: level == gold",
            "input fails node-input [0].inputs[0].value+0: `A` (int) of acme/cam_1.0.0_amd64 (a string)",
            "secret fails service deployment.services.a.secrets.key+0: `key` of acme/cam_1.0.0_amd64",
        ]
    );
    assert_eq!(verdict.failures().count(), 5);
    assert_eq!(verdict.reasons().len(), 5);
}

#[test]
fn required_services_are_part_of_the_question() {
    let org: OrgId = "acme".parse().unwrap();
    let definition = service(&json!({"requiredServices":
        [{"url": "gps", "org": "acme", "versionRange": "[1.0.0,2.0.0)", "arch": "amd64"}]}));
    let gps: ServiceDefinition = read(json!({"url": "gps", "version": "1.4.0", "arch": "amd64",
        "sharable": "multiple", "userInput": [{"name": "B"}],
        "deployment": {"services": {"g": {"image": "a.b/c:1", "privileged": true}}}}));
    let required = [required::Published { org: &org, definition: &gps }];
    let (offer, node) = (policy(&json!({})), NodePolicy::default());
    let facts = NodeFacts::device("amd64".parse().unwrap());
    let alone = Candidate::new(&org, &definition, None);
    assert!(fits(&offer, &alone, &node, &facts).fits());
    assert_eq!(
        told(&fits(&offer, &alone.with_required(&required), &node, &facts).clauses)[3..],
        [
            "required holds service requiredServices[0]+0: acme/gps [1.0.0,2.0.0) for amd64 (1.4.0)",
            "privileged fails required-service deployment.services.g.privileged+0: openhorizon.allowPrivileged = true (false)",
            "input fails required-service userInput[0]+0: `B` (string) of acme/gps_1.4.0_amd64",
        ]
    );
    let error = RequiredError::Circle(vec!["cam".parse().unwrap(), "cam".parse().unwrap()]);
    let unresolved = Candidate { required: Requires::Unresolved(&error), ..alone };
    assert_eq!(fits(&offer, &unresolved, &node, &facts).reasons(), [error.to_string()]);
}

#[test]
fn a_node_may_refuse_what_is_privileged() {
    let node = json!({"properties": [{"name": "openhorizon.allowPrivileged", "value": true}],
        "constraints": ["openhorizon.allowPrivileged == false"]});
    assert_eq!(reasons(&json!({}), &json!({}), &node), [""; 0]);
    let privileged =
        json!({"deployment": {"services": {"a": {"image": "a.b/c:1", "privileged": true}}}});
    // That it is so cannot be stated otherwise by a policy.
    let lie = json!({"properties": [{"name": "openhorizon.allowPrivileged", "value": false}]});
    assert_eq!(reasons(&lie, &privileged, &node).len(), 1);
}

#[test]
fn of_two_entries_for_a_service_the_first_counts() {
    let asks = json!({"userInput": [{"name": "A", "type": "int"}, {"name": "B"}]});
    let entry = |name: &str, value: Value| json!({"serviceOrgid": "acme", "serviceUrl": "cam", "inputs": [{"name": name, "value": value}]});
    let two = json!({"userInput": [entry("A", 1.into()), entry("B", "b".into())]});
    assert_eq!(
        reasons(&two, &asks, &json!({})),
        ["nobody gives a value to `B` (string) of acme/cam_1.0.0_amd64"]
    );
    // Values of a service that needs none are not looked at.
    let needless = json!({"userInput": [{"name": "A", "type": "int", "defaultValue": "1"}]});
    let wrong = json!({"userInput": [entry("A", "x".into())]});
    assert_eq!(reasons(&wrong, &needless, &json!({})), [""; 0]);
}

#[test]
fn a_cluster_has_its_own_deployment_name_space_and_secrets() {
    let org = "acme".parse().unwrap();
    let definition = service(&json!({"deployment": null, "userInput": [{"name": "A"}],
        "clusterDeployment": {"operatorYamlArchive": "x", "metadata": {"namespace": "shop"},
            "secrets": {"key": {}}}}));
    let candidate = Candidate::new(&org, &definition, None);
    let bound = |namespace: &str| {
        policy(&json!({"service": {"name": "cam", "org": "acme", "clusterNamespace": namespace,
            "serviceVersions": [{"version": "1.0.0"}]}, "secretBinding":
            [{"serviceOrgid": "acme", "serviceUrl": "cam", "secrets": [{"key": "vault"}]}]}))
    };
    let judged = |offer: &DeploymentPolicy, namespace: Option<&str>, scoped: bool| {
        let facts = NodeFacts {
            cluster_namespace: namespace.map(str::to_owned),
            namespace_scoped: Some(scoped),
            ..NodeFacts::cluster("amd64".parse().unwrap())
        };
        fits(offer, &candidate, &NodePolicy::default(), &facts)
    };
    // The variable is not asked for, and an agent that is not confined deploys anywhere.
    assert!(judged(&bound(""), None, false).fits());
    assert!(judged(&bound("lab"), Some("shop"), false).fits());
    assert!(judged(&bound(""), Some("shop"), true).fits());
    assert_eq!(
        judged(&bound(""), None, true).reasons(),
        ["the service is for shop, and the node is in the name space openhorizon-agent"]
    );
    assert_eq!(
        judged(&bound("lab"), Some("shop"), true).reasons(),
        ["the service is for lab, and the node is in the name space shop"]
    );
    let unbound = policy(&json!({}));
    assert_eq!(
        judged(&unbound, None, false).reasons(),
        ["the secret `key` of acme/cam_1.0.0_amd64 is bound to nothing"]
    );
    let device = NodeFacts::device("amd64".parse().unwrap());
    let told = fits(&bound(""), &candidate, &NodePolicy::default(), &device).reasons();
    assert_eq!(told[0], "the service has no `deployment`");
}

#[test]
fn a_pattern_names_the_name_space_of_a_confined_agent_or_none() {
    let org = "acme".parse().unwrap();
    let definition =
        service(&json!({"deployment": null, "clusterDeployment": {"operatorYamlArchive": "x"}}));
    let candidate = Candidate::new(&org, &definition, None);
    let judged = |of_pattern: &str, scoped: bool| {
        let pattern: Pattern = read(json!({"clusterNamespace": of_pattern, "services":
            [{"serviceUrl": "cam", "serviceOrgid": "acme",
                "serviceVersions": [{"version": "1.0.0"}]}]}));
        let facts = NodeFacts {
            cluster_namespace: Some("shop".to_owned()),
            namespace_scoped: Some(scoped),
            ..NodeFacts::cluster("amd64".parse().unwrap())
        };
        fits_pattern(&pattern, &candidate, &NodePolicy::default(), &facts).fits()
    };
    assert!(judged("", false) && judged("shop", true));
    assert!(!judged("shop", false) && !judged("", true) && !judged("lab", true));
}
