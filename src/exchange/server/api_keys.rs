//! API keys: secrets by which programs ask as a user.

use axum::{Json, extract::State, http::StatusCode};
use uuid::Uuid;

use super::{
    ApiError, AppState,
    bootstrap::random_secret,
    caller::Caller,
    extract::{Body, Path},
};
use crate::{
    exchange::{
        api::{ApiKey, ApiKeyRequest, NewApiKey},
        store::StoreError,
    },
    types::{Digest, OrgId, UserId},
};

/// Makes a key for a user. Its value is told this once.
pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user)): Path<(OrgId, UserId)>,
    Body(request): Body<ApiKeyRequest>,
) -> Result<(StatusCode, Json<NewApiKey>), ApiError> {
    let held = state.store.user(&org, &user).await?;
    caller.may_change_user(&org, &user, held.as_ref())?;
    let ApiKeyRequest { description, label } = request;
    let (id, last_updated) = (Uuid::new_v4().to_string(), state.clock.now());
    let key = ApiKey { id, label, description, last_updated };
    let value = random_secret()?;
    let hashed = Digest::of(value.expose().as_bytes());
    state.store.create_api_key(&org, &user, &key, &hashed).await?;
    let owner = format!("{org}/{user}");
    Ok((StatusCode::CREATED, Json(NewApiKey { key, owner, value: value.into() })))
}

/// Tells about a key, but not its value.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user, id)): Path<(OrgId, UserId, String)>,
) -> Result<Json<ApiKey>, ApiError> {
    let id = parsed(&id)?;
    caller.may_read_user(&org, &user)?;
    let key = state.store.api_key(&org, &user, &id).await?;
    Ok(Json(key.ok_or_else(|| StoreError::missing("apikey", &org, &id))?))
}

/// Removes a key.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, user, id)): Path<(OrgId, UserId, String)>,
) -> Result<StatusCode, ApiError> {
    let id = parsed(&id)?;
    let held = state.store.user(&org, &user).await?;
    caller.may_change_user(&org, &user, held.as_ref())?;
    state.store.delete_api_key(&org, &user, &id, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(id: &str) -> Result<String, ApiError> {
    let id = Uuid::try_parse(id);
    let id = id.map_err(|_| ApiError::InvalidInput("the id of an API key is a UUID".to_owned()))?;
    Ok(id.to_string())
}
