//! Which keys may sign which names.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    sign::KeyId,
    types::{DocumentKey, DocumentKind, ServiceUrl},
};

/// Some keys, and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The keys, by their ids.
    pub keyids: BTreeSet<KeyId>,
    /// How many distinct ones must sign; at least 1.
    pub threshold: u32,
}

impl Role {
    /// The role of one key.
    pub fn of(key: KeyId) -> Self {
        Self { keyids: BTreeSet::from([key]), threshold: 1 }
    }
}

/// Who may sign the documents of one kind whose names begin alike.
///
/// Of all rules that cover a document, the one with the longest prefix alone decides: a broad rule
/// cannot sign into a stricter name space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The kind of document.
    pub kind: DocumentKind,
    /// How the name begins; empty covers every name. For a service this is its URL, and since the
    /// version follows after `_`, a prefix that ends with `_` covers one name exactly.
    pub prefix: String,
    /// The keys, by their ids.
    pub keyids: BTreeSet<KeyId>,
    /// How many distinct ones must sign; at least 1.
    pub threshold: u32,
    /// Documents of an earlier epoch no longer count. Only the root raises it, after a theft.
    pub epoch: u64,
}

impl Rule {
    /// How much of `document`'s name the rule names, or `None` if it does not cover it.
    ///
    /// What is compared is the document's id in the exchange, in which two spellings of a service's URL
    /// are one: a rule must not cover one spelling and leave the other to somebody else.
    pub(super) fn covers(&self, document: &DocumentKey) -> Option<usize> {
        let prefix = self.id_prefix()?;
        (self.kind == document.kind() && document.id().starts_with(&prefix)).then_some(prefix.len())
    }

    /// Whether `document` is of this kind and has a name that begins so, however that is spelled.
    pub(super) fn names(kind: DocumentKind, prefix: &str, document: &DocumentKey) -> bool {
        Self::of_nobody(kind, prefix).covers(document).is_some()
    }

    /// Whether names of documents of this kind can begin so.
    pub(super) fn is_prefix(kind: DocumentKind, prefix: &str) -> bool {
        Self::of_nobody(kind, prefix).id_prefix().is_some()
    }

    fn of_nobody(kind: DocumentKind, prefix: &str) -> Self {
        Self { kind, prefix: prefix.to_owned(), keyids: BTreeSet::new(), threshold: 1, epoch: 0 }
    }

    /// Whether the rule is for exactly the names of `kind` that begin with `prefix`, however that is spelled.
    pub(super) fn is_about(&self, kind: DocumentKind, prefix: &str) -> bool {
        let other = Self { prefix: prefix.to_owned(), ..self.clone() };
        self.kind == kind && self.id_prefix() == other.id_prefix()
    }

    /// The prefix as it stands in document ids, or `None` if no name can begin so.
    pub(super) fn id_prefix(&self) -> Option<String> {
        match self.kind {
            DocumentKind::Service if !self.prefix.is_empty() => {
                self.prefix.parse::<ServiceUrl>().ok().map(|url| url.mangled())
            }
            _ => Some(self.prefix.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: DocumentKind, prefix: &str) -> Rule {
        Rule::of_nobody(kind, prefix)
    }

    fn service(url: &str) -> DocumentKey {
        let (version, arch) = ("1.0.0".parse().unwrap(), "amd64".parse().unwrap());
        DocumentKey::service(&url.parse().unwrap(), &version, &arch)
    }

    #[test]
    fn a_rule_covers_every_spelling_of_a_name() {
        let rule = rule(DocumentKind::Service, "https://acme.com/sensors/");
        for url in ["https://acme.com/sensors/gps", "acme.com/sensors/gps", "acme.com-sensors-gps"]
        {
            assert!(rule.covers(&service(url)).is_some(), "{url}");
        }
        assert!(rule.covers(&service("acme.com/cameras/gps")).is_none());
    }

    #[test]
    fn a_rule_covers_its_own_kind_only() {
        let pattern = DocumentKey::pattern(&"gps".parse().unwrap());
        assert!(rule(DocumentKind::Service, "").covers(&pattern).is_none());
        assert_eq!(rule(DocumentKind::Pattern, "").covers(&pattern), Some(0));
    }

    #[test]
    fn a_prefix_can_name_one_service_exactly() {
        let rule = rule(DocumentKind::Service, "gps_");
        assert!(rule.covers(&service("gps")).is_some());
        assert!(rule.covers(&service("gps-evil")).is_none());
    }
}
