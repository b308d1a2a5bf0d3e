//! What the node tells the exchange of itself, so that others can see what would fit it: its policy
//! with what it has measured, its architecture, and its values for variables.

use crate::{
    agent::{Agent, settle::told},
    document::{NodePolicy, Properties, matching::NodeFacts, property::ALLOW_PRIVILEGED},
    exchange::{
        api::{NodePolicyRequest, NodeRequest, UserInput},
        client::{ExchangeClient, ExchangeError},
    },
    types::NodeId,
};

/// The version of the policy's format that has a part for deployment.
const FORMAT: &str = "v2";

/// What the node tells of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profile {
    policy: NodePolicyRequest,
    arch: String,
    user_input: Vec<UserInput>,
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

    /// Tells the exchange whatever it does not know yet of a node that it has.
    pub(super) async fn tell(
        &self,
        exchange: &ExchangeClient,
        id: &NodeId,
    ) -> Result<(), ExchangeError> {
        let known = exchange.find_node(id).await?;
        if known.as_ref().is_none_or(|it| it.description.arch != self.arch) {
            let arch = NodeRequest { arch: Some(self.arch.clone()), ..NodeRequest::default() };
            exchange.change_node(id, &arch).await?;
        }
        let policy = exchange.node_policy(id).await?;
        if policy.is_none_or(|it| it.value != self.policy) {
            exchange.put_node_policy(id, &self.policy).await?;
        }
        if known.is_none_or(|it| it.description.user_input != self.user_input) {
            // Last: it is refused while a service that it is for has not been published.
            let user_input = Some(self.user_input.clone());
            exchange.change_node(id, &NodeRequest { user_input, ..NodeRequest::default() }).await?;
        }
        Ok(())
    }
}

impl Agent {
    /// Tells the exchange of this node whatever it does not know yet. What it does not take is told
    /// again later: it decides about nothing here.
    pub(super) async fn introduce(&mut self) {
        let profile = match Profile::of(&self.policy, &self.facts) {
            Ok(profile) if self.introduced.as_ref() == Some(&profile) => return,
            Ok(profile) => profile,
            Err(error) => {
                tracing::warn!(%error, "the exchange has no form for the node's policy");
                return;
            }
        };
        match profile.tell(&self.exchange, &self.identity.node.id).await {
            Ok(()) => self.introduced = Some(profile),
            Err(error) => {
                tracing::info!(error = %told(&error), "the node's own policy is told later");
            }
        }
    }
}

/// The policy as Horizon's agents tell theirs, save that an owner who says nothing of privileged
/// services has not refused them to a policy that is published: what is measured stands on top and nowhere else, and
/// what an owner stated for everything in the first version of the format counts for deployment.
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
