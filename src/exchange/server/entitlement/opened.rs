//! Signed documents after their signatures were judged.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    document::{DeploymentPolicy, NodePolicy, Pattern, ServiceBody},
    sign::Envelope,
    trust::{State, Trust},
    types::{Digest, DocumentBody, DocumentKey, DocumentKind},
};

/// The most bytes of documents that stay opened, as JSON. In memory they take a few times as much.
const MOST_BYTES: usize = 8 << 20;
/// What a document costs beside what is in it.
const OVERHEAD: usize = 256;

/// A signed document after its signatures were judged, without what does not decide about credentials.
#[derive(Debug, Clone)]
pub(super) enum Opened {
    Service(Arc<ServiceBody>),
    Pattern(Arc<Pattern>),
    Policy(Arc<DeploymentPolicy>),
    NodePolicy(Arc<NodePolicy>),
    /// Its publisher took it back.
    Withdrawn,
    /// The trust of today does not vouch for it, or it cannot be read.
    Untrusted,
}

impl Opened {
    /// Opens an envelope that was read for this digest and this name.
    pub(super) fn open(trust: &Trust, bytes: &[u8], sha256: Digest, key: &DocumentKey) -> Self {
        let envelope = match Envelope::from_json(bytes) {
            Ok(envelope) if envelope.digest() == sha256 => envelope,
            _ => return Self::Untrusted,
        };
        match key.kind() {
            DocumentKind::Service => opened(trust, &envelope, key, service),
            DocumentKind::Pattern => opened(trust, &envelope, key, pattern),
            DocumentKind::Policy => opened(trust, &envelope, key, policy),
            DocumentKind::NodePolicy => {
                opened(trust, &envelope, key, |it| Self::NodePolicy(Arc::new(it)))
            }
            DocumentKind::Other(_) => Self::Untrusted,
        }
    }

    /// How many bytes it has as JSON.
    fn size(&self) -> usize {
        let of = |value: serde_json::Result<String>| value.map_or(0, |it| it.len());
        OVERHEAD
            + match self {
                Self::Service(it) => of(serde_json::to_string(it.as_ref())),
                Self::Pattern(it) => of(serde_json::to_string(it.as_ref())),
                Self::Policy(it) => of(serde_json::to_string(it.as_ref())),
                Self::NodePolicy(it) => of(serde_json::to_string(it.as_ref())),
                Self::Withdrawn | Self::Untrusted => 0,
            }
    }
}

fn opened<T: DeserializeOwned + DocumentBody>(
    trust: &Trust,
    envelope: &Envelope,
    key: &DocumentKey,
    active: fn(T) -> Opened,
) -> Opened {
    match trust.open::<T>(envelope, key) {
        Ok(document) if document.header().state == State::Active => active(document.into_body()),
        Ok(_) => Opened::Withdrawn,
        // What is withdrawn has no body of its kind.
        Err(_) => match trust.open::<Value>(envelope, key) {
            Ok(document) if document.header().state == State::Withdrawn => Opened::Withdrawn,
            _ => Opened::Untrusted,
        },
    }
}

fn service(body: ServiceBody) -> Opened {
    let ServiceBody { mut definition, policy, .. } = body;
    definition.label.clear();
    definition.description.clear();
    definition.documentation.clear();
    definition.user_input.clear();
    definition.unknown.clear();
    let (images, registry_ca) = Default::default();
    Opened::Service(Arc::new(ServiceBody { definition, images, policy, registry_ca }))
}

fn pattern(mut pattern: Pattern) -> Opened {
    pattern.label.clear();
    pattern.description.clear();
    pattern.user_input.clear();
    pattern.secret_binding.clear();
    pattern.unknown.clear();
    Opened::Pattern(Arc::new(pattern))
}

fn policy(mut policy: DeploymentPolicy) -> Opened {
    policy.label.clear();
    policy.description.clear();
    policy.user_input.clear();
    policy.secret_binding.clear();
    policy.unknown.clear();
    Opened::Policy(Arc::new(policy))
}

/// Documents that were opened, by the trust that judged them and their own digest: neither ever changes.
#[derive(Debug, Default)]
pub(super) struct OpenedDocuments(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    documents: HashMap<(Digest, Digest), (DocumentKey, Opened)>,
    bytes: usize,
}

impl OpenedDocuments {
    pub(super) fn get(&self, trust: Digest, sha256: Digest, key: &DocumentKey) -> Option<Opened> {
        let held = self.held();
        let (of, opened) = held.documents.get(&(trust, sha256))?;
        (of == key).then(|| opened.clone())
    }

    pub(super) fn insert(&self, trust: Digest, sha256: Digest, key: &DocumentKey, opened: Opened) {
        let bytes = opened.size();
        let mut held = self.held();
        if held.bytes + bytes > MOST_BYTES {
            *held = Held::default();
        }
        held.bytes += bytes;
        held.documents.insert((trust, sha256), (key.clone(), opened));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
