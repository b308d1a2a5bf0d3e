//! The change of the key by which tokens are encrypted at rest.

use axum::{Json, extract::State};

use crate::exchange::{
    api::{RekeyRequest, Rekeyed},
    server::{ApiError, AppState, caller::Caller, extract::Body},
};

/// Goes on with the change, or begins it, for the root user alone.
pub(super) async fn go_on(
    State(state): State<AppState>,
    caller: Caller,
    Body(request): Body<RekeyRequest>,
) -> Result<Json<Rekeyed>, ApiError> {
    caller.may_rekey()?;
    Ok(Json(state.store.rekey(request.toward, state.clock.now()).await?))
}
