//! The change feed. Asking for it is a node's heartbeat.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use jiff::SignedDuration;

use super::{
    ApiError, AppState,
    budget::Reservation,
    caller::Caller,
    extract::{Body, Path},
    lists::reserved_json,
};
use crate::{
    exchange::{
        api::{ChangesRequest, ChangesResponse, MaxChangeId},
        store::{Audience, Since},
    },
    types::OrgId,
};

/// Changes that are read without a reservation: few enough for what a connection takes at once.
const FEW: u32 = 128;
/// What the most changes hold in memory while they are answered, in bytes.
const MOST_BYTES: usize = 8 << 20;

/// How much earlier than asked the feed begins where it is asked by time: clocks differ.
const EARLIER: SignedDuration = SignedDuration::from_secs(10);

/// Tells what changed since.
pub(super) async fn since(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Body(request): Body<ChangesRequest>,
) -> Result<Response, ApiError> {
    caller.may_read_changes(&org)?;
    state.note_heartbeat(&caller);
    let since = point(&request);
    let audience = match caller.node() {
        Some(node) => Audience::Node(node.clone()),
        None => Audience::User,
    };
    let changes = Changes::read(&state, &caller, &org, &audience, since, request.max_records);
    changes.await?.answer(&state)
}

/// Changes, and the memory that is reserved for their answer.
pub(super) struct Changes {
    pub(super) response: ChangesResponse,
    reservation: Option<Reservation>,
}

impl Changes {
    /// Reads the changes since then: as many as were asked for, or a few of them while other answers hold
    /// the memory. The caller asks for the rest from there on.
    pub(super) async fn read(
        state: &AppState,
        caller: &Caller,
        org: &OrgId,
        audience: &Audience,
        since: Since,
        most: u32,
    ) -> Result<Self, ApiError> {
        let few = state.store.changes(org, audience, since, most.min(FEW)).await?;
        if most <= FEW || !few.hit_max_records {
            return Ok(Self { response: few, reservation: None });
        }
        match state.answers.reserve(&caller.name(), MOST_BYTES).await {
            Err(_) => Ok(Self { response: few, reservation: None }),
            Ok(reservation) => {
                let response = state.store.changes(org, audience, since, most).await?;
                Ok(Self { response, reservation: Some(reservation) })
            }
        }
    }

    /// Answers with them.
    pub(super) fn answer(self, state: &AppState) -> Result<Response, ApiError> {
        let exchange_version = state.version.to_string();
        let response = ChangesResponse { exchange_version, ..self.response };
        reserved_json(StatusCode::CREATED, &response, self.reservation)
    }
}

/// Tells the number of the newest change.
pub(super) async fn newest(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<MaxChangeId>, ApiError> {
    caller.may_read_newest_change()?;
    let max_change_id = state.store.newest_change().await?;
    Ok(Json(MaxChangeId { max_change_id }))
}

/// From where on to tell: an id wins over a time.
fn point(request: &ChangesRequest) -> Since {
    match request.last_updated {
        Some(time) if request.change_id <= 0 => {
            Since::Time(time.checked_sub(EARLIER).unwrap_or(time))
        }
        _ => Since::Change(request.change_id),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use crate::exchange::server::testing::{Answer, Lab, service};

    /// `resource/id operation` of each change told.
    #[track_caller]
    fn told(answer: &Answer) -> Vec<String> {
        let body = answer.is(201);
        let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
        let changes = body["changes"].as_array().unwrap().iter();
        changes
            .map(|it| {
                format!("{}/{} {}", text(it, "resource"), text(it, "id"), text(it, "operation"))
            })
            .collect()
    }

    #[tokio::test]
    async fn a_user_is_told_what_happened_to_the_organization() {
        let lab = Lab::start().await;
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        let body =
            json!({"changeId": 0, "lastUpdated": "2026-01-21T09:59:00Z", "maxRecords": 1000});
        let answer = lab.post("A/u1", "/orgs/A/changes", body).await;
        assert!(told(&answer).contains(&"service/svc_1.0.0_arm created".to_owned()));
        let body = answer.json();
        assert_eq!(body["exchangeVersion"], "2.154.0");
        assert_eq!(body["hitMaxRecords"], false);
        let newest = lab.get("A/ad", "/changes/maxchangeid").await.is(200);
        assert_eq!(body["mostRecentChangeId"], newest["maxChangeId"]);
        lab.get("A/u1", "/changes/maxchangeid").await.is(403);
    }

    #[tokio::test]
    async fn an_id_wins_over_a_time_and_nothing_asked_is_nothing_told() {
        let lab = Lab::start().await;
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        let ask = |body| lab.post("A/u1", "/orgs/A/changes", body);
        assert!(told(&ask(json!({})).await).is_empty());
        ask(json!({"lastUpdated": "bad", "maxRecords": 5})).await.refuses(400, "invalid-input");
        ask(json!({"colour": "red"})).await.is(400);
        let future = json!({"lastUpdated": "2026-01-21T11:00:00Z", "maxRecords": 5});
        assert!(told(&ask(future).await).is_empty());
        let both =
            json!({"changeId": 1, "lastUpdated": "2026-01-21T11:00:00Z", "maxRecords": 1000});
        assert!(!told(&ask(both).await).is_empty());
        lab.post("A/u1", "/orgs/B/changes", json!({})).await.refuses(403, "access-denied");
        let few = ask(json!({"changeId": 1, "maxRecords": 1})).await;
        assert_eq!((told(&few).len(), &few.json()["hitMaxRecords"]), (1, &json!(true)));
    }

    #[tokio::test]
    async fn repeated_changes_of_one_thing_are_one_entry() {
        let lab = Lab::start().await;
        let path = "/orgs/A/services/svc_1.0.0_arm";
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        lab.patch("A/u1", path, json!({"label": "x"})).await.is(201);
        lab.delete("A/u1", path).await.is(204);
        let answer =
            lab.post("A/u1", "/orgs/A/changes", json!({"changeId": 1, "maxRecords": 100})).await;
        assert!(told(&answer).contains(&"service/svc_1.0.0_arm deleted".to_owned()));
        let body = answer.json();
        let entry =
            body["changes"].as_array().unwrap().iter().find(|it| it["resource"] == "service");
        assert_eq!(entry.unwrap()["resourceChanges"].as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_node_is_told_of_services_and_of_itself_and_is_heard_of() {
        let lab = Lab::start().await;
        lab.node("n1").await;
        lab.node("n2").await;
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        let mut public = service("shown", "1.0.0", "arm");
        lab.post("B/bu", "/orgs/B/services", public.clone()).await.is(201);
        public["public"] = json!(true);
        lab.put("B/bu", "/orgs/B/services/shown_1.0.0_arm", public).await.is(201);
        let ask = json!({"changeId": 1, "maxRecords": 1000});
        let seen = told(&lab.post("A/n1:tok", "/orgs/A/changes", ask).await);
        for expected in [
            "node/n1 created",
            "service/svc_1.0.0_arm created",
            "service/shown_1.0.0_arm created/modified",
        ] {
            assert!(seen.contains(&expected.to_owned()), "{expected}: {seen:?}");
        }
        assert!(!seen.iter().any(|it| it.starts_with("node/n2")), "{seen:?}");
        lab.clock.advance(SignedDuration::from_secs(1));
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        let node = lab.get("A/u1", "/orgs/A/nodes/n1").await.is(200);
        assert_eq!(node["nodes"]["A/n1"]["lastHeartbeat"], "2026-01-21T10:00:00Z");
        lab.get("A/n1:tok", "/changes/maxchangeid").await.is(200);
    }
}
