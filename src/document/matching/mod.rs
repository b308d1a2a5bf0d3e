//! Whether a service fits a node. The node, the publisher and `why` all ask here.

mod constraints;
pub mod fleet;
mod needs;
mod node;
mod offer;
mod privilege;
pub mod required;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::{
    needs::values_for,
    node::{NodeFacts, NodeType},
    verdict::{Clause, Origin, Outcome, Role, Rule, Verdict},
};
use self::{offer::Terms, required::RequiredError};
use crate::{
    document::{
        pattern::Pattern,
        policy::{DeploymentPolicy, NodePolicy, ServicePolicy},
        property::{Properties, Property},
        service::ServiceDefinition,
    },
    types::{OrgId, ServiceId},
};

/// A service that may come to a node, with all that comes along.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The organization that publishes it.
    pub org: &'a OrgId,
    /// Its definition.
    pub definition: &'a ServiceDefinition,
    /// What it says of itself and asks of nodes.
    pub policy: Option<&'a ServicePolicy>,
    /// The services that it requires.
    pub required: Requires<'a>,
}

/// What is known of the services that a service requires.
#[derive(Debug, Clone, Copy, Default)]
pub enum Requires<'a> {
    /// Nothing: what depends on them is not asked.
    #[default]
    Unknown,
    /// All of them, and those that they require.
    Known(&'a [required::Published<'a>]),
    /// They cannot be had.
    Unresolved(&'a RequiredError),
}

impl<'a> Candidate<'a> {
    /// A service, and nothing about those that it requires.
    pub fn new(
        org: &'a OrgId,
        definition: &'a ServiceDefinition,
        policy: Option<&'a ServicePolicy>,
    ) -> Self {
        Self { org, definition, policy, required: Requires::Unknown }
    }

    /// The same with the services that it requires, such as [`required::resolve`] names them.
    #[must_use]
    pub fn with_required(self, required: &'a [required::Published<'a>]) -> Self {
        Self { required: Requires::Known(required), ..self }
    }

    fn id(&self) -> ServiceId {
        self.definition.service_id(self.org)
    }

    /// Itself, and what it requires as far as that is known.
    fn all(&self) -> impl Iterator<Item = required::Published<'a>> {
        let required = match self.required {
            Requires::Known(services) => services,
            Requires::Unknown | Requires::Unresolved(_) => &[],
        };
        let own = required::Published { org: self.org, definition: self.definition };
        std::iter::once(own).chain(required.iter().copied())
    }

    /// Whether it or a service that it requires is privileged.
    fn needs_privilege(&self) -> bool {
        self.all().any(|it| it.definition.needs_privilege())
    }

    /// What it says of itself when it is deployed: the built-in properties, which nobody can state
    /// otherwise, then the deployment policy's, then the service policy's; the first of a name
    /// counts.
    fn properties(&self, of_deployment: &Properties) -> Properties {
        let mut properties = self.definition.built_in_properties(self.org);
        properties.set(Property::new(node::ALLOW_PRIVILEGED, self.needs_privilege()));
        let properties = properties.merged_with(of_deployment);
        match self.policy {
            Some(policy) => properties.merged_with(&policy.properties),
            None => properties,
        }
    }
}

/// Whether a service fits a node under a deployment policy: the node satisfies the constraints of
/// the deployment and of the service, they satisfy the node's, and nothing that the service needs
/// is missing. That the two have an agreement protocol in common need not be asked: it is always
/// `Basic`.
pub fn fits(
    policy: &DeploymentPolicy,
    service: &Candidate<'_>,
    node_policy: &NodePolicy,
    node: &NodeFacts,
) -> Verdict {
    let terms = Terms::of_policy(policy);
    let stated = node_policy.for_deployment();
    let of_node = node.properties_over(&stated.properties);
    let mut clauses = vec![offer::by_policy(policy, service)];
    clauses.extend(offer::deployment(&terms, service, node, &of_node));
    clauses.extend(needs::required(service));
    clauses.extend(constraints::of_deployment(policy, service, &of_node));
    clauses.extend(privilege::asked(service, &of_node));
    let of_service = service.properties(&policy.properties);
    clauses.extend(constraints::of_node(node_policy, &stated.constraints, &of_service));
    clauses.extend(needs::inputs(&terms, service, node));
    clauses.extend(needs::secrets(&terms, service, node));
    Verdict { clauses }
}

/// Whether a service of a pattern fits a node that has taken the pattern. Policies are not asked,
/// save that a privileged service needs the node to allow it.
pub fn fits_pattern(
    pattern: &Pattern,
    service: &Candidate<'_>,
    node_policy: &NodePolicy,
    node: &NodeFacts,
) -> Verdict {
    let terms = Terms::of_pattern(pattern);
    let of_node = node.properties_over(&node_policy.for_deployment().properties);
    let mut clauses = vec![offer::by_pattern(pattern, service)];
    clauses.extend(offer::deployment(&terms, service, node, &of_node));
    clauses.extend(needs::required(service));
    clauses.extend(privilege::asked(service, &of_node));
    clauses.extend(needs::inputs(&terms, service, node));
    clauses.extend(needs::secrets(&terms, service, node));
    Verdict { clauses }
}
