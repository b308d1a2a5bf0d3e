//! What an envelope says its payload is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::types::{DocumentKind, Subject};

/// The kinds of payload that are signed. Its version is part of the type: another algorithm or
/// another layout would be another type, never a choice within this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PayloadType {
    /// Who may sign what in an organization.
    Trust,
    /// A version of a service.
    Service,
    /// A pattern.
    Pattern,
    /// A deployment policy.
    Policy,
    /// The policy of a node.
    NodePolicy,
    /// The exchange's note of the newest state.
    Stamp,
}

/// A payload type that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payload type `{0}` is unknown: expected application/vnd.edgepost.….v1+json")]
pub struct UnknownPayloadTypeError(String);

impl PayloadType {
    /// The media type, as it stands in the envelope and in the signed bytes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trust => "application/vnd.edgepost.trust.v1+json",
            Self::Service => "application/vnd.edgepost.service.v1+json",
            Self::Pattern => "application/vnd.edgepost.pattern.v1+json",
            Self::Policy => "application/vnd.edgepost.policy.v1+json",
            Self::NodePolicy => "application/vnd.edgepost.node-policy.v1+json",
            Self::Stamp => "application/vnd.edgepost.stamp.v1+json",
        }
    }

    /// The type of documents of `kind`; none for a kind that this version does not know.
    pub fn of(kind: DocumentKind) -> Option<Self> {
        match kind {
            DocumentKind::Service => Some(Self::Service),
            DocumentKind::Pattern => Some(Self::Pattern),
            DocumentKind::Policy => Some(Self::Policy),
            DocumentKind::NodePolicy => Some(Self::NodePolicy),
            DocumentKind::Other(_) => None,
        }
    }
}

impl From<&Subject> for PayloadType {
    fn from(subject: &Subject) -> Self {
        match subject {
            Subject::Service { .. } => Self::Service,
            Subject::Pattern(_) => Self::Pattern,
            Subject::Policy(_) => Self::Policy,
            Subject::NodePolicy(_) => Self::NodePolicy,
        }
    }
}

impl FromStr for PayloadType {
    type Err = UnknownPayloadTypeError;

    fn from_str(text: &str) -> Result<Self, UnknownPayloadTypeError> {
        [Self::Trust, Self::Service, Self::Pattern, Self::Policy, Self::NodePolicy, Self::Stamp]
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| UnknownPayloadTypeError(text.to_owned()))
    }
}

impl TryFrom<String> for PayloadType {
    type Error = UnknownPayloadTypeError;

    fn try_from(text: String) -> Result<Self, UnknownPayloadTypeError> {
        text.parse()
    }
}

impl From<PayloadType> for String {
    fn from(it: PayloadType) -> Self {
        it.as_str().to_owned()
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
