//! Signed documents, as their publishers signed them.

use axum::{Json, extract::State, response::Response};
use serde::Deserialize;

use super::{may_read, may_read_document, verbatim};
use crate::{
    exchange::{
        api::DocumentHistory,
        server::{
            ApiError, AppState,
            caller::Caller,
            extract::{Path, Query},
        },
    },
    sign::envelope::MAX_ENVELOPE,
    types::{Digest, DocumentKey, DocumentKind, OrgId},
};

/// How many documents are on one page of the history.
const PAGE: u32 = 1000;

/// Which document.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    key: DocumentKey,
}

/// Hands out the newest document of a name.
pub(super) async fn newest(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(Named { key }): Query<Named>,
) -> Result<Response, ApiError> {
    let reservation = state.answers.reserve(&caller.name(), MAX_ENVELOPE).await?;
    let envelope = state.store.newest_document(&org, &key).await?;
    may_read_document(&state, &caller, &org, envelope.as_deref()).await?;
    verbatim(envelope, Some(reservation), || format!("signed document '{org}/{key}'"))
}

/// Hands out the document with a digest.
pub(super) async fn by_digest(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, sha256)): Path<(OrgId, String)>,
) -> Result<Response, ApiError> {
    let sha256 =
        Digest::from_hex(&sha256).map_err(|error| ApiError::InvalidInput(error.to_string()))?;
    let reservation = state.answers.reserve(&caller.name(), MAX_ENVELOPE).await?;
    let envelope = state.store.document(&org, &sha256).await?;
    may_read_document(&state, &caller, &org, envelope.as_deref()).await?;
    verbatim(envelope, Some(reservation), || format!("signed document '{org}/{}'", sha256.hex()))
}

/// Which page of the history.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    kind: DocumentKind,
    after: Option<Digest>,
}

/// Lists every document of a kind that was ever published: what an older one names may still be in
/// use where the newer one has not arrived.
pub(super) async fn history(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(Page { kind, after }): Query<Page>,
) -> Result<Json<DocumentHistory>, ApiError> {
    may_read(&caller, &org)?;
    let documents = state.store.document_history(&org, kind, after.as_ref(), PAGE).await?;
    let more = documents.len() == PAGE as usize;
    Ok(Json(DocumentHistory { documents, more }))
}
