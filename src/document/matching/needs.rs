//! What a service needs from others: values for its variables, secrets for its containers.

use super::{Candidate, NodeFacts, Reason};
use crate::{
    document::{
        choice::SecretBinding,
        service::ServiceDefinition,
        user_input::{InputValue, UserInputValue},
    },
    types::OrgId,
};

/// The values that a service gets: those that come with its policy or pattern, then those of the
/// node's owner, which win.
pub fn values_for(
    org: &OrgId,
    definition: &ServiceDefinition,
    offered: &[UserInputValue],
    of_node: &[UserInputValue],
) -> Vec<InputValue> {
    let ServiceDefinition { url, version, arch, .. } = definition;
    offered
        .iter()
        .chain(of_node)
        .filter(|it| it.is_for(org, url, version, arch))
        .flat_map(|it| it.inputs.iter().cloned())
        .collect()
}

/// Every variable without a default gets a value, and every value is of the variable's type.
pub(super) fn inputs_fit(
    service: &Candidate<'_>,
    offered: &[UserInputValue],
    node: &NodeFacts,
    reasons: &mut Vec<Reason>,
) {
    for (org, definition) in service.all() {
        let values = values_for(org, definition, offered, &node.user_input);
        for input in &definition.user_input {
            let (service, variable) = (definition.service_id(org).to_string(), input.name.clone());
            match values.iter().rfind(|it| it.name == input.name) {
                Some(given) if !input.kind.takes(&given.value) => {
                    reasons.push(Reason::WrongValue { service, variable });
                }
                None if input.is_required() => {
                    reasons.push(Reason::NoValue { service, variable });
                }
                _ => (),
            }
        }
    }
}

/// Every secret of a container is bound to one in the store.
pub(super) fn secrets_fit(
    service: &Candidate<'_>,
    bindings: &[SecretBinding],
    reasons: &mut Vec<Reason>,
) {
    for (org, definition) in service.all() {
        let bound = |secret: &String| {
            bindings
                .iter()
                .filter(|it| it.is_for(org, definition))
                .any(|it| it.secrets.iter().any(|pair| pair.contains_key(secret)))
        };
        for (container, secret) in definition.secrets() {
            if !bound(&secret) {
                reasons.push(Reason::Unbound { container, secret });
            }
        }
    }
}
