//! What Horizon's API of users has not: the end of API keys, and a password that is changed together with them.

use axum::{Json, extract::State, http::StatusCode};

use crate::{
    audit::AuditEvent,
    exchange::{
        api::{ApiKeys, ExpiringKeyRequest, NewApiKey, NewPassword, RevokedKeys},
        server::{
            ApiError, AppState, api_keys,
            caller::Caller,
            extract::{Body, Path, SecretBody},
            users,
        },
        store::{StoreError, UserRecord},
    },
    types::{OrgId, UserId},
};

/// The longest life of an API key that has an end, in days.
const LONGEST_LIFE: u32 = 3650;

/// Lists the API keys of a user, with their ends.
pub(super) async fn keys(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user)): Path<(OrgId, UserId)>,
) -> Result<Json<ApiKeys>, ApiError> {
    let (org, user) = itself(&caller, org, user);
    caller.may_read_user(&org, &user)?;
    let held = state.store.user(&org, &user).await?;
    held.ok_or_else(|| StoreError::missing("user", &org, &user))?;
    let apikeys = state.store.api_keys(&org, &user).await?;
    Ok(Json(ApiKeys { owner: format!("{org}/{user}"), apikeys }))
}

/// Makes an API key of a user, which may expire.
pub(super) async fn create_key(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user)): Path<(OrgId, UserId)>,
    Body(request): Body<ExpiringKeyRequest>,
) -> Result<(StatusCode, Json<NewApiKey>), ApiError> {
    let (org, user) = itself(&caller, org, user);
    if request.expires_in_days.is_some_and(|days| !(1..=LONGEST_LIFE).contains(&days)) {
        return Err(ApiError::InvalidInput(format!("expiresInDays must be 1 to {LONGEST_LIFE}")));
    }
    api_keys::created(&state, &caller, (&org, &user), request).await
}

/// Removes an API key of a user.
pub(super) async fn revoke_key(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user, id)): Path<(OrgId, UserId, String)>,
) -> Result<StatusCode, ApiError> {
    let (org, user) = itself(&caller, org, user);
    api_keys::deleted(&state, &caller, (&org, &user), &id).await
}

/// Removes all API keys of a user.
pub(super) async fn revoke_keys(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user)): Path<(OrgId, UserId)>,
) -> Result<Json<RevokedKeys>, ApiError> {
    let (org, user) = itself(&caller, org, user);
    let permit =
        caller.permit(|caller, held| users::may_change(caller, &org, &user, held).map(drop));
    let revoked = state.store.revoke_api_keys(&org, &user, permit, state.clock.now()).await?;
    Ok(Json(RevokedKeys { revoked }))
}

/// Gives a user another password, and removes the user's API keys in the same transaction if that is asked for.
pub(super) async fn set_password(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user)): Path<(OrgId, UserId)>,
    SecretBody(request): SecretBody<NewPassword>,
) -> Result<Json<RevokedKeys>, ApiError> {
    let (org, user) = itself(&caller, org, user);
    users::refuse_early(&state, &caller, &org, &user).await?;
    let password_hash = users::hash(&state, &org, &request.password).await?;
    caller.note_about(AuditEvent::PasswordChanged, format!("orgs/{org}/users/{user}"));
    let permit = caller.permit(|caller, held| {
        Ok(UserRecord { password_hash, ..users::may_change(caller, &org, &user, held)? })
    });
    let (by, now) = (caller.name(), state.clock.now());
    let revoked = if request.revoke_api_keys {
        state.store.write_user_and_revoke(&org, &user, &by, permit, now).await?
    } else {
        state.store.write_user(&org, &user, &by, permit, now).await?;
        0
    };
    Ok(Json(RevokedKeys { revoked }))
}

/// The user of a path; `apikey` is the caller, as in Horizon's API.
fn itself(caller: &Caller, org: OrgId, user: UserId) -> (OrgId, UserId) {
    match caller.user() {
        Some(own) if users::ITSELF.contains(&user.as_str()) => (caller.org.clone(), own.clone()),
        _ => (org, user),
    }
}
