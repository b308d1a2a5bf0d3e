//! Users.

use axum::{Json, extract::State, http::StatusCode, response::Response};

use super::{
    ApiError, AppState,
    answer::{listed, no_attribute, written},
    caller::{Caller, ROOT, Role},
    extract::{Body, Path},
};
use crate::{
    audit::AuditEvent,
    exchange::{
        api::{ChangePassword, Reply, UserPatch, UserRequest, Users, WireSecret},
        store::{Put, StoreError, UserRecord},
    },
    types::{OrgId, UserId},
};

/// Names that stand for API keys.
const RESERVED: [&str; 2] = ["apikey", "iamapikey"];

/// Lists the users of an organization.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
) -> Result<Response, ApiError> {
    caller.may_read_users(&org)?;
    let mut users = state.store.users(&org, None).await?;
    let all = caller.administers(&org);
    users.retain(|name, it| all || it.admin || it.hub_admin || *name == caller.name());
    Ok(listed(users.is_empty(), Users { users, last_index: 0 }))
}

/// Tells about one user; `apikey` is the caller.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
) -> Result<Response, ApiError> {
    let (org, id) = match caller.user() {
        Some(own) if RESERVED.contains(&id.as_str()) => (caller.org.clone(), own.clone()),
        _ => (org, id),
    };
    caller.may_read_user(&org, &id)?;
    let mut users = state.store.users(&org, Some(&id)).await?;
    let all = caller.administers(&org);
    users.retain(|name, it| all || it.admin || it.hub_admin || *name == caller.name());
    Ok(listed(users.is_empty(), Users { users, last_index: 0 }))
}

/// Makes a user.
pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
    Body(request): Body<UserRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    check_name(&id)?;
    caller.may_make_user(&org, &id, &request)?;
    let user = record(&state, &org, request).await?;
    let by = caller.name();
    let created = state.store.create_user(&org, &id, &user, &by, state.clock.now()).await;
    created.map_err(|error| ApiError::from(error).or_invalid())?;
    Ok(written(format!("user '{org}/{id}' created")))
}

/// Makes a user, or replaces what is known of one.
pub(super) async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
    Body(request): Body<UserRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    check_name(&id)?;
    match state.store.user(&org, &id).await? {
        Some(held) => {
            caller.may_change_user(&org, &id, Some(&held))?;
            may_raise(
                &caller,
                &org,
                request.admin && !held.admin,
                request.hub_admin && !held.hub_admin,
            )?;
        }
        None => caller.may_make_user(&org, &id, &request)?,
    }
    let user = record(&state, &org, request).await?;
    caller.note(AuditEvent::PasswordChanged);
    let by = caller.name();
    let done = match state.store.put_user(&org, &id, &user, &by, state.clock.now()).await? {
        Put::Created => "created",
        Put::Replaced => "updated",
    };
    Ok(written(format!("user '{org}/{id}' {done}")))
}

/// Changes one thing about a user.
pub(super) async fn patch(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
    Body(patch): Body<UserPatch>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let held = state.store.user(&org, &id).await?;
    caller.may_change_user(&org, &id, held.as_ref())?;
    may_raise(&caller, &org, patch.admin == Some(true), patch.hub_admin == Some(true))?;
    if patch.password.is_some() {
        caller.note(AuditEvent::PasswordChanged);
    }
    let change = change(&state, patch).await?;
    state.store.change_user(&org, &id, &caller.name(), change, state.clock.now()).await?;
    Ok(written(format!("user '{org}/{id}' updated")))
}

/// Removes a user and everything the user owns.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
) -> Result<StatusCode, ApiError> {
    let held = state.store.user(&org, &id).await?;
    caller.may_change_user(&org, &id, held.as_ref())?;
    if org.as_str() == ROOT && id.as_str() == ROOT {
        return Err(ApiError::InvalidInput("user 'root/root' cannot be removed".to_owned()));
    }
    state.store.delete_user(&org, &id, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says that the credentials are right; they have been checked by now.
pub(super) async fn confirm(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    caller.may_read_user(&org, &id)?;
    let held = state.store.user(&org, &id).await?;
    held.ok_or_else(|| StoreError::missing("user", &org, &id))?;
    Ok(written("confirmation successful"))
}

/// Gives a user a new password.
pub(super) async fn change_password(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
    Body(request): Body<ChangePassword>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let held = state.store.user(&org, &id).await?;
    caller.may_change_user(&org, &id, held.as_ref())?;
    let password_hash = hash(&state, &request.new_password).await?;
    caller.note(AuditEvent::PasswordChanged);
    let change = |user: &mut UserRecord| user.password_hash = password_hash;
    state.store.change_user(&org, &id, &caller.name(), change, state.clock.now()).await?;
    Ok(written("password updated successfully"))
}

/// What to keep of a user who is described like this.
async fn record(
    state: &AppState,
    org: &OrgId,
    request: UserRequest,
) -> Result<UserRecord, ApiError> {
    let UserRequest { password, admin, hub_admin, email } = request;
    if hub_admin != (org.as_str() == ROOT) {
        let msg = "hub administrators, and only they, belong into org 'root'";
        return Err(ApiError::InvalidInput(msg.to_owned()));
    }
    let password_hash = hash(state, &password).await?;
    Ok(UserRecord { password_hash, admin, hub_admin, email })
}

async fn hash(state: &AppState, password: &WireSecret) -> Result<String, ApiError> {
    if password.0.expose().trim().is_empty() {
        return Err(ApiError::InvalidInput("the password is empty".to_owned()));
    }
    state.passwords.hash(&password.0).await
}

/// What a patch does to what is kept: exactly one thing.
async fn change(
    state: &AppState,
    patch: UserPatch,
) -> Result<Box<dyn FnOnce(&mut UserRecord) + Send>, ApiError> {
    let UserPatch { password, admin, hub_admin, email } = patch;
    Ok(match (password, admin, hub_admin, email) {
        (Some(password), None, None, None) if password.0.is_empty() => {
            Box::new(|user| user.password_hash.clear())
        }
        (Some(password), None, None, None) => {
            let hash = hash(state, &password).await?;
            Box::new(|user| user.password_hash = hash)
        }
        (None, Some(admin), None, None) => Box::new(move |user| user.admin = admin),
        (None, None, Some(hub_admin), None) => Box::new(move |user| user.hub_admin = hub_admin),
        (None, None, None, Some(email)) => Box::new(|user| user.email = email),
        (None, None, None, None) => return Err(no_attribute()),
        _ => {
            let msg = "the body names several attributes; change one at a time";
            return Err(ApiError::InvalidInput(msg.to_owned()));
        }
    })
}

/// Nobody raises itself: only those above give these flags to whoever is there.
fn may_raise(
    caller: &Caller,
    org: &OrgId,
    to_admin: bool,
    to_hub_admin: bool,
) -> Result<(), ApiError> {
    let refuse = |msg: &str| Err(ApiError::InvalidInput(msg.to_owned()));
    if to_admin && !caller.administers(org) {
        return refuse("only an administrator of the organization makes a user one");
    }
    if to_hub_admin && !(org.as_str() == ROOT && matches!(caller.role, Role::Root(_))) {
        return refuse("only root makes a user a hub administrator, and only in org 'root'");
    }
    Ok(())
}

fn check_name(id: &UserId) -> Result<(), ApiError> {
    if RESERVED.iter().any(|reserved| id.as_str().eq_ignore_ascii_case(reserved)) {
        return Err(ApiError::InvalidInput(format!("no user can be called '{id}'")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
