//! What both ends of the distribution protocol agree on: paths, headers, error codes.
//!
//! Source: OCI distribution-spec 1.1 and its main branch of 2026-07.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::types::{
    Digest, Repository, Tag,
    image_ref::{ParseImageError, is_repository_path},
};

/// The media type of a body that is bytes and nothing more.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// The most names in one page of a list (CVE-2023-2253: without a limit, a request sizes the memory).
pub const MAX_PAGE: usize = 1000;

/// Header names that HTTP itself does not have, in lower case.
pub mod header {
    /// The digest of the body, as the registry knows it.
    pub const CONTENT_DIGEST: &str = "docker-content-digest";
    /// Says that this is a registry; docker refuses to talk to one that does not say so.
    pub const API_VERSION: &str = "docker-distribution-api-version";
    /// The value of [`API_VERSION`].
    pub const API_VERSION_VALUE: &str = "registry/2.0";
    /// The id of an upload session.
    pub const UPLOAD_UUID: &str = "docker-upload-uuid";
    /// The subject that a pushed manifest was indexed under.
    pub const OCI_SUBJECT: &str = "oci-subject";
    /// A tag that was set because the request's query asked for it.
    pub const OCI_TAG: &str = "oci-tag";
    /// The filters that a list of referrers went through.
    pub const OCI_FILTERS_APPLIED: &str = "oci-filters-applied";
    /// The least length of a chunk but the last, in bytes.
    pub const OCI_CHUNK_MIN_LENGTH: &str = "oci-chunk-min-length";
}

/// Request paths, from the root of the registry; every argument is checked already.
pub mod path {
    use super::{Digest, Reference};

    /// Whether this is a registry, and whether the login is good.
    pub const BASE: &str = "/v2/";
    /// The names of all repositories.
    pub const CATALOG: &str = "/v2/_catalog";

    /// A manifest of `repository`.
    pub fn manifest(repository: &str, reference: &Reference) -> String {
        format!("/v2/{repository}/manifests/{reference}")
    }

    /// A blob of `repository`.
    pub fn blob(repository: &str, digest: &Digest) -> String {
        format!("/v2/{repository}/blobs/{digest}")
    }

    /// Where uploads to `repository` begin.
    pub fn uploads(repository: &str) -> String {
        format!("/v2/{repository}/blobs/uploads/")
    }

    /// Asks for a blob of the repository `from` to be had in `repository` too.
    pub fn mount(repository: &str, digest: &Digest, from: &str) -> String {
        format!("/v2/{repository}/blobs/uploads/?mount={digest}&from={from}")
    }

    /// The tags of `repository`.
    pub fn tags(repository: &str) -> String {
        format!("/v2/{repository}/tags/list")
    }

    /// The manifests of `repository` whose subject is `digest`.
    pub fn referrers(repository: &str, digest: &Digest) -> String {
        format!("/v2/{repository}/referrers/{digest}")
    }
}

/// The name of a repository within a registry, as it stands in paths: `team/app`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, ParseImageError> {
        if is_repository_path(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseImageError::Repository(text.to_owned()))
        }
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = ParseImageError;

    fn try_from(text: String) -> Result<Self, ParseImageError> {
        text.parse()
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.0
    }
}

impl From<&Repository> for RepositoryName {
    fn from(repository: &Repository) -> Self {
        Self(repository.path().to_owned())
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By a name that may move.
    Tag(Tag),
    /// By its content.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = ParseImageError;

    /// A tag has no `:`, so whatever has one must be a digest.
    fn from_str(text: &str) -> Result<Self, ParseImageError> {
        if text.contains(':') {
            text.parse().map(Self::Digest).map_err(|_| ParseImageError::Digest(text.to_owned()))
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// The value of the `Range` header of an upload that has received `bytes` bytes: `0-END`.
///
/// Nothing received is `0-0`, as every registry writes it; so `0-0` may mean nothing or one byte.
pub fn upload_range(bytes: u64) -> String {
    format!("0-{}", bytes.saturating_sub(1))
}

/// How many bytes an upload has received, by its `Range` header; `0-0` is read as none.
pub fn received_bytes(range: &str) -> Option<u64> {
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let end = range.strip_prefix("0-")?.parse::<u64>().ok()?;
    if end == 0 { Some(0) } else { end.checked_add(1) }
}

/// Why a registry refused, as a word of the distribution-spec's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the distribution-spec explains its words")]
pub enum ErrorCode {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    #[serde(rename = "TOOMANYREQUESTS")]
    TooManyRequests,
    /// A word of the registry's own.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Serialize::serialize(self, f)
    }
}

/// The JSON body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong; a registry names at least one thing.
    pub errors: Vec<ErrorEntry>,
}

/// One reason in an [`ErrorBody`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Whatever else the registry has to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}

impl ErrorBody {
    /// A body that names one reason.
    pub fn of(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { errors: vec![ErrorEntry { code, message: message.into(), detail: None }] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_words_of_the_specification() {
        for (code, word) in [
            (ErrorCode::ManifestBlobUnknown, "MANIFEST_BLOB_UNKNOWN"),
            (ErrorCode::TooManyRequests, "TOOMANYREQUESTS"),
            (ErrorCode::Other("QUOTA_EXCEEDED".to_owned()), "QUOTA_EXCEEDED"),
        ] {
            assert_eq!(code.to_string(), word);
            assert_eq!(serde_json::from_value::<ErrorCode>(word.into()).unwrap(), code);
        }
    }

    #[test]
    fn a_body_without_message_is_read() {
        let body: ErrorBody = serde_json::from_str(r#"{"errors":[{"code":"DENIED"}]}"#).unwrap();
        assert_eq!(body, ErrorBody::of(ErrorCode::Denied, ""));
    }

    #[test]
    fn a_reference_is_a_tag_or_a_digest() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string().parse::<Reference>().unwrap(), Reference::Digest(digest));
        assert!(matches!("v1.0".parse::<Reference>(), Ok(Reference::Tag(_))));
        assert!("sha256:00".parse::<Reference>().is_err());
        assert!("../x".parse::<Reference>().is_err());
    }

    #[test]
    fn an_upload_says_how_far_it_is() {
        for (bytes, range) in [(0, "0-0"), (5, "0-4"), (5_242_880, "0-5242879")] {
            assert_eq!(upload_range(bytes), range);
            assert_eq!(received_bytes(range), Some(bytes));
        }
        assert_eq!(received_bytes("0-18446744073709551615"), None);
        assert_eq!(received_bytes("4-9"), None);
    }
}
