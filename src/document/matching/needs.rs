//! What a service needs from others: services beside it, values for its variables, secrets for its
//! containers.

use serde_json::Value;

use super::{
    Candidate, NodeFacts, NodeType, Requires,
    offer::Terms,
    required::{Published, what},
    verdict::{Clause, Origin, Role, Rule},
};
use crate::{
    document::{
        service::ServiceDefinition,
        user_input::{InputValue, UserInput, UserInputValue},
    },
    types::OrgId,
};

/// The values that a service gets: those that come with its policy or pattern, then those of the
/// node's owner, which win. Of each list the first entry that is for the service counts (Horizon
/// fact).
pub fn values_for(
    org: &OrgId,
    definition: &ServiceDefinition,
    offered: &[UserInputValue],
    of_node: &[UserInputValue],
) -> Vec<InputValue> {
    let service = Published { org, definition };
    [offered, of_node]
        .into_iter()
        .filter_map(|list| entry_for(&service, list))
        .flat_map(|(_, entry)| entry.inputs.iter().cloned())
        .collect()
}

fn entry_for<'a>(
    service: &Published<'_>,
    list: &'a [UserInputValue],
) -> Option<(usize, &'a UserInputValue)> {
    let ServiceDefinition { url, version, arch, .. } = service.definition;
    list.iter().enumerate().find(|(_, it)| it.is_for(service.org, url, version, arch))
}

/// A clause for each service that is required by the service itself.
pub(super) fn required(service: &Candidate<'_>) -> Vec<Clause> {
    let by = service.id();
    let asked = service.definition.required_services.iter().enumerate();
    let path = |index: usize| Origin::new(Role::Service, format!("requiredServices[{index}]"));
    match service.required {
        Requires::Unresolved(error) => {
            let clause = Clause::new(Rule::Required, false, "all services that are required");
            vec![
                clause.seen(error.to_string()).from(Origin::new(Role::Service, "requiredServices")),
            ]
        }
        Requires::Unknown => asked
            .map(|(index, it)| {
                Clause::new(Rule::Required, true, what(it, &by)).from(path(index)).not_asked()
            })
            .collect(),
        Requires::Known(services) => asked
            .map(|(index, it)| {
                let range = it.versions();
                let serves = |other: &&Published<'_>| {
                    *other.org == it.org
                        && other.definition.url == it.url
                        && range.contains(&other.definition.version)
                };
                let found = services.iter().find(serves);
                Clause::new(Rule::Required, found.is_some(), what(it, &by))
                    .seen(found.map(|it| it.definition.version.to_string()))
                    .from(path(index))
            })
            .collect(),
    }
}

/// A clause for each variable of the service and of those that it requires.
pub(super) fn inputs(terms: &Terms<'_>, service: &Candidate<'_>, node: &NodeFacts) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for (index, service) in service.all().enumerate() {
        let role = if index == 0 { Role::Service } else { Role::RequiredService };
        let definition = service.definition;
        let is_asked = needs_input(definition, node.node_type);
        for (index, input) in definition.user_input.iter().enumerate() {
            if input.name.is_empty() {
                continue;
            }
            let given = given(&service, &input.name, terms, &node.user_input);
            let kind = input.kind.as_str();
            let text = format!("`{}` ({kind}) of {}", input.name, service.id());
            let holds = takes(input, given.as_ref().map(|it| it.value));
            let clause = Clause::new(Rule::Input, holds, text);
            let clause = if let Some(given) = given {
                clause.seen(kind_of(given.value).to_owned()).from(given.origin())
            } else {
                let default = (!input.is_required()).then(|| "its default".to_owned());
                clause.seen(default).from(Origin::new(role, format!("userInput[{index}]")))
            };
            clauses.push(if is_asked { clause } else { clause.not_asked() });
        }
    }
    clauses
}

/// Values are asked for on devices alone, and only if a variable has no default (Horizon fact).
pub(super) fn needs_input(definition: &ServiceDefinition, node_type: NodeType) -> bool {
    node_type == NodeType::Device && definition.user_input.iter().any(UserInput::is_required)
}

