//! How a request is read: path and query into types, a body into JSON, with our own errors.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;

use super::ApiError;
use crate::types::PatternId;

/// The names in the path.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(crate) struct Path<T>(pub(crate) T);

/// The parameters of the query.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

/// The body, as JSON.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !may_be_json(request.headers()) {
            return Err(ApiError::UnsupportedMediaType);
        }
        let bytes = Bytes::from_request(request, state).await?;
        let read = serde_json::from_slice(&bytes);
        read.map(Self).map_err(|error| ApiError::InvalidInput(format!("the body: {error}")))
    }
}

/// Refuses what cannot name anything: agents make file names and paths of names.
pub(super) fn check_name(text: &str) -> Result<(), ApiError> {
    let parsed = text.parse::<PatternId>();
    parsed.map(drop).map_err(|_| ApiError::InvalidInput(format!("'{text}' is no name")))
}

/// Whether the body is called JSON, or nothing at all.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return true };
    let content_type = content_type.to_str().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
}
