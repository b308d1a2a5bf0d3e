//! What a client is told when it is refused: the distribution-spec's table of codes.

use std::{fmt::Display, io};

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};

use crate::{
    audit::AuditEvent,
    login::LoginError,
    registry::{
        protocol::{ErrorBody, ErrorCode, RepositoryName},
        server::storage::StorageError,
    },
    types::Digest,
};

/// A refusal, ready to be sent.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    /// In a box: a refusal travels by value, and few have headers.
    headers: Box<HeaderMap>,
}

impl ApiError {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Box::default() }
    }

    /// The same refusal with a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same refusal with more headers.
    pub(super) fn with_all(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    pub(super) fn blob_unknown(digest: &Digest) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown, format!("no blob {digest} here"))
    }

    pub(super) fn upload_unknown(id: &str) -> Self {
        let message = format!("no upload {id} here");
        Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown, message)
    }

    /// The upload stays as it is, and can be gone on with.
    pub(super) fn upload_interrupted(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid, message)
    }

    pub(super) fn upload_too_slow() -> Self {
        let message = "the upload came to a standstill";
        Self::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::BlobUploadInvalid, message)
    }

    pub(super) fn upload_out_of_order(expected: u64) -> Self {
        let message = format!("the next chunk must begin at byte {expected}");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid, message)
    }

    pub(super) fn digest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, message)
    }

    pub(super) fn size_invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid, message)
    }

    pub(super) fn range_invalid(length: u64) -> Self {
        let message = format!("the blob has {length} bytes");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::SizeInvalid, message)
    }

    pub(super) fn manifest_unknown(reference: impl Display) -> Self {
        let message = format!("no manifest {reference} here");
        Self::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, message)
    }

    pub(super) fn manifest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, message)
    }

    pub(super) fn manifest_too_large(limit: u64) -> Self {
        let message = format!("a manifest has at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, message)
    }

    pub(super) fn name_invalid(name: &str) -> Self {
        let message = format!("`{name}` cannot name a repository");
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::NameInvalid, message)
    }

    pub(super) fn name_unknown(name: &RepositoryName) -> Self {
        let message = format!("no repository {name} here");
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, message)
    }

    pub(super) fn path_unknown() -> Self {
        let message = "no such path in the distribution-spec";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, message)
    }

    pub(super) fn query_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
    }

    pub(super) fn method_unsupported() -> Self {
        let message = "the method is not supported here";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, message)
    }

    pub(super) fn read_only() -> Self {
        let message = "this registry is read-only";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, message)
    }

    pub(super) fn unauthorized() -> Self {
        let message = "a user name and password are needed";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message).with(
            axum::http::header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"edgepost\", charset=\"UTF-8\""),
        )
    }

    pub(super) fn denied() -> Self {
        let message = "this account may pull, but not push";
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Denied, message)
    }

    pub(super) fn too_many_lists() -> Self {
        let message = "too many lists are read at once";
        Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, message)
            .with(axum::http::header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    pub(super) fn internal() -> Self {
        let code = ErrorCode::Other("INTERNAL".to_owned());
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, "the registry could not do this")
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        let (status, code, retry_after) = match error {
            LoginError::Refused => return Self::unauthorized(),
            LoginError::Throttled { retry_after } => {
                (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, retry_after)
            }
            LoginError::Busy { retry_after } => {
                let code = ErrorCode::Other("UNAVAILABLE".to_owned());
                (StatusCode::SERVICE_UNAVAILABLE, code, retry_after)
            }
            error => {
                tracing::error!(
                    event = "login.failed",
                    error = chain(&error),
                    "credentials cannot be checked"
                );
                return Self::internal();
            }
        };
        let seconds = HeaderValue::from(retry_after.as_secs());
        Self::new(status, code, error.to_string()).with(axum::http::header::RETRY_AFTER, seconds)
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::UploadUnknown(id) => Self::upload_unknown(&id.to_string()),
            StorageError::TooManyUploads(_) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::TooManyRequests,
                error.to_string(),
            )
            .with(axum::http::header::RETRY_AFTER, HeaderValue::from_static("60")),
            StorageError::WrongContent { .. } => Self::digest_invalid(error.to_string()),
            StorageError::Incomplete { .. } => {
                let code = ErrorCode::ManifestBlobUnknown;
                Self::new(StatusCode::BAD_REQUEST, code, error.to_string())
            }
            StorageError::Manifest(error) => Self::manifest_invalid(chain(&error)),
            StorageError::Io { ref source, .. } => {
                // Paths of this machine are for its operator, not for the client.
                tracing::error!(
                    event = "storage.failed",
                    error = chain(&error),
                    "the storage failed"
                );
                match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        let code = ErrorCode::Other("STORAGE_FULL".to_owned());
                        let message = "the registry's disk is full";
                        Self::new(StatusCode::INSUFFICIENT_STORAGE, code, message)
                    }
                    _ => Self::internal(),
                }
            }
            StorageError::Stopping => {
                let code = ErrorCode::Other("UNAVAILABLE".to_owned());
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string())
            }
        }
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        tracing::debug!(status = %self.status, code = %self.code, message = self.message, "refused");
        let is_denied = self.status == StatusCode::FORBIDDEN;
        let body = Json(ErrorBody::of(self.code, self.message));
        let mut response = (self.status, *self.headers, body).into_response();
        if is_denied {
            response.extensions_mut().insert(AuditEvent::RightRefused);
        }
        response
    }
}
