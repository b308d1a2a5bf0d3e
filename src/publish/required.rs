//! What a document refers to must be published before it: the services that a service requires, and
//! those that a pattern or a policy offers. Nodes could do nothing with the document otherwise.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    document::{
        ServiceBody, ServiceDefinition, ServiceRef,
        matching::required::{Answer, Published, RequiredError, Requirement, resolve},
    },
    exchange::api::Service,
    publish::{Publisher, error::PublishError},
    sign::Envelope,
    trust::{Refusal, Trust},
    types::{DocumentKey, OrgId, ServiceId, ServiceUrl, Version},
};

/// A service in whatever version.
type Name = (OrgId, ServiceUrl);

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
    definitions: BTreeMap<ServiceId, ServiceDefinition>,
}

/// What must be asked for before everything that a service requires can be named.
#[derive(Default)]
struct Open {
    names: BTreeSet<Name>,
    ids: BTreeSet<ServiceId>,
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
        let mut lookup = Lookup::new(self, trust);
        loop {
            let open = lookup.resolve(Published { org: &self.org, definition })?;
            if open.names.is_empty() && open.ids.is_empty() {
                return Ok(());
            }
            for (org, url) in open.names {
                lookup.services(&org, &url).await?;
            }
            for id in open.ids {
                let definition = lookup.definition(&id).await?;
                lookup.definitions.insert(id, definition);
            }
        }
    }

    /// Whether every version that a document offers is published.
    pub(super) async fn check_offered(
        &self,
        key: &DocumentKey,
        offered: &[ServiceRef],
    ) -> Result<(), PublishError> {
        let mut lookup = Lookup::new(self, None);
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

impl<'a> Lookup<'a> {
    fn new(publisher: &'a Publisher, trust: Option<Trust>) -> Self {
        Self { publisher, trust, known: BTreeMap::new(), definitions: BTreeMap::new() }
    }

    /// Finds what `root` requires in what is known so far, and says what is still to be asked for.
    fn resolve(&self, root: Published<'_>) -> Result<Open, PublishError> {
        let mut open = Open::default();
        let mut asked_last = None;
        let resolution = resolve(root, &mut |asked| {
            let name = (asked.org.clone(), asked.url.clone());
            asked_last = Some(name.clone());
            if asked.org == root.org && *asked.url == root.definition.url {
                return Answer::Found(root);
            }
            let Some(services) = self.known.get(&name) else {
                open.names.insert(name);
                return Answer::NotKnownYet;
            };
            let Some(id) = highest(services, asked) else { return Answer::Nothing };
            if let Some((id, definition)) = self.definitions.get_key_value(&id) {
                return Answer::Found(Published { org: &id.org, definition });
            }
            open.ids.insert(id);
            Answer::NotKnownYet
        });
        match resolution {
            Ok(_) => Ok(open),
            Err(source @ RequiredError::Missing { .. }) => {
                let services = asked_last.and_then(|name| self.known.get(&name));
                let exists = existing(services.map(Vec::as_slice).unwrap_or_default());
                Err(PublishError::MissingRequirement { source, exists })
            }
            Err(source) => Err(PublishError::Requirement(source)),
        }
    }

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

    /// A service of the own organization as its publisher signed it, of another as the exchange says.
    async fn definition(&mut self, id: &ServiceId) -> Result<ServiceDefinition, PublishError> {
        let key = DocumentKey::from(id);
        if let Some(trust) = self.trust.as_ref().filter(|_| id.org == self.publisher.org) {
            let envelope = self.publisher.exchange.newest_document(&key).await;
            // What hzn has published has no document of ours; the exchange's word must do.
            if let Some(envelope) = envelope.map_err(PublishError::Exchange)? {
                return signed(trust, &envelope, &key).map_err(PublishError::Trust);
            }
        }
        let services = self.services(&id.org, &id.url).await?;
        let row = services.iter().find(|it| id_of(&id.org, &id.url, it).as_ref() == Some(id));
        let value = row.map(|it| serde_json::to_value(&it.value)).transpose();
        value
            .and_then(|it| serde_json::from_value(it.unwrap_or_default()))
            .map_err(|source| PublishError::Published { key, source: source.into() })
    }
}

/// The definition in a document that is trusted and not withdrawn.
fn signed(
    trust: &Trust,
    envelope: &Envelope,
    key: &DocumentKey,
) -> Result<ServiceDefinition, Refusal> {
    let document = trust.open::<ServiceBody>(envelope, key)?;
    document.check_active()?;
    Ok(document.into_body().definition)
}

/// The highest version that will do.
fn highest(services: &[Service], asked: &Requirement<'_>) -> Option<ServiceId> {
    let ids = services.iter().filter_map(|it| id_of(asked.org, asked.url, it));
    ids.filter(|it| it.arch == asked.by.arch && asked.range.contains(&it.version))
        .max_by(|a, b| a.version.cmp(&b.version))
}

/// What a row of an exchange is called, if that can be read.
fn id_of(org: &OrgId, url: &ServiceUrl, service: &Service) -> Option<ServiceId> {
    let version = service.value.version.parse().ok()?;
    let arch = service.value.arch.parse().ok()?;
    Some(ServiceId { org: org.clone(), url: url.clone(), version, arch })
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
