//! Publishing: one request that commits a signed document and everything beside it.

use serde::{Deserialize, Serialize};

use super::Credential;
use crate::{
    sign::Envelope,
    types::{Digest, DocumentKey},
};

/// What a publisher sends to `POST …/edgepost/publish`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The signed document.
    pub envelope: Envelope,
    /// The logins that nodes need to pull the service's images; they replace the ones before. Where
    /// none are given, those stay.
    /// Never part of what is signed: signed documents are copied widely and never change.
    #[serde(default)]
    pub credentials: Vec<Credential>,
}

/// What the exchange made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The document's name in the organization.
    pub key: DocumentKey,
    /// Its sequence number.
    pub seq: u64,
    /// The digest of its payload.
    pub sha256: Digest,
    /// Whether the exchange held the same bytes already.
    pub unchanged: bool,
    /// Whether other pull credentials took the place of those before, although the document is unchanged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub credentials_replaced: bool,
    /// The version of the catalog that lists it.
    pub catalog_version: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(it: &bool) -> bool {
    !it
}

/// Every document of one kind that was ever published, a page of it: replaced and withdrawn ones too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentHistory {
    /// In the order of their digests.
    pub documents: Vec<PublishedDocument>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// A document as the history lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedDocument {
    /// Its name.
    pub key: DocumentKey,
    /// The digest of its payload.
    pub sha256: Digest,
}
