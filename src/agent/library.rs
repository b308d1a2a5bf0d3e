//! The verified documents that a node has at hand, and the catalog that says what else there is.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    document::{DeploymentPolicy, NodePolicy, Pattern, ServiceBody},
    sign::Envelope,
    trust::{Catalog, Refusal, State, Trust, Verified},
    types::{Arch, Digest, DocumentBody, DocumentKey, DocumentKind, ServiceUrl, Version},
};

/// Verified documents by their keys. Only what `trust` has opened gets in.
#[derive(Debug, Default)]
pub(super) struct Library {
    pub(super) patterns: BTreeMap<DocumentKey, Verified<Pattern>>,
    pub(super) policies: BTreeMap<DocumentKey, Verified<DeploymentPolicy>>,
    pub(super) services: BTreeMap<DocumentKey, Verified<ServiceBody>>,
    pub(super) node_policies: BTreeMap<DocumentKey, Verified<NodePolicy>>,
    /// What its publisher has taken back; what it says is not read any more.
    pub(super) withdrawn: BTreeMap<DocumentKey, Verified<Value>>,
    /// What was signed in an epoch that the organization has ended; it is among what is distrusted, too.
    pub(super) ended: BTreeSet<DocumentKey>,
    /// What had been accepted, until the trust of today took it back.
    pub(super) distrusted: BTreeSet<DocumentKey>,
    /// What had been accepted, and is vouched for by retired keys alone: it may go on.
    pub(super) retired: BTreeSet<DocumentKey>,
}

impl Library {
    /// Verifies a document that should be `key` in the state that the catalog lists, and takes it in.
    pub(super) fn add(
        &mut self,
        trust: &Trust,
        catalog: &Catalog,
        key: &DocumentKey,
        envelope: &Envelope,
    ) -> Result<(), Refusal> {
        if catalog.entries.get(key).is_some_and(|entry| entry.state == State::Withdrawn) {
            return open_into(&mut self.withdrawn, trust, catalog, key, envelope);
        }
        match key.kind() {
            DocumentKind::Service => open_into(&mut self.services, trust, catalog, key, envelope),
            DocumentKind::Pattern => open_into(&mut self.patterns, trust, catalog, key, envelope),
            DocumentKind::Policy => open_into(&mut self.policies, trust, catalog, key, envelope),
            DocumentKind::NodePolicy => {
                open_into(&mut self.node_policies, trust, catalog, key, envelope)
            }
            DocumentKind::Other(_) => Err(Refusal::UnknownKind { document: key.clone() }),
        }
    }

    /// Keeps what is in `used`.
    pub(super) fn retain(&mut self, used: &BTreeSet<DocumentKey>) {
        self.patterns.retain(|key, _| used.contains(key));
        self.policies.retain(|key, _| used.contains(key));
        self.services.retain(|key, _| used.contains(key));
        self.node_policies.retain(|key, _| used.contains(key));
        self.withdrawn.retain(|key, _| used.contains(key));
    }

    /// The digest of the document `key`, if it is here.
    pub(super) fn digest(&self, key: &DocumentKey) -> Option<Digest> {
        if let Some(withdrawn) = self.withdrawn.get(key) {
            return Some(withdrawn.digest());
        }
        match key.kind() {
            DocumentKind::Service => self.services.get(key).map(Verified::digest),
            DocumentKind::Pattern => self.patterns.get(key).map(Verified::digest),
            DocumentKind::Policy => self.policies.get(key).map(Verified::digest),
            DocumentKind::NodePolicy => self.node_policies.get(key).map(Verified::digest),
            DocumentKind::Other(_) => None,
        }
    }
}

fn open_into<T: DeserializeOwned + DocumentBody>(
    shelf: &mut BTreeMap<DocumentKey, Verified<T>>,
    trust: &Trust,
    catalog: &Catalog,
    key: &DocumentKey,
    envelope: &Envelope,
) -> Result<(), Refusal> {
    shelf.insert(key.clone(), catalog.open(trust, envelope, key)?);
    Ok(())
}

/// The versions of a service that the catalog has for `arch`, withdrawn ones too, in no order.
pub(super) fn versions<'a>(
    catalog: &'a Catalog,
    url: &ServiceUrl,
    arch: &Arch,
) -> impl Iterator<Item = (Version, &'a DocumentKey)> {
    let (prefix, suffix) = (format!("{}_", url.mangled()), format!("_{arch}"));
    let services = |key: &&DocumentKey| key.kind() == DocumentKind::Service;
    catalog.entries.keys().filter(services).filter_map(move |key| {
        let version = key.id().strip_prefix(&prefix)?.strip_suffix(&suffix)?;
        Some((version.parse().ok()?, key))
    })
}
