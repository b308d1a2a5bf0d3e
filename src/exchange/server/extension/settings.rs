//! What an organization has chosen that Horizon has no word for.

use axum::{Json, extract::State};

use crate::{
    exchange::{
        api::OrgSettings,
        server::{
            ApiError, AppState,
            caller::Caller,
            extract::{Body, Path},
        },
    },
    types::OrgId,
};

/// Tells what is chosen.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
) -> Result<Json<OrgSettings>, ApiError> {
    caller.may_read_org(&org)?;
    let settings = state.store.org_settings(&org).await?;
    settings.map(Json).ok_or_else(|| ApiError::NotFound(format!("org '{org}' not found")))
}

/// Chooses.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Body(settings): Body<OrgSettings>,
) -> Result<Json<OrgSettings>, ApiError> {
    caller.may_change_org(&org)?;
    state.store.put_org_settings(&org, &settings, state.clock.now()).await?;
    Ok(Json(settings))
}
