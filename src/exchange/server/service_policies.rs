//! The policy that may hang on a service.

use axum::{Json, extract::State, http::StatusCode};

use super::{
    ApiError, AppState,
    answer::written,
    caller::Caller,
    extract::{Body, Path},
    signed_names::{HorizonWrite, SignedPart, WriteTarget},
};
use crate::{
    exchange::{
        api::{Dated, Reply, ServicePolicyRequest, ServiceRequest},
        store::StoreError,
    },
    types::OrgId,
};

/// Tells a service's policy.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
) -> Result<Json<Dated<ServicePolicyRequest>>, ApiError> {
    let held = state.store.ownership::<ServiceRequest>(&org, &id).await?;
    caller.may_read::<ServiceRequest>(&org, &id, held.as_ref())?;
    let policy = state.store.service_policy(&org, &id).await?;
    Ok(Json(policy.ok_or_else(|| StoreError::missing("policy of service", &org, &id))?))
}

/// Gives a service a policy.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
    Body(policy): Body<ServicePolicyRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    policy.problem().map_or(Ok(()), |problem| Err(ApiError::InvalidInput(problem)))?;
    let target = WriteTarget { org: &org, id: &id, part: SignedPart::ServicePolicy };
    let permit = caller.permit_horizon::<ServiceRequest>(HorizonWrite::Publish, target);
    state.store.put_service_policy(&org, &id, &policy, permit, state.clock.now()).await?;
    Ok(written("service policy added or updated"))
}

/// Takes a service's policy away.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
) -> Result<StatusCode, ApiError> {
    let target = WriteTarget { org: &org, id: &id, part: SignedPart::ServicePolicy };
    let permit = caller.permit_horizon::<ServiceRequest>(HorizonWrite::Remove, target);
    state.store.remove_service_policy(&org, &id, permit, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::exchange::server::testing::{Lab, service};

    #[tokio::test]
    async fn a_policy_is_put_read_by_nodes_and_taken_away() {
        let lab = Lab::start().await;
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        lab.node("n1").await;
        let path = "/orgs/A/services/svc_1.0.0_arm/policy";
        let property = |kind: &str| json!({"name": "p", "type": kind, "value": "v"});
        let policy = |kind| json!({"properties": [property(kind)], "constraints": ["a == b"]});
        lab.put("A/u1", path, policy("strange")).await.is(400);
        lab.put("A/u1", path, policy("list of strings")).await.is(201);
        lab.put("A/u1", "/orgs/A/services/none/policy", policy("string")).await.is(404);
        let held = lab.get("A/n1:tok", path).await.is(200);
        assert_eq!(held["properties"][0]["type"], "list of strings");
        assert!(held["lastUpdated"].as_str().unwrap().ends_with('Z'));
        lab.delete("A/u2", path).await.is(403);
        lab.delete("A/u1", path).await.is(204);
        lab.get("A/n1:tok", path).await.refuses(404, "not-found");
    }
}
