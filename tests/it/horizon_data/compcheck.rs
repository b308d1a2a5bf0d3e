//! The inputs of Horizon's own compatibility test, and the verdicts that Horizon's rules give for
//! them, each derived by hand. Where its test (`hzn_compcheck.sh`) asks the same, it expects the same.

use std::{fs, path::PathBuf};

use edgepost::{
    Pattern, ServiceDefinition,
    document::{
        Candidate, DeploymentPolicy, NodeFacts, NodePolicy, ServicePolicy, Source, UserInputValue,
        Variables, Verdict,
        matching::{
            Requires, fits, fits_pattern,
            required::{self, Published},
        },
    },
    types::OrgId,
};
use serde_json::json;

use super::folder;
use crate::support::peers::record_skip;

/// The folder of the inputs.
struct Inputs(PathBuf);

/// A node of Horizon's test.
struct Node {
    policy: NodePolicy,
    facts: NodeFacts,
}

impl Inputs {
    fn find() -> Option<Self> {
        let folder = folder()?.join("anax/test/gov/input_files/compcheck");
        if folder.is_dir() {
            return Some(Self(folder));
        }
        record_skip(&format!("{} is not there", folder.display()));
        None
    }

    /// A file as Horizon's test makes it: for amd64.
    fn input(&self, name: &str) -> Source {
        let file = self.0.join(format!("{name}.json"));
        let text =
            fs::read_to_string(&file).unwrap_or_else(|it| panic!("{}: {it}", file.display()));
        let text = text.replace("__ARCH__", "amd64");
        Source::read(name, &text, &Variables::new()).expect("it is JSON")
    }

    fn service(&self, name: &str) -> ServiceDefinition {
        ServiceDefinition::from_source(&self.input(name)).expect("a service").0
    }

    fn policy(&self, name: &str) -> DeploymentPolicy {
        DeploymentPolicy::from_source(&self.input(name)).expect("a deployment policy").0
    }

    fn service_policy(&self, name: &str) -> ServicePolicy {
        ServicePolicy::from_source(&self.input(name)).expect("a service policy").0
    }

    fn pattern(&self, name: &str) -> Pattern {
        Pattern::from_source(&self.input(name)).expect("a pattern").0
    }

    /// A device for amd64 with that policy, and with those values for variables.
    fn node(&self, policy: &str, values: &str) -> Node {
        let policy = NodePolicy::from_source(&self.input(policy)).expect("a node policy").0;
        let mut facts = NodeFacts::device("amd64".parse().unwrap());
        if !values.is_empty() {
            facts.user_input =
                UserInputValue::all_from_source(&self.input(values)).expect("values").0;
        }
        Node { policy, facts }
    }

    /// What Horizon's test publishes beside the inputs, with the organizations of it.
    fn published(&self) -> Vec<(OrgId, ServiceDefinition)> {
        let ibm: OrgId = "IBM".parse().unwrap();
        let read = |value| serde_json::from_value(value).expect("a service");
        vec![
            ("e2edev@somecomp.com".parse().unwrap(), self.service("service_locgps")),
            (ibm.clone(), cpu("1.2.2", Some("secret-dep1"))),
            // As `service_apireg.sh` registers it: without any container.
            (
                ibm.clone(),
                read(json!({"url": "https://bluehorizon.network/services/network2",
                    "version": "1.5.0", "arch": "amd64", "sharable": "singleton",
                    "userInput": [], "deployment": "", "deploymentSignature": ""})),
            ),
            (
                ibm,
                read(json!({"url": "https://bluehorizon.network/service-gps",
                    "version": "2.0.3", "arch": "amd64", "sharable": "multiple",
                    "userInput": [{"name": "HZN_USE_GPS", "type": "string",
                        "defaultValue": "false"}],
                    "deployment": {"services": {"gps": {"image": "openhorizon/amd64_cpu:1.2.2"}}}})),
            ),
        ]
    }
}

/// `service-cpu` as Horizon's test publishes it for the organization IBM: with that secret, if any.
fn cpu(version: &str, secret: Option<&str>) -> ServiceDefinition {
    let mut container = json!({"image": "openhorizon/amd64_cpu:1.2.2"});
    if let Some(secret) = secret {
        container["secrets"] = json!({secret: {"description": "Secret 1 for netspeed."}});
    }
    let definition = json!({"url": "https://bluehorizon.network/service-cpu", "version": version,
        "arch": "amd64", "sharable": "singleton",
        "userInput": [{"name": "cpu_var1", "label": "", "type": "string"}],
        "deployment": {"services": {"cpu": container}}});
    serde_json::from_value(definition).expect("a service")
}

