//! Policies: what a deployment, a service and a node say of themselves and ask of each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    document::{
        choice::{ArchChoice, NodeHealth, SecretBinding, VersionChoice},
        constraint::Constraint,
        lenient,
        pattern::{ServiceRef, without_unknown},
        property::{ALLOW_PRIVILEGED, BUILT_IN, Properties, Property},
        service::ServiceDefinition,
        user_input::UserInputValue,
    },
    types::{DocumentBody, OrgId, ServiceUrl, Subject},
};

/// A service, and the nodes that should run it; Horizon's older name is business policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Deployment policy")]
pub struct DeploymentPolicy {
    /// What people call it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub label: String,
    /// What it is for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub description: String,
    /// The service.
    pub service: ServiceSelector,
    /// What it says of itself, for the constraints of nodes.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub properties: Properties,
    /// What it asks of nodes; all of them must hold.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub constraints: Vec<Constraint>,
    /// Values for the variables of the service.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub user_input: Vec<UserInputValue>,
    /// Secrets for the service.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub secret_binding: Vec<SecretBinding>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The service of a deployment policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["name", "org", "serviceVersions"]))]
pub struct ServiceSelector {
    /// Its name.
    pub name: ServiceUrl,
    /// The organization that publishes it.
    pub org: OrgId,
    /// The architectures of it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub arch: ArchChoice,
    /// The name space of a cluster service; empty is none.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub cluster_namespace: String,
    /// Its versions, of which one runs.
    #[serde(default, deserialize_with = "lenient::or_default")]
    #[schemars(extend("minItems" = 1))]
    pub service_versions: Vec<VersionChoice>,
    /// When a node counts as gone.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub node_health: NodeHealth,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl DeploymentPolicy {
    /// The service, in the versions it offers.
    pub fn service_ref(&self) -> ServiceRef {
        let ServiceSelector { name, org, arch, service_versions, .. } = &self.service;
        ServiceRef {
            org: org.clone(),
            url: name.clone(),
            arch: arch.clone(),
            versions: service_versions.iter().map(|it| it.version.clone()).collect(),
        }
    }

    /// Exactly what `hzn` sends for it: no field that is not Horizon's.
    pub fn to_horizon(&self) -> Value {
        let mut sent = self.clone();
        sent.unknown.clear();
        sent.properties = sent.properties.without_unknown();
        sent.service.unknown.clear();
        sent.service.node_health.unknown.clear();
        sent.service.service_versions.iter_mut().for_each(without_unknown);
        sent.user_input.iter_mut().for_each(UserInputValue::remove_unknown);
        sent.secret_binding.iter_mut().for_each(|it| it.unknown.clear());
        // Every key is a text, so that this cannot fail.
        serde_json::to_value(sent).unwrap_or_default()
    }
}

/// A deployment policy has no name of its own.
impl DocumentBody for DeploymentPolicy {
    fn contradiction(&self, _org: &OrgId, _subject: &Subject) -> Option<String> {
        None
    }
}

/// What a service says of itself and asks of nodes, wherever it is deployed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Service policy")]
pub struct ServicePolicy {
    /// What people call it.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub label: String,
    /// What it is for.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub description: String,
    /// What it says of itself, for the constraints of nodes.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub properties: Properties,
    /// What it asks of nodes; all of them must hold.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub constraints: Vec<Constraint>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl ServicePolicy {
    /// The same, without fields that are not Horizon's.
    #[must_use]
    pub fn without_unknown(&self) -> Self {
        let properties = self.properties.clone().without_unknown();
        Self { properties, unknown: Map::new(), ..self.clone() }
    }

    /// Exactly what `hzn` sends for it: no field that is not Horizon's.
    pub fn to_horizon(&self) -> Value {
        // Every key is a text, so that this cannot fail.
        serde_json::to_value(self.without_unknown()).unwrap_or_default()
    }