/// Whether a variable can do with that value, or with none.
fn takes(input: &UserInput, given: Option<&Value>) -> bool {
    given.map_or(!input.is_required(), |value| input.kind.takes(value))
}

/// The value that a variable gets.
struct Given<'a> {
    /// Who gives it.
    role: Role,
    /// The entry of the list, and the value in it.
    at: (usize, usize),
    value: &'a Value,
}

impl Given<'_> {
    fn origin(&self) -> Origin {
        let list = if self.role == Role::NodeInput { "" } else { "userInput" };
        let (entry, value) = self.at;
        Origin::new(self.role, format!("{list}[{entry}].inputs[{value}].value"))
    }
}

/// The last value that the node's owner gives, or else the last that comes with the policy or
/// pattern.
fn given<'a>(
    service: &Published<'_>,
    variable: &str,
    terms: &Terms<'a>,
    of_node: &'a [UserInputValue],
) -> Option<Given<'a>> {
    let lists = [(Role::NodeInput, of_node), (terms.role, terms.user_input)];
    lists.into_iter().find_map(|(role, list)| {
        let (index, entry) = entry_for(service, list)?;
        let at = entry.inputs.iter().rposition(|it| it.name == variable)?;
        Some(Given { role, at: (index, at), value: &entry.inputs[at].value })
    })
}

/// Whether every variable of a service that needs input gets a value that it can do with.
pub(super) fn has_inputs(
    terms: &Terms<'_>,
    service: &Published<'_>,
    of_node: &[UserInputValue],
) -> bool {
    service
        .definition
        .user_input
        .iter()
        .all(|input| takes(input, given(service, &input.name, terms, of_node).map(|it| it.value)))
}

/// Whether every secret that a service asks for on a node of that type is bound.
pub(super) fn has_secrets(terms: &Terms<'_>, service: &Published<'_>, node_type: NodeType) -> bool {
    secrets_of(service.definition, node_type)
        .iter()
        .all(|(_, secret)| bound_to(terms, service, secret).is_some())
}

/// What a value is, without saying which: it may be the owner's secret.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A clause for each secret of the service and of those that it requires: it is bound to one in
/// the store.
pub(super) fn secrets(terms: &Terms<'_>, service: &Candidate<'_>, node: &NodeFacts) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for (index, service) in service.all().enumerate() {
        let role = if index == 0 { Role::Service } else { Role::RequiredService };
        for (path, secret) in secrets_of(service.definition, node.node_type) {
            let bound = bound_to(terms, &service, &secret);
            let text = format!("`{secret}` of {}", service.id());
            clauses.push(
                Clause::new(Rule::Secret, bound.is_some(), text)
                    .seen(bound.map(str::to_owned))
                    .from(Origin::new(role, path)),
            );
        }
    }
    clauses
}

/// The secrets that a service asks for on a node of that type, each with where it does so.
fn secrets_of(definition: &ServiceDefinition, node_type: NodeType) -> Vec<(String, String)> {
    match node_type {
        NodeType::Device => {
            let place = |(container, secret): (String, String)| {
                (format!("deployment.services.{container}.secrets.{secret}"), secret)
            };
            definition.secrets().into_iter().map(place).collect()
        }
        NodeType::Cluster => {
            let operator = definition.cluster_deployment.operator();
            let secrets = operator.and_then(|it| it.secrets).unwrap_or_default();
            let place = |secret: String| (format!("clusterDeployment.secrets.{secret}"), secret);
            secrets.into_keys().map(place).collect()
        }
    }
}

/// What a secret is bound to, by the first binding that is for the service (Horizon fact).
fn bound_to<'a>(terms: &Terms<'a>, service: &Published<'_>, secret: &str) -> Option<&'a str> {
    let binding =
        terms.secret_binding.iter().find(|it| it.is_for(service.org, service.definition))?;
    let bound = binding.secrets.iter().find_map(|pair| pair.get(secret))?;
    (!bound.is_empty()).then_some(bound)
}