/// What a verdict says against: rule and text of each clause that fails.
fn against(verdict: &Verdict) -> Vec<String> {
    let failing = verdict.clauses.iter().filter(|it| it.fails());
    let told = |clause: &edgepost::document::Clause| {
        let rule = serde_json::to_value(clause.rule).expect("a word");
        format!("{}: {}", rule.as_str().unwrap_or_default(), clause.text)
    };
    failing.map(told).collect()
}

/// What speaks against a service of `e2edev@somecomp.com`, with all that it requires.
fn judged(
    published: &[(OrgId, ServiceDefinition)],
    definition: &ServiceDefinition,
    policy: Option<&ServicePolicy>,
    ask: impl Fn(&Candidate<'_>) -> Verdict,
) -> Vec<String> {
    let org: OrgId = "e2edev@somecomp.com".parse().unwrap();
    let services: Vec<_> =
        published.iter().map(|(org, definition)| Published { org, definition }).collect();
    let root = Published { org: &org, definition };
    let candidate = Candidate::new(&org, definition, policy);
    match required::resolve(root, &mut required::among(&services)) {
        Ok(resolution) => against(&ask(&candidate.with_required(&resolution.required()))),
        Err(error) => {
            let required = Requires::Unresolved(&error);
            against(&ask(&Candidate { required, ..candidate }))
        }
    }
}

fn by_policy(
    inputs: &Inputs,
    (policy, service): (&str, &ServiceDefinition),
    service_policy: Option<&str>,
    node: &Node,
) -> Vec<String> {
    let policy = inputs.policy(policy);
    let of_service = service_policy.map(|it| inputs.service_policy(it));
    judged(&inputs.published(), service, of_service.as_ref(), |it| {
        fits(&policy, it, &node.policy, &node.facts)
    })
}

fn by_pattern(
    inputs: &Inputs,
    pattern: &str,
    service: &ServiceDefinition,
    node: &Node,
) -> Vec<String> {
    let pattern = inputs.pattern(pattern);
    judged(&inputs.published(), service, None, |it| {
        fits_pattern(&pattern, it, &node.policy, &node.facts)
    })
}

/// What the second file of values leaves out: all that `locgps` needs beside what the policy gives.
const NO_VALUES: [&str; 4] = [
    "input: `HZN_LAT` (float) of e2edev@somecomp.com/bluehorizon.network-services-locgps_2.0.4_amd64",
    "input: `HZN_LON` (float) of e2edev@somecomp.com/bluehorizon.network-services-locgps_2.0.4_amd64",
    "input: `HZN_LOCATION_ACCURACY_KM` (float) of e2edev@somecomp.com/bluehorizon.network-services-locgps_2.0.4_amd64",
    "input: `HZN_USE_GPS` (boolean) of e2edev@somecomp.com/bluehorizon.network-services-locgps_2.0.4_amd64",
];

/// What `location` asks of the secret store.
const LOCATION_SECRETS: [&str; 2] = [
    "secret: `loc_secret1` of e2edev@somecomp.com/bluehorizon.network-services-location_2.0.7_amd64",
    "secret: `loc_secret2` of e2edev@somecomp.com/bluehorizon.network-services-location_2.0.7_amd64",
];

/// What `service-cpu` asks of the secret store.
const CPU_SECRET: &str = "secret: `secret-dep1` of IBM/bluehorizon.network-service-cpu_1.2.2_amd64";

const NOTHING: [&str; 0] = [];

#[test]
fn horizon_data_compcheck_gpstest_fits_a_node_for_network_testing() {
    let Some(inputs) = Inputs::find() else { return };
    let gpstest = inputs.service("service_gpstest");
    // The policy asks for purpose == network-testing, which both node policies state, one at the top
    // and one for deployment. The nodes ask for iame2edev == true, which the text "true" is, and for
    // one of five properties that is false, of which the policy has NOGPS. The second node policy
    // refuses version 2.0.6 alone, and this is 1.0.0. service-gps has defaults for its variables.
    for node in ["node_policy", "node_policy2"] {
        let node = inputs.node(node, "");
        let offer = ("business_pol_gpstest", &gpstest);
        assert_eq!(by_policy(&inputs, offer, None, &node), NOTHING);
        // group == bluenode is what both nodes state.
        assert_eq!(by_policy(&inputs, offer, Some("service_policy"), &node), NOTHING);
    }
}

#[test]
fn horizon_data_compcheck_a_service_policy_for_green_nodes_keeps_gpstest_from_blue_ones() {
    let Some(inputs) = Inputs::find() else { return };
    let gpstest = inputs.service("service_gpstest");
    for node in ["node_policy", "node_policy2"] {
        let node = inputs.node(node, "");
        let offer = ("business_pol_gpstest", &gpstest);
        // The constraints of the service policy are asked beside those of the deployment policy.
        assert_eq!(
            by_policy(&inputs, offer, Some("service_policy2"), &node),
            ["node-satisfies: group == greennode"]
        );
    }
}

#[test]
fn horizon_data_compcheck_gpstest_needs_the_architecture_of_its_policy() {
    let Some(inputs) = Inputs::find() else { return };
    let gpstest = inputs.service("service_gpstest");
    let mut node = inputs.node("node_policy", "");
    // The second policy offers gpstest for arm64 alone, and the service and the node are amd64.
    let offer = ("business_pol_gpstest2", &gpstest);
    let id = "bluehorizon.network-services-gpstest_1.0.0_amd64";
    let not_offered = format!("offered: e2edev@somecomp.com/{id}");
    assert_eq!(by_policy(&inputs, offer, None, &node), [not_offered]);
    // `-a arm64`: the first policy offers it for amd64 alone.
    node.facts.arch = "arm64".parse().unwrap();
    let offer = ("business_pol_gpstest", &gpstest);
    assert_eq!(by_policy(&inputs, offer, Some("service_policy"), &node), ["arch: amd64"]);
}

#[test]
fn horizon_data_compcheck_gpstest_has_nothing_for_clusters() {
    let Some(inputs) = Inputs::find() else { return };
    let mut node = inputs.node("node_policy", "");
    node.facts = NodeFacts::cluster("amd64".parse().unwrap());
    let offer = ("business_pol_gpstest", &inputs.service("service_gpstest"));
    assert_eq!(
        by_policy(&inputs, offer, Some("service_policy"), &node),
        ["deployment: clusterDeployment"]
    );
}

#[test]
fn horizon_data_compcheck_a_policy_speaks_for_its_own_service_alone() {
    let Some(inputs) = Inputs::find() else { return };
    let node = inputs.node("node_policy", "node_ui");
    let (location, gpstest) =
        (inputs.service("service_location"), inputs.service("service_gpstest"));
    let not_offered = |verdict: Vec<String>| verdict.iter().any(|it| it.starts_with("offered: "));
    assert!(not_offered(by_policy(&inputs, ("business_pol_gpstest", &location), None, &node)));
    assert!(not_offered(by_policy(&inputs, ("business_pol_location", &gpstest), None, &node)));
    assert!(not_offered(by_pattern(&inputs, "pattern_sloc", &gpstest, &node)));
}

#[test]
fn horizon_data_compcheck_location_gets_its_values_from_policy_and_node_together() {
    let Some(inputs) = Inputs::find() else { return };
    let location = inputs.service("service_location_secrets");
    let offer = ("business_pol_location_secrets", &location);
    // locgps, which location requires, asks for `test`, which the policy gives, and for four HZN_…
    // values, which the node gives for [2.0.3,INFINITY); service-cpu asks for cpu_var1, which the
    // policy gives. The policy binds both secrets of location and that of service-cpu.
    let node = inputs.node("node_policy", "node_ui");
    assert_eq!(by_policy(&inputs, offer, None, &node), NOTHING);
    assert_eq!(by_policy(&inputs, offer, Some("service_policy"), &node), NOTHING);
    // The second file has an entry for locgps without a single value.
    let node = inputs.node("node_policy", "node_ui2");
    assert_eq!(by_policy(&inputs, offer, Some("service_policy"), &node), NO_VALUES);
    // No values at all come to the same.
    let node = inputs.node("node_policy", "");
    assert_eq!(by_policy(&inputs, offer, None, &node), NO_VALUES);
}

#[test]
fn horizon_data_compcheck_location_does_not_come_to_green_nodes_either() {
    let Some(inputs) = Inputs::find() else { return };
    let location = inputs.service("service_location_secrets");
    let node = inputs.node("node_policy", "node_ui");
    let offer = ("business_pol_location_secrets", &location);
    assert_eq!(
        by_policy(&inputs, offer, Some("service_policy2"), &node),
        ["node-satisfies: group == greennode"]
    );
}

#[test]
fn horizon_data_compcheck_of_two_versions_a_node_refuses_the_older() {
    let Some(inputs) = Inputs::find() else { return };
    // Both versions are offered, and node_policy2 asks for openhorizon.service.version != 2.0.6.
    let node = inputs.node("node_policy2", "node_ui");
    let newer = inputs.service("service_location_secrets");
    let older = ServiceDefinition { version: "2.0.6".parse().unwrap(), ..newer.clone() };
    let offer = |service| ("business_pol_location_secrets", service);
    assert_eq!(by_policy(&inputs, offer(&newer), Some("service_policy"), &node), NOTHING);
    assert_eq!(
        by_policy(&inputs, offer(&older), Some("service_policy"), &node),
        ["service-satisfies: openhorizon.service.version != 2.0.6"]
    );
    // The first node policy takes both.
    let node = inputs.node("node_policy", "node_ui");
    assert_eq!(by_policy(&inputs, offer(&older), None, &node), NOTHING);
    // A version that is not in the list is not offered.
    let other = ServiceDefinition { version: "2.0.8".parse().unwrap(), ..newer.clone() };
    let told = by_policy(&inputs, offer(&other), None, &node);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("offered: "), "{told:?}");
}

