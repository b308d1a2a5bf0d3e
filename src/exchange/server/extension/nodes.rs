//! What decides about nodes: for telling where services fit.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use crate::{
    exchange::{
        api::MOST_PROFILES,
        server::{
            ApiError, AppState,
            caller::{Caller, Role},
            extract::{Path, Query},
            lists::reserved_json,
        },
        store::{LONGEST_PAGE, ProfilesOf},
    },
    types::{NodeId, OrgId},
};

/// What a page holds in memory while it is answered, in bytes: decoded and encoded.
const MOST_BYTES: usize = 4 * LONGEST_PAGE;

/// Which page to tell.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    /// The last node of the page before.
    pub(super) after: Option<NodeId>,
    /// How many nodes at most.
    pub(super) limit: Option<u32>,
}

/// Lists the nodes that the caller may see with what decides about them, a page at a time.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    caller.may_list_nodes(&org)?;
    let owner = matches!(caller.role, Role::User(_)).then(|| caller.name());
    let which =
        ProfilesOf { owner: owner.as_deref(), only: caller.node(), after: page.after.as_ref() };
    let limit = page.limit.unwrap_or(MOST_PROFILES).min(MOST_PROFILES);
    let reservation = state.answers.reserve(&caller.name(), MOST_BYTES).await?;
    let page = state.store.node_profiles(&org, which, limit).await?;
    reserved_json(StatusCode::OK, &page, Some(reservation))
}
