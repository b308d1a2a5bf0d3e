//! What a document refers to must be published before it: the services that a service requires, and
//! those that a pattern or a policy offers. Nodes could do nothing with the document otherwise.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    document::{RequiredService, ServiceBody, ServiceDefinition, ServiceRef},
    exchange::api::Service,
    publish::{Publisher, error::PublishError},
    trust::Trust,
    types::{Arch, DocumentKey, OrgId, ServiceId, ServiceUrl, Version, VersionRange},
};

/// The most services looked at for one: far beyond what any node runs.
const MOST: usize = 256;

/// A service in whatever version.
type Name = (OrgId, ServiceUrl);

/// Which services require which.
type Graph = BTreeMap<Name, BTreeSet<Name>>;

/// A service that another requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The service that requires it.
    pub by: ServiceUrl,
    /// The organization that should publish it.
    pub org: OrgId,
    /// Its name.
    pub url: ServiceUrl,
    /// The versions that will do.
    pub range: VersionRange,
    /// The architecture.
    pub arch: Arch,
}

/// A version that a pattern or a policy offers, and nobody has published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingVersion {
    /// The service, the version and the architecture.
    pub wanted: String,
    /// The versions that there are, each with its architectures.
    pub exists: Vec<String>,
}

/// A look at the services of an exchange; each is asked for once.
struct Lookup<'a> {
    publisher: &'a Publisher,
    /// The organization's trust, where its documents can be verified.
    trust: Option<Trust>,
    known: BTreeMap<Name, Vec<Service>>,
}

impl Publisher {
    /// Whether everything that a service requires is published for its architecture, can be run
    /// where it runs, and does not require it in turn.
    pub(super) async fn check_required(
        &self,
        definition: &ServiceDefinition,
        edgepost: bool,
    ) -> Result<(), PublishError> {
        if definition.required_services.is_empty() {
            return Ok(());
        }
        let trust = if edgepost { self.exchange.walk_trust(self.root).await? } else { None };
        let mut lookup = Lookup { publisher: self, trust, known: BTreeMap::new() };
        let mut graph = Graph::new();
        let root = (self.org.clone(), definition.url.clone());
        let mut open = vec![(root.clone(), requirements(definition))];
        let mut seen = BTreeSet::new();
        while let Some((by, requirements)) = open.pop() {
            for requirement in requirements {
                let name = (requirement.org.clone(), requirement.url.clone());
                graph.entry(by.clone()).or_default().insert(name.clone());
                if name == root {
                    continue;
                }
                let id = lookup.highest(&requirement).await?;
                if seen.len() < MOST && seen.insert(id.to_string()) {
                    open.push((name, lookup.required_by(&id).await?));
                }
            }
        }
        match circle(&graph, &root) {
            Some(names) => Err(PublishError::Circle(names)),
            None => Ok(()),
        }
    }

    /// Whether every version that a document offers is published.
    pub(super) async fn check_offered(
        &self,
        key: &DocumentKey,
        offered: &[ServiceRef],
    ) -> Result<(), PublishError> {
        let mut lookup = Lookup { publisher: self, trust: None, known: BTreeMap::new() };
        let mut missing = Vec::new();
        for reference in offered {
            let services = lookup.services(&reference.org, &reference.url).await?;
            for version in &reference.versions {
                let is_there = |it: &&Service| {
                    it.value.version == version.as_str()
                        && it.value.arch.parse().is_ok_and(|arch| reference.arch.includes(&arch))
                };
                if !services.iter().any(|it| is_there(&it)) {
                    let ServiceRef { org, url, arch, .. } = reference;
                    let wanted = format!("{org}/{url} {version} for {arch}");
                    missing.push(MissingVersion { wanted, exists: existing(services) });
                }
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(PublishError::Unpublished(key.clone(), missing))
        }
    }
}

/// The names along a way from `root` that leads back to itself.
fn circle(graph: &Graph, root: &Name) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    let mut path = vec![(root, graph.get(root).into_iter().flatten())];
    while let Some((name, further)) = path.last_mut() {
        let name = *name;
        match further.next() {
            None => {
                done.insert(name);
                path.pop();
            }
            Some(next) => {
                if let Some(at) = path.iter().position(|(it, _)| *it == next) {
                    let circle = path[at..].iter().map(|(it, _)| *it).chain([next]);
                    return Some(circle.map(|it| it.1.to_string()).collect());
                }
                if !done.contains(next) {
                    path.push((next, graph.get(next).into_iter().flatten()));
                }
            }
        }
    }
    None
}

