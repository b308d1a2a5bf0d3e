//! Public keys beside services and patterns. They go in and out as they are.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    ApiError, AppState,
    answer::{listed, written},
    caller::Caller,
    extract::{Path, RawBody, check_name, check_new_name},
};
use crate::{
    exchange::{api::Reply, store::KeyHolder},
    types::OrgId,
};

/// Lists the names of the keys.
pub(super) async fn list<T: KeyHolder>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, holder)): Path<(OrgId, String)>,
) -> Result<Response, ApiError> {
    let held = state.store.ownership::<T>(&org, &holder).await?;
    caller.may_read::<T>(&org, &holder, held.as_ref())?;
    let names = state.store.key_names::<T>(&org, &holder).await?;
    Ok(listed(names.is_empty(), names))
}

/// Gives a key; an empty text if there is none, as Horizon does.
pub(super) async fn get<T: KeyHolder>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, holder, id)): Path<(OrgId, String, String)>,
) -> Result<Response, ApiError> {
    let held = state.store.ownership::<T>(&org, &holder).await?;
    caller.may_read::<T>(&org, &holder, held.as_ref())?;
    let key = state.store.key::<T>(&org, &holder, &id).await?;
    let status = if key.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((status, plain, key.unwrap_or_default()).into_response())
}

/// Puts a key beside its holder, whatever its content type.
pub(super) async fn put<T: KeyHolder>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, holder, id)): Path<(OrgId, String, String)>,
    body: Result<RawBody, ApiError>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    check_name(&id)?;
    check_new_name(&id)?;
    let RawBody(body) = body?;
    let content = std::str::from_utf8(&body);
    let content = content.map_err(|_| ApiError::InvalidInput("a key is a text".to_owned()))?;
    let permit = caller.permit_change::<T>(&org, &holder);
    let (key, now) = ((id.as_str(), content), state.clock.now());
    state.store.put_key::<T, _>(&org, &holder, key, permit, now).await?;
    Ok(written("key added or updated"))
}

/// Removes a key.
pub(super) async fn delete<T: KeyHolder>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, holder, id)): Path<(OrgId, String, String)>,
) -> Result<StatusCode, ApiError> {
    removed::<T>(&state, &caller, &org, &holder, Some(&id)).await
}

/// Removes all keys.
pub(super) async fn delete_all<T: KeyHolder>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, holder)): Path<(OrgId, String)>,
) -> Result<StatusCode, ApiError> {
    removed::<T>(&state, &caller, &org, &holder, None).await
}

async fn removed<T: KeyHolder>(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    holder: &str,
    id: Option<&str>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.permit_change::<T>(org, holder);
    if state.store.remove_keys::<T, _>(org, holder, id, permit, state.clock.now()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::NotFound(format!("no key of {} '{org}/{holder}'", T::NOUN)))
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use serde_json::json;

    use crate::exchange::server::testing::{Lab, service};

    #[tokio::test]
    async fn a_key_comes_out_as_it_went_in() {
        let lab = Lab::start().await;
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        lab.node("n1").await;
        let keys = "/orgs/A/services/svc_1.0.0_arm/keys";
        let one = format!("{keys}/my.pem");
        assert_eq!(lab.get("A/u1", keys).await.is(404), json!([]));
        let put = |path: &str| lab.request("A/u1", Method::PUT, path).body("-----BEGIN\n");
        lab.send(put(&one)).await.is(201);
        lab.send(put("/orgs/A/services/none/keys/my.pem")).await.is(404);
        assert_eq!(lab.get("A/n1:tok", keys).await.is(200), json!(["my.pem"]));
        let key = lab.get("A/n1:tok", &one).await;
        assert_eq!((key.status, key.text.as_str()), (200, "-----BEGIN\n"));
        assert!(key.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
        lab.send(put(&format!("{keys}/..%2Fpasswd"))).await.is(400);
        lab.delete("A/u2", &one).await.is(403);
        lab.delete("A/u1", &one).await.is(204);
        lab.delete("A/u1", &one).await.is(404);
        let gone = lab.get("A/u1", &one).await;
        assert_eq!((gone.status, gone.text.as_str()), (404, ""));
    }
}
