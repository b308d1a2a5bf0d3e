//! The same question for whole fleets: which of many nodes fit, at a million pairs in a second.
//!
//! What does not depend on the other side is worked out once for each node and for each offer. The
//! rules are those of the tree, by the same functions; only nothing is told about them.

use super::{
    Candidate, Clause, NodeFacts, NodeType,
    needs::{has_inputs, has_secrets, needs_input, required},
    offer::{Terms, by_policy, has_deployment, may_deploy_into, service_namespace},
    privilege::is_allowed,
    required::Published,
};
use crate::{
    document::{
        constraint::Constraint,
        policy::{DeploymentPolicy, NodePolicy},
        property::Properties,
        user_input::UserInputValue,
    },
    types::Arch,
};

/// A node, ready to be held against many offers.
#[derive(Debug, Clone)]
pub struct PreparedNode {
    arch: Arch,
    node_type: NodeType,
    properties: Properties,
    constraints: Vec<Constraint>,
    allows_privileged: bool,
    user_input: Vec<UserInputValue>,
}

impl PreparedNode {
    /// A node by its policy and by what is known of it.
    pub fn new(policy: &NodePolicy, facts: &NodeFacts) -> Self {
        let stated = policy.for_deployment();
        let properties = facts.properties_over(&stated.properties);
        Self {
            arch: facts.arch.clone(),
            node_type: facts.node_type,
            allows_privileged: is_allowed(&properties),
            properties,
            constraints: stated.constraints,
            user_input: facts.user_input.clone(),
        }
    }
}

/// A service under a deployment policy, ready to be held against many nodes.
#[derive(Debug, Clone)]
pub struct PreparedOffer<'a> {
    terms: Terms<'a>,
    /// The types of nodes that it may come to: none, unless the policy offers the service and all
    /// that it requires is there.
    node_types: Vec<NodeType>,
    arch: &'a Arch,
    constraints: Vec<&'a Constraint>,
    properties: Properties,
    needs_privilege: bool,
    /// The services whose variables somebody must give values to, on devices.
    needs_input: Vec<Published<'a>>,
    /// Whether the policy gives all of these values.
    has_inputs: bool,
    namespace: String,
}

impl<'a> PreparedOffer<'a> {
    /// A service under a deployment policy.
    pub fn new(policy: &'a DeploymentPolicy, service: &Candidate<'a>) -> Self {
        let terms = Terms::of_policy(policy);
        let of_service = service.policy.map(|it| it.constraints.as_slice()).unwrap_or_default();
        let needs_input: Vec<_> =
            service.all().filter(|it| needs_input(it.definition, NodeType::Device)).collect();
        let is_offered =
            !by_policy(policy, service).fails() && !required(service).iter().any(Clause::fails);
        let runs_on = |node_type: &NodeType| {
            is_offered
                && has_deployment(service.definition, *node_type)
                && service.all().all(|it| has_secrets(&terms, &it, *node_type))
        };
        Self {
            node_types: [NodeType::Device, NodeType::Cluster].into_iter().filter(runs_on).collect(),
            arch: &service.definition.arch,
            constraints: policy.constraints.iter().chain(of_service).collect(),
            properties: service.properties(&policy.properties),
            needs_privilege: service.needs_privilege(),
            has_inputs: needs_input.iter().all(|it| has_inputs(&terms, it, &[])),
            needs_input,
            namespace: service_namespace(service.definition),
            terms,
        }
    }

    /// Whether it fits the node: what [`fits`](super::fits) says of the two.
    pub fn fits(&self, node: &PreparedNode) -> bool {
        *self.arch == node.arch
            && self.node_types.contains(&node.node_type)
            && self.may_deploy_into(node)
            && (node.allows_privileged || !self.needs_privilege)
            && self.constraints.iter().all(|it| it.holds(&node.properties))
            && node.constraints.iter().all(|it| it.holds(&self.properties))
            && self.gets_inputs(node)
    }

    fn may_deploy_into(&self, node: &PreparedNode) -> bool {
        node.node_type == NodeType::Device
            || may_deploy_into(&self.terms, &self.namespace, &node.properties)
    }