fn requirements(definition: &ServiceDefinition) -> Vec<Requirement> {
    let requirement = |it: &RequiredService| Requirement {
        by: definition.url.clone(),
        org: it.org.clone(),
        url: it.url.clone(),
        range: it.versions(),
        arch: it.arch.clone(),
    };
    definition.required_services.iter().map(requirement).collect()
}

impl Lookup<'_> {
    /// The services of that name, of every version and architecture.
    async fn services(
        &mut self,
        org: &OrgId,
        url: &ServiceUrl,
    ) -> Result<&[Service], PublishError> {
        let name = (org.clone(), url.clone());
        if !self.known.contains_key(&name) {
            let services = self.publisher.exchange.services_named(org, url).await;
            self.known.insert(name.clone(), services.map_err(PublishError::Exchange)?);
        }
        Ok(self.known.get(&name).map(Vec::as_slice).unwrap_or_default())
    }

    /// The highest version that will do.
    async fn highest(&mut self, requirement: &Requirement) -> Result<ServiceId, PublishError> {
        let Requirement { org, url, range, arch, .. } = requirement;
        let services = self.services(org, url).await?;
        let version = |it: &Service| -> Option<Version> {
            let version = it.value.version.parse().ok()?;
            let fits = it.value.arch.parse::<Arch>().is_ok_and(|it| it == *arch);
            (fits && range.contains(&version)).then_some(version)
        };
        let fitting = services.iter().filter_map(|it| Some((version(it)?, it)));
        let Some((version, service)) = fitting.max_by(|a, b| a.0.cmp(&b.0)) else {
            let (requirement, exists) = (Box::new(requirement.clone()), existing(services));
            return Err(PublishError::MissingRequirement { requirement, exists });
        };
        let id = ServiceId { org: org.clone(), url: url.clone(), version, arch: arch.clone() };
        if service.value.deployment.is_empty() && !service.value.cluster_deployment.is_empty() {
            return Err(PublishError::ClusterOnly { by: requirement.by.clone(), id: Box::new(id) });
        }
        Ok(id)
    }

    /// What a service requires in turn: of the own organization as its publisher signed it, of
    /// another as the exchange says.
    async fn required_by(&mut self, id: &ServiceId) -> Result<Vec<Requirement>, PublishError> {
        if let Some(trust) = self.trust.as_ref().filter(|_| id.org == self.publisher.org) {
            let key = DocumentKey::from(id);
            let envelope = self.publisher.exchange.newest_document(&key).await;
            // What hzn has published has no document of ours; the exchange's word must do.
            if let Some(envelope) = envelope.map_err(PublishError::Exchange)? {
                let opened = trust.open::<ServiceBody>(&envelope, &key);
                let document = opened.map_err(PublishError::Trust)?;
                document.check_active().map_err(PublishError::Trust)?;
                return Ok(requirements(&document.into_body().definition));
            }
        }
        let services = self.services(&id.org, &id.url).await?;
        let is_it = |it: &&Service| {
            it.value.version == id.version.as_str()
                && it.value.arch.parse().is_ok_and(|it: Arch| it == id.arch)
        };
        let Some(service) = services.iter().find(is_it) else { return Ok(Vec::new()) };
        let required = service.value.required_services.iter().filter_map(|it| {
            Some(Requirement {
                by: id.url.clone(),
                org: it.org.clone(),
                url: it.url.clone(),
                range: it.range()?,
                arch: id.arch.clone(),
            })
        });
        Ok(required.collect())
    }
}

/// The versions that there are, newest first, each with its architectures.
fn existing(services: &[Service]) -> Vec<String> {
    let mut versions: BTreeMap<Version, Vec<&str>> = BTreeMap::new();
    for service in services {
        if let Ok(version) = service.value.version.parse() {
            versions.entry(version).or_default().push(&service.value.arch);
        }
    }
    versions
        .iter()
        .rev()
        .map(|(version, arches)| format!("{version} for {}", arches.join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let name = |url: &str| ("acme".parse().unwrap(), url.parse().unwrap());
        let mut graph = Graph::new();
        for (by, required) in edges {
            graph.entry(name(by)).or_default().insert(name(required));
        }
        graph
    }

    #[test]
    fn services_that_require_each_other_in_a_circle_are_named() {
        let root = ("acme".parse().unwrap(), "a".parse().unwrap());
        let found =
            |edges: &[(&str, &str)]| circle(&graph(edges), &root).map(|names| names.join(" "));
        assert_eq!(found(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]), None);
        assert_eq!(found(&[("a", "a")]), Some("a a".to_owned()));
        assert_eq!(found(&[("a", "b"), ("b", "a")]), Some("a b a".to_owned()));
        let behind = [("a", "b"), ("a", "c"), ("b", "c"), ("c", "b")];
        assert_eq!(found(&behind), Some("b c b".to_owned()));
    }
}