    /// The policy as `hzn` stores it for a service: with the built-in properties of the service, in
    /// the place of any of those names.
    #[must_use]
    pub fn of_service(&self, org: &OrgId, definition: &ServiceDefinition) -> Self {
        let properties = definition.built_in_properties(org).merged_with(&self.properties);
        Self { properties, ..self.clone() }
    }
}

/// What a node says of itself and asks of services.
///
/// Version 2 of the format has parts for deployment and for management; version 1 has only the top
/// level. Both are read; [`NodePolicy::for_deployment`] is the same for both.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Node policy", description = "What a node says of itself and asks of services.")]
pub struct NodePolicy {
    /// What people call it.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub label: String,
    /// What it is for.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub description: String,
    /// What it says of itself, whatever for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub properties: Properties,
    /// What it asks, whatever for; all of them must hold.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub constraints: Vec<Constraint>,
    /// What counts for services, over the top level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<PolicyPart>,
    /// What counts for updates of the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<PolicyPart>,
    /// `v2` in the exchange.
    #[serde(default, rename = "nodePolicyVersion", skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Properties and constraints for one purpose.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PolicyPart {
    /// What it says of itself.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub properties: Properties,
    /// What it asks; all of them must hold.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub constraints: Vec<Constraint>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl NodePolicy {
    /// What counts when a service is to be deployed: properties for deployment go over those of
    /// the same name at the top, and constraints for deployment, if any, replace those at the top.
    pub fn for_deployment(&self) -> PolicyPart {
        let nothing = PolicyPart::default();
        let part = self.deployment.as_ref().unwrap_or(&nothing);
        let replaced = !part.constraints.is_empty();
        PolicyPart {
            properties: part.properties.merged_with(&self.properties),
            constraints: if replaced { &part.constraints } else { &self.constraints }.clone(),
            unknown: Map::new(),
        }
    }

    /// Which policy of a node counts once this one has been published for it, in the place of `own`,
    /// which the node was given when it was registered, or states itself: what is published, but
    /// under what the node has measured (`openhorizon.…`) and its own refusal of privileged services.
    ///
    /// Agent and exchange both ask here.
    #[must_use]
    pub fn in_place_of(&self, own: &Self) -> Self {
        self.under(own, |it| if it.name == ALLOW_PRIVILEGED { it.refuses() } else { true })
    }

    /// Whether it allows privileged services by Horizon's property, for deployment.
    pub fn allows_privileged(&self) -> bool {
        let part = self.for_deployment();
        part.properties.get(ALLOW_PRIVILEGED).is_some_and(Property::allows)
    }

    /// What takes the place of `standing` where one policy is kept for a node and its operator alike,
    /// as in Horizon's exchange: only what the node has measured stays.
    #[must_use]
    pub fn replacing(&self, standing: &Self) -> Self {
        self.under(standing, |it| it.name != ALLOW_PRIVILEGED)
    }

    /// This policy under what `other` states of the built-in properties `names`: what a node measures of itself.
    #[must_use]
    pub fn with_measured(&self, other: &Self, names: &[&str]) -> Self {
        self.under(other, |it| names.contains(&it.name.as_str()))
    }

    /// This policy under those built-in properties of `other` that stay.
    fn under(&self, other: &Self, stays: impl Fn(&Property) -> bool) -> Self {
        let stays = |it: &&Property| it.name.starts_with(BUILT_IN) && stays(it);
        let kept: Properties =
            other.for_deployment().properties.iter().filter(stays).cloned().collect();
        let rest = |part: &PolicyPart| {
            let properties = &part.properties;
            let rest = properties.iter().filter(|it| kept.get(&it.name).is_none()).cloned();
            PolicyPart { properties: rest.collect(), ..part.clone() }
        };
        Self {
            properties: kept.merged_with(&self.properties),
            deployment: self.deployment.as_ref().map(rest),
            management: self.management.as_ref().map(rest),
            ..self.clone()
        }
    }

    /// Exactly what `hzn` sends for it: version 2, and no field that is not Horizon's.
    pub fn to_horizon(&self) -> Value {
        let mut sent = Self { format: Some("v2".to_owned()), ..self.clone() };
        sent.unknown.clear();
        for part in [&mut sent.deployment, &mut sent.management] {
            part.get_or_insert_default().unknown.clear();
        }
        // Every key is a text, so that this cannot fail.
        serde_json::to_value(sent).unwrap_or_default()
    }
}

/// A node policy has no name of its own.
impl DocumentBody for NodePolicy {
    fn contradiction(&self, _org: &OrgId, _subject: &Subject) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::property::PropertyValue;

