//! What a signed document is called: the name under which its newest state is tracked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::types::{Arch, NodeId, OrgId, PatternId, PolicyId, ServiceId, ServiceUrl, Version};

/// The kinds of document that a publisher signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DocumentKind {
    /// A version of a service for an architecture.
    Service,
    /// A list of services that a node takes as a whole.
    Pattern,
    /// A deployment policy.
    Policy,
    /// The policy of a node.
    NodePolicy,
    /// A kind that came after this version of the program. Catalogs, marks and rules may name it, so
    /// that what is new does not keep a node from what it knows; nothing of the kind is ever opened.
    Other(OtherKind),
}

/// The word for a kind that this version does not know: 1 to 32 of `a-z 0-9 -`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtherKind {
    /// Filled up with zeros.
    word: [u8; LONGEST_KIND],
}

/// The longest word for a kind; fixed, so that kinds are plain values.
const LONGEST_KIND: usize = 32;

/// A text that cannot be a kind of document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a kind of document: 1 to 32 of a-z, 0-9 and -")]
pub struct ParseDocumentKindError(String);

impl DocumentKind {
    /// All kinds that this version knows.
    pub const KNOWN: [Self; 4] = [Self::Service, Self::Pattern, Self::Policy, Self::NodePolicy];

    /// The word for it in payload types, keys and messages.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Service => "service",
            Self::Pattern => "pattern",
            Self::Policy => "policy",
            Self::NodePolicy => "node-policy",
            Self::Other(other) => other.as_str(),
        }
    }
}

impl OtherKind {
    fn as_str(&self) -> &str {
        let length = self.word.iter().take_while(|it| **it != 0).count();
        // Only ASCII gets in.
        std::str::from_utf8(&self.word[..length]).unwrap_or_default()
    }
}

impl FromStr for DocumentKind {
    type Err = ParseDocumentKindError;

    fn from_str(text: &str) -> Result<Self, ParseDocumentKindError> {
        if let Some(known) = Self::KNOWN.into_iter().find(|it| it.as_str() == text) {
            return Ok(known);
        }
        let is_word = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        if text.is_empty() || text.len() > LONGEST_KIND || !text.bytes().all(is_word) {
            return Err(ParseDocumentKindError(text.to_owned()));
        }
        let mut word = [0; LONGEST_KIND];
        word[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self::Other(OtherKind { word }))
    }
}

impl TryFrom<String> for DocumentKind {
    type Error = ParseDocumentKindError;

    fn try_from(text: String) -> Result<Self, ParseDocumentKindError> {
        text.parse()
    }
}

impl From<DocumentKind> for String {
    fn from(kind: DocumentKind) -> Self {
        kind.to_string()
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a document among all of an organization.
///
/// As text: `service/<url mangled>_<version>_<arch>`, `pattern/<name>`, `policy/<name>`,
/// `node-policy/<node>`; the organization goes without saying, since a catalog belongs to one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentKey {
    kind: DocumentKind,
    id: String,
}

/// A text that is not a document key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a document key: expected service/…, pattern/…, policy/… or node-policy/…")]
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

    /// The key of a node's policy.
    pub fn node_policy(id: &NodeId) -> Self {
        Self { kind: DocumentKind::NodePolicy, id: id.to_string() }
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
        let kind = kind.parse().map_err(|_| refuse())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prints_what_it_reads_whether_its_kind_is_known_or_not() {
        for (text, known) in [
            ("service/hello_1.0.0_amd64", true),
            ("pattern/p", true),
            ("policy/p", true),
            ("node-policy/pump 7", true),
            ("management-policy/m", false),
            ("x/y", false),
        ] {
            let key: DocumentKey = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
            assert_eq!(!matches!(key.kind(), DocumentKind::Other(_)), known, "{text}");
        }
        assert!("b/x".parse::<DocumentKey>().unwrap() > "ab/x".parse::<DocumentKey>().unwrap());
    }

    #[test]
    fn what_is_no_word_and_a_name_is_no_key() {
        let long = format!("{}/x", "k".repeat(LONGEST_KIND + 1));
        for text in ["", "service", "service/", "/x", "Service/x", "a b/x", "a\0/x", "x/a/b", &long]
        {
            assert!(text.parse::<DocumentKey>().is_err(), "{text}");
        }
    }
}
