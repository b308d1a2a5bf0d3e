//! What nodes say about themselves.

use axum::{Json, extract::State, http::StatusCode, response::Response};

use crate::{
    exchange::{
        api::{MOST_STATES, NodeReport, ReceivedReport, Reply},
        server::{
            ApiError, AppState,
            caller::{Caller, Role},
            extension::nodes::Page,
            extract::{Body, Path, Query},
            lists::reserved_json,
        },
        store::ProfilesOf,
    },
    types::{NodeId, NodeRef, OrgId},
};

/// What the list of refusing nodes holds in memory while it is answered, in bytes.
const MOST_BYTES: usize = 8 << 20;

/// Takes a node's report.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
    Body(report): Body<NodeReport>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let permit = caller.permit(|caller, _| caller.may_report(&org, &id));
    let node = NodeRef { org: org.clone(), id: id.clone() };
    if !state.store.put_report(&node, &report, permit, state.clock.now()).await? {
        return Err(ApiError::NotFound(format!("node '{node}' not found")));
    }
    // A node that settles now and then waits for no changes, and is heard of all the same.
    state.note_heartbeat(&caller);
    Ok((StatusCode::CREATED, Json(Reply::ok("report received"))))
}

/// Hands out a node's newest report.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
) -> Result<Json<ReceivedReport>, ApiError> {
    let owner = state.store.node_owner(&org, &id).await?;
    caller.may_read_node(&org, &id, owner.as_deref())?;
    let node = NodeRef { org, id };
    let report = state.store.report(&node).await?;
    report.map(Json).ok_or_else(|| ApiError::NotFound(format!("report of '{node}' not found")))
}

/// Lists how the nodes do that the caller may see, a page at a time.
pub(super) async fn states(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    caller.may_list_nodes(&org)?;
    let owner = matches!(caller.role, Role::User(_)).then(|| caller.name());
    let which =
        ProfilesOf { owner: owner.as_deref(), only: caller.node(), after: page.after.as_ref() };
    let limit = page.limit.unwrap_or(MOST_STATES).clamp(1, MOST_STATES);
    let reservation = state.answers.reserve(&caller.name(), MOST_BYTES).await?;
    let states = state.store.node_states(&org, which, limit).await?;
    reserved_json(StatusCode::OK, &states, Some(reservation))
}

/// Tells which of the nodes that the caller may see refuse something.
pub(super) async fn refusing(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
) -> Result<Response, ApiError> {
    caller.may_list_nodes(&org)?;
    let owner = matches!(caller.role, Role::User(_)).then(|| caller.name());
    let reservation = state.answers.reserve(&caller.name(), MOST_BYTES).await?;
    let refusing = state.store.refusing_nodes(&org, owner.as_deref(), caller.node()).await?;
    reserved_json(StatusCode::OK, &refusing, Some(reservation))
}
