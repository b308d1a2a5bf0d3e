//! What an organization has chosen that Horizon has no word for.

use axum::{Json, extract::State};

use crate::{
    exchange::{
        api::{OrgSettings, OrgSettingsChange},
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

/// The longest minimum that an organization may ask for, in characters.
const LONGEST_MINIMUM: u32 = 128;

/// Changes what is given, and answers with all that is chosen.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Body(change): Body<OrgSettingsChange>,
) -> Result<Json<OrgSettings>, ApiError> {
    let minimums = [change.min_password_length, change.min_token_length];
    if minimums.into_iter().flatten().any(|length| length > LONGEST_MINIMUM) {
        let msg = format!("minPasswordLength and minTokenLength must be 0 to {LONGEST_MINIMUM}");
        return Err(ApiError::InvalidInput(msg));
    }
    let permit = caller.permit(|caller, held| {
        caller.may_change_org(&org)?;
        let held = held.ok_or_else(|| ApiError::NotFound(format!("org '{org}' not found")))?;
        Ok(change.apply(&held))
    });
    Ok(Json(state.store.change_org_settings(&org, permit, state.clock.now()).await?))
}
