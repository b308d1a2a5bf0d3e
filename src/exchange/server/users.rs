//! Users.

use axum::{Json, extract::State, http::StatusCode, response::Response};

use super::{
    ApiError, AppState,
    answer::{listed, no_attribute, written},
    caller::{Caller, ROOT, Role},
    extract::{Path, SecretBody, check_new_account},
    lengths::{SecretKind, check_length},
    lists::reserved_json,
};
use crate::{
    audit::AuditEvent,
    exchange::{
        api::{ChangePassword, Reply, UserPatch, UserRequest, Users, WireSecret},
        store::{Put, Quota, StoreError, UserRecord},
    },
    types::{OrgId, UserId},
};

/// Names by which users who log in with an API key ask for themselves.
pub(super) const ITSELF: [&str; 2] = ["apikey", "iamapikey"];

/// Lists the users of an organization.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
) -> Result<Response, ApiError> {
    caller.may_read_users(&org)?;
    let usage = state.store.usage_of_org(&Quota::USERS, &org).await?;
    let keys = state.store.usage_of_org(&Quota::API_KEYS, &org).await?;
    let reservation = state.reserve_whole(&caller, usage + keys).await?;
    let mut users = state.store.users(&org, None).await?;
    let all = caller.administers(&org);
    users.retain(|name, it| all || it.admin || it.hub_admin || *name == caller.name());
    let status = if users.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    reserved_json(status, &Users { users, last_index: 0 }, reservation)
}

/// Tells about one user; `apikey` is the caller.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
) -> Result<Response, ApiError> {
    let (org, id) = match caller.user() {
        Some(own) if ITSELF.contains(&id.as_str()) => (caller.org.clone(), own.clone()),
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
    SecretBody(request): SecretBody<UserRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    check_new_account(id.as_str())?;
    caller.may_make_user(&org, &id, &request)?;
    let user = record(&state, &org, &request).await?;
    let permit = caller.permit(|caller, held| {
        caller.may_make_user(&org, &id, &request)?;
        match held {
            Some(_) => Err(ApiError::from(StoreError::exists("user", &org, &id)).or_invalid()),
            None => Ok(user),
        }
    });
    state.store.write_user(&org, &id, &caller.name(), permit, state.clock.now()).await?;
    Ok(written(format!("user '{org}/{id}' created")))
}

/// Makes a user, or replaces what is known of one.
pub(super) async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
    SecretBody(request): SecretBody<UserRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let held = state.store.user(&org, &id).await?;
    may_replace(&caller, (&org, &id), held.as_ref(), &request)?;
    let user = record(&state, &org, &request).await?;
    caller.note(AuditEvent::PasswordChanged);
    let permit = caller.permit(|caller, held: Option<UserRecord>| {
        may_replace(caller, (&org, &id), held.as_ref(), &request)?;
        Ok(user)
    });
    let (by, now) = (caller.name(), state.clock.now());
    let done = match state.store.write_user(&org, &id, &by, permit, now).await? {
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
    SecretBody(patch): SecretBody<UserPatch>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    refuse_early(&state, &caller, &org, &id).await?;
    if patch.password.is_some() {
        caller.note(AuditEvent::PasswordChanged);
    }
    let (to_admin, to_hub_admin) = (patch.admin == Some(true), patch.hub_admin == Some(true));
    let change = change(&state, &org, patch).await?;
    let permit = caller.permit(|caller, held| {
        let held = may_change(caller, &org, &id, held)?;
        may_raise(caller, &org, to_admin, to_hub_admin)?;
        Ok(change(held))
    });
    state.store.write_user(&org, &id, &caller.name(), permit, state.clock.now()).await?;
    Ok(written(format!("user '{org}/{id}' updated")))
}

/// Removes a user and everything the user owns.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, UserId)>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.permit(|caller, held: Option<UserRecord>| {
        caller.may_change_user(&org, &id, held.as_ref())?;
        if org.as_str() == ROOT && id.as_str() == ROOT {
            return Err(ApiError::InvalidInput("user 'root/root' cannot be removed".to_owned()));
        }
        Ok(())
    });
    state.store.delete_user(&org, &id, &caller.name(), permit, state.clock.now()).await?;
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
    SecretBody(request): SecretBody<ChangePassword>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    refuse_early(&state, &caller, &org, &id).await?;
    let password_hash = hash(&state, &org, &request.new_password).await?;
    caller.note(AuditEvent::PasswordChanged);
    let permit = caller.permit(|caller, held| {
        Ok(UserRecord { password_hash, ..may_change(caller, &org, &id, held)? })
    });
    state.store.write_user(&org, &id, &caller.name(), permit, state.clock.now()).await?;
    Ok(written("password updated successfully"))
}

