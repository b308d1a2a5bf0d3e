//! The constraints of both sides as clauses.

use super::{
    Candidate,
    verdict::{Clause, Origin, Outcome, Role, Rule},
};
use crate::document::{
    constraint::{Constraint, Judged, Term},
    policy::{DeploymentPolicy, NodePolicy},
    property::{Properties, PropertyValue},
};

/// What the deployment policy asks of the node, then what the service policy asks.
pub(super) fn of_deployment(
    policy: &DeploymentPolicy,
    service: &Candidate<'_>,
    of_node: &Properties,
) -> Vec<Clause> {
    let of_service = service.policy.map(|it| it.constraints.as_slice()).unwrap_or_default();
    let lists = [
        (Role::DeploymentPolicy, policy.constraints.as_slice()),
        (Role::ServicePolicy, of_service),
    ];
    lists
        .into_iter()
        .flat_map(|(role, constraints)| {
            asked(Rule::NodeSatisfies, constraints, of_node, role, "constraints")
        })
        .collect()
}

/// What the node asks of the deployment.
pub(super) fn of_node(
    policy: &NodePolicy,
    constraints: &[Constraint],
    of_deployment: &Properties,
) -> Vec<Clause> {
    let for_deployment = policy.deployment.as_ref().is_some_and(|it| !it.constraints.is_empty());
    let path = if for_deployment { "deployment.constraints" } else { "constraints" };
    asked(Rule::ServiceSatisfies, constraints, of_deployment, Role::NodePolicy, path).collect()
}

fn asked(
    rule: Rule,
    constraints: &[Constraint],
    properties: &Properties,
    document: Role,
    path: &str,
) -> impl Iterator<Item = Clause> {
    constraints.iter().enumerate().map(move |(index, constraint)| {
        let origin = Origin::new(document, format!("{path}[{index}]"));
        let judged = constraint.judge(properties);
        let whole = Clause::new(rule, judged.holds == Some(true), constraint.as_str());
        Clause { parts: vec![part(judged, &origin)], ..whole.from(origin) }
    })
}

fn part(judged: Judged<'_>, constraint: &Origin) -> Clause {
    let outcome = match judged.holds {
        Some(true) => Outcome::Holds,
        Some(false) => Outcome::Fails,
        None => Outcome::NotAsked,
    };
    let parts_of =
        |parts: Vec<Judged<'_>>| parts.into_iter().map(|it| part(it, constraint)).collect();
    let (rule, seen, parts) = match judged.term {
        Term::All(parts) => (Rule::All, None, parts_of(parts)),
        Term::Any(parts) => (Rule::Any, None, parts_of(parts)),
        Term::Compare(_, found) => (Rule::Comparison, found.map(|it| shown(&it.value)), Vec::new()),
    };
    let origin = Some(Origin { offset: judged.offset, ..constraint.clone() });
    Clause { rule, outcome, text: judged.text.to_owned(), seen, origin, parts }
}

/// A value as people write it.
pub(super) fn shown(value: &PropertyValue) -> String {
    match value {
        PropertyValue::Text(text) => text.clone(),
        PropertyValue::Bool(value) => value.to_string(),
        PropertyValue::Number(value) => value.to_string(),
        PropertyValue::Unusable(value) => value.to_string(),
    }
}