    #[test]
    fn what_counts_for_deployment_goes_over_the_top_level() {
        let policy: NodePolicy = serde_json::from_str(
            r#"{"properties":[{"name":"a","value":1},{"name":"b","value":1}],"constraints":["x == y"],
                "deployment":{"properties":[{"name":"a","value":2}],"constraints":null}}"#,
        )
        .unwrap();
        let part = policy.for_deployment();
        assert_eq!(part.properties.get("a").unwrap().value, PropertyValue::from(2));
        assert_eq!(part.properties.get("b").unwrap().value, PropertyValue::from(1));
        assert_eq!(part.constraints[0].as_str(), "x == y");
    }

    fn node_policy(json: &str) -> NodePolicy {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_published_policy_counts_under_what_the_node_has_measured() {
        let own = node_policy(
            r#"{"properties":[{"name":"openhorizon.memory","value":512},{"name":"site","value":"lab"}],
                "deployment":{"properties":[{"name":"openhorizon.cpu","value":4}]},
                "constraints":["a == b"]}"#,
        );
        let published = node_policy(
            r#"{"properties":[{"name":"openhorizon.memory","value":9999},{"name":"site","value":"plant"}],
                "deployment":{"properties":[{"name":"openhorizon.cpu","value":64},
                    {"name":"purpose","value":"camera"}]},"x":1}"#,
        );
        let counts = published.in_place_of(&own);
        let part = counts.for_deployment();
        for (name, value) in [
            ("openhorizon.memory", PropertyValue::from(512)),
            ("openhorizon.cpu", PropertyValue::from(4)),
            ("site", PropertyValue::from("plant")),
            ("purpose", PropertyValue::from("camera")),
        ] {
            assert_eq!(part.properties.get(name).unwrap().value, value, "{name}");
        }
        assert!(part.constraints.is_empty());
        let sent = counts.to_horizon();
        assert_eq!((&sent["nodePolicyVersion"], &sent["x"]), (&Value::from("v2"), &Value::Null));
    }

    #[test]
    fn a_node_that_refuses_privileged_services_goes_on_refusing() {
        let allow = |value: &str| {
            node_policy(&format!(
                r#"{{"properties":[{{"name":"openhorizon.allowPrivileged","value":{value}}}]}}"#
            ))
        };
        let allowed = |published: &NodePolicy, own: &NodePolicy| {
            let part = published.in_place_of(own).for_deployment();
            part.properties.get(ALLOW_PRIVILEGED).map(|it| it.value.clone())
        };
        let silent = NodePolicy::default();
        let yes = Some(PropertyValue::Bool(true));
        for veto in ["false", r#""false""#] {
            let counts = allowed(&allow("true"), &allow(veto)).unwrap();
            assert!(![PropertyValue::Bool(true), PropertyValue::from("true")].contains(&counts));
        }
        assert_eq!(allowed(&allow("true"), &silent), yes);
        assert_eq!(allowed(&allow("true"), &allow("true")), yes);
        assert_eq!(allowed(&silent, &allow("true")), None, "only a refusal stays");
        let deep = NodePolicy {
            deployment: Some(PolicyPart {
                properties: allow("true").properties,
                ..PolicyPart::default()
            }),
            ..silent
        };
        assert_eq!(allowed(&deep, &allow("false")), Some(PropertyValue::Bool(false)));
    }

    #[test]
    fn horizon_is_sent_its_own_fields_alone() {
        let policy: DeploymentPolicy = serde_json::from_str(
            r#"{"label":"l","service":{"name":"s","org":"o","serviceVersions":
                [{"version":"1.0.0","x":1}],"x":1},"constraints":["a == b"],"x":1}"#,
        )
        .unwrap();
        let expected = serde_json::json!({
            "label": "l", "description": "",
            "service": {"name": "s", "org": "o", "arch": "*",
                "serviceVersions": [{"version": "1.0.0", "priority": {}, "upgradePolicy": {}}],
                "nodeHealth": {"missing_heartbeat_interval": 0, "check_agreement_status": 0}},
            "properties": [], "constraints": ["a == b"],
        });
        assert_eq!(policy.to_horizon(), expected);
    }
}
