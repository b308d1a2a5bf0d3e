//! What a deployment policy or a pattern offers, and whether it can be deployed on a node at all.

use super::{
    Candidate, NodeFacts, NodeType,
    node::namespace,
    verdict::{Clause, Origin, Role, Rule},
};
use crate::document::{
    choice::{SecretBinding, VersionChoice},
    pattern::Pattern,
    policy::DeploymentPolicy,
    property::Properties,
    service::ServiceDefinition,
    user_input::UserInputValue,
};

/// What a deployment policy or a pattern gives along with its services.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) role: Role,
    /// The name space of a cluster, and where that is said; empty is none.
    pub(super) namespace: &'a str,
    pub(super) namespace_path: &'static str,
    pub(super) user_input: &'a [UserInputValue],
    pub(super) secret_binding: &'a [SecretBinding],
}

impl<'a> Terms<'a> {
    pub(super) fn of_policy(policy: &'a DeploymentPolicy) -> Self {
        Self {
            role: Role::DeploymentPolicy,
            namespace: &policy.service.cluster_namespace,
            namespace_path: "service.clusterNamespace",
            user_input: &policy.user_input,
            secret_binding: &policy.secret_binding,
        }
    }

    pub(super) fn of_pattern(pattern: &'a Pattern) -> Self {
        Self {
            role: Role::Pattern,
            namespace: &pattern.cluster_namespace,
            namespace_path: "clusterNamespace",
            user_input: &pattern.user_input,
            secret_binding: &pattern.secret_binding,
        }
    }
}

/// Whether the policy offers the service; where it does not, the origin is what speaks against it.
pub(super) fn by_policy(policy: &DeploymentPolicy, service: &Candidate<'_>) -> Clause {
    let (selector, definition) = (&policy.service, service.definition);
    let version = version_among(&selector.service_versions, definition);
    let (offered, path) = match version {
        _ if selector.name != definition.url => (false, "service.name".to_owned()),
        _ if selector.org != *service.org => (false, "service.org".to_owned()),
        _ if !selector.arch.includes(&definition.arch) => (false, "service.arch".to_owned()),
        None => (false, "service.serviceVersions".to_owned()),
        Some(index) => (true, format!("service.serviceVersions[{index}]")),
    };
    Clause::new(Rule::Offered, offered, service.id().to_string())
        .from(Origin::new(Role::DeploymentPolicy, path))
}

/// Whether the pattern offers the service.
pub(super) fn by_pattern(pattern: &Pattern, service: &Candidate<'_>) -> Clause {
    let definition = service.definition;
    let offer = pattern.services.iter().enumerate().find_map(|(index, it)| {
        let meant = it.service_url == definition.url
            && it.service_orgid == *service.org
            && it.service_arch.includes(&definition.arch);
        let version = version_among(&it.service_versions, definition).filter(|_| meant)?;
        Some(format!("services[{index}].serviceVersions[{version}]"))
    });
    let path = offer.clone().unwrap_or_else(|| "services".to_owned());
    Clause::new(Rule::Offered, offer.is_some(), service.id().to_string())
        .from(Origin::new(Role::Pattern, path))
}

fn version_among(choices: &[VersionChoice], definition: &ServiceDefinition) -> Option<usize> {
    choices.iter().position(|it| it.version == definition.version)
}

/// The architecture, the deployment for a node of that type, and for the door to a cluster the
/// name space.
pub(super) fn deployment(
    terms: &Terms<'_>,
    service: &Candidate<'_>,
    node: &NodeFacts,
    of_node: &Properties,
) -> Vec<Clause> {
    let definition = service.definition;
    let arch = Clause::new(Rule::Arch, definition.arch == node.arch, definition.arch.as_str())
        .seen(node.arch.to_string())
        .from(Origin::new(Role::Service, "arch"));
    let field = match node.node_type {
        NodeType::Device => "deployment",
        NodeType::Cluster => "clusterDeployment",
    };
    let deployment =
        Clause::new(Rule::Deployment, has_deployment(definition, node.node_type), field)
            .from(Origin::new(Role::Service, field));
    let mut clauses = vec![arch, deployment];
    if node.node_type == NodeType::Cluster {
        clauses.push(namespace_clause(terms, definition, of_node));
    }
    clauses
}

pub(super) fn has_deployment(definition: &ServiceDefinition, node_type: NodeType) -> bool {
    match node_type {
        NodeType::Device => definition.has_deployment(),
        NodeType::Cluster => definition.has_cluster_deployment(),
    }
}

fn namespace_clause(
    terms: &Terms<'_>,
    definition: &ServiceDefinition,
    of_node: &Properties,
) -> Clause {
    let own = service_namespace(definition);
    let (agents, scoped) = namespace(of_node);
    let holds = may_deploy_into(terms, &own, of_node);
    let (text, origin) = match (terms.namespace, own.as_str()) {
        ("", "") => ("any name space", None),
        ("", own) => {
            (own, Some(Origin::new(Role::Service, "clusterDeployment.metadata.namespace")))
        }
        (said, _) => (said, Some(Origin::new(terms.role, terms.namespace_path))),
    };
    let seen = if scoped { agents.to_owned() } else { "any name space".to_owned() };
    Clause::new(Rule::Namespace, holds, text).seen(seen).from(origin)
}

/// An agent that is confined to its name space takes what is for that one; any other agent takes
/// everything, save that a pattern must be either for the agent's very name space or for none
/// (Horizon fact).
pub(super) fn may_deploy_into(terms: &Terms<'_>, own: &str, of_node: &Properties) -> bool {
    let (agents, scoped) = namespace(of_node);
    match (terms.role, scoped) {
        (Role::Pattern, true) => terms.namespace == agents,
        (Role::Pattern, false) => terms.namespace.is_empty(),
        (_, false) => true,
        (_, true) if !terms.namespace.is_empty() => terms.namespace == agents,
        (_, true) => own.is_empty() || own == agents,
    }
}

/// The name space that the operator of a cluster service brings with it; empty is none.
pub(super) fn service_namespace(definition: &ServiceDefinition) -> String {
    let operator = definition.cluster_deployment.operator();
    operator.and_then(|it| it.metadata).unwrap_or_default().namespace
}