    fn gets_inputs(&self, node: &PreparedNode) -> bool {
        match node.node_type {
            NodeType::Cluster => true,
            NodeType::Device if node.user_input.is_empty() => self.has_inputs,
            NodeType::Device => {
                self.needs_input.iter().all(|it| has_inputs(&self.terms, it, &node.user_input))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::{
        bool::weighted, collection::vec, option, prelude::*, sample::select,
        test_runner::TestRunner,
    };
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        document::{matching::fits, policy::ServicePolicy, service::ServiceDefinition},
        types::OrgId,
    };

    fn read<T: DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn property() -> impl Strategy<Value = Value> {
        let name = select(vec![
            "a",
            "b",
            "openhorizon.memory",
            "openhorizon.allowPrivileged",
            "openhorizon.service.org",
            "openhorizon.kubernetesNamespace",
            "openhorizon.kubernetesNamespaceScoped",
        ]);
        let value = select(vec![
            json!("x"),
            json!("x,y"),
            json!("1.2.0"),
            json!(5),
            json!(true),
            json!(false),
            json!("true"),
            json!(null),
        ]);
        let declared = select(vec!["", "string", "version", "list of strings"]);
        (name, value, declared).prop_map(
            |(name, value, declared)| json!({"name": name, "value": value, "type": declared}),
        )
    }

    fn constraint() -> impl Strategy<Value = Value> {
        let text = select(vec![
            "",
            "",
            "",
            "a == x",
            "a != x",
            "b in \"x,z\"",
            "b in [1.0.0,2.0.0)",
            "a > 3 OR b == true",
            "(a == x OR a == 5) AND b != y",
            "openhorizon.memory >= 100",
            "openhorizon.allowPrivileged == false",
            "openhorizon.service.org == acme",
            "openhorizon.service.version in [1.0.0,2.0.0)",
            "openhorizon.arch == amd64",
        ]);
        text.prop_map(Value::from)
    }

    /// Properties and constraints, as every kind of policy has them.
    fn policy() -> impl Strategy<Value = Value> {
        (vec(property(), 0..4), vec(constraint(), 0..2)).prop_map(
            |(properties, constraints)| json!({"properties": properties, "constraints": constraints}),
        )
    }

    fn node_policy() -> impl Strategy<Value = NodePolicy> {
        (policy(), option::of(policy())).prop_map(|(mut top, part)| {
            if let Some(part) = part {
                top["deployment"] = part;
            }
            read(&top)
        })
    }

    fn input() -> impl Strategy<Value = Value> {
        let value = select(vec![json!("x"), json!(5), json!(null)]);
        let service = select(vec!["cam", "gps", "other"]);
        let entry =
            (service, vec((select(vec!["A", "B"]), value), 0..3)).prop_map(|(url, inputs)| {
                let inputs: Vec<_> = inputs
                    .iter()
                    .map(|(name, value)| json!({"name": name, "value": value}))
                    .collect();
                json!({"serviceOrgid": "acme", "serviceUrl": url, "inputs": inputs})
            });
        vec(entry, 0..3).prop_map(Value::from)
    }

    fn service(url: &'static str) -> impl Strategy<Value = ServiceDefinition> {
        let container = select(vec![
            json!({}),
            json!({"privileged": true}),
            json!({"network": "host"}),
            json!({"secrets": {"key": {}}}),
        ]);
        let asks = select(vec![
            json!([]),
            json!([{"name": "A", "type": "int"}]),
            json!([{"name": "A", "defaultValue": "x"}, {"name": "B", "type": "string"}]),
        ]);
        let cluster = select(vec![
            json!(null),
            json!({"operatorYamlArchive": "x", "secrets": {"key": {}}}),
            json!({"operatorYamlArchive": "x", "metadata": {"namespace": "shop"}}),
        ]);
        let version = select(vec!["1.0.0", "1.0.0", "1.0.0", "2.0.0"]);
        (container, asks, cluster, version, weighted(0.8)).prop_map(
            move |(mut container, asks, cluster, version, native)| {
                container["image"] = json!("a.b/c:1");
                let deployment = json!({"services": {"a": container}});
                read(&json!({"url": url, "version": version, "arch": "amd64",
                    "sharable": "multiple", "userInput": asks, "clusterDeployment": cluster,
                    "requiredServices": if url == "cam" && native {
                        json!([{"url": "gps", "org": "acme", "versionRange": "[1.0.0,1.5.0)", "arch": "amd64"}])
                    } else { json!([]) },
                    "deployment": if native { deployment } else { Value::Null }}))
            },
        )
    }

    fn deployment_policy() -> impl Strategy<Value = DeploymentPolicy> {
        let bindings = select(vec![
            json!([]),
            json!([{"serviceOrgid": "acme", "serviceUrl": "cam", "secrets": [{"key": "v"}]}]),
        ]);
        let namespace = select(vec!["", "shop"]);
        (policy(), input(), bindings, namespace).prop_map(
            |(mut policy, input, bindings, namespace)| {
                policy["service"] = json!({"name": "cam", "org": "acme", "arch": "*",
                "clusterNamespace": namespace, "serviceVersions": [{"version": "1.0.0"}]});
                policy["userInput"] = input;
                policy["secretBinding"] = bindings;
                read(&policy)
            },
        )
    }

    fn facts() -> impl Strategy<Value = NodeFacts> {
        let arch = select(vec!["amd64", "amd64", "amd64", "x86_64", "arm"]);
        let namespace = option::of(select(vec!["shop", "lab"]));
        let scoped = option::of(weighted(0.5));
        (arch, weighted(0.2), option::of(0..200_u64), namespace, scoped, input()).prop_map(
            |(arch, is_cluster, memory_mb, namespace, namespace_scoped, input)| NodeFacts {
                node_type: if is_cluster { NodeType::Cluster } else { NodeType::Device },
                memory_mb,
                cluster_namespace: namespace.map(str::to_owned),
                namespace_scoped,
                user_input: read(&input),
                ..NodeFacts::device(arch.parse().unwrap())
            },
        )
    }

    #[test]
    fn the_fast_way_says_what_the_tree_says() {
        let org: OrgId = "acme".parse().unwrap();
        let fitting = Cell::new(0);
        let cases = (
            deployment_policy(),
            (service("cam"), service("gps"), weighted(0.8)),
            option::of(policy()),
            node_policy(),
            facts(),
        );
        let mut runner = TestRunner::new(ProptestConfig::with_cases(2048));
        let outcome = runner.run(&cases, |(offer, (cam, gps, knows), of_service, node, facts)| {
            let of_service: Option<ServicePolicy> = of_service.map(|it| read(&it));
            let gps = [Published { org: &org, definition: &gps }];
            let alone = Candidate::new(&org, &cam, of_service.as_ref());
            let candidate = if knows { alone.with_required(&gps) } else { alone };

            let fast =
                PreparedOffer::new(&offer, &candidate).fits(&PreparedNode::new(&node, &facts));

            prop_assert_eq!(fast, fits(&offer, &candidate, &node, &facts).fits());
            fitting.set(fitting.get() + u32::from(fast));
            Ok(())
        });
        outcome.unwrap();
        assert!((20..2028).contains(&fitting.get()), "{fitting:?} of 2048 fit: too one-sided");
    }
}
