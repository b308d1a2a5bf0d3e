//! How far the exchange has been told of the node, and when it is told more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    agent::{Agent, AgentConfig, profile::Profile, settle::told},
    exchange::{
        api::NodeRequest,
        client::{ExchangeClient, ExchangeError},
    },
    types::NodeId,
};

/// How long what was told is taken to be known: an exchange that was restored may have lost it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(24);
/// The longest wait before the exchange is asked to take what it has refused.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What the exchange knows of the node, part by part.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    arch: bool,
    policy: bool,
    user_input: bool,
    /// Since when that was looked at.
    begun: Option<Timestamp>,
    /// How often in a row it did not take all of it.
    failures: u32,
    /// When it is asked again; at once if that is not said.
    next: Option<Timestamp>,
}

impl Introduction {
    /// Whether it is time to look what the exchange knows. A wait that is longer than any comes from a
    /// clock that was moved back.
    fn is_due(&self, now: Timestamp) -> bool {
        self.next.is_none_or(|next| next <= now || next.duration_since(now) > LOOK_AGAIN)
    }

    /// A service was published: what was refused for want of it may be taken now.
    pub(super) fn hurry(&mut self) {
        if self.failures > 0 {
            self.next = None;
        }
    }

    /// Tells what the exchange does not know yet, if it is time for it. What it does not take is told
    /// again later, and ever later: it decides about nothing here.
    async fn go_on(
        &mut self,
        profile: &Profile,
        exchange: &ExchangeClient,
        id: &NodeId,
        config: &AgentConfig,
    ) {
        let now = config.clock.now();
        if !self.is_due(now) {
            return;
        }
        let age = self.begun.map(|it| now.duration_since(it).abs());
        if age.is_none_or(|it| it >= LOOK_AGAIN) {
            *self = Self { begun: Some(now), failures: self.failures, ..Self::default() };
        }
        let wait = match self.tell(profile, exchange, id).await {
            Ok(()) => {
                self.failures = 0;
                LOOK_AGAIN
            }
            Err(error) => {
                tracing::info!(error = %told(&error), "the node's own policy is told later");
                let longest = match error {
                    ExchangeError::Invalid { .. } => LONGEST_WAIT,
                    _ => config.poll.min(LONGEST_WAIT),
                };
                let wait = config.first_wait.saturating_mul(1 << self.failures.min(12));
                self.failures += 1;
                SignedDuration::try_from(wait.min(longest)).unwrap_or(LOOK_AGAIN)
            }
        };
        self.next = now.checked_add(wait).ok();
    }

    /// Tells the exchange whatever it does not know yet of a node that it has.
    pub(super) async fn tell(
        &mut self,
        profile: &Profile,
        exchange: &ExchangeClient,
        id: &NodeId,
    ) -> Result<(), ExchangeError> {
        let known = if self.arch && self.user_input {
            None
        } else {
            exchange.find_node(id).await?.map(|it| it.description)
        };
        if !self.arch {
            if known.as_ref().is_none_or(|it| it.arch != profile.arch) {
                let arch = Some(profile.arch.clone());
                exchange.change_node(id, &NodeRequest { arch, ..NodeRequest::default() }).await?;
            }
            self.arch = true;
        }
        if !self.policy {
            // The answer is what counts. Where a policy is published for the node that is never its own,
            // which then is told once more at every start and every look: to an exchange that has it
            // already it is no news.
            let counts = exchange.node_policy(id).await?;
            if counts.is_none_or(|it| it.value != profile.policy) {
                exchange.put_node_policy(id, &profile.policy).await?;
            }
            self.policy = true;
        }
        if !self.user_input {
            // Last: it is refused while a service that it is for has not been published.
            if known.is_none_or(|it| it.user_input != profile.user_input) {
                let user_input = Some(profile.user_input.clone());
                let request = NodeRequest { user_input, ..NodeRequest::default() };
                exchange.change_node(id, &request).await?;
            }
            self.user_input = true;
        }
        Ok(())
    }
}

