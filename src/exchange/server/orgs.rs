//! Organizations.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    ApiError, AppState,
    answer::{Patch, attribute, fits, listed, patched, written},
    caller::{Caller, ROOT},
    extract::{Body, Path, Query, check_new_account},
    lists::reserved_json,
};
use crate::{
    exchange::api::{AgbotsNone, ORG_TYPE_IBM, OrgRequest, Orgs, Reply},
    types::{JsonProblem, OrgId},
};

/// The most nodes that an organization may ask for.
const MOST_NODES: i64 = 1_000_000;

/// Which organizations to list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    organization: Option<String>,
    orgtype: Option<String>,
    label: Option<String>,
    description: Option<String>,
}

/// Lists the organizations that the caller may see.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filters): Query<Filters>,
) -> Result<Response, ApiError> {
    if filters.orgtype.as_deref().is_some_and(|it| it != ORG_TYPE_IBM) {
        return Err(ApiError::InvalidInput("orgtype can only be IBM".to_owned()));
    }
    let reservation = state.reserve_whole(&caller, state.store.usage_of_orgs().await?).await?;
    let mut orgs = state.store.orgs().await?;
    orgs.retain(|id, org| {
        caller.may_read_org(id).is_ok()
            && fits(filters.organization.as_deref(), id.as_str())
            && fits(filters.orgtype.as_deref(), &org.value.org_type)
            && fits(filters.label.as_deref(), &org.value.label)
            && fits(filters.description.as_deref(), &org.value.description)
    });
    let status = if orgs.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    reserved_json(status, &Orgs { orgs, last_index: 0 }, reservation)
}

/// One attribute instead of the whole.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Only {
    /// Its name.
    pub(super) attribute: Option<String>,
}

/// Tells about one organization.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<OrgId>,
    Query(only): Query<Only>,
) -> Result<Response, ApiError> {
    caller.may_read_org(&id)?;
    let org = state.store.org(&id).await?;
    if let (Some(org), Some(name)) = (&org, &only.attribute) {
        return Ok(attribute(org, name)?.into_response());
    }
    let orgs = org.map(|org| (id, org)).into_iter().collect::<std::collections::BTreeMap<_, _>>();
    Ok(listed(orgs.is_empty(), Orgs { orgs, last_index: 0 }))
}

/// Makes an organization.
pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<OrgId>,
    Body(request): Body<OrgRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    check_new_account(id.as_str())?;
    check(&request)?;
    let permit = caller.permit(|caller, _| {
        caller.may_make_org(&id)?;
        Ok(request)
    });
    let created = state.store.create_org(&id, permit, state.clock.now()).await;
    created.map_err(ApiError::or_conflict)?;
    Ok(written(format!("org '{id}' created")))
}

/// Replaces what is said about an organization.
pub(super) async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<OrgId>,
    Body(body): Body<Value>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let names_limits = body.get("limits").is_some_and(|limits| !limits.is_null());
    let request = serde_json::from_value::<OrgRequest>(body);
    let request = request.map_err(|error| {
        ApiError::InvalidInput(format!("the body: {}", JsonProblem::from(error)))
    })?;
    let permit = caller.permit(|caller, held| {
        let held = may_replace(caller, &id, held)?;
        // An administrator who does not name the limits means to keep them.
        let keeps_limits = !names_limits && !caller.manages_orgs();
        let limits = if keeps_limits { held.limits } else { request.limits };
        allowed(caller, &id, &held, OrgRequest { limits, ..request })
    });
    state.store.change_org(&id, permit, state.clock.now()).await?;
    Ok(written(format!("org '{id}' updated")))
}

/// Changes one attribute of an organization.
pub(super) async fn patch(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<OrgId>,
    Body(patch): Body<Patch>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let permit = caller.permit(|caller, held| {
        let held = may_replace(caller, &id, held)?;
        allowed(caller, &id, &held, patched(&held, patch)?)
    });
    state.store.change_org(&id, permit, state.clock.now()).await?;
    Ok(written(format!("org '{id}' updated")))
}