#[test]
fn horizon_data_compcheck_every_secret_of_location_needs_a_binding() {
    let Some(inputs) = Inputs::find() else { return };
    let node = inputs.node("node_policy", "node_ui");
    let secrets = inputs.service("service_location_secrets");
    // A policy without any binding leaves those of location and of service-cpu.
    let told = by_policy(&inputs, ("business_pol_location", &secrets), None, &node);
    assert_eq!(told, [LOCATION_SECRETS[0], LOCATION_SECRETS[1], CPU_SECRET]);
    // One that location itself does not need is no harm: the policy binds `extra` to no avail.
    let plain = inputs.service("service_location");
    assert_eq!(by_policy(&inputs, ("business_pol_location_secrets", &plain), None, &node), NOTHING);
    // `foo` is bound nowhere.
    let more = inputs.service("service_location_secrets_extra");
    assert_eq!(
        by_policy(&inputs, ("business_pol_location_secrets", &more), None, &node),
        ["secret: `foo` of e2edev@somecomp.com/bluehorizon.network-services-location_2.0.7_amd64"]
    );
}

#[test]
fn horizon_data_compcheck_a_binding_is_for_the_versions_that_it_names() {
    let Some(inputs) = Inputs::find() else { return };
    let node = inputs.node("node_policy", "node_ui");
    let policy = inputs.policy("business_pol_location_secrets");
    // service-cpu 1.1.0 is in the range that location requires, and not in that of the binding,
    // [1.2.2,INFINITY).
    let mut published = inputs.published();
    published[1].1 = cpu("1.1.0", Some("secret-dep1"));
    let told = judged(&published, &inputs.service("service_location_secrets"), None, |it| {
        fits(&policy, it, &node.policy, &node.facts)
    });
    assert_eq!(told, ["secret: `secret-dep1` of IBM/bluehorizon.network-service-cpu_1.1.0_amd64"]);
    // The definition without secrets needs no binding.
    published[1].1 = cpu("1.1.0", None);
    let told = judged(&published, &inputs.service("service_location_secrets"), None, |it| {
        fits(&policy, it, &node.policy, &node.facts)
    });
    assert_eq!(told, NOTHING);
}