impl Agent {
    /// Tells the exchange of this node whatever it does not know yet.
    pub(super) async fn introduce(&mut self) {
        match Profile::of(&self.policy, &self.facts) {
            Ok(profile) => {
                let id = &self.identity.node.id;
                self.introduction.go_on(&profile, &self.exchange, id, &self.config).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the exchange has no form for the node's policy");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Json, Router,
        http::{Method, StatusCode, Uri},
        response::IntoResponse as _,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        document::{NodePolicy, matching::NodeFacts},
        exchange::client::{Auth, ExchangeConfig},
        types::{ManualClock, Secret},
    };

    /// An exchange with one node, and what it was asked.
    #[derive(Debug, Default)]
    struct Exchange {
        node: Value,
        policy: Option<Value>,
        /// Whether it has the service that the node has values for.
        has_service: bool,
        asked: Vec<&'static str>,
    }

    impl Exchange {
        fn answer(
            &mut self,
            method: &Method,
            uri: &Uri,
            body: Option<Value>,
        ) -> axum::response::Response {
            let is_policy = uri.path().ends_with("/policy");
            let body = body.unwrap_or_default();
            let is_input = body.get("userInput").is_some();
            self.asked.push(match (method.as_str(), is_policy, is_input) {
                ("GET", false, _) => "look",
                ("GET", true, _) => "look at policy",
                ("PUT", true, _) => "policy",
                ("PATCH", false, true) => "input",
                ("PATCH", false, false) => "arch",
                _ => "something else",
            });
            match (method.as_str(), is_policy) {
                ("GET", false) => {
                    Json(json!({"nodes": {"acme/n1": self.node}, "lastIndex": 0})).into_response()
                }
                ("GET", true) => match &self.policy {
                    Some(policy) => Json(policy).into_response(),
                    None => StatusCode::NOT_FOUND.into_response(),
                },
                ("PUT", true) => {
                    let mut body = body;
                    body["lastUpdated"] = json!("2026-11-21T10:00:00Z");
                    self.policy = Some(body);
                    StatusCode::CREATED.into_response()
                }
                _ if is_input && !self.has_service => {
                    let told = json!({"code": "bad-input", "msg": "no such service"});
                    (StatusCode::BAD_REQUEST, Json(told)).into_response()
                }
                _ => {
                    for (name, value) in body.as_object().unwrap() {
                        self.node[name] = value.clone();
                    }
                    StatusCode::CREATED.into_response()
                }
            }
        }
    }

    struct Lab {
        exchange: Arc<Mutex<Exchange>>,
        client: ExchangeClient,
        clock: ManualClock,
        config: AgentConfig,
        profile: Profile,
        introduction: Introduction,
    }

    impl Lab {
        async fn start() -> Self {
            let exchange = Arc::new(Mutex::new(Exchange {
                node: json!({"token": "********", "owner": "acme/ada", "pattern": "", "publicKey": "",
                    "lastUpdated": "2026-11-21T10:00:00Z"}),
                ..Exchange::default()
            }));
            let served = Arc::clone(&exchange);
            let answer = move |method: Method, uri: Uri, body: Option<Json<Value>>| async move {
                served.lock().unwrap().answer(&method, &uri, body.map(|it| it.0))
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new().fallback(answer);
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            let (org, id) = ("acme".parse().unwrap(), "n1".parse().unwrap());
            let auth = Auth::Node { org, id, token: Secret::new("tok") };
            let url = format!("http://{address}");
            let config = ExchangeConfig::new(url, "acme".parse().unwrap(), auth).retries(0);
            let clock = ManualClock::starting_at("2026-11-21T10:00:00Z".parse().unwrap());
            let mut facts = NodeFacts::device("arm64".parse().unwrap());
            let input = json!([{"serviceOrgid": "acme", "serviceUrl": "hello",
                "inputs": [{"name": "A", "value": "a"}]}]);
            facts.user_input = serde_json::from_value(input).unwrap();
            Self {
                exchange,
                client: ExchangeClient::new(&config).unwrap(),
                config: AgentConfig::new("/nowhere").clock(Arc::new(clock.clone())),
                clock,
                profile: Profile::of(&NodePolicy::default(), &facts).unwrap(),
                introduction: Introduction::default(),
            }
        }

        /// What the exchange is asked in a pass that comes so many seconds later.
        async fn asked_after(&mut self, seconds: i64) -> Vec<&'static str> {
            self.clock.advance(SignedDuration::from_secs(seconds));
            let id = "n1".parse().unwrap();
            self.introduction.go_on(&self.profile, &self.client, &id, &self.config).await;
            std::mem::take(&mut self.exchange.lock().unwrap().asked)
        }
    }

    #[tokio::test]
    async fn what_is_refused_is_told_again_alone_and_ever_later() {
        let mut lab = Lab::start().await;
        let first = lab.asked_after(0).await;
        assert_eq!(first, ["look", "arch", "look at policy", "policy", "input"]);
        let mut tries = Vec::new();
        for second in 1..=7200 {
            let asked = lab.asked_after(1).await;
            if !asked.is_empty() {
                assert_eq!(asked, ["look", "input"]);
                tries.push(second);
            }
        }
        let after_a_day = lab.asked_after(24 * 3600).await;
        assert_eq!(after_a_day, ["look", "look at policy", "input"]);
        assert_eq!(tries, [1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047, 4095]);

        lab.introduction.hurry();
        lab.exchange.lock().unwrap().has_service = true;
        assert_eq!(lab.asked_after(0).await, ["look", "input"]);
        assert!(lab.asked_after(3600).await.is_empty());
        lab.introduction.hurry();
        assert!(lab.asked_after(0).await.is_empty());
    }

    #[tokio::test]
    async fn what_an_exchange_has_lost_is_told_again_after_a_day() {
        let mut lab = Lab::start().await;
        lab.exchange.lock().unwrap().has_service = true;
        assert_eq!(lab.asked_after(0).await.len(), 5);
        lab.exchange.lock().unwrap().policy = None;
        assert!(lab.asked_after(23 * 3600).await.is_empty());
        assert_eq!(lab.asked_after(3600).await, ["look", "look at policy", "policy"]);
        assert_eq!(lab.asked_after(24 * 3600).await, ["look", "look at policy"]);
    }

    #[tokio::test]
    async fn a_clock_that_is_moved_back_puts_nothing_off() {
        let mut lab = Lab::start().await;
        lab.exchange.lock().unwrap().has_service = true;
        lab.asked_after(0).await;
        assert_eq!(lab.asked_after(-30 * 24 * 3600).await, ["look", "look at policy"]);
    }
}
