//! What a node says about itself: its policy, status and errors.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;

use super::{
    ApiError, AppState,
    answer::written,
    caller::Caller,
    extract::{Body, Path, Query},
    nodes::Quiet,
    signed_names::HorizonWrite,
};
use crate::{
    exchange::{
        api::{Dated, NodeErrorsRequest, NodePolicyRequest, NodeStatus, NodeStatusRequest, Reply},
        store::{NodePart, StoreError},
    },
    types::{NodeId, OrgId},
};

/// Something that a node says about itself, as its path has it.
pub(super) trait Told: NodePart + 'static {
    /// How it is told to others.
    type Answer: Serialize + Send;

    /// How it is told to others.
    fn answer(it: Dated<Self>) -> Self::Answer;

    /// What is wrong with it by itself, if anything is.
    fn problem(&self) -> Option<String>;
}

impl Told for NodePolicyRequest {
    type Answer = Dated<Self>;

    fn problem(&self) -> Option<String> {
        Self::problem(self)
    }

    fn answer(it: Dated<Self>) -> Dated<Self> {
        it
    }
}

impl Told for NodeErrorsRequest {
    type Answer = Dated<Self>;

    fn problem(&self) -> Option<String> {
        Self::problem(self)
    }

    fn answer(it: Dated<Self>) -> Dated<Self> {
        it
    }
}

impl Told for NodeStatusRequest {
    type Answer = NodeStatus;

    fn problem(&self) -> Option<String> {
        Self::problem(self)
    }

    fn answer(it: Dated<Self>) -> NodeStatus {
        let Dated { value, last_updated } = it;
        NodeStatus { running_services: value.running_services(), value, last_updated }
    }
}

/// Tells what the node last said.
pub(super) async fn get<T: Told>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
) -> Result<Json<T::Answer>, ApiError> {
    let owner = state.store.node_owner(&org, &id).await?;
    caller.may_read_node(&org, &id, owner.as_deref())?;
    let held = state.store.node_part::<T>(&org, &id).await?;
    let missing = || StoreError::missing(&format!("{} of node", T::PART), &org, &id);
    Ok(Json(T::answer(held.ok_or_else(missing)?)))
}

/// Keeps what the node says.
pub(super) async fn put<T: Told>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
    Query(quiet): Query<Quiet>,
    Body(value): Body<T>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    value.problem().map_or(Ok(()), |problem| Err(ApiError::InvalidInput(problem)))?;
    let beats = T::BEATS && !quiet.noheartbeat;
    let (permit, now) =
        (caller.permit_node_part(&org, &id, HorizonWrite::Publish), state.clock.now());
    state.store.put_node_part(&org, &id, (&value, beats), permit, now).await?;
    Ok(written(format!("{} added or updated", T::PART)))
}

/// Forgets what the node said.
pub(super) async fn delete<T: Told>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.permit_node_part(&org, &id, HorizonWrite::Remove);
    state.store.remove_node_part::<T, _>(&org, &id, permit, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::exchange::server::testing::Lab;

    #[tokio::test]
    async fn a_node_has_a_policy_while_it_is_given_one() {
        let lab = Lab::start().await;
        lab.node("n1").await;
        let path = "/orgs/A/nodes/n1/policy";
        lab.get("A/n1:tok", path).await.refuses(404, "not-found");
        let policy = json!({
            "properties": [{"name": "p", "value": true}], "constraints": [],
            "deployment": {"properties": [{"name": "q", "value": 3}], "constraints": ["a == b"]},
        });
        lab.put("A/n1:tok", &format!("{path}?noheartbeat=maybe"), policy.clone()).await.is(400);
        lab.put("A/u1", &format!("{path}?noheartbeat=true"), policy.clone()).await.is(201);
        assert!(
            lab.get("A/u1", "/orgs/A/nodes/n1").await.json()["nodes"]["A/n1"]["lastHeartbeat"]
                .is_null()
        );
        let held = lab.get("A/n1:tok", path).await.is(200);
        assert_eq!(held["deployment"]["constraints"], json!(["a == b"]));
        assert!(held["lastUpdated"].is_string());
        lab.put("A/u1", "/orgs/A/nodes/none/policy", policy.clone()).await.is(404);
        lab.put("A/u2", path, policy).await.is(403);
        lab.delete("A/n1:tok", path).await.is(204);
        lab.delete("A/n1:tok", path).await.is(404);
    }

    #[tokio::test]
    async fn a_node_tells_what_it_runs_and_what_went_wrong() {
        let lab = Lab::start().await;
        lab.node("n1").await;
        let service = |url: &str| {
            json!({
                "agreementId": "", "serviceUrl": url, "orgid": "A", "version": "1.0.0", "arch": "arm",
                "containerStatus": [{"name": "c", "image": "i", "created": 1, "state": "running"}],
            })
        };
        let path = "/orgs/A/nodes/n1/status";
        lab.get("A/n1:tok", path).await.is(404);
        let status = json!({"connectivity": {"h": true}, "services": [service("a"), service("b")]});
        lab.put("A/n1:tok", path, status).await.is(201);
        let held = lab.get("A/u1", path).await.is(200);
        assert_eq!(held["runningServices"], "|A/a_1.0.0_arm|A/b_1.0.0_arm|");
        assert_eq!(held["services"][1]["containerStatus"][0]["state"], "running");
        let path = "/orgs/A/nodes/n1/errors";
        lab.put("A/n1:tok", path, json!({"errors": [{"record_id": "1"}]})).await.is(201);
        assert_eq!(lab.get("A/u1", path).await.is(200)["errors"][0]["record_id"], "1");
        lab.delete("A/n1:tok", path).await.is(204);
    }
}
