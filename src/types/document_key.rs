//! What a signed document is called: the name under which its newest state is tracked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::types::{Arch, OrgId, PatternId, PolicyId, ServiceId, ServiceUrl, Version};

/// The kinds of document that a publisher signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentKind {
    /// A version of a service for an architecture.
    Service,
    /// A list of services that a node takes as a whole.
    Pattern,
    /// A deployment policy.
    Policy,
}

impl DocumentKind {
    /// The word for it in payload types, keys and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Pattern => "pattern",
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a document among all of an organization.
///
/// As text: `service/<url mangled>_<version>_<arch>`, `pattern/<name>`, `policy/<name>`; the
/// organization goes without saying, since a catalog belongs to one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentKey {
    kind: DocumentKind,
    id: String,
}

/// A text that is not a document key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a document key: expected service/…, pattern/… or policy/…")]
pub struct ParseDocumentKeyError(String);

impl DocumentKey {
    /// The key of a service version.
    pub fn service(url: &ServiceUrl, version: &Version, arch: &Arch) -> Self {
        let id = format!("{}_{version}_{arch}", url.mangled());
        Self { kind: DocumentKind::Service, id }
    }

    /// The key of a pattern.
    pub fn pattern(id: &PatternId) -> Self {
        Self { kind: DocumentKind::Pattern, id: id.to_string() }
    }

    /// The key of a deployment policy.
    pub fn policy(id: &PolicyId) -> Self {
        Self { kind: DocumentKind::Policy, id: id.to_string() }
    }

    /// What kind of document it names.
    pub fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// The exchange's id of the document, without the organization.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl From<&ServiceId> for DocumentKey {
    fn from(id: &ServiceId) -> Self {
        Self::service(&id.url, &id.version, &id.arch)
    }
}

impl FromStr for DocumentKey {
    type Err = ParseDocumentKeyError;

    fn from_str(text: &str) -> Result<Self, ParseDocumentKeyError> {
        let refuse = || ParseDocumentKeyError(text.to_owned());
        let (kind, id) = text.split_once('/').ok_or_else(refuse)?;
        let kind = match kind {
            "service" => DocumentKind::Service,
            "pattern" => DocumentKind::Pattern,
            "policy" => DocumentKind::Policy,
            _ => return Err(refuse()),
        };
        id.parse::<OrgId>().map_err(|_| refuse())?;
        Ok(Self { kind, id: id.to_owned() })
    }
}

impl TryFrom<String> for DocumentKey {
    type Error = ParseDocumentKeyError;

    fn try_from(text: String) -> Result<Self, ParseDocumentKeyError> {
        text.parse()
    }
}

impl From<DocumentKey> for String {
    fn from(key: DocumentKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}
