//! What goes wrong, as a status and a body.

use std::{error::Error, time::Duration};

use axum::{
    Json,
    extract::rejection::{BytesRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    audit::AuditEvent,
    exchange::{
        api::{Code, Reply},
        store::StoreError,
    },
};

/// When to try again what the exchange had no time for.
const PAUSE: Duration = Duration::from_secs(5);

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The request cannot be read, or does not fit what is there.
    #[error("{0}")]
    InvalidInput(String),
    /// Nobody by that name and secret. Never for trouble of our own: a Horizon agent that is told
    /// so concludes that its node was deleted.
    #[error("{0}")]
    InvalidCredentials(&'static str),
    /// The caller may not.
    #[error("{0}")]
    AccessDenied(String),
    /// There is one already; Horizon says so with 403 for whatever users publish.
    #[error("{0}")]
    AlreadyExists(String),
    /// It is in conflict with what is there.
    #[error("{0}")]
    Conflict(String),
    /// There is none.
    #[error("{0}")]
    NotFound(String),
    /// The path is known, the method is not.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The body is longer than is read.
    #[error("the request is too long")]
    TooLong,
    /// The body is not JSON.
    #[error("the request's content type is not application/json")]
    UnsupportedMediaType,
    /// A signature that the organization's trust does not allow.
    #[error("{msg}")]
    SignatureRefused {
        /// The stable name of what is wrong.
        attack: &'static str,
        /// The same for people.
        msg: String,
    },
    /// Too many failed logins; later is better.
    #[error("too many failed logins; try again later")]
    TooManyGuesses {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many logins wait for a hash; later is better.
    #[error("the exchange is busy")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too much to do; later is better.
    #[error("the exchange is busy")]
    Busy,
    /// The database cannot be written at the moment; nothing of it was kept.
    #[error("the exchange is recovering: its database cannot be written at the moment")]
    Recovering,
    /// There is no room for it; nothing of it was kept.
    #[error("the exchange's disk is full")]
    DiskFull,
    /// The exchange itself failed.
    #[error("the exchange failed")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

impl ApiError {
    /// The exchange itself failed.
    pub(crate) fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// Where Horizon says 409 rather than 403 for what exists already.
    pub(crate) fn or_conflict(self) -> Self {
        match self {
            Self::AlreadyExists(msg) => Self::Conflict(msg),
            other => other,
        }
    }

    /// Where Horizon says 400 rather than 403 for what exists already.
    pub(crate) fn or_invalid(self) -> Self {
        match self {
            Self::AlreadyExists(msg) => Self::InvalidInput(msg),
            other => other,
        }
    }

    /// When a client should try again.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyGuesses { retry_after } | Self::Overloaded { retry_after } => {
                Some(*retry_after)
            }
            Self::Busy | Self::Recovering => Some(PAUSE),
            _ => None,
        }
    }

    /// The security event that the error is. Refused logins are recorded where they are refused.
    fn audit_event(&self) -> Option<AuditEvent> {
        match self {
            Self::AccessDenied(_) => Some(AuditEvent::RightRefused),
            Self::SignatureRefused { .. } => Some(AuditEvent::SignatureRefused),
            _ => None,
        }
    }

    fn status(&self) -> (StatusCode, Code) {
        match self {
            Self::InvalidInput(_) => (StatusCode::BAD_REQUEST, Code::InvalidInput),
            Self::InvalidCredentials(_) => (StatusCode::UNAUTHORIZED, Code::InvalidCredentials),
            Self::AccessDenied(_) => (StatusCode::FORBIDDEN, Code::AccessDenied),
            Self::AlreadyExists(_) => (StatusCode::FORBIDDEN, Code::AlreadyExists),
            Self::Conflict(_) => (StatusCode::CONFLICT, Code::AlreadyExists),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, Code::NotFound),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidInput),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidInput),
            Self::SignatureRefused { .. } => (StatusCode::FORBIDDEN, Code::SignatureRefused),
            Self::TooManyGuesses { .. } => (StatusCode::TOO_MANY_REQUESTS, Code::TooBusy),
            Self::Busy | Self::Recovering | Self::Overloaded { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, Code::TooBusy)
            }
            Self::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, Code::InternalError),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, Code::InternalError),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status();
        let mut reply = Reply::new(code, self.to_string());
        if let Self::SignatureRefused { attack, .. } = self {
            reply.attack = Some(attack.to_owned());
        }
        if let Self::Internal(error) = &self {
            tracing::error!(event = "request.failed", error = %chain(error.as_ref()), "a request failed");
        }
        let mut response = (status, Json(reply)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"exchange\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(pause) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(pause.as_secs()));
        }
        if let Some(event) = self.audit_event() {
            response.extensions_mut().insert(event);
        }
        response
    }
}

/// An error with its causes, for the log.
fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |error| (**error).source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing { .. } => Self::NotFound(error.to_string()),
            StoreError::Exists { .. } => Self::AlreadyExists(error.to_string()),
            StoreError::AccountGone => Self::InvalidCredentials("invalid.credentials"),
            StoreError::Unfit { msg } => Self::InvalidInput(msg),
            StoreError::Limit { msg } => Self::AccessDenied(format!("Access denied: {msg}")),
            StoreError::Database(sqlx::Error::PoolTimedOut) => Self::Busy,
            full if full.is_disk_full() => Self::DiskFull,
            passing if passing.is_storage_failure() => {
                // The store says at a higher level, once, that it cannot be written.
                tracing::debug!(error = %chain(&passing), "a request found the database unusable");
                Self::Recovering
            }
            other => Self::internal(other),
        }
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::InvalidInput(rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::InvalidInput(rejection.body_text())
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLong
        } else {
            Self::InvalidInput(rejection.body_text())
        }
    }
}
