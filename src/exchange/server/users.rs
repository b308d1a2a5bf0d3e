//! Users.

use axum::{Json, extract::State, http::StatusCode, response::Response};

use super::{
    ApiError, AppState,
    answer::{listed, no_attribute, written},
    caller::{Caller, ROOT},
    extract::{Body, Path},
};
use crate::{
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
        Some(held) => caller.may_change_user(&org, &id, Some(&held))?,
        None => caller.may_make_user(&org, &id, &request)?,
    }
    may_raise(&caller, &org, Some(request.admin), Some(request.hub_admin))?;
    let user = record(&state, &org, request).await?;
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
    may_raise(&caller, &org, patch.admin, patch.hub_admin)?;
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

/// Nobody raises itself: only those above give these flags.
fn may_raise(
    caller: &Caller,
    org: &OrgId,
    admin: Option<bool>,
    hub_admin: Option<bool>,
) -> Result<(), ApiError> {
    let refuse = |msg: &str| Err(ApiError::InvalidInput(msg.to_owned()));
    if admin == Some(true) && !caller.manages_orgs() && !caller.administers(org) {
        return refuse("only an administrator can make an administrator");
    }
    if hub_admin == Some(true) && (org.as_str() != ROOT || !caller.manages_orgs()) {
        return refuse("only a hub administrator can make one, and only in org 'root'");
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
mod tests {
    use serde_json::json;

    use crate::exchange::server::testing::Lab;

    fn user() -> serde_json::Value {
        json!({"password": "pw", "admin": false, "email": "x@example.org"})
    }

    #[tokio::test]
    async fn administrators_make_users_once() {
        let lab = Lab::start().await;
        lab.post("A/ad", "/orgs/A/users/x", user()).await.is(201);
        lab.post("A/ad", "/orgs/A/users/x", user()).await.refuses(400, "invalid-input");
        lab.post("A/ad", "/orgs/A/users/apikey", user()).await.refuses(400, "invalid-input");
        lab.post("A/u1", "/orgs/A/users/y", user()).await.refuses(403, "access-denied");
        lab.post("root/root", "/orgs/none/users/y", user()).await.refuses(404, "not-found");
        let blank = json!({"password": " ", "admin": false, "email": ""});
        lab.post("A/ad", "/orgs/A/users/y", blank).await.is(400);
        let hub = json!({"password": "pw", "admin": false, "hubAdmin": true, "email": ""});
        lab.post("root/root", "/orgs/A/users/y", hub).await.is(400);
        lab.post("root/root", "/orgs/root/users/y", user()).await.is(400);
        lab.put("A/ad", "/orgs/A/users/z", user()).await.is(201);
        lab.put("A/ad", "/orgs/A/users/z", user()).await.is(201);
    }

    #[tokio::test]
    async fn users_change_one_thing_about_themselves_at_a_time() {
        let lab = Lab::start().await;
        let both = json!({"email": "a", "password": "b"});
        lab.patch("A/u1", "/orgs/A/users/u1", both).await.is(400);
        lab.patch("A/u1", "/orgs/A/users/u1", json!({})).await.is(400);
        lab.patch("A/u1", "/orgs/A/users/u1", json!({"admin": true})).await.is(400);
        lab.patch("A/u2", "/orgs/A/users/u1", json!({"email": "a"})).await.is(403);
        lab.patch("B/bu", "/orgs/A/users/u1", json!({"email": "a"})).await.is(403);
        lab.patch("A/u1", "/orgs/A/users/u1", json!({"password": "new"})).await.is(201);
        lab.get("A/u1", "/orgs/A").await.is(401);
        lab.get("A/u1:new", "/orgs/A").await.is(200);
        let body = json!({"newPassword": "newer"});
        lab.post("A/u1:new", "/orgs/A/users/u1/changepw", body).await.is(201);
        lab.post("A/u1:newer", "/orgs/A/users/u1/confirm", json!({})).await.is(201);
        lab.patch("A/ad", "/orgs/A/users/u1", json!({"password": ""})).await.is(201);
        lab.get("A/u1:", "/orgs/A").await.is(401);
    }

    #[tokio::test]
    async fn a_user_is_shown_with_stars_for_a_password() {
        let lab = Lab::start().await;
        let shown = lab.get("A/u1", "/orgs/A/users/u1").await.is(200);
        assert_eq!(shown["users"]["A/u1"]["password"], "***************");
        assert_eq!(shown, lab.get("A/u1", "/orgs/A/users/iamapikey").await.is(200));
        lab.get("A/u1", "/orgs/A/users").await.is(403);
        let all = lab.get("A/ad", "/orgs/A/users").await.is(200);
        assert_eq!(all["users"].as_object().unwrap().len(), 3);
        let none = lab.get("A/ad", "/orgs/A/users/none").await.is(404);
        assert_eq!(none, json!({"users": {}, "lastIndex": 0}));
    }

    #[tokio::test]
    async fn an_api_key_stands_for_its_user() {
        let lab = Lab::start().await;
        let keys = "/orgs/A/users/u1/apikeys";
        let key = lab.post("A/u1", keys, json!({"label": "ci"})).await.is(201);
        let value = key["value"].as_str().unwrap();
        assert_eq!((value.len(), &key["owner"]), (64, &json!("A/u1")));
        let who = format!("A/apikey:{value}");
        let own = lab.get(&who, "/orgs/A/users/apikey").await.is(200);
        assert_eq!(own["users"]["A/u1"]["apikeys"][0]["label"], "ci");
        assert!(own["users"]["A/u1"]["apikeys"][0]["value"].is_null());
        lab.get(&format!("B/apikey:{value}"), "/orgs/B").await.is(401);
        let path = format!("{keys}/{}", key["id"].as_str().unwrap());
        assert_eq!(lab.get("A/u1", &path).await.is(200)["label"], "ci");
        lab.get("A/u1", &format!("{keys}/nonsense")).await.is(400);
        lab.delete("A/u2", &path).await.is(403);
        lab.delete("A/u1", &path).await.is(204);
        lab.get(&who, "/orgs/A").await.is(401);
    }

    #[tokio::test]
    async fn root_cannot_be_removed_others_can() {
        let lab = Lab::start().await;
        lab.delete("root/root", "/orgs/root/users/root").await.is(400);
        lab.delete("A/ad", "/orgs/A/users/u2").await.is(204);
        lab.delete("A/ad", "/orgs/A/users/u2").await.is(404);
        lab.get("A/u2", "/orgs/A").await.is(401);
    }
}
