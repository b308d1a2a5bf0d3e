//! What the exchange says about itself.

use axum::{Json, extract::State};

use super::{ApiError, AppState, caller::Caller, extract::Path};
use crate::{
    exchange::{
        api::{AdminStatus, NodesOfOrgs, OrgStatus},
        store::{Condition, Counts},
    },
    types::OrgId,
};

/// How the exchange is, as a sentence: Horizon's own where all is well.
fn message(condition: Condition) -> String {
    let message = match condition {
        Condition::Normal => "Exchange server operating normally",
        Condition::DiskFull => {
            "Exchange server disk is full: deletions are accepted, other changes are refused"
        }
        Condition::Failing => "Exchange server is recovering: its database cannot be written",
    };
    message.to_owned()
}

/// Tells the version of Horizon's exchange that this one is like; to anyone.
pub(super) async fn version(State(state): State<AppState>) -> String {
    format!("{}\n", state.version)
}

/// Tells how many of everything there are.
pub(super) async fn status(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<AdminStatus>, ApiError> {
    caller.may_read_status()?;
    let org = (!caller.manages_orgs()).then_some(&caller.org);
    let counts = counts(&state, &caller, org).await?;
    let db_schema_version = caller.manages_orgs().then_some(counts.schema_version);
    Ok(Json(AdminStatus { db_schema_version, ..status_of(&state, counts) }))
}

/// Tells how many of everything an organization has.
pub(super) async fn org_status(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
) -> Result<Json<OrgStatus>, ApiError> {
    caller.may_read_status()?;
    caller.may_read_org(&org)?;
    let held = state.store.org(&org).await?;
    held.ok_or_else(|| ApiError::NotFound(format!("org '{org}' not found")))?;
    let counts = counts(&state, &caller, Some(&org)).await?;
    Ok(Json(OrgStatus { schema_version: counts.schema_version, status: status_of(&state, counts) }))
}

/// Tells how many nodes each organization has.
pub(super) async fn nodes_of_orgs(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<NodesOfOrgs>, ApiError> {
    caller.may_read_nodes_of_orgs()?;
    let mut nodes = state.store.nodes_of_orgs().await?;
    nodes.retain(|org, _| caller.manages_orgs() || *org == caller.org.as_str());
    Ok(Json(NodesOfOrgs { msg: message(state.store.condition()), nodes }))
}

/// What there is, as far as the caller may know: a plain user knows of its own nodes.
async fn counts(
    state: &AppState,
    caller: &Caller,
    org: Option<&OrgId>,
) -> Result<Counts, ApiError> {
    let all = caller.manages_orgs() || caller.administers(&caller.org);
    let owner = (!all).then(|| caller.name());
    Ok(state.store.counts(org, owner.as_deref()).await?)
}

fn status_of(state: &AppState, counts: Counts) -> AdminStatus {
    AdminStatus {
        msg: message(state.store.condition()),
        db_schema_version: None,
        number_of_organizations: counts.orgs,
        number_of_users: counts.users,
        number_of_nodes: counts.nodes,
        number_of_registered_nodes: counts.registered_nodes,
        number_of_unregistered_nodes: counts.nodes - counts.registered_nodes,
        number_of_node_agreements: counts.agreements,
        number_of_node_msgs: 0,
        number_of_agbots: 0,
        number_of_agbot_agreements: 0,
        number_of_agbot_msgs: 0,
    }
}
