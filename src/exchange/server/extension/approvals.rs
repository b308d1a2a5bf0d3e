//! Approvals of nodes: an administrator stands for the pattern, the policy and the public key that a node has.

use axum::{Json, extract::State, http::StatusCode};

use crate::{
    exchange::{
        api::NodeApproval,
        server::{ApiError, AppState, caller::Caller, extract::Path},
        store::{Ownership, StoreError},
    },
    types::{NodeId, OrgId},
};

/// Answers who stands for the registration of a node.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
) -> Result<Json<NodeApproval>, ApiError> {
    let owner = state.store.node_owner(&org, &id).await?;
    caller.may_read_node(&org, &id, owner.as_deref())?;
    Ok(Json(state.store.node_approval(&org, &id).await?))
}

/// Approves a node as it is now.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
) -> Result<Json<NodeApproval>, ApiError> {
    let permit = caller.permit(|caller, held: Option<Ownership>| {
        caller.may_approve_node(&org, &id)?;
        held.map(|_| caller.name()).ok_or_else(|| StoreError::missing("node", &org, &id).into())
    });
    let approval = state.store.approve_node(&org, &id, permit, state.clock.now()).await?;
    let by = caller.name();
    tracing::info!(event = "node.approved", %org, node = %id, by, "a node is approved");
    Ok(Json(approval))
}

/// Ends the approval of a node.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.permit(|caller, held: Option<Ownership>| {
        caller.may_approve_node(&org, &id)?;
        held.map(drop).ok_or_else(|| StoreError::missing("node", &org, &id).into())
    });
    state.store.unapprove_node(&org, &id, permit, state.clock.now()).await?;
    let by = caller.name();
    tracing::info!(event = "node.unapproved", %org, node = %id, by, "the approval of a node ends");
    Ok(StatusCode::NO_CONTENT)
}
