//! Whether a service fits a node. The node, the publisher and `why` all ask here.

mod needs;
mod node;
mod reason;

pub use self::{
    needs::values_for,
    node::{NodeFacts, NodeType},
    reason::{Failure, Reason},
};
use self::{
    needs::{inputs_fit, secrets_fit},
    node::ALLOW_PRIVILEGED,
};
use crate::{
    document::{
        pattern::Pattern,
        policy::{DeploymentPolicy, NodePolicy, ServicePolicy},
        property::{Properties, Property, PropertyValue},
        service::ServiceDefinition,
    },
    types::{OrgId, ServiceId},
};

/// Whether a service fits a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// It does.
    pub fits: bool,
    /// Every reason why it does not.
    pub reasons: Vec<Reason>,
}

impl From<Vec<Reason>> for Verdict {
    fn from(reasons: Vec<Reason>) -> Self {
        Self { fits: reasons.is_empty(), reasons }
    }
}

/// A service that may come to a node, with all that comes along.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The organization that publishes it.
    pub org: &'a OrgId,
    /// Its definition.
    pub definition: &'a ServiceDefinition,
    /// What it says of itself and asks of nodes.
    pub policy: Option<&'a ServicePolicy>,
    /// The services that it requires, with their organizations, and those that they require.
    pub required: &'a [(&'a OrgId, &'a ServiceDefinition)],
}

impl<'a> Candidate<'a> {
    /// A service that requires no other.
    pub fn new(
        org: &'a OrgId,
        definition: &'a ServiceDefinition,
        policy: Option<&'a ServicePolicy>,
    ) -> Self {
        Self { org, definition, policy, required: &[] }
    }

    fn id(&self) -> ServiceId {
        self.definition.service_id(self.org)
    }

    fn all(&self) -> impl Iterator<Item = (&'a OrgId, &'a ServiceDefinition)> {
        std::iter::once((self.org, self.definition)).chain(self.required.iter().copied())
    }

    fn needs_privilege(&self) -> bool {
        self.all().any(|(_, it)| it.needs_privilege())
    }

    /// What it says of itself: the built-in properties over those of its policy.
    fn properties(&self) -> Properties {
        let mut built_in = self.definition.built_in_properties(self.org);
        if self.needs_privilege() {
            built_in.set(Property::new(ALLOW_PRIVILEGED, true));
        }
        self.policy.map_or(built_in.clone(), |it| built_in.merged_with(&it.properties))
    }
}

/// Whether a service fits a node under a deployment policy: the node satisfies the constraints of
/// the deployment and of the service, they satisfy the node's, and nothing that the service needs
/// is missing.
pub fn fits(
    policy: &DeploymentPolicy,
    service: &Candidate<'_>,
    node_policy: &NodePolicy,
    node: &NodeFacts,
) -> Verdict {
    let selector = &policy.service;
    let definition = service.definition;
    let mut reasons = Vec::new();
    let offered = selector.name == definition.url
        && selector.org == *service.org
        && selector.arch.includes(&definition.arch)
        && selector.service_versions.iter().any(|it| it.version == definition.version);
    if !offered {
        reasons.push(Reason::NotOffered { service: service.id().to_string() });
    }
    deployment_fits(service, &selector.cluster_namespace, node, &mut reasons);

    let stated = node_policy.for_deployment();
    let of_node = node.properties_over(&stated.properties);
    let of_service = service.policy.map(|it| it.constraints.as_slice()).unwrap_or_default();
    for constraint in policy.constraints.iter().chain(of_service) {
        reasons.extend(Failure::of(constraint, &of_node).map(Reason::NodeFails));
    }
    privilege_fits(service, &of_node, &mut reasons);
    // The built-in properties cannot be overridden; of the others the policy's come first.
    let of_deployment = built_in_first(&service.properties(), &policy.properties);
    for constraint in &stated.constraints {
        reasons.extend(Failure::of(constraint, &of_deployment).map(Reason::ServiceFails));
    }
    inputs_fit(service, &policy.user_input, node, &mut reasons);
    secrets_fit(service, &policy.secret_binding, &mut reasons);
    reasons.into()
}

