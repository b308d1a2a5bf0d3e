//! Registry logins of a service, by Horizon's paths.
//!
//! Horizon shows every token to everyone who may read the service. Who gets what here is decided in
//! [`entitlement`](super::entitlement).

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{
    ApiError, AppState,
    answer::{listed, written},
    caller::Caller,
    entitlement::{Access, Decision, Way, decide},
    extract::{Path, SecretBody},
};
use crate::{
    exchange::{
        api::{Credential, DockAuth, MaskedCredential, Reply, ServiceRequest, ShownToken},
        store::{Ownership, Permit, StoreError, StoredCredential},
    },
    types::OrgId,
};

/// Lists the logins.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, service)): Path<(OrgId, String)>,
) -> Result<Response, ApiError> {
    let logins = shown(&state, &caller, &org, &service).await?;
    Ok(listed(logins.is_empty(), logins))
}

/// Tells one login.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, service, id)): Path<(OrgId, String, String)>,
) -> Result<Response, ApiError> {
    let id = number(&id)?;
    let mut logins = shown(&state, &caller, &org, &service).await?;
    logins.retain(|login| login.dock_auth_id == id);
    let login = logins.pop().ok_or_else(|| missing(&org, &service, id))?;
    Ok(Json(login).into_response())
}

/// Adds a login; the same one again is only touched.
pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, service)): Path<(OrgId, String)>,
    SecretBody(login): SecretBody<Credential>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let (permit, now) = (permit(&caller, &org, &service), state.clock.now());
    let id = state.store.add_credential(&org, &service, &login, permit, now).await?;
    Ok(written(format!("dockauth {id} of service '{org}/{service}' added")))
}

/// Replaces a login.
pub(super) async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, service, id)): Path<(OrgId, String, String)>,
    SecretBody(login): SecretBody<Credential>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let id = number(&id)?;
    let (permit, now) = (permit(&caller, &org, &service), state.clock.now());
    if state.store.replace_credential(&org, &service, (id, &login), permit, now).await? {
        return Ok(written(format!("dockauth {id} of service '{org}/{service}' updated")));
    }
    Err(missing(&org, &service, id))
}

/// Removes a login.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, service, id)): Path<(OrgId, String, String)>,
) -> Result<StatusCode, ApiError> {
    let id = number(&id)?;
    removed(&state, &caller, &org, &service, Some(id)).await
}

/// Removes all logins.
pub(super) async fn delete_all(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, service)): Path<(OrgId, String)>,
) -> Result<StatusCode, ApiError> {
    removed(&state, &caller, &org, &service, None).await
}

async fn removed(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    service: &str,
    id: Option<i64>,
) -> Result<StatusCode, ApiError> {
    let (permit, now) = (permit(caller, org, service), state.clock.now());
    if state.store.delete_credentials(org, service, id, permit, now).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::NotFound(format!("no dockauth of service '{org}/{service}'")))
}

/// The logins as the caller may see them; none to whom they are no business.
async fn shown(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    service: &str,
) -> Result<Vec<DockAuth>, ApiError> {
    let Decision { held, access, .. } = decide(state, caller, (org, service), Way::Plain).await?;
    caller.may_read::<ServiceRequest>(org, service, held.as_ref())?;
    let show = |StoredCredential { id, credential, last_updated, .. }| {
        let Credential { registry, username, token } = credential;
        let token = ShownToken::Clear(token.into());
        DockAuth { dock_auth_id: id, registry, username, token, last_updated }
    };
    Ok(match access {
        Access::Nothing => Vec::new(),
        Access::Masked(held) => held.into_iter().map(starred).collect(),
        Access::Tokens { credentials, .. } => credentials.into_iter().map(show).collect(),
    })
}

/// A login without its token.
fn starred(held: MaskedCredential) -> DockAuth {
    let MaskedCredential { id, registry, username, token, last_updated, .. } = held;
    let token = ShownToken::Hidden(token);
    DockAuth { dock_auth_id: id, registry, username, token, last_updated }
}

/// The decision on a write to the logins of a service, which has to exist.
fn permit<'a>(
    caller: &'a Caller,
    org: &'a OrgId,
    service: &'a str,
) -> Permit<'a, Ownership, (), ApiError> {
    caller.permit(move |caller, held: Option<Ownership>| {
        caller.may_change::<ServiceRequest>(org, service, held.as_ref())?;
        held.map(drop).ok_or_else(|| StoreError::missing("service", org, service).into())
    })
}

fn number(id: &str) -> Result<i64, ApiError> {
    id.parse()
        .map_err(|_| ApiError::InvalidInput(format!("'{id}' is no dockauth: they are numbers")))
}

fn missing(org: &OrgId, service: &str, id: i64) -> ApiError {
    ApiError::NotFound(format!("dockauth {id} of service '{org}/{service}' not found"))
}

#[cfg(test)]
mod tests;
