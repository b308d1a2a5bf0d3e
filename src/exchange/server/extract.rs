//! How a request is read: path and query into types, a body into JSON, with our own errors.

use axum::{
    Extension,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{ApiError, bodies::BodyNeed};
use crate::{
    listener::discard,
    types::{JsonProblem, NameProblem, PatternId, check_account_name, check_visible},
};

/// A body that is longer takes more than a moment to read, in bytes.
const LONG: usize = 64 * 1024;

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

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = json_of(request, state).await?;
        let read = decode(bytes).await?;
        read.map(Self).map_err(|error| {
            ApiError::InvalidInput(format!("the body: {}", JsonProblem::from(error)))
        })
    }
}

/// The body, as JSON, with secrets in it: what is wrong with it is told without any of its values, which
/// would otherwise stand in the logs of whoever sent it.
#[derive(Debug)]
pub(crate) struct SecretBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for SecretBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Zeroizing::new(Vec::from(json_of(request, state).await?));
        let read = decode(bytes).await?;
        read.map(Self).map_err(|error| ApiError::InvalidInput(without_values(&error)))
    }
}

/// What is wrong with a body, and where. Messages of ours and about what is missing quote no value.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if ["missing field", "the credential for", "a secret"].iter().any(|it| text.starts_with(it)) {
        return format!("the body: {text}");
    }
    format!("the body cannot be read at line {} column {}", error.line(), error.column())
}

async fn json_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    if !may_be_json(request.headers()) {
        return Err(ApiError::UnsupportedMediaType);
    }
    bytes_of(request, state).await
}

/// The longest body of a path, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit(usize);

/// The layer that bounds bodies: by their announced length before anything is read, and while they are read. A layer
/// of one path counts in the place of that of all paths.
pub(super) fn body_limit(longest: usize) -> (Extension<BodyLimit>, DefaultBodyLimit) {
    (Extension(BodyLimit(longest)), DefaultBodyLimit::max(longest))
}

/// The body as it is.
#[derive(Debug)]
pub(super) struct RawBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        bytes_of(request, state).await.map(Self)
    }
}

/// Reads a body, unless it is announced to be longer than the path allows.
async fn bytes_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    if let Some(BodyLimit(longest)) = request.extensions().get::<BodyLimit>().copied()
        && announced_length(request.headers()).is_some_and(|length| length > longest)
    {
        discard(request.into_body());
        return Err(ApiError::TooLong);
    }
    if let Some(need) = BodyNeed::of(&request) {
        need.reserve().await?;
    }
    Ok(Bytes::from_request(request, state).await?)
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    let length: u64 = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Reads JSON. What is long is read on a thread for blocking work, where it delays no other request.
async fn decode<T: DeserializeOwned + Send + 'static>(
    bytes: impl AsRef<[u8]> + Send + 'static,
) -> Result<serde_json::Result<T>, ApiError> {
    if bytes.as_ref().len() <= LONG {
        return Ok(serde_json::from_slice(bytes.as_ref()));
    }
    let read = move || serde_json::from_slice(bytes.as_ref());
    tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)
}

/// Refuses what cannot name anything: agents make file names and paths of names.
pub(super) fn check_name(text: &str) -> Result<(), ApiError> {
    let parsed = text.parse::<PatternId>();
    parsed.map(drop).map_err(|_| ApiError::InvalidInput(format!("'{text}' is no name")))
}

/// Refuses to give something new a name that is not shown as it is.
pub(super) fn check_new_name(name: &str) -> Result<(), ApiError> {
    check_visible(name).map_err(|problem| unusable("name", name, problem))
}

/// Refuses to give a new organization, user or node a name that cannot log in or is not shown as it is.
pub(super) fn check_new_account(name: &str) -> Result<(), ApiError> {
    check_account_name(name).map_err(|problem| unusable("name", name, problem))
}

/// Refuses a text for people that is not shown as it is.
pub(super) fn check_text(what: &str, text: &str) -> Result<(), ApiError> {
    check_visible(text).map_err(|problem| unusable(what, text, problem))
}

fn unusable(what: &str, text: &str, problem: NameProblem) -> ApiError {
    let shown = text.escape_debug();
    ApiError::InvalidInput(format!("the {what} '{shown}' cannot be given: {problem}"))
}

/// Whether the body is called JSON, or nothing at all.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return true };
    let content_type = content_type.to_str().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
}