/// Whether a service of a pattern fits a node that has taken the pattern. Policies are not asked,
/// save that a privileged service needs the node to allow it.
pub fn fits_pattern(
    pattern: &Pattern,
    service: &Candidate<'_>,
    node_policy: &NodePolicy,
    node: &NodeFacts,
) -> Verdict {
    let definition = service.definition;
    let mut reasons = Vec::new();
    let offered = pattern.service_refs().into_iter().any(|it| {
        it.url == definition.url
            && it.org == *service.org
            && it.arch.includes(&definition.arch)
            && it.versions.contains(&definition.version)
    });
    if !offered {
        reasons.push(Reason::NotOffered { service: service.id().to_string() });
    }
    deployment_fits(service, &pattern.cluster_namespace, node, &mut reasons);
    let of_node = node.properties_over(&node_policy.for_deployment().properties);
    privilege_fits(service, &of_node, &mut reasons);
    inputs_fit(service, &pattern.user_input, node, &mut reasons);
    secrets_fit(service, &pattern.secret_binding, &mut reasons);
    reasons.into()
}

/// The built-in properties, then the deployment's, then the service's own.
fn built_in_first(of_service: &Properties, of_policy: &Properties) -> Properties {
    let is_built_in =
        |it: &&Property| it.name.starts_with("openhorizon.service.") || it.name == ALLOW_PRIVILEGED;
    let built_in: Properties = of_service.iter().filter(is_built_in).cloned().collect();
    built_in.merged_with(of_policy).merged_with(of_service)
}

fn deployment_fits(
    service: &Candidate<'_>,
    namespace: &str,
    node: &NodeFacts,
    reasons: &mut Vec<Reason>,
) {
    let definition = service.definition;
    if definition.arch != node.arch {
        let (service, node) = (definition.arch.clone(), node.arch.clone());
        reasons.push(Reason::Arch { service, node });
    }
    match node.node_type {
        NodeType::Device if !definition.has_deployment() => {
            reasons.push(Reason::NoDeployment { field: "deployment" });
        }
        NodeType::Cluster if !definition.has_cluster_deployment() => {
            reasons.push(Reason::NoDeployment { field: "clusterDeployment" });
        }
        _ => (),
    }
    if let Some(of_node) = &node.cluster_namespace
        && node.node_type == NodeType::Cluster
        && !namespace.is_empty()
        && namespace != of_node
    {
        let (service, node) = (namespace.to_owned(), of_node.clone());
        reasons.push(Reason::Namespace { service, node });
    }
}

fn privilege_fits(service: &Candidate<'_>, of_node: &Properties, reasons: &mut Vec<Reason>) {
    let allows = of_node.get(ALLOW_PRIVILEGED).is_some_and(|it| match &it.value {
        PropertyValue::Bool(value) => *value,
        PropertyValue::Text(text) => text == "true",
        _ => false,
    });
    if service.needs_privilege() && !allows {
        reasons.push(Reason::Privileged);
    }
}

#[cfg(test)]
mod tests {
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
        let facts = NodeFacts { memory_mb: 512, ..NodeFacts::device("x86_64".parse().unwrap()) };
        let verdict = fits(&self::policy(policy), &candidate, &read(node.clone()), &facts);
        assert_eq!(verdict.fits, verdict.reasons.is_empty());
        verdict.reasons.iter().map(ToString::to_string).collect()
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
        let allows =
            json!({"properties": [{"name": "openhorizon.allowPrivileged", "value": true}]});
        for more in [privileged("privileged", true.into()), privileged("network", "host".into())] {
            assert_eq!(reasons(&json!({}), &more, &json!({})), [Reason::Privileged.to_string()]);
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
            ["the value of `A` of acme/cam_1.0.0_amd64 is of another type"]
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
        let more = json!({"deployment": {"services": {"a": {"image": "a.b/c:1", "secrets": {"key": {}}}}}});
        let binds = json!({"secretBinding": [{"serviceOrgid": "acme", "serviceUrl": "cam",
            "secrets": [{"key": "vault"}]}]});
        assert_eq!(reasons(&json!({}), &more, &json!({})).len(), 1);
        assert_eq!(reasons(&binds, &more, &json!({})), [""; 0]);
    }

    #[test]
    fn a_service_of_a_pattern_needs_no_policy() {
        let org = "acme".parse().unwrap();
        let pattern: Pattern =
            read(json!({"services": [{"serviceUrl": "cam", "serviceOrgid": "acme",
            "serviceArch": "*", "serviceVersions": [{"version": "1.0.0"}]}]}));
        let node = NodeFacts::device("amd64".parse().unwrap());
        let stated = NodePolicy::default();
        let definition = service(&json!({}));
        let candidate = Candidate::new(&org, &definition, None);
        assert!(fits_pattern(&pattern, &candidate, &stated, &node).fits);
        let other = service(&json!({"version": "3.0.0"}));
        let verdict = fits_pattern(&pattern, &Candidate::new(&org, &other, None), &stated, &node);
        assert!(matches!(verdict.reasons[..], [Reason::NotOffered { .. }]));
    }
}
