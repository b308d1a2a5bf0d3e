//! API keys: secrets by which programs ask as a user.

use axum::{Json, extract::State, http::StatusCode};
use uuid::Uuid;

use super::{
    ApiError, AppState,
    bootstrap::random_secret,
    caller::Caller,
    extract::{Body, Path, check_text},
};
use crate::{
    exchange::{
        api::{ApiKey, ApiKeyRequest, ExpiringKey, ExpiringKeyRequest, NewApiKey},
        store::StoreError,
    },
    types::{Digest, OrgId, UserId},
};

/// Makes a key for a user. Its value is in this answer alone.
pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user)): Path<(OrgId, UserId)>,
    Body(request): Body<ApiKeyRequest>,
) -> Result<(StatusCode, Json<NewApiKey>), ApiError> {
    let ApiKeyRequest { description, label } = request;
    let request = ExpiringKeyRequest { description, label, expires_in_days: None };
    created(&state, &caller, (&org, &user), request).await
}

/// Makes a key for a user, with an end if one is asked for.
pub(super) async fn created(
    state: &AppState,
    caller: &Caller,
    (org, user): (&OrgId, &UserId),
    request: ExpiringKeyRequest,
) -> Result<(StatusCode, Json<NewApiKey>), ApiError> {
    let ExpiringKeyRequest { description, label, expires_in_days } = request;
    check_text("label", &label)?;
    check_text("description", &description)?;
    let (id, last_updated) = (Uuid::new_v4().to_string(), state.clock.now());
    let days = |days: u32| jiff::SignedDuration::from_hours(24 * i64::from(days));
    let expires = expires_in_days.map(|it| last_updated.checked_add(days(it)));
    let expires = expires.transpose().map_err(|_| {
        ApiError::InvalidInput("the key would expire after the year 9999".to_owned())
    })?;
    let key = ApiKey { id, label, description, last_updated };
    let key = ExpiringKey { key, expires };
    let value = random_secret()?;
    let hashed = Digest::of(value.expose().as_bytes());
    let permit = caller.permit_user(org, user);
    state.store.create_api_key(org, user, (&key, &hashed), permit).await?;
    let (ExpiringKey { key, expires }, owner) = (key, format!("{org}/{user}"));
    Ok((StatusCode::CREATED, Json(NewApiKey { key, owner, value: value.into(), expires })))
}

/// Shows a key, without its value.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user, id)): Path<(OrgId, UserId, String)>,
) -> Result<Json<ApiKey>, ApiError> {
    let id = parsed(&id)?;
    caller.may_read_user(&org, &user)?;
    let key = state.store.api_key(&org, &user, &id).await?;
    Ok(Json(key.ok_or_else(|| StoreError::missing("apikey", &org, &id))?.key))
}

/// Removes a key.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user, id)): Path<(OrgId, UserId, String)>,
) -> Result<StatusCode, ApiError> {
    deleted(&state, &caller, (&org, &user), &id).await
}

/// Removes a key of a user.
pub(super) async fn deleted(
    state: &AppState,
    caller: &Caller,
    (org, user): (&OrgId, &UserId),
    id: &str,
) -> Result<StatusCode, ApiError> {
    let id = parsed(id)?;
    let permit = caller.permit_user(org, user);
    state.store.delete_api_key(org, user, &id, permit, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(id: &str) -> Result<String, ApiError> {
    let id = Uuid::try_parse(id);
    let id = id.map_err(|_| ApiError::InvalidInput("the id of an API key is a UUID".to_owned()))?;
    Ok(id.to_string())
}
