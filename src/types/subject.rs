//! What a signed document is about, by its header and by its own words.

use std::fmt;

use serde_json::Value;

use crate::types::{
    Arch, DocumentKey, DocumentKind, NodeId, OrgId, PatternId, PolicyId, ServiceId, ServiceUrl,
    Version,
};

/// What a signed document is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A version of a service for an architecture.
    Service {
        /// Its name.
        url: ServiceUrl,
        /// Its version.
        version: Version,
        /// The architecture it is for.
        arch: Arch,
    },
    /// A pattern.
    Pattern(PatternId),
    /// A deployment policy.
    Policy(PolicyId),
    /// The policy of a node.
    NodePolicy(NodeId),
}

impl Subject {
    /// What kind of document it is.
    pub fn kind(&self) -> DocumentKind {
        match self {
            Self::Service { .. } => DocumentKind::Service,
            Self::Pattern(_) => DocumentKind::Pattern,
            Self::Policy(_) => DocumentKind::Policy,
            Self::NodePolicy(_) => DocumentKind::NodePolicy,
        }
    }

    /// The name under which its document is asked for and tracked.
    pub fn key(&self) -> DocumentKey {
        match self {
            Self::Service { url, version, arch } => DocumentKey::service(url, version, arch),
            Self::Pattern(id) => DocumentKey::pattern(id),
            Self::Policy(id) => DocumentKey::policy(id),
            Self::NodePolicy(id) => DocumentKey::node_policy(id),
        }
    }
}

impl From<&ServiceId> for Subject {
    fn from(id: &ServiceId) -> Self {
        let ServiceId { url, version, arch, .. } = id.clone();
        Self::Service { url, version, arch }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { url, version, arch } => write!(f, "service {url} {version} for {arch}"),
            Self::Pattern(id) => write!(f, "pattern {id}"),
            Self::Policy(id) => write!(f, "policy {id}"),
            Self::NodePolicy(id) => write!(f, "policy of node {id}"),
        }
    }
}

/// The content of a signed document. Its header says what it is about; where the content says so too,
/// both must say the same, or one document could pass for another.
pub trait DocumentBody {
    /// What the content says in contradiction to being about `subject` of `org`, in words.
    fn contradiction(&self, org: &OrgId, subject: &Subject) -> Option<String>;
}

/// Content that is not read says nothing.
impl DocumentBody for Value {
    fn contradiction(&self, _org: &OrgId, _subject: &Subject) -> Option<String> {
        None
    }
}
