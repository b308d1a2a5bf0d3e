//! The change feed. Asking for it is a node's heartbeat.

use axum::{Json, extract::State, http::StatusCode};
use jiff::SignedDuration;

use super::{
    ApiError, AppState,
    caller::Caller,
    extract::{Body, Path},
};
use crate::{
    exchange::{
        api::{ChangesRequest, ChangesResponse, MaxChangeId},
        store::{Audience, Since},
    },
    types::OrgId,
};

/// How much earlier than asked the feed begins where it is asked by time: clocks differ.
const EARLIER: SignedDuration = SignedDuration::from_secs(10);

/// Tells what changed since.
pub(super) async fn since(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Body(request): Body<ChangesRequest>,
) -> Result<(StatusCode, Json<ChangesResponse>), ApiError> {
    caller.may_read_changes(&org)?;
    state.note_heartbeat(&caller);
    let since = point(&request);
    let audience = match caller.node() {
        Some(node) => Audience::Node(node.clone()),
        None => Audience::User,
    };
    let told = state.store.changes(&org, &audience, since, request.max_records).await?;
    let exchange_version = state.version.to_string();
    Ok((StatusCode::CREATED, Json(ChangesResponse { exchange_version, ..told })))
}

/// Tells the number of the newest change.
pub(super) async fn newest(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<MaxChangeId>, ApiError> {
    caller.may_read_newest_change()?;
    let max_change_id = state.store.newest_change().await?;
    Ok(Json(MaxChangeId { max_change_id }))
}

/// From where on to tell: an id wins over a time.
fn point(request: &ChangesRequest) -> Since {
    match request.last_updated {
        Some(time) if request.change_id <= 0 => {
            Since::Time(time.checked_sub(EARLIER).unwrap_or(time))
        }
        _ => Since::Change(request.change_id),
    }
}