#[test]
fn horizon_data_compcheck_a_pattern_gives_values_and_asks_no_policy() {
    let Some(inputs) = Inputs::find() else { return };
    let location = inputs.service("service_location_secrets");
    let locgps = inputs.service("service_locgps");
    // The pattern brings the same values and bindings as the policy. That node_policy2 refuses 2.0.6
    // counts for nothing: who takes a pattern takes all of it.
    let older = ServiceDefinition { version: "2.0.6".parse().unwrap(), ..location.clone() };
    for node in ["node_policy", "node_policy2"] {
        let node = inputs.node(node, "node_ui");
        for service in [&location, &older, &locgps] {
            assert_eq!(by_pattern(&inputs, "pattern_sloc_secrets", service, &node), NOTHING);
        }
    }
    let node = inputs.node("node_policy", "node_ui2");
    for service in [&location, &locgps] {
        assert_eq!(by_pattern(&inputs, "pattern_sloc_secrets", service, &node), NO_VALUES);
    }
}

#[test]
fn horizon_data_compcheck_a_pattern_binds_secrets_as_a_policy_does() {
    let Some(inputs) = Inputs::find() else { return };
    let node = inputs.node("node_policy", "node_ui");
    let location = inputs.service("service_location_secrets");
    assert_eq!(
        by_pattern(&inputs, "pattern_sloc", &location, &node),
        [LOCATION_SECRETS[0], LOCATION_SECRETS[1], CPU_SECRET]
    );
    let more = inputs.service("service_location_secrets_extra");
    let told = by_pattern(&inputs, "pattern_sloc_secrets", &more, &node);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("secret: `foo` of "), "{told:?}");
}

