//! What decides about nodes: for telling where services fit.

use axum::{Json, extract::State};
use serde::Deserialize;

use crate::{
    exchange::{
        api::{MOST_PROFILES, NodeProfiles},
        server::{
            ApiError, AppState,
            caller::{Caller, Role},
            extract::{Path, Query},
        },
        store::ProfilesOf,
    },
    types::{NodeId, OrgId},
};

/// Which page to tell.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    /// The last node of the page before.
    after: Option<NodeId>,
    /// How many nodes at most.
    limit: Option<u32>,
}

/// Lists the nodes that the caller may see with what decides about them, a page at a time.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(page): Query<Page>,
) -> Result<Json<NodeProfiles>, ApiError> {
    caller.may_list_nodes(&org)?;
    let owner = matches!(caller.role, Role::User(_)).then(|| caller.name());
    let which =
        ProfilesOf { owner: owner.as_deref(), only: caller.node(), after: page.after.as_ref() };
    let limit = page.limit.unwrap_or(MOST_PROFILES).min(MOST_PROFILES);
    Ok(Json(state.store.node_profiles(&org, which, limit).await?))
}