/// What to keep of a user who is described like this.
async fn record(
    state: &AppState,
    org: &OrgId,
    request: &UserRequest,
) -> Result<UserRecord, ApiError> {
    let UserRequest { password, admin, hub_admin, email } = request;
    let (admin, hub_admin, email) = (*admin, *hub_admin, email.clone());
    if hub_admin != (org.as_str() == ROOT) {
        let msg = "hub administrators, and only they, belong into org 'root'";
        return Err(ApiError::InvalidInput(msg.to_owned()));
    }
    let password_hash = hash(state, org, password).await?;
    Ok(UserRecord { password_hash, admin, hub_admin, email })
}

/// The hash of a new password.
pub(super) async fn hash(
    state: &AppState,
    org: &OrgId,
    password: &WireSecret,
) -> Result<String, ApiError> {
    if password.0.expose().trim().is_empty() {
        return Err(ApiError::InvalidInput("the password is empty".to_owned()));
    }
    check_length(state, org, SecretKind::Password, &password.0).await?;
    state.passwords.hash(&password.0).await
}

/// Refuses before the costly hash of a password is computed. The decision is made inside the write transaction.
pub(super) async fn refuse_early(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    id: &UserId,
) -> Result<(), ApiError> {
    let held = state.store.user(org, id).await?;
    caller.may_change_user(org, id, held.as_ref())
}

/// The user, if there is one and the caller may change it.
pub(super) fn may_change(
    caller: &Caller,
    org: &OrgId,
    id: &UserId,
    held: Option<UserRecord>,
) -> Result<UserRecord, ApiError> {
    caller.may_change_user(org, id, held.as_ref())?;
    Ok(held.ok_or_else(|| StoreError::missing("user", org, id))?)
}

/// Whether the caller may make the user, or replace the one that is there.
fn may_replace(
    caller: &Caller,
    (org, id): (&OrgId, &UserId),
    held: Option<&UserRecord>,
    request: &UserRequest,
) -> Result<(), ApiError> {
    let Some(held) = held else {
        caller.may_make_user(org, id, request)?;
        return check_new_account(id.as_str());
    };
    caller.may_change_user(org, id, Some(held))?;
    let to_hub_admin = request.hub_admin && !held.hub_admin;
    may_raise(caller, org, request.admin && !held.admin, to_hub_admin)
}

/// What a patch makes of a user.
type Change = Box<dyn FnOnce(UserRecord) -> UserRecord + Send>;

/// What a patch makes of a user: exactly one attribute is another.
async fn change(state: &AppState, org: &OrgId, patch: UserPatch) -> Result<Change, ApiError> {
    let UserPatch { password, admin, hub_admin, email } = patch;
    Ok(match (password, admin, hub_admin, email) {
        (Some(password), None, None, None) if password.0.is_empty() => {
            Box::new(|user| UserRecord { password_hash: String::new(), ..user })
        }
        (Some(password), None, None, None) => {
            let password_hash = hash(state, org, &password).await?;
            Box::new(|user| UserRecord { password_hash, ..user })
        }
        (None, Some(admin), None, None) => Box::new(move |user| UserRecord { admin, ..user }),
        (None, None, Some(hub_admin), None) => {
            Box::new(move |user| UserRecord { hub_admin, ..user })
        }
        (None, None, None, Some(email)) => Box::new(|user| UserRecord { email, ..user }),
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

#[cfg(test)]
mod tests;
