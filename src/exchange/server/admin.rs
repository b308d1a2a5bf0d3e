//! What the exchange says about itself.

use axum::{Json, extract::State};

use super::{ApiError, AppState, caller::Caller};
use crate::exchange::api::AdminStatus;

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
    let owner = (!caller.manages_orgs() && !caller.administers(&caller.org)).then(|| caller.name());
    let counts = state.store.counts(org, owner.as_deref()).await?;
    Ok(Json(AdminStatus {
        msg: "Exchange server operating normally".to_owned(),
        db_schema_version: caller.manages_orgs().then_some(counts.schema_version),
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
    }))
}
