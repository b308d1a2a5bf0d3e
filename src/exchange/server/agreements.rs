//! Agreements of Horizon's nodes, as they report them.

use axum::{Json, extract::State, http::StatusCode, response::Response};

use super::{
    ApiError, AppState,
    answer::written,
    caller::Caller,
    extract::{Body, Path, Query, check_name, check_new_name},
    lists::reserved_json,
    nodes::Quiet,
};
use crate::{
    exchange::{
        api::{AgreementRequest, Agreements, Reply},
        store::{Quota, Usage},
    },
    types::{NodeId, OrgId},
};

/// Lists the agreements of a node.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, node)): Path<(OrgId, NodeId)>,
) -> Result<Response, ApiError> {
    told(&state, &caller, &org, &node, None).await
}

/// Tells about one agreement.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, node, id)): Path<(OrgId, NodeId, String)>,
) -> Result<Response, ApiError> {
    told(&state, &caller, &org, &node, Some(&id)).await
}

/// Keeps an agreement.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, node, id)): Path<(OrgId, NodeId, String)>,
    Query(quiet): Query<Quiet>,
    Body(request): Body<AgreementRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    check_name(&id)?;
    check_new_name(&id)?;
    if request.services.is_none() && request.agreement_service.is_none() {
        let msg = "an agreement needs services or agreementService";
        return Err(ApiError::InvalidInput(msg.to_owned()));
    }
    let agreement = (id.as_str(), &request, !quiet.noheartbeat);
    let (permit, now) = (caller.permit_node(&org, &node), state.clock.now());
    state.store.put_agreement(&org, &node, agreement, permit, now).await?;
    Ok(written("agreement added or updated"))
}

/// Removes an agreement.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, node, id)): Path<(OrgId, NodeId, String)>,
) -> Result<StatusCode, ApiError> {
    removed(&state, &caller, &org, &node, Some(&id)).await
}

/// Removes all agreements of a node.
pub(super) async fn delete_all(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, node)): Path<(OrgId, NodeId)>,
) -> Result<StatusCode, ApiError> {
    removed(&state, &caller, &org, &node, None).await
}

async fn told(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    node: &NodeId,
    id: Option<&str>,
) -> Result<Response, ApiError> {
    let owner = state.store.node_owner(org, node).await?;
    caller.may_read_node(org, node, owner.as_deref())?;
    let usage = match id {
        Some(_) => Usage::default(),
        None => state.store.usage_of_holder(&Quota::AGREEMENTS, &format!("{org}/{node}")).await?,
    };
    let reservation = state.reserve_whole(caller, usage).await?;
    let agreements = state.store.agreements(org, node, id).await?;
    let status = if agreements.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    reserved_json(status, &Agreements { agreements, last_index: 0 }, reservation)
}

async fn removed(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    node: &NodeId,
    id: Option<&str>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.permit_node(org, node);
    state.store.remove_agreements(org, node, id, permit, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::exchange::server::testing::Lab;

    #[tokio::test]
    async fn a_node_reports_its_agreements() {
        let lab = Lab::start().await;
        lab.node("n1").await;
        let all = "/orgs/A/nodes/n1/agreements";
        let one = format!("{all}/x");
        let empty = json!({"agreements": {}, "lastIndex": 0});
        assert_eq!(lab.get("A/n1:tok", all).await.is(404), empty);
        lab.put("A/n1:tok", &one, json!({"state": "s"})).await.is(400);
        let agreement = json!({
            "services": [{"orgid": "A", "url": "svc"}],
            "agreementService": {"orgid": "A", "pattern": "A/p", "url": "svc"}, "state": "s",
        });
        lab.put("A/n1:tok", &one, agreement).await.is(201);
        let held = lab.get("A/n1:tok", &one).await.is(200);
        assert_eq!(held["agreements"]["x"]["agrService"]["pattern"], "A/p");
        lab.delete("A/n1:tok", all).await.is(204);
        assert_eq!(lab.get("A/n1:tok", &one).await.is(404), empty);
        lab.delete("A/n1:tok", &one).await.is(404);
    }
}
