//! What the node tells the exchange of itself, so that others can see what would fit it: its policy
//! with what it has measured, its architecture, and its values for variables (in clear, as Horizon's
//! agents do).

use crate::{
    document::{NodePolicy, Properties, matching::NodeFacts, property::ALLOW_PRIVILEGED},
    exchange::api::{NodePolicyRequest, UserInput},
};

/// The version of the policy's format that has a part for deployment.
const FORMAT: &str = "v2";

/// What the node tells of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profile {
    pub(super) policy: NodePolicyRequest,
    pub(super) arch: String,
    pub(super) user_input: Vec<UserInput>,
}

impl Profile {
    /// What a node with this policy tells; an error if the exchange has no form for it.
    pub(super) fn of(policy: &NodePolicy, facts: &NodeFacts) -> Result<Self, serde_json::Error> {
        let policy = serde_json::to_value(with_measured(policy, facts))?;
        let values =
            facts.user_input.iter().map(|it| serde_json::from_value(serde_json::to_value(it)?));
        Ok(Self {
            policy: serde_json::from_value(policy)?,
            arch: facts.arch.to_string(),
            user_input: values.collect::<Result<_, serde_json::Error>>()?,
        })
    }
}

/// The policy as Horizon's agents tell theirs: what is measured stands on top and nowhere else, and
/// what an owner stated for everything in the first version of the format counts for deployment. Of
/// privileged services it says only what the owner did: Horizon's agents add a `false`, which here
/// would refuse them to a policy that is published for the node.
fn with_measured(stated: &NodePolicy, facts: &NodeFacts) -> NodePolicy {
    let mut policy = stated.clone();
    if policy.deployment.is_none() && policy.management.is_none() {
        let mut part = policy.for_deployment();
        part.properties =
            part.properties.iter().filter(|it| it.name != ALLOW_PRIVILEGED).cloned().collect();
        policy.properties =
            policy.properties.iter().filter(|it| it.name == ALLOW_PRIVILEGED).cloned().collect();
        policy.constraints.clear();
        policy.deployment = Some(part);
    }
    let measured = facts.properties();
    let of_owner = |stated: &Properties| {
        stated.iter().filter(|it| measured.get(&it.name).is_none()).cloned().collect::<Properties>()
    };
    policy.properties = measured.merged_with(&of_owner(&policy.properties)).without_unknown();
    for part in policy.deployment.iter_mut().chain(&mut policy.management) {
        part.properties = of_owner(&part.properties).without_unknown();
        part.unknown.clear();
    }
    policy.format = Some(FORMAT.to_owned());
    policy.unknown.clear();
    policy
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(policy: Value) -> Value {
        let facts = NodeFacts::device("arm64".parse().unwrap());
        let policy = serde_json::from_value(policy).unwrap();
        let measured = with_measured(&policy, &facts);
        let built_in = facts.properties();
        let rest = |properties: &Properties| {
            properties
                .iter()
                .filter(|it| built_in.get(&it.name) != Some(it))
                .map(|it| format!("{}={:?}", it.name, it.value))
                .collect::<Vec<_>>()
        };
        let arch = measured.properties.get("openhorizon.arch").unwrap();
        assert_eq!(arch.value, "arm64".into());
        let part = measured.deployment.as_ref();
        json!({
            "top": rest(&measured.properties),
            "deployment": part.map(|it| rest(&it.properties)),
            "constraints": [measured.constraints.len(), part.map_or(0, |it| it.constraints.len())],
            "format": measured.format,
        })
    }

    #[test]
    fn what_is_measured_stands_over_what_is_stated() {
        let stated = json!({"properties": [
            {"name": "site", "value": true}, {"name": "openhorizon.arch", "value": "s390x"}],
            "constraints": ["a == b"]});
        assert_eq!(
            told(stated),
            json!({"top": [],
                "deployment": ["site=Bool(true)"], "constraints": [0, 1], "format": "v2"})
        );
    }

    #[test]
    fn the_owner_alone_says_whether_privileged_services_may_run() {
        let allow = json!({"name": "openhorizon.allowPrivileged", "value": true});
        let (top, part) = (told(json!({"properties": [allow]})), json!({"properties": [allow]}));
        assert_eq!(top["top"], json!(["openhorizon.allowPrivileged=Bool(true)"]));
        assert_eq!(top["deployment"], json!([]));
        let part = told(json!({"properties": [], "deployment": part}));
        assert_eq!(part["deployment"], json!(["openhorizon.allowPrivileged=Bool(true)"]));
    }

    #[test]
    fn the_second_version_of_the_format_keeps_its_parts() {
        let stated = json!({"properties": [{"name": "a", "value": true}], "constraints": ["x == y"],
            "deployment": {"properties": [{"name": "b", "value": true},
                {"name": "openhorizon.arch", "value": "s390x"}]}, "odd": 1});
        assert_eq!(
            told(stated),
            json!({"top": ["a=Bool(true)"],
                "deployment": ["b=Bool(true)"], "constraints": [1, 0], "format": "v2"})
        );
    }

    #[test]
    fn a_policy_with_fields_of_others_has_a_form() {
        let policy = serde_json::from_value(json!({"odd": 1, "deployment": {"odd": 2}})).unwrap();
        let facts = NodeFacts::device("arm64".parse().unwrap());
        assert!(Profile::of(&policy, &facts).is_ok());
    }
}