#[test]
fn horizon_data_compcheck_a_pattern_of_devices_is_not_for_clusters_or_other_architectures() {
    let Some(inputs) = Inputs::find() else { return };
    let location = inputs.service("service_location_secrets");
    let mut node = inputs.node("node_policy", "node_ui");
    node.facts.arch = "arm64".parse().unwrap();
    assert_eq!(by_pattern(&inputs, "pattern_sloc_secrets", &location, &node), ["arch: amd64"]);
    // Neither values nor secrets are asked for in a cluster beside what its own deployment says.
    node.facts = NodeFacts::cluster("amd64".parse().unwrap());
    assert_eq!(
        by_pattern(&inputs, "pattern_sloc_secrets", &location, &node),
        ["deployment: clusterDeployment"]
    );
}

#[test]
fn horizon_data_compcheck_what_a_service_requires_must_be_there() {
    let Some(inputs) = Inputs::find() else { return };
    let (node, policy) = (inputs.node("node_policy", ""), inputs.policy("business_pol_gpstest"));
    // gpstest requires IBM/service-gps from 1.0.0 on, and nobody publishes it.
    let told = judged(&[], &inputs.service("service_gpstest"), None, |it| {
        fits(&policy, it, &node.policy, &node.facts)
    });
    assert_eq!(told, ["required: all services that are required"]);
}

#[test]
fn horizon_data_compcheck_a_cluster_service_goes_where_its_policy_and_the_agent_agree() {
    let Some(inputs) = Inputs::find() else { return };
    // Horizon's test publishes k8s-service1 from an operator's archive; what counts here is that it
    // is for clusters.
    let service = serde_json::from_value(json!({"url": "k8s-service1", "version": "1.0.0",
        "arch": "amd64", "sharable": "multiple",
        "clusterDeployment": {"operatorYamlArchive": "x"}}))
    .expect("a service");
    let offer = ("business_pol_k8s_service1", &service);
    let constraint = "node-satisfies: purpose == network-testing && openhorizon.kubernetesNamespace == another-namespace";
    // The policy has none of the five properties that the node asks for: NOK8S is not among them.
    let refusal = "service-satisfies: NONS==false || NOGPS == false || NOLOC == false || NOPWS == false || NOHELLO == false";
    let told = |namespace: &str, scoped: bool| {
        let mut node = inputs.node("node_policy", "");
        node.facts = NodeFacts::cluster("amd64".parse().unwrap());
        node.facts.cluster_namespace = Some(namespace.to_owned());
        node.facts.namespace_scoped = Some(scoped);
        by_policy(&inputs, offer, None, &node)
    };
    // `-s agent-namespace`: the agent is in another name space than the constraint asks for.
    assert_eq!(told("agent-namespace", false), [constraint, refusal]);
    assert_eq!(told("another-namespace", false), [refusal]);
    // An agent that is confined to its name space cannot deploy into that of the policy.
    assert_eq!(told("another-namespace", true), ["namespace: ns-in-policy", refusal]);
    assert_eq!(told("ns-in-policy", true), [constraint, refusal]);
    // A device has no use for it, and no name space.
    let node = inputs.node("node_policy", "");
    assert_eq!(
        by_policy(&inputs, offer, None, &node),
        ["deployment: deployment", constraint, refusal]
    );
}
