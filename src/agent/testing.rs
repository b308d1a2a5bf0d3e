//! A publisher with one key, and the catalog of what it has published: for unit tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    agent::library::Library,
    document::{DeploymentPolicy, NodePolicy, Pattern, ServiceBody},
    sign::{Envelope, SigningKey},
    trust::{
        Catalog, CatalogEntry, Header, Stamp, State, Statement, Trust, TrustDocument, TrustPin,
    },
    types::{Digest, DocumentKey, OrgId, Subject},
};

pub(super) struct Publisher {
    pub(super) key: SigningKey,
    pub(super) stamp_key: SigningKey,
    pub(super) first: Envelope,
    pub(super) trust: Trust,
    pub(super) catalog: Catalog,
    pub(super) envelopes: BTreeMap<DocumentKey, Envelope>,
    stamps: u64,
}

impl Publisher {
    pub(super) fn new() -> Self {
        let (key, stamp_key) = (SigningKey::generate(), SigningKey::generate());
        let org: OrgId = "acme".parse().unwrap();
        let document = TrustDocument::single_key(
            org.clone(),
            &key.verifying_key(),
            &stamp_key.verifying_key(),
            Self::now(),
        );
        let first = document.seal(&[&key]).unwrap();
        let trust = Trust::pinned(&first, &TrustPin(first.digest())).unwrap();
        let catalog = Catalog::empty(org);
        Self { key, stamp_key, first, trust, catalog, envelopes: BTreeMap::new(), stamps: 0 }
    }

    pub(super) fn now() -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }

    /// The stamp of today's catalog.
    pub(super) fn stamp(&mut self) -> Envelope {
        self.stamps += 1;
        let bytes = self.catalog.to_bytes();
        let stamp = json!({
            "org": "acme", "seq": self.stamps, "issued": Self::now(),
            "expires": Self::now() + jiff::SignedDuration::from_hours(24),
            "trust": {"version": 1, "sha256": self.trust.digest()},
            "catalog": {"version": self.catalog.version, "sha256": Digest::of(&bytes), "length": bytes.len()},
        });
        serde_json::from_value::<Stamp>(stamp).unwrap().seal(&self.stamp_key)
    }

    /// Gives a document to a node.
    pub(super) fn give(&self, key: &DocumentKey, library: &mut Library) {
        library.add(&self.trust, &self.catalog, key, &self.envelopes[key]).unwrap();
    }

    pub(super) fn service(&mut self, url: &str, version: &str, more: &Value) -> DocumentKey {
        self.put_service(url, version, more, &json!({}), State::Active)
    }

    pub(super) fn privileged_service(&mut self, url: &str, version: &str) -> DocumentKey {
        let container = json!({"privileged": true});
        self.put_service(url, version, &json!({}), &container, State::Active)
    }

    pub(super) fn withdraw_service(&mut self, url: &str, version: &str) {
        self.put_service(url, version, &json!({}), &json!({}), State::Withdrawn);
    }

    fn put_service(
        &mut self,
        url: &str,
        version: &str,
        more: &Value,
        container: &Value,
        state: State,
    ) -> DocumentKey {
        let image = format!("r.example/{url}@{}", Digest::of(version.as_bytes()));
        let mut web = json!({"image": image});
        web.as_object_mut().unwrap().extend(container.as_object().cloned().unwrap());
        let deployment = json!({"services": {"main": web}}).to_string();
        let mut definition = json!({"url": url, "version": version, "arch": "amd64",
            "sharable": "multiple", "deployment": deployment});
        definition.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let body: ServiceBody = serde_json::from_value(json!({"definition": definition})).unwrap();
        let subject = Subject::Service {
            url: url.parse().unwrap(),
            version: version.parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        };
        self.put(subject, body, state)
    }

    pub(super) fn pattern(&mut self, name: &str, services: &[(&str, &str)]) -> DocumentKey {
        let services: Vec<_> = services
            .iter()
            .map(|(url, version)| {
                json!({"serviceUrl": url, "serviceOrgid": "acme", "serviceArch": "*",
                    "serviceVersions": [{"version": version}]})
            })
            .collect();
        let body: Pattern = serde_json::from_value(json!({"services": services})).unwrap();
        self.put(Subject::Pattern(name.parse().unwrap()), body, State::Active)
    }

    pub(super) fn policy(
        &mut self,
        name: &str,
        url: &str,
        versions: &[&str],
        constraint: &str,
    ) -> DocumentKey {
        let versions: Vec<_> = (1..)
            .zip(versions)
            .map(|(turn, version)| {
                json!({"version": version,
                    "priority": {"priority_value": turn, "retries": 2, "retry_durations": 60}})
            })
            .collect();
        let constraints: Vec<_> = [constraint].into_iter().filter(|it| !it.is_empty()).collect();
        let body: DeploymentPolicy = serde_json::from_value(json!({
            "service": {"name": url, "org": "acme", "arch": "*", "serviceVersions": versions},
            "constraints": constraints,
        }))
        .unwrap();
        self.put(Subject::Policy(name.parse().unwrap()), body, State::Active)
    }

    /// The policy of node `acme/<name>`.
    pub(super) fn node_policy(&mut self, name: &str, body: Value) -> DocumentKey {
        let body: NodePolicy = serde_json::from_value(body).unwrap();
        self.put(Subject::NodePolicy(name.parse().unwrap()), body, State::Active)
    }

    pub(super) fn withdraw_node_policy(&mut self, name: &str) {
        self.put(Subject::NodePolicy(name.parse().unwrap()), Value::Null, State::Withdrawn);
    }

    fn put<T: serde::Serialize>(&mut self, subject: Subject, body: T, state: State) -> DocumentKey {
        let mut header = Header {
            org: "acme".parse().unwrap(),
            subject,
            epoch: 0,
            seq: 1,
            issued: Self::now(),
            state,
        };
        let key = header.key();
        header.seq = self.catalog.entries.get(&key).map_or(1, |entry| entry.seq + 1);
        let (epoch, seq) = (header.epoch, header.seq);
        let envelope = Statement { header, body }.seal(&[&self.key]).unwrap();
        let entry = CatalogEntry { epoch, seq, sha256: envelope.digest(), state };
        self.catalog.version += 1;
        self.catalog.entries.insert(key.clone(), entry);
        self.envelopes.insert(key.clone(), envelope);
        key
    }
}