/// Removes an organization and everything in it.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<OrgId>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.permit(|caller, _| {
        caller.may_make_org(&id)?;
        if id.as_str() == ROOT {
            return Err(ApiError::AccessDenied("org 'root' cannot be removed".to_owned()));
        }
        Ok(())
    });
    state.store.delete_org(&id, permit, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is there, if it is and the caller may change it.
fn may_replace(
    caller: &Caller,
    id: &OrgId,
    held: Option<OrgRequest>,
) -> Result<OrgRequest, ApiError> {
    caller.may_change_org(id)?;
    held.ok_or_else(|| ApiError::NotFound(format!("org '{id}' not found")))
}

/// The new description, if it is sound and the caller may give it.
fn allowed(
    caller: &Caller,
    id: &OrgId,
    held: &OrgRequest,
    new: OrgRequest,
) -> Result<OrgRequest, ApiError> {
    if held.org_type != new.org_type {
        caller.may_set_org_type(id)?;
    }
    if new.limits.lift(&held.limits) {
        caller.may_lift_limits(id)?;
    }
    check(&new)?;
    Ok(new)
}

fn check(org: &OrgRequest) -> Result<(), ApiError> {
    if !matches!(org.limits.max_nodes, 0..=MOST_NODES) {
        let msg = format!("limits.maxNodes must be 0 to {MOST_NODES}");
        return Err(ApiError::InvalidInput(msg));
    }
    if !matches!(org.org_type.as_str(), "" | ORG_TYPE_IBM) {
        return Err(ApiError::InvalidInput("orgType can only be IBM".to_owned()));
    }
    Ok(())
}

/// There are no agreement bots here: nodes decide themselves. `hzn org create` asks.
pub(super) async fn agbots(caller: Caller, Path(org): Path<OrgId>) -> Result<Response, ApiError> {
    caller.may_read_org(&org)?;
    Ok(listed(true, AgbotsNone::default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::exchange::server::testing::Lab;

    fn org() -> serde_json::Value {
        json!({"label": "Prefixed", "description": "d"})
    }

    #[tokio::test]
    async fn hub_administrators_make_organizations_once() {
        let lab = Lab::start().await;
        lab.post("root/hu", "/orgs/C", org()).await.is(201);
        lab.post("root/hu", "/orgs/C", org()).await.refuses(409, "already-exists");
        lab.post("A/u1", "/orgs/D", org()).await.refuses(403, "access-denied");
        let null = json!({"label": null, "description": "d"});
        lab.post("root/root", "/orgs/D", null).await.refuses(400, "invalid-input");
        let unknown = json!({"label": "l", "description": "d", "colour": "red"});
        lab.post("root/root", "/orgs/D", unknown).await.refuses(400, "invalid-input");
    }

    #[tokio::test]
    async fn organizations_are_listed_by_filters() {
        let lab = Lab::start().await;
        lab.post("root/root", "/orgs/C", org()).await.is(201);
        lab.get("root/root", "/orgs?orgtype=other").await.is(400);
        assert_eq!(lab.get("root/root", "/orgs?orgtype=IBM").await.is(200)["lastIndex"], 0);
        let none = lab.get("root/root", "/orgs?label=doesNotExist").await.is(404);
        assert_eq!(none, json!({"orgs": {}, "lastIndex": 0}));
        let some = lab.get("root/root", "/orgs?label=Pre%25").await.is(200);
        assert_eq!(some["orgs"]["C"]["heartbeatIntervals"]["minInterval"], 0);
        assert!(some["orgs"]["A"].is_null());
        lab.get("A/u1", "/orgs/B").await.refuses(403, "access-denied");
        lab.get("A/u1", "/orgs/IBM").await.is(200);
        assert_eq!(lab.get("root/root", "/orgs/none").await.is(404)["orgs"], json!({}));
        assert_eq!(lab.get("A/u1", "/orgs/A?attribute=label").await.is(200)["value"], "A");
    }

    #[tokio::test]
    async fn administrators_change_their_own_organization() {
        let lab = Lab::start().await;
        lab.put("root/root", "/orgs/none", org()).await.refuses(404, "not-found");
        lab.patch("A/ad", "/orgs/A", json!({"description": "x"})).await.is(201);
        assert_eq!(lab.get("A/ad", "/orgs/A").await.is(200)["orgs"]["A"]["description"], "x");
        lab.patch("A/ad", "/orgs/A", json!({"orgType": "IBM"})).await.is(403);
        lab.patch("A/ad", "/orgs/A", json!({})).await.is(400);
        lab.patch("A/ad", "/orgs/A", json!({"nothing": 1})).await.is(400);
        lab.patch("A/u1", "/orgs/A", json!({"description": "y"})).await.is(403);
    }

    #[tokio::test]
    async fn an_organization_goes_with_everything_in_it_but_root_stays() {
        let lab = Lab::start().await;
        lab.delete("root/root", "/orgs/B").await.is(204);
        lab.delete("root/root", "/orgs/B").await.is(404);
        lab.get("B/bu", "/orgs/B").await.refuses(401, "invalid-credentials");
        lab.delete("root/root", "/orgs/root").await.refuses(403, "access-denied");
    }

    #[tokio::test]
    async fn there_are_no_agreement_bots() {
        let lab = Lab::start().await;
        let none = lab.get("root/root", "/orgs/A/agbots").await.is(404);
        assert_eq!(none, json!({"agbots": {}, "lastIndex": 0}));
    }
}
