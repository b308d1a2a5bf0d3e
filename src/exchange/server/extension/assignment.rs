//! Which services a node is to run, as far as the exchange can tell: what the node may have the
//! logins of. The node itself decides what it runs.

use std::collections::HashSet;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    document::{
        Candidate, DeploymentPolicy, NodeFacts, NodePolicy, Pattern, Properties, Rule,
        ServiceDefinition, ServicePolicy, matching,
    },
    exchange::{
        api::{self, NodePolicyRequest, PatternRequest, PolicyRequest, ServiceRequest},
        server::ApiError,
        store::{Shelf, Store},
    },
    types::{Arch, NodeRef, OrgId, PatternRef, ServiceUrl, Version},
};

/// More services than any node runs: required services must not keep the exchange busy.
const MOST: usize = 512;

/// What only the node knows about itself, unless its policy says so.
const KNOWN_TO_THE_NODE: &[&str] = &[
    "openhorizon.cpu",
    "openhorizon.memory",
    "openhorizon.hardwareId",
    "openhorizon.operatingSystem",
    "openhorizon.containerized",
];

/// A service of the exchange: its organization, its id there, and what is said about it.
type Found = (OrgId, String, ServiceRequest);

/// Whether `node` is to run the service with this id: its pattern or a policy that fits it names
/// the service, or one that requires it.
pub(in crate::exchange::server) async fn is_assigned(
    store: &Store,
    node: &NodeRef,
    described: &api::Node,
    (org, id): (&OrgId, &str),
) -> Result<bool, ApiError> {
    let Ok(arch) = described.description.arch.parse::<Arch>() else {
        return Ok(false);
    };
    let mut walk = Walk { store, wanted: (org, id), seen: HashSet::new() };
    if described.pattern.is_empty() {
        let policy = node_policy(store, node).await?;
        return walk.by_policies(&node.org, &policy, &facts(arch, described)).await;
    }
    let Ok(pattern) = described.pattern.parse::<PatternRef>() else {
        return Ok(false);
    };
    walk.by_pattern(&pattern, &arch).await
}

/// The way from what is named to what is required.
struct Walk<'a> {
    store: &'a Store,
    wanted: (&'a OrgId, &'a str),
    seen: HashSet<(OrgId, String)>,
}

impl Walk<'_> {
    async fn by_pattern(&mut self, pattern: &PatternRef, arch: &Arch) -> Result<bool, ApiError> {
        let held = self.store.posted::<PatternRequest>(&pattern.org, pattern.id.as_str()).await?;
        let Some(held) = held else {
            return Ok(false);
        };
        let pattern: Pattern = document(&held.value)?;
        let mut named = Vec::new();
        for it in pattern.service_refs().into_iter().filter(|it| it.arch.includes(arch)) {
            let offered = |version: &Version| it.versions.contains(version);
            named.extend(self.services(&it.org, &it.url, arch.as_str(), offered).await?);
        }
        self.reaches(named).await
    }

    async fn by_policies(
        &mut self,
        org: &OrgId,
        node_policy: &NodePolicy,
        facts: &NodeFacts,
    ) -> Result<bool, ApiError> {
        let policies = self.store.shelf::<PolicyRequest>(&Shelf::Org(org.clone()), &[]).await?;
        for policy in policies.into_values() {
            let policy: DeploymentPolicy = document(&policy.value)?;
            let selector = &policy.service;
            if !selector.arch.includes(&facts.arch) {
                continue;
            }
            let offered = |version: &Version| {
                selector.service_versions.iter().any(|it| it.version == *version)
            };
            let arch = facts.arch.as_str();
            let named = self.services(&selector.org, &selector.name, arch, offered).await?;
            let mut fitting = Vec::new();
            for (org, id, service) in named {
                let candidate: ServiceDefinition = document(&service)?;
                let its_policy = self.service_policy(&org, &id).await?;
                let candidate = Candidate::new(&org, &candidate, its_policy.as_ref());
                if may_fit(&policy, &candidate, node_policy, facts) {
                    fitting.push((org, id, service));
                }
            }
            if self.reaches(fitting).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the wanted service is one of these, or one that they require.
    async fn reaches(&mut self, mut services: Vec<Found>) -> Result<bool, ApiError> {
        while let Some((org, id, service)) = services.pop() {
            if (&org, id.as_str()) == self.wanted {
                return Ok(true);
            }
            if self.seen.len() >= MOST || !self.seen.insert((org, id)) {
                continue;
            }
            for required in &service.required_services {
                let range = required.range();
                let serves = |it: &Version| range.as_ref().is_none_or(|range| range.contains(it));
                let (org, url) = (&required.org, &required.url);
                services.extend(self.services(org, url, &required.arch, serves).await?);
            }
        }
        Ok(false)
    }

    async fn services(
        &self,
        org: &OrgId,
        url: &ServiceUrl,
        arch: &str,
        serves: impl Fn(&Version) -> bool,
    ) -> Result<Vec<Found>, ApiError> {
        let columns = [("url", url.as_str()), ("arch", arch)];
        let held = self.store.shelf::<ServiceRequest>(&Shelf::Org(org.clone()), &columns).await?;
        let serves = |it: &ServiceRequest| it.version.parse().is_ok_and(|it| serves(&it));
        let fitting = held.into_values().map(|it| it.value).filter(serves);
        Ok(fitting.map(|it| (org.clone(), it.id(), it)).collect())
    }

    async fn service_policy(
        &self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<ServicePolicy>, ApiError> {
        let held = self.store.service_policy(org, id).await?;
        held.map(|held| document(&held.value)).transpose()
    }
}

/// Whether nothing that the exchange knows of speaks against it. Values for variables may be the
/// node's secret, and so may be what it is made of. A node whose policy states what it is made of
/// (`openhorizon.memory`, …), as Horizon's do, is judged by that.
fn may_fit(
    policy: &DeploymentPolicy,
    service: &Candidate<'_>,
    node_policy: &NodePolicy,
    facts: &NodeFacts,
) -> bool {
    let stated = node_policy.for_deployment().properties;
    let verdict = matching::fits(policy, service, node_policy, facts);
    verdict.clauses.iter().filter(|it| it.fails()).all(|clause| match clause.rule {
        Rule::Input | Rule::Secret | Rule::Privileged => true,
        Rule::NodeSatisfies => {
            clause.failures().all(|comparison| only_the_node_knows(&comparison.text, &stated))
        }
        _ => false,
    })
}

fn only_the_node_knows(comparison: &str, stated: &Properties) -> bool {
    KNOWN_TO_THE_NODE.iter().any(|name| comparison.starts_with(name) && stated.get(name).is_none())
}

/// What the exchange knows of the node beside its policy, which states the rest.
fn facts(arch: Arch, node: &api::Node) -> NodeFacts {
    match node.description.node_type {
        api::NodeType::Device => NodeFacts::device(arch),
        api::NodeType::Cluster => NodeFacts::cluster(arch),
    }
}

async fn node_policy(store: &Store, node: &NodeRef) -> Result<NodePolicy, ApiError> {
    let held = store.node_part::<NodePolicyRequest>(&node.org, &node.id).await?;
    held.map_or_else(|| Ok(NodePolicy::default()), |held| document(&held.value))
}

/// The same document, by the type that decides on it.
fn document<T: DeserializeOwned>(wire: &impl Serialize) -> Result<T, ApiError> {
    let value = serde_json::to_value(wire).map_err(ApiError::internal)?;
    serde_json::from_value(value).map_err(|error| {
        ApiError::InvalidInput(format!("a document that decides on it cannot be read: {error}"))
    })
}
