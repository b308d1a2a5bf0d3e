//! The rule about privileged services: what runs with all rights of its node comes only where the
//! node's owner allows that.

use super::{
    Candidate,
    constraints::shown,
    node::ALLOW_PRIVILEGED,
    required::Published,
    verdict::{Clause, Origin, Role, Rule},
};
use crate::document::{
    property::{Properties, Property},
    service::NativeDeployment,
};

/// Asked if the service or one that it requires is privileged.
pub(super) fn asked(service: &Candidate<'_>, of_node: &Properties) -> Option<Clause> {
    let (index, privileged) =
        service.all().enumerate().find(|(_, it)| it.definition.needs_privilege())?;
    let role = if index == 0 { Role::Service } else { Role::RequiredService };
    let found = of_node.get(ALLOW_PRIVILEGED).map(|it| shown(&it.value));
    let clause =
        Clause::new(Rule::Privileged, is_allowed(of_node), format!("{ALLOW_PRIVILEGED} = true"));
    Some(clause.seen(found).from(Origin::new(role, place(&privileged))))
}

/// Whether the node's owner allows privileged services.
pub(super) fn is_allowed(of_node: &Properties) -> bool {
    of_node.get(ALLOW_PRIVILEGED).is_some_and(Property::allows)
}

/// What makes it privileged.
fn place(service: &Published<'_>) -> String {
    let NativeDeployment::Described(deployment) = &service.definition.deployment else {
        return "deployment".to_owned();
    };
    let container = deployment.services.iter().find(|(_, it)| it.needs_privilege());
    container.map_or("deployment".to_owned(), |(name, container)| {
        let field = if container.privileged == Some(true) { "privileged" } else { "network" };
        format!("deployment.services.{name}.{field}")
    })
}
